//! The leak matrix: every partial change, then every disturbance, then a destroy; what is left.

use std::time::Instant;

use crate::error::{Error, Result};
use crate::host::{Backend, CAMPAIGN, Host, Subject, program};
use crate::process::PATIENCE;
use crate::root::TempRoot;
use crate::snapshot::{Change, Section, Snapshot};

const NETWORK: &str = include_str!("../data/networks/nat.xml");
const NAME: &str = "nat";

/// The sections of `net-update`, each with something that fits; what cannot be changed is refused, and
/// that must leave nothing either.
pub const SECTIONS: [(&str, &str, &str); 12] = [
    ("bridge", "modify", "<bridge name='other'/>"),
    ("domain", "modify", "<domain name='example.test'/>"),
    ("ip", "add-last", "<ip address='10.9.9.1' prefix='24'/>"),
    ("ip-dhcp-host", "add-last", "<host mac='52:54:00:00:00:07' ip='192.168.122.7'/>"),
    ("ip-dhcp-range", "add-last", "<range start='192.168.122.10' end='192.168.122.20'/>"),
    ("forward", "modify", "<forward mode='route'/>"),
    ("forward-interface", "add-last", "<interface dev='lo'/>"),
    ("forward-pf", "add-last", "<pf dev='lo'/>"),
    ("portgroup", "add-last", "<portgroup name='group'/>"),
    ("dns-host", "add-last", "<host ip='192.168.122.9'><hostname>nine</hostname></host>"),
    ("dns-txt", "add-last", "<txt name='text' value='value'/>"),
    (
        "dns-srv",
        "add-last",
        "<srv service='name' protocol='tcp' domain='example.test' target='.'/>",
    ),
];

/// What is changed: the running network or its definition.
pub const SCOPES: [&str; 2] = ["--live", "--config"];

/// What happens between the change and the destroy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// Nothing.
    None,
    /// The driver is restarted.
    Restart,
    /// The other backend is chosen, and the driver restarted.
    Switch,
    /// All rules of the host are flushed.
    Flush,
    /// The removal is missing in the status file, as libvirt may leave it.
    NoRemoval,
    /// The status file is deleted.
    NoStatus,
    /// The driver is killed in the middle of the change.
    Kill,
    /// All before was done by a real libvirt, whose networks the driver then takes over.
    Upgrade,
}

impl Disturbance {
    /// All.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Restart,
        Self::Switch,
        Self::Flush,
        Self::NoRemoval,
        Self::NoStatus,
        Self::Kill,
        Self::Upgrade,
    ];

    /// A word for a table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "destroy",
            Self::Restart => "restart",
            Self::Switch => "switch",
            Self::Flush => "flush",
            Self::NoRemoval => "no list",
            Self::NoStatus => "no status",
            Self::Kill => "kill",
            Self::Upgrade => "upgrade",
        }
    }
}

/// A host for the cells of one backend.
#[derive(Debug)]
pub struct Bench {
    host: Host,
    backend: Backend,
    down: Snapshot,
    reports: TempRoot,
}

impl Bench {
    /// A host on which the network has run once.
    ///
    /// # Errors
    /// The network cannot be started.
    pub fn new(backend: Backend) -> Result<Self> {
        let host = Host::with_backend(Subject::Oxivirt, backend)?;
        // A switch of backends leaves the tables that iptables makes for ever.
        host.warm_up()?;
        host.define(NETWORK)?;
        host.start(NAME)?;
        host.destroy(NAME)?;
        host.done(&["net-undefine", NAME])?;
        let down = kernel(&host)?;
        Ok(Self { host, backend, down, reports: TempRoot::new()? })
    }

    /// Carries out one cell; what is left behind.
    ///
    /// # Errors
    /// The cell could not be carried out.
    pub fn cell(
        &self,
        section: usize,
        scope: &str,
        disturbance: Disturbance,
    ) -> Result<Vec<Change>> {
        let (name, command, xml) = SECTIONS
            .get(section)
            .ok_or_else(|| Error::Wrong(format!("there is no section {section}")))?;
        let host = &self.host;
        host.define(NETWORK)?;
        host.start(NAME)?;
        let update = host.command(&["net-update", NAME, command, name, xml, scope])?;
        if disturbance == Disturbance::Kill {
            // Somewhere in the middle; each section has its own middle.
            let at = (5 + 3 * section).to_string();
            let injector = program(CAMPAIGN)?.to_string_lossy().into_owned();
            let report = self.reports.join("report").to_string_lossy().into_owned();
            update.with_program_behind([injector, "inject".to_owned(), report, at]).output()?;
        } else {
            // Refused or not.
            update.output()?;
        }
        self.disturb(disturbance)?;
        if host.is_active(NAME)? {
            host.destroy(NAME)?;
        }
        host.done(&["net-undefine", NAME])?;
        if disturbance == Disturbance::Switch {
            self.configure(self.backend)?;
        }
        left(&self.down, host)
    }

    fn configure(&self, backend: Backend) -> Result<()> {
        self.host.configure(&format!("firewall_backend = \"{backend}\"\n"))
    }

    #[expect(clippy::disallowed_methods, reason = "the disturbance is meant")]
    fn disturb(&self, disturbance: Disturbance) -> Result<()> {
        let host = &self.host;
        match disturbance {
            Disturbance::None | Disturbance::Kill | Disturbance::Upgrade => Ok(()),
            Disturbance::NoStatus => {
                let path = host.status_file(NAME);
                std::fs::remove_file(&path).map_err(Error::file(&path))
            }
            Disturbance::Restart => host.restart(),
            Disturbance::Switch => {
                let other = match self.backend {
                    Backend::Nftables => Backend::Iptables,
                    Backend::Iptables => Backend::Nftables,
                };
                self.configure(other)?;
                host.restart()
            }
            Disturbance::Flush => {
                host.netns().sh("nft flush ruleset")?;
                host.warm_up()
            }
            Disturbance::NoRemoval => {
                let path = host.status_file(NAME);
                let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
                let (before, rest) = text.split_once("  <firewall").unwrap_or((&text, ""));
                let after = rest.split_once("</firewall>\n").map_or(rest, |(_, after)| after);
                std::fs::write(&path, format!("{before}{after}")).map_err(Error::file(&path))
            }
        }
    }
}

/// A real libvirt, whose network is changed before the driver gets it.
#[derive(Debug)]
pub struct Upgrade {
    host: Host,
    down: Snapshot,
}

impl Upgrade {
    /// A host on which no network has run.
    ///
    /// # Errors
    /// The peer cannot be started.
    pub fn new(backend: Backend) -> Result<Self> {
        let host = Host::with_backend(Subject::Libvirt, backend)?;
        host.warm_up()?;
        let down = kernel(&host)?;
        Ok(Self { host, down })
    }

    /// Carries out one cell of [`Disturbance::Upgrade`]; what is left behind.
    ///
    /// # Errors
    /// The cell could not be carried out.
    pub fn cell(&self, section: usize, scope: &str) -> Result<Vec<Change>> {
        let (name, command, xml) = SECTIONS
            .get(section)
            .ok_or_else(|| Error::Wrong(format!("there is no section {section}")))?;
        let host = &self.host;
        host.define(NETWORK)?;
        host.start(NAME)?;
        // Refused or not; the live ones cost libvirt its removal.
        host.shell(&["net-update", NAME, command, name, xml, scope])?;
        host.daemon_down()?;
        host.ours(&["net-destroy", NAME])?.stdout()?;
        host.ours(&["net-undefine", NAME])?.stdout()?;
        let left = left(&self.down, host)?;
        host.daemon_up()?;
        Ok(left)
    }
}

/// What exists beside what existed before, after processes that were signalled have ended.
fn left(down: &Snapshot, host: &Host) -> Result<Vec<Change>> {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = down.diff(&kernel(host)?);
        // Forwarding stays on, as libvirt leaves it; a host whose first network this is was without.
        let mut left = left.changes().to_vec();
        left.retain(|change| change.section != Section::Sysctl);
        if left.is_empty() || Instant::now() > end {
            return Ok(left);
        }
    }
}

/// What must not be left: all but files, of which libvirt leaves some and we none of the kernel's.
fn kernel(host: &Host) -> Result<Snapshot> {
    Ok(host.snapshot()?.without(|section, _| section == Section::File))
}
