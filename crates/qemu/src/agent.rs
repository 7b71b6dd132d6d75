//! The guest agent: a program in the guest that answers over a channel.
//!
//! The connection is made when it is first needed and kept until it ends. Calls take turns on it; no other
//! operation on the guest waits for them, and they wait for none.
//!
//! libvirt 11.3.0: src/qemu/qemu_agent.c; `qemuDomainAgentAvailable`, src/qemu/qemu_domain.c

mod guest;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use oxivirt::{
    AgentTimeout, DomainAgentDriver, DomainFileSystem, DomainGuestInfoTypes, DomainInterface,
    DomainRef, DomainVcpuFlags, Error, ErrorCode, ErrorDomain, GuestPassword, InterfaceAddress,
    IpAddrType, Result, TypedParam,
};
use oxivirt_conf::domain::DomainDef;
use oxivirt_conf::domain::device::chardev::{ChannelState, CharDevice};
use oxivirt_qmp::agent::{
    Agent, AgentError, AgentOptions, FsfreezeFreeze, FsfreezeFreezeList, FsfreezeThaw, Fstrim,
    GetFsinfo, GetHostName, GetTime, GetVcpus, NetworkGetInterfaces, SetTime, SetUserPassword,
    SetVcpus, ShutdownMode,
};
use oxivirt_qmp::command::{Command, Secret};
use oxivirt_sys::chain;
use oxivirt_types::domain::DomainState;
use serde_json::{Value, json};

use crate::driver::{Driver, check_flags};
use crate::error;
use crate::live::Live;
use crate::registry::View;
use crate::session::is_agent_channel;
use crate::shared::Shared;

/// How long an agent may take by default, and how long to shut down.
const DEFAULT: Duration = Duration::from_secs(5);
const SHUTDOWN: Duration = Duration::from_secs(60);
/// Without end: longer than any guest runs.
const BLOCK: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Where a host name comes from (`virDomainGetHostnameFlags`): leases, the agent.
const HOSTNAME_LEASE: u32 = 1;
const HOSTNAME_AGENT: u32 = 2;
/// The guest takes the time of its clock (`VIR_DOMAIN_TIME_SYNC`).
const TIME_SYNC: u32 = 1;

fn unresponsive(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::AGENT_UNRESPONSIVE, ErrorDomain::QEMU, detail)
}

fn unsupported(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::ARGUMENT_UNSUPPORTED, ErrorDomain::QEMU, detail)
}

fn internal(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::QEMU, detail)
}

/// The error of a command of the agent.
fn failed(error: &AgentError) -> Error {
    match error {
        AgentError::Timeout { command, after } if command == "guest-sync-delimited" => {
            let seconds = after.as_secs();
            unresponsive(format!(
                "guest agent didn't respond to synchronization within '{seconds}' seconds"
            ))
        }
        AgentError::Timeout { after, .. } => {
            let seconds = after.as_secs();
            let detail =
                format!("guest agent didn't respond to command within '{seconds}' seconds");
            Error::new(ErrorCode::AGENT_COMMAND_TIMEOUT, ErrorDomain::QEMU, detail)
        }
        AgentError::Rejected { .. } => {
            Error::new(ErrorCode::AGENT_COMMAND_FAILED, ErrorDomain::QEMU, error.to_string())
        }
        AgentError::Closed => unresponsive("Guest agent disappeared while executing command"),
        AgentError::Connect { .. } | AgentError::Io(_) => {
            unresponsive("QEMU guest agent is not connected")
        }
        _ => internal(chain::text(error)),
    }
}

/// The channel of the agent.
fn channel(def: &DomainDef) -> Option<&CharDevice> {
    let mut channels = def.devices.iter().flat_map(|devices| &devices.channels);
    channels.find(|channel| is_agent_channel(channel))
}

/// The agent of a running guest, and how long it may take.
pub(crate) struct Link {
    agent: Arc<Agent>,
    live: Arc<Live>,
    deadline: Duration,
}

impl Link {
    async fn run<C: Command>(&self, command: &C) -> Result<C::Reply> {
        self.done(self.agent.run_within(command, self.deadline).await).await
    }

    async fn ask(&self, name: &str, arguments: &Value, deadline: Duration) -> Result<Value> {
        self.done(self.agent.execute(name, arguments, deadline).await).await
    }

    /// A connection that has ended is made anew by the next call.
    async fn done<T>(&self, result: std::result::Result<T, AgentError>) -> Result<T> {
        if matches!(&result, Err(AgentError::Closed | AgentError::Io(_) | AgentError::Protocol(_)))
        {
            *self.live.agent.lock().await = None;
        }
        result.map_err(|error| failed(&error))
    }
}

/// A time as a deadline.
fn deadline(timeout: AgentTimeout) -> Duration {
    match timeout {
        AgentTimeout::Block | AgentTimeout::Unknown(_) => BLOCK,
        AgentTimeout::Default => DEFAULT,
        AgentTimeout::NoWait => Duration::ZERO,
        AgentTimeout::Seconds(seconds) => Duration::from_secs(seconds.into()),
    }
}

impl Shared {
    /// The agent of a guest.
    pub(crate) async fn agent(&self, view: &View) -> Result<Link> {
        let running = view.running.as_ref().ok_or_else(error::not_running)?;
        if running.live.status().state != DomainState::Running {
            return Err(error::invalid("domain is not running"));
        }
        let channel = channel(view.def.def())
            .ok_or_else(|| unsupported("QEMU guest agent is not configured"))?;
        let state = channel.target.as_ref().and_then(|target| target.state);
        let path = channel.sources.first().and_then(|source| source.path.as_deref());
        let (Some(ChannelState::Connected), Some(path)) = (state, path) else {
            *running.live.agent.lock().await = None;
            return Err(unresponsive("QEMU guest agent is not connected"));
        };
        let live = Arc::clone(&running.live);
        let deadline = deadline(live.agent_timeout());
        let mut kept = live.agent.lock().await;
        let agent = match &*kept {
            Some(agent) => Arc::clone(agent),
            None => {
                let agent = Agent::connect(path, AgentOptions::default()).await;
                let agent = Arc::new(agent.map_err(|error| failed(&error))?);
                *kept = Some(Arc::clone(&agent));
                agent
            }
        };
        drop(kept);
        Ok(Link { agent, live, deadline })
    }

    async fn agent_of(&self, domain: &DomainRef) -> Result<Link> {
        self.agent(&self.entry(domain)?.view()).await
    }

    /// Asks the agent to shut the guest down or to reboot it.
    pub(crate) async fn shut_down_by_agent(&self, view: &View, is_reboot: bool) -> Result<()> {
        let link = self.agent(view).await?;
        let mode = if is_reboot { ShutdownMode::Reboot } else { ShutdownMode::Powerdown };
        link.live.set_fake_reboot(false);
        link.done(link.agent.shutdown(mode, SHUTDOWN).await).await
    }

    /// Virtual processors that the guest uses.
    pub(crate) async fn guest_vcpu_count(
        &self,
        domain: &DomainRef,
        flags: DomainVcpuFlags,
    ) -> Result<u32> {
        if flags.contains(DomainVcpuFlags::CONFIG) {
            let detail = "vCPU count provided by guest agent is available only for live domains";
            return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail));
        }
        let vcpus = self.agent_of(domain).await?.run(&GetVcpus {}).await?;
        let is_maximum = flags.contains(DomainVcpuFlags::MAXIMUM);
        let n = vcpus.iter().filter(|vcpu| is_maximum || vcpu.online).count();
        Ok(u32::try_from(n).unwrap_or(u32::MAX))
    }

    /// Lets the guest use so many virtual processors.
    pub(crate) async fn set_guest_vcpus(&self, view: &View, count: u32) -> Result<()> {
        let link = self.agent(view).await?;
        let mut vcpus = link.run(&GetVcpus {}).await?;
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        if wanted > vcpus.len() {
            let detail =
                "requested vcpu count is greater than the count of enabled vcpus in the domain";
            return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail));
        }
        let mut online = vcpus.iter().filter(|vcpu| vcpu.online).count();
        let mut changes = Vec::new();
        for vcpu in &mut vcpus {
            if online < wanted && !vcpu.online {
                (vcpu.online, online) = (true, online + 1);
                changes.push(*vcpu);
            } else if online > wanted && vcpu.online && vcpu.can_offline == Some(true) {
                (vcpu.online, online) = (false, online - 1);
                changes.push(*vcpu);
            }
        }
        if online != wanted {
            return Err(internal("guest agent reports less cpu than requested"));
        }
        for vcpu in &mut changes {
            vcpu.can_offline = None;
        }
        match changes.is_empty() {
            true => Ok(()),
            false => link.run(&SetVcpus { vcpus: changes }).await.map(drop),
        }
    }

    /// Addresses that the guest says it has.
    pub(crate) async fn guest_addresses(&self, view: &View) -> Result<Vec<DomainInterface>> {
        let found = self.agent(view).await?.run(&NetworkGetInterfaces {}).await?;
        let mut interfaces: Vec<DomainInterface> = Vec::new();
        for interface in found {
            // Addresses with a label of their own belong to the interface before the colon.
            let name = interface.name.split(':').next().unwrap_or_default();
            let addresses = interface.ip_addresses.into_iter().map(|address| InterfaceAddress {
                addr_type: match address.ip_address_type.as_str() {
                    "ipv6" => IpAddrType::Ipv6,
                    _ => IpAddrType::Ipv4,
                },
                address: address.ip_address,
                prefix: address.prefix,
            });
            match interfaces.iter_mut().find(|known| known.name == name) {
                Some(known) => known.addresses.extend(addresses),
                None => interfaces.push(DomainInterface {
                    name: name.to_owned(),
                    mac: interface.hardware_address,
                    addresses: addresses.collect(),
                }),
            }
        }
        Ok(interfaces)
    }

    async fn agent_command(
        &self,
        domain: &DomainRef,
        command: &str,
        timeout: AgentTimeout,
    ) -> Result<Option<String>> {
        if let AgentTimeout::Unknown(number) = timeout {
            let detail = format!("guest agent timeout '{number}' is less than the minimum '-2'");
            return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail));
        }
        let link = self.agent_of(domain).await?;
        let parsed: Value = serde_json::from_str(command)
            .map_err(|error| internal(format!("cannot parse json {command}: {error}")))?;
        let name = parsed.get("execute").and_then(Value::as_str);
        let name = name.ok_or_else(|| internal("malformed guest agent command"))?;
        let arguments = parsed.get("arguments").cloned().unwrap_or_else(|| json!({}));
        let answer = link.ask(name, &arguments, deadline(timeout)).await;
        match (answer, timeout) {
            // It has been sent, and no answer was to be waited for.
            (Err(error), AgentTimeout::NoWait)
                if error.code() == ErrorCode::AGENT_COMMAND_TIMEOUT =>
            {
                Ok(None)
            }
            (Err(error), _) => Err(error),
            (Ok(value), _) => Ok(Some(json!({ "return": value }).to_string())),
        }
    }

    /// The name that a guest has given when it asked for an address.
    async fn leased_hostname(&self, view: &View) -> Result<Option<String>> {
        let Some(networks) = self.host.networks.as_deref() else { return Ok(None) };
        for interface in view.def.devices.iter().flat_map(|devices| &devices.interfaces) {
            let network = interface.source.as_ref().and_then(|source| source.network.as_ref());
            let mac = interface.mac.as_ref().and_then(|mac| mac.address);
            let (Some(network), Some(mac)) = (network, mac) else { continue };
            let network = networks.network_lookup_by_name(network).await?;
            let leases = networks.network_dhcp_leases(&network, Some(&mac.to_string()), 0).await?;
            if let Some(name) = leases.into_iter().find_map(|lease| lease.hostname) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl DomainAgentDriver for Driver {
    async fn domain_agent_command(
        &self,
        domain: &DomainRef,
        command: &str,
        timeout: AgentTimeout,
        flags: u32,
    ) -> Result<Option<String>> {
        check_flags(flags, 0, "qemuDomainQemuAgentCommand")?;
        self.shared.agent_command(domain, command, timeout).await
    }

    async fn domain_set_agent_timeout(
        &self,
        domain: &DomainRef,
        timeout: AgentTimeout,
        flags: u32,
    ) -> Result<()> {
        check_flags(flags, 0, "qemuDomainAgentSetResponseTimeout")?;
        if let AgentTimeout::Unknown(number) = timeout {
            let detail = format!("guest agent timeout '{number}' is less than the minimum '-2'");
            return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail));
        }
        let view = self.shared.entry(domain)?.view();
        let running = view.running.as_ref().ok_or_else(error::not_running)?;
        running.live.set_agent_timeout(timeout);
        Ok(())
    }

    async fn domain_hostname(&self, domain: &DomainRef, flags: u32) -> Result<String> {
        let function = "qemuDomainGetHostname";
        check_flags(flags, HOSTNAME_LEASE | HOSTNAME_AGENT, function)?;
        if flags == HOSTNAME_LEASE | HOSTNAME_AGENT {
            let detail = format!(
                "flags 'VIR_DOMAIN_GET_HOSTNAME_LEASE' and 'VIR_DOMAIN_GET_HOSTNAME_AGENT' in \
                 function '{function}' are mutually exclusive"
            );
            return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail));
        }
        let view = self.shared.entry(domain)?.view();
        if flags & HOSTNAME_LEASE == 0 {
            return Ok(self.shared.agent(&view).await?.run(&GetHostName {}).await?.host_name);
        }
        if !view.is_active() {
            return Err(error::not_running());
        }
        self.shared.leased_hostname(&view).await?.ok_or_else(|| {
            let detail = format!("no hostname found for domain {}", view.def.name());
            Error::new(ErrorCode::NO_HOSTNAME, ErrorDomain::QEMU, detail)
        })
    }

    async fn domain_guest_info(
        &self,
        domain: &DomainRef,
        types: DomainGuestInfoTypes,
        flags: u32,
    ) -> Result<Vec<TypedParam>> {
        check_flags(flags, 0, "qemuDomainGetGuestInfo")?;
        let view = self.shared.entry(domain)?.view();
        // Other calls to the agent have the error of the object (`qemuDomainGetGuestInfo`).
        if !view.is_active() {
            return Err(error::invalid("domain is not running"));
        }
        let link = self.shared.agent(&view).await?;
        guest::info(&link, view.def.def(), types).await
    }

    async fn domain_time(&self, domain: &DomainRef, flags: u32) -> Result<Duration> {
        check_flags(flags, 0, "qemuDomainGetTime")?;
        let nanoseconds = self.shared.agent_of(domain).await?.run(&GetTime {}).await?;
        Ok(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or_default()))
    }

    async fn domain_set_time(&self, domain: &DomainRef, time: Duration, flags: u32) -> Result<()> {
        check_flags(flags, TIME_SYNC, "qemuDomainSetTime")?;
        let time = match flags & TIME_SYNC {
            0 => Some(i64::try_from(time.as_nanos()).map_err(|_| {
                let detail = format!("Time '{}' is too big for guest agent", time.as_secs());
                Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail)
            })?),
            _ => None,
        };
        self.shared.agent_of(domain).await?.run(&SetTime { time }).await.map(drop)
    }

    async fn domain_fs_freeze(
        &self,
        domain: &DomainRef,
        mountpoints: &[String],
        flags: u32,
    ) -> Result<u32> {
        check_flags(flags, 0, "qemuDomainFSFreeze")?;
        let link = self.shared.agent_of(domain).await?;
        let count = match mountpoints {
            [] => link.run(&FsfreezeFreeze {}).await?,
            some => {
                let mountpoints = Some(some.to_vec());
                link.run(&FsfreezeFreezeList { mountpoints }).await?
            }
        };
        Ok(u32::try_from(count).unwrap_or_default())
    }

    async fn domain_fs_thaw(
        &self,
        domain: &DomainRef,
        mountpoints: &[String],
        flags: u32,
    ) -> Result<u32> {
        check_flags(flags, 0, "qemuDomainFSThaw")?;
        if !mountpoints.is_empty() {
            return Err(unsupported("specifying mountpoints is not supported"));
        }
        let count = self.shared.agent_of(domain).await?.run(&FsfreezeThaw {}).await?;
        Ok(u32::try_from(count).unwrap_or_default())
    }

    async fn domain_fs_trim(
        &self,
        domain: &DomainRef,
        mountpoint: Option<&str>,
        minimum: u64,
        flags: u32,
    ) -> Result<()> {
        check_flags(flags, 0, "qemuDomainFSTrim")?;
        if mountpoint.is_some() {
            return Err(unsupported("Specifying mount point is not supported for now"));
        }
        let command = Fstrim { minimum: Some(minimum) };
        self.shared.agent_of(domain).await?.run(&command).await.map(drop)
    }

    async fn domain_fs_info(
        &self,
        domain: &DomainRef,
        flags: u32,
    ) -> Result<Vec<DomainFileSystem>> {
        check_flags(flags, 0, "qemuDomainGetFSInfo")?;
        let view = self.shared.entry(domain)?.view();
        let found = self.shared.agent(&view).await?.run(&GetFsinfo {}).await?;
        Ok(found.iter().map(|system| guest::file_system(system, view.def.def())).collect())
    }

    async fn domain_set_user_password(
        &self,
        domain: &DomainRef,
        password: &GuestPassword,
    ) -> Result<()> {
        let command = SetUserPassword {
            username: password.user.clone(),
            password: Secret(guest::base64(password.password.as_bytes())),
            crypted: password.is_encrypted,
        };
        self.shared.agent_of(domain).await?.run(&command).await.map(drop)
    }
}
