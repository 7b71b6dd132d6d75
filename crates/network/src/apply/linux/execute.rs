//! Carrying out steps and reverting them.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use oxivirt_engine::Executor;
use oxivirt_netlink::{LinkKind, Route, Stp};
use oxivirt_nft::iptables::Rule;
use oxivirt_nft::kernel::{DeleteTableIf, Load};
use oxivirt_nft::libvirt::NetworkRules;
use oxivirt_nft::xtables::XtablesError;
use oxivirt_nft::{Removal, Transaction};
use oxivirt_sys::command::{self, Command};
use oxivirt_sys::resolved::{self, ResolvedError};
use oxivirt_sys::{chain, file};
use oxivirt_types::link_name::LinkName;

use super::{LinuxHost, find, read_sysctl};
use crate::apply::HostError;
use crate::dnsmasq::Process;
use crate::plan::provision::{BridgePort, Registration, RouteState};
use crate::plan::removal::{ForeignRemoval, JumpTarget};
use crate::plan::shaping::{self, OnFailure, ShapeCommand};
use crate::plan::{FileImage, IfMissing, RulesChange, Step, Sysctl, Undo, nftables};

/// How long a dnsmasq may take to end before it is killed.
const DNSMASQ_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the processes of a dnsmasq are looked for until none is left.
const DNSMASQ_SCANS: usize = 20;
/// `ESRCH`: there is no such route.
const NO_ROUTE: i32 = 3;
/// `EADDRNOTAVAIL`: the link does not have the address.
const NO_ADDRESS: i32 = 99;

impl Executor<Step> for LinuxHost {
    type Error = HostError;

    async fn run(&self, step: &Step) -> Result<(), HostError> {
        match step {
            Step::CreateBridge(bridge) => Ok(self.links.create_bridge(bridge).await?),
            Step::SetMtu { link, mtu } => Ok(self.links.set_mtu(link, *mtu).await?),
            Step::Sysctl(sysctl) => write_sysctl(sysctl),
            Step::LoadRules(RulesChange::Nftables(load)) => {
                Ok(self.nft()?.apply(load.clone()).await?)
            }
            Step::LoadRules(RulesChange::Iptables { remove, add }) => {
                Ok(self.xtables.replace(remove, add).await?)
            }
            Step::AddAddress { link, address } => {
                let index = self.index(link).await?;
                Ok(self.links.add_address(index, link, *address).await?)
            }
            Step::SetUp(link) => Ok(self.links.set_up(link).await?),
            Step::AttachPorts { bridge, stp, ports } => {
                self.attach_ports(bridge, *stp, ports).await
            }
            Step::RemoveAddress { link, address } => self.remove_address(link, *address).await,
            Step::FilterVlans(link) => Ok(self.links.filter_vlans(link).await?),
            Step::AddRoute { link, route } => self.add_route(link, route).await,
            Step::RemoveRoute { link, route } => self.remove_route(link, route).await,
            Step::Shape { link, commands, .. } => self.shape(link, commands).await,
            Step::RegisterDomain { link, registration } => {
                let index = self.index(link).await?;
                register_domain(link, index, registration).await
            }
            Step::WriteFile(file) => {
                let FileImage { path, mode, content, durability } = file.clone();
                on_thread(move || Ok(file::replace(&path, &content, mode, durability)?)).await
            }
            Step::StartDnsmasq { launch, .. } => Ok(launch.start().await?),
            Step::ReloadDnsmasq { conf_file, pid_file } => match find(conf_file, pid_file) {
                Some(process) => Ok(process.reload()?),
                None => Err(HostError::NoDnsmasqProcess { conf_file: conf_file.clone() }),
            },
            Step::JoinZone { link, zone } => self.firewalld.join(zone, link.as_str()).await,
            Step::Undo(undo) => self.undo(undo).await,
        }
    }

    async fn undo(&self, undo: &Undo) -> Result<(), HostError> {
        match undo {
            Undo::StopDnsmasq { conf_file, pid_file } => stop_dnsmasq(conf_file, pid_file).await,
            Undo::DeleteBridge { name, address } => self.delete_bridge(name, *address).await,
            Undo::RemoveRules(removal) => self.remove_rules(removal).await,
            Undo::RemoveLibvirtRules(network) => self.remove_libvirt_rules(network).await,
            Undo::RemoveUserChainJump(JumpTarget { family, bridge }) => {
                Ok(self.nft()?.remove_passage(*family, bridge.clone()).await?)
            }
            Undo::RemoveIptables(rules) => self.remove_iptables(rules).await,
            Undo::RunRemoval(command) => self.run_removal(command).await,
            Undo::ClearShaping { link } => match self.links.link(link).await? {
                Some(_) => self.shape(link, &shaping::clear_all()).await,
                None => Ok(()),
            },
            Undo::LeaveZone { link } => {
                self.firewalld.leave(link.as_str()).await;
                Ok(())
            }
            Undo::RemoveDir { path } => {
                let path = path.clone();
                on_thread(move || Ok(file::remove_dir(&path)?)).await
            }
            Undo::RemoveFile { path } => {
                let path = path.clone();
                on_thread(move || {
                    file::remove(&file::temporary(&path))?;
                    file::remove(&path)?;
                    Ok(())
                })
                .await
            }
            Undo::RemoveIfEmpty { path } => {
                let path = path.clone();
                on_thread(move || remove_if_empty(&path)).await
            }
        }
    }
}

impl LinuxHost {
    async fn index(&self, link: &LinkName) -> Result<u32, HostError> {
        let found = self.links.link(link).await?;
        found.map(|found| found.index).ok_or_else(|| HostError::NoLink { link: link.to_string() })
    }

    async fn route(&self, link: &LinkName, route: &RouteState) -> Result<Route, HostError> {
        Ok(Route {
            destination: route.destination,
            gateway: Some(route.gateway),
            link: Some(self.index(link).await?),
            metric: route.metric,
            protocol: 0,
        })
    }

    async fn add_route(&self, link: &LinkName, route: &RouteState) -> Result<(), HostError> {
        let route = self.route(link, route).await?;
        Ok(self.links.add_route(&route).await?)
    }

    async fn remove_route(&self, link: &LinkName, route: &RouteState) -> Result<(), HostError> {
        let route = self.route(link, route).await?;
        match self.links.remove_route(&route).await {
            Err(error) if error.errno() != Some(NO_ROUTE) => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn remove_address(&self, link: &LinkName, address: IpNet) -> Result<(), HostError> {
        let index = self.index(link).await?;
        match self.links.remove_address(index, address).await {
            Err(error) if error.errno() != Some(NO_ADDRESS) => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn shape(&self, link: &LinkName, commands: &[ShapeCommand]) -> Result<(), HostError> {
        let index = self.index(link).await?;
        for ShapeCommand { change, on_failure } in commands {
            let Err(source) = self.links.change_queue(index, change).await else { continue };
            let command = change.words(link.as_str());
            match on_failure {
                OnFailure::Fail => return Err(HostError::Queue { command, source }),
                OnFailure::Warn => {
                    tracing::warn!(
                        command,
                        error = chain::text(&source),
                        "cannot change traffic control: limits may be less exact"
                    );
                }
                OnFailure::Ignore => {}
            }
        }
        Ok(())
    }

    /// While a spanning tree protocol runs, a new port listens and learns for twice the forward delay,
    /// 4 s at least, before it forwards. A port that forwards already when the protocol is switched on
    /// goes on forwarding.
    async fn attach_ports(
        &self,
        bridge: &LinkName,
        stp: Stp,
        ports: &[BridgePort],
    ) -> Result<(), HostError> {
        let index = self.index(bridge).await?;
        if stp == Stp::On {
            self.links.set_stp(bridge, Stp::Off).await?;
        }
        let mut attached = Ok(());
        for port in ports {
            attached = attached.and(self.attach_port(index, port).await);
        }
        if stp == Stp::On {
            self.links.set_stp(bridge, Stp::On).await?;
        }
        attached
    }

    async fn attach_port(&self, bridge: u32, port: &BridgePort) -> Result<(), HostError> {
        let name = &port.link;
        match self.links.set_controller(name, bridge).await {
            Err(error) if error.is_no_device() => {
                tracing::warn!(port = %name, "not attaching port: the link is gone");
                return Ok(());
            }
            other => other?,
        }
        let Some(link) = self.links.link(name).await? else { return Ok(()) };
        if let Some(settings) = port.settings.difference(&link.port)
            && let Err(error) = self.links.set_port(link.index, &settings).await
        {
            let error = chain::text(&error);
            tracing::warn!(port = %name, error, "port attached without all its settings");
        }
        Ok(())
    }

    async fn remove_iptables(&self, rules: &[Rule]) -> Result<(), HostError> {
        match self.xtables.replace(rules, &[]).await {
            Err(XtablesError::Absent { program }) => {
                tracing::info!(program, "not removing rules: the program is not installed");
                Ok(())
            }
            other => Ok(other?),
        }
    }

    async fn delete_bridge(
        &self,
        name: &LinkName,
        address: Option<[u8; 6]>,
    ) -> Result<(), HostError> {
        let Some(link) = self.links.link(name).await? else { return Ok(()) };
        let is_ours = address.is_none_or(|address| link.address == address);
        if link.kind != LinkKind::Bridge || !is_ours {
            tracing::warn!(%name, "not deleting link: it is no bridge of ours (kind or MAC address differs)");
            return Ok(());
        }
        match self.links.delete_link(link.index).await {
            // Somebody was faster.
            Err(error) if error.is_no_device() => Ok(()),
            other => Ok(other?),
        }
    }

    async fn remove_rules(&self, removal: &Removal) -> Result<(), HostError> {
        let nft = self.nft()?;
        let table = removal.table.clone();
        nft.remove(removal.clone()).await?;
        nft.delete_table_if(DeleteTableIf { table, is_shared: nftables::is_shared_chain }).await?;
        Ok(())
    }

    async fn remove_libvirt_rules(&self, network: &NetworkRules) -> Result<(), HostError> {
        let transaction = Transaction { table: nftables::TABLE.to_owned(), changes: Vec::new() };
        let load = Load { transaction, supersedes: vec![network.clone()], ..Load::default() };
        Ok(self.nft()?.apply(load).await?)
    }

    /// Runs a removal command that another program saved; it may well have nothing to remove.
    async fn run_removal(&self, command: &ForeignRemoval) -> Result<(), HostError> {
        let program = command.program.name();
        let path = command::find_in_path(program, &self.search_path)
            .ok_or_else(|| HostError::NoProgram { program: program.to_owned() })?;
        let lock = command.program.lock_option().map(str::to_owned);
        let arguments = lock.into_iter().chain(command.args.iter().cloned());
        let output = Command::new(path).args(arguments).run().await?;
        if !output.status.success() {
            tracing::debug!(
                program,
                complaint = output.complaint(),
                "saved removal command failed"
            );
        }
        Ok(())
    }
}

async fn register_domain(
    link: &LinkName,
    index: u32,
    registration: &Registration,
) -> Result<(), HostError> {
    let Registration { domain, servers } = registration;
    resolved::register(index, domain, servers).await.map_err(|error| HostError::Resolver {
        link: link.to_string(),
        domain: domain.clone(),
        reason: chain::text(&error),
        is_absent: matches!(error, ResolvedError::Absent(_)),
    })
}

/// Runs what may block on a disk away from the threads that serve sockets.
async fn on_thread(
    work: impl FnOnce() -> Result<(), HostError> + Send + 'static,
) -> Result<(), HostError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| HostError::Worker)?
}

fn write_sysctl(sysctl: &Sysctl) -> Result<(), HostError> {
    let path = Path::new("/proc/sys").join(&sysctl.key);
    // Writing what is there already would need privileges and wake up others for nothing.
    if read_sysctl(&sysctl.key).as_deref() == Some(sysctl.value) {
        return Ok(());
    }
    let write =
        || fs::OpenOptions::new().write(true).open(path)?.write_all(sysctl.value.as_bytes());
    match write() {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && sysctl.if_missing == IfMissing::Skip =>
        {
            Ok(())
        }
        other => other.map_err(|source| HostError::Sysctl {
            key: sysctl.key.clone(),
            value: sysctl.value.to_owned(),
            source,
        }),
    }
}

async fn stop_dnsmasq(conf_file: &Path, pid_file: &Path) -> Result<(), HostError> {
    if let Some(process) = find(conf_file, pid_file) {
        end(process.with_children(conf_file)).await?;
    } else {
        // After a crash it may still be on its way to becoming a daemon, one fork after the other.
        for _ in 0..DNSMASQ_SCANS {
            let processes = Process::find_all(conf_file);
            if processes.is_empty() {
                break;
            }
            end(processes).await?;
        }
    }
    let pid_file = pid_file.to_owned();
    on_thread(move || {
        file::remove(&pid_file)?;
        Ok(())
    })
    .await
}

async fn end(processes: Vec<Process>) -> Result<(), HostError> {
    for process in &processes {
        process.terminate()?;
    }
    for process in processes {
        process.ended(DNSMASQ_STOP_TIMEOUT).await?;
    }
    Ok(())
}

/// Removes a JSON array without entries, in any of the spellings that lease helpers leave.
fn remove_if_empty(path: &Path) -> Result<(), HostError> {
    const LONGEST_EMPTY: u64 = 16;
    file::remove(&file::temporary(path))?;
    match file::read(path, LONGEST_EMPTY) {
        Ok(Some(content)) if content.iter().all(|byte| b"[]\n ".contains(byte)) => {
            file::remove(path)?;
            Ok(())
        }
        Ok(_) | Err(file::FileError::TooLarge { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
