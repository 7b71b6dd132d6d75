//! dnsmasq as the server of a network: a process for each, and the files it reads.
//!
//! The text of the files is `plan::dnsmasq`'s. A dnsmasq whose configuration changes ends before its files
//! are replaced, so that a process never runs beside files that it was not started with.

use std::fmt;
use std::path::{Path, PathBuf};

use oxivirt_sys::file::Durability;
use oxivirt_types::link_name::LinkName;

use super::{Backend, Bridge, Builtin, DhcpStep, DhcpUndo, ServiceSteps};
use crate::apply::HostError;
use crate::apply::host::{End, Files, Processes};
use crate::components::{Desired, PlanInputs};
use crate::dnsmasq::Launch;
use crate::layout::Layout;
use crate::network::Network;
use crate::plan::error::PlanError;
use crate::plan::{FileImage, Step, Undo, dnsmasq, netserv};

/// Modes of dnsmasq's files; the second kind is read again by an unprivileged dnsmasq.
const CONF_MODE: u32 = 0o600;
const HOSTS_MODE: u32 = 0o644;

/// A dnsmasq and the files it was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dnsmasq {
    /// How it is started.
    pub launch: Launch,
    /// Where it writes its pid.
    pub pid_file: PathBuf,
    /// What it reads at its start.
    pub conf: FileImage,
    /// What it reads again on SIGHUP.
    pub hosts: Vec<FileImage>,
    /// Our own service, if it may serve the network by an earlier choice.
    pub other: Option<Box<Builtin>>,
}

/// A change of a dnsmasq.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsmasqStep {
    /// Start it and wait until it serves.
    Start {
        /// How it is started.
        launch: Launch,
        /// Where it writes its pid.
        pid_file: PathBuf,
    },
    /// Make it read its hosts files again.
    Reload {
        /// Its configuration file.
        conf_file: PathBuf,
        /// Where it wrote its pid.
        pid_file: PathBuf,
    },
}

/// Stops the dnsmasq with this configuration file, waits for its end, removes its pid file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopDnsmasq {
    /// Its configuration file.
    pub conf_file: PathBuf,
    /// Where it wrote its pid.
    pub pid_file: PathBuf,
}

impl Backend for Dnsmasq {
    fn desired(network: &Network, inputs: &PlanInputs<'_>, bridge: &LinkName) -> Desired<Self> {
        let layout = inputs.layout;
        let program = inputs.dnsmasq.ok_or(PlanError::NoDnsmasq)?.to_owned();
        let name = &network.name;
        let texts = texts(network, layout)?;
        let mut environment = vec![("VIR_BRIDGE_NAME".to_owned(), bridge.to_string())];
        if layout.root() != Path::new("/") {
            let root = layout.root();
            let root = root.to_str().ok_or_else(|| PlanError::Path { path: root.to_owned() })?;
            environment.push(("OXIVIRT_ROOT".to_owned(), root.to_owned()));
        }
        // Without asking name servers it looks for none, and watches nothing.
        let servers = inputs.servers.filter(|_| dnsmasq::is_resolver(network));
        let mut hosts = vec![
            file(layout.dnsmasq_hostsfile(name), HOSTS_MODE, texts.hosts),
            file(layout.dnsmasq_addnhosts(name), HOSTS_MODE, texts.addn_hosts),
        ];
        let servers_file = layout.servers_file(network.uuid());
        hosts.extend(servers.map(|text| file(servers_file.clone(), HOSTS_MODE, text.to_owned())));
        Ok(Self {
            launch: Launch {
                program,
                conf_file: layout.dnsmasq_conf(name),
                dhcp_script: inputs.lease_helper.to_owned(),
                servers_file: servers.is_some().then_some(servers_file),
                environment,
            },
            pid_file: layout.dnsmasq_pid(name),
            conf: file(layout.dnsmasq_conf(name), CONF_MODE, texts.conf),
            hosts,
            other: Builtin::desired(network, inputs, bridge)
                .ok()
                .filter(|_| netserv::unserved(network).is_none())
                .map(Box::new),
        })
    }

    fn observe<H: Processes + Files>(&self, host: &H) -> Option<Self> {
        let process = host.dnsmasq(&self.launch.conf_file, &self.pid_file)?;
        let launch = Launch { servers_file: process.servers_file, ..self.launch.clone() };
        let on_disk = |file: &FileImage| {
            let content = host.read_file(&file.path)?;
            Some(FileImage { content, ..file.clone() })
        };
        let conf = on_disk(&self.conf)
            .unwrap_or_else(|| FileImage { content: Vec::new(), ..self.conf.clone() });
        let hosts = self.hosts.iter().filter_map(on_disk).collect();
        let (pid_file, other) = (self.pid_file.clone(), self.other.clone());
        Some(Self { conf, hosts, launch, pid_file, other })
    }

    fn diff(&self, have: Option<&Self>, bridge: Bridge) -> ServiceSteps {
        let mut steps = ServiceSteps::default();
        let write = |file: &FileImage| Step::WriteFile(file.clone());
        if let Some(have) = have
            && have.conf == self.conf
            && bridge == Bridge::Kept
        {
            let changed = self.hosts.iter().filter(|file| !have.hosts.contains(file));
            steps.files.extend(changed.map(write));
            if !steps.files.is_empty() {
                let reload = DnsmasqStep::Reload {
                    conf_file: self.launch.conf_file.clone(),
                    pid_file: self.pid_file.clone(),
                };
                steps.after.push(Step::Dhcp(DhcpStep::Dnsmasq(reload)));
            }
            return steps;
        }
        // Beside a bridge that exists a process may be left over that no file names.
        if have.is_some() || bridge == Bridge::Kept {
            steps.before.push(self.stop());
        }
        steps.files.push(write(&self.conf));
        steps.files.extend(self.hosts.iter().map(write));
        steps.after.push(self.start());
        steps
    }

    fn removal(&self) -> Vec<Step> {
        let files = std::iter::once(&self.conf).chain(&self.hosts);
        let remove = |file: &FileImage| Undo::RemoveFile { path: file.path.clone() };
        std::iter::once(self.stop()).chain(files.map(remove).map(Step::Undo)).collect()
    }

    fn start(&self) -> Step {
        let (launch, pid_file) = (self.launch.clone(), self.pid_file.clone());
        Step::Dhcp(DhcpStep::Dnsmasq(DnsmasqStep::Start { launch, pid_file }))
    }

    fn is_running<H: Processes>(&self, host: &H) -> bool {
        host.dnsmasq(&self.launch.conf_file, &self.pid_file).is_some()
    }

    fn is_fed(&self) -> bool {
        self.launch.servers_file.is_some()
    }

    fn keep_following(&mut self, running: &Self) {
        if running.conf == self.conf
            && !running.is_fed()
            && let Some(servers) = self.launch.servers_file.take()
        {
            self.hosts.retain(|file| file.path != servers);
        }
    }

    fn assume_outdated(&mut self) {
        self.hosts.clear();
    }
}

impl Dnsmasq {
    fn stop(&self) -> Step {
        let (conf_file, pid_file) = (self.launch.conf_file.clone(), self.pid_file.clone());
        Step::Undo(Undo::Dhcp(DhcpUndo::StopDnsmasq(StopDnsmasq { conf_file, pid_file })))
    }
}

/// A file that every start writes anew.
fn file(path: PathBuf, mode: u32, content: String) -> FileImage {
    FileImage { path, mode, content: content.into_bytes(), durability: Durability::Regenerated }
}

/// dnsmasq's files for a network.
fn texts(network: &Network, layout: &Layout) -> Desired<dnsmasq::Texts> {
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| PlanError::Path { path: path.to_owned() })
    };
    let state_dir = text(&layout.dnsmasq_dir())?;
    let pid_file = text(&layout.dnsmasq_pid(&network.name))?;
    let paths = dnsmasq::Paths { state_dir: &state_dir, pid_file: Some(&pid_file) };
    Ok(dnsmasq::texts(network, paths)?)
}

/// Files of a stopped dnsmasq that hold nothing a start would not write again.
pub(super) fn generated_files(network: &Network, layout: &Layout) -> Vec<PathBuf> {
    let name = &network.name;
    vec![
        layout.dnsmasq_conf(name),
        layout.dnsmasq_hostsfile(name),
        layout.dnsmasq_addnhosts(name),
        layout.servers_file(network.uuid()),
    ]
}

impl DnsmasqStep {
    pub(super) fn undo(&self) -> Option<StopDnsmasq> {
        match self {
            Self::Start { launch, pid_file } => Some(StopDnsmasq {
                conf_file: launch.conf_file.clone(),
                pid_file: pid_file.clone(),
            }),
            Self::Reload { .. } => None,
        }
    }

    /// A process may be left that is still starting.
    pub(super) const fn is_undone_on_failure(&self) -> bool {
        matches!(self, Self::Start { .. })
    }

    pub(super) async fn run<H: Processes>(&self, host: &H) -> Result<(), HostError> {
        match self {
            Self::Start { launch, .. } => host.start_dnsmasq(launch).await,
            Self::Reload { conf_file, pid_file } => host.reload_dnsmasq(conf_file, pid_file),
        }
    }
}

impl fmt::Display for DnsmasqStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { launch, .. } => {
                write!(f, "start dnsmasq with {}", launch.conf_file.display())
            }
            Self::Reload { conf_file, .. } => {
                write!(f, "reload dnsmasq with {}", conf_file.display())
            }
        }
    }
}

impl StopDnsmasq {
    /// Of a network, by the paths of its files.
    pub(super) fn of(network: &Network, layout: &Layout) -> Self {
        let name = &network.name;
        Self { conf_file: layout.dnsmasq_conf(name), pid_file: layout.dnsmasq_pid(name) }
    }

    pub(super) async fn run<H: Processes>(&self, host: &H) -> Result<(), HostError> {
        host.stop_dnsmasq(&self.conf_file, &self.pid_file).await
    }

    pub(super) fn process_end<H: Processes>(&self, host: &H) -> Option<(i32, End)> {
        host.dnsmasq_end(&self.conf_file, &self.pid_file)
    }
}

impl fmt::Display for StopDnsmasq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stop dnsmasq with {}", self.conf_file.display())
    }
}
