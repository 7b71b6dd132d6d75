//! Judges the project against recorded cases: `cases.toml` files and what they name.
//!
//! A suite is a directory of that name below the data directory; every `cases.toml` in it or below
//! belongs to it. The data say what is expected, this says only how a row is run. Nothing is
//! copied from the data and nothing is expected here that they do not say.

mod cases;
mod dnsmasq_conf;
mod domain;
mod firewall;
mod network;
mod port;
mod rpc;
mod shell;
mod status;

use std::fmt;
use std::path::Path;

pub use cases::CasesError;
pub use shell::{ShellOptions, Terminal};

/// A suite of recorded cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// Definitions read and written, partial updates.
    NetworkXml,
    /// Ports read and written.
    NetworkPort,
    /// Status documents loaded and saved.
    NetworkStatus,
    /// dnsmasq's configuration files.
    DnsmasqConf,
    /// Rules of the iptables backend.
    Firewall,
    /// Documents of guests, storage and capabilities.
    Domain,
    /// Conversations with a daemon.
    Rpc,
    /// Conversations about guests.
    RpcDomain,
    /// Transcripts of virsh.
    Shell,
    /// The same, against a real libvirtd.
    ShellLibvirtd,
    /// Transcripts of virsh about guests and storage, which are the project's own.
    ShellDomain,
}

impl Suite {
    /// Every suite, in the order in which they run.
    pub const ALL: [Self; 11] = [
        Self::NetworkXml,
        Self::NetworkPort,
        Self::NetworkStatus,
        Self::DnsmasqConf,
        Self::Firewall,
        Self::Domain,
        Self::Rpc,
        Self::RpcDomain,
        Self::Shell,
        Self::ShellLibvirtd,
        Self::ShellDomain,
    ];

    /// The suite's name, which is its directory's but for transcripts with a real libvirtd.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NetworkXml => "network-xml",
            Self::NetworkPort => "network-port",
            Self::NetworkStatus => "network-status",
            Self::DnsmasqConf => "dnsmasq-conf",
            Self::Firewall => "firewall",
            Self::Domain => "domain",
            Self::Rpc => "rpc",
            Self::RpcDomain => "rpc-domain",
            Self::Shell => "shell",
            Self::ShellLibvirtd => "shell-libvirtd",
            Self::ShellDomain => "shell-domain",
        }
    }

    /// The suite of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.as_str() == name)
    }
}

/// How one row came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As recorded.
    Passed,
    /// Not as recorded, and the row's quirk says that it need not be.
    Optional {
        /// The quirk.
        quirk: String,
        /// What is different.
        difference: String,
    },
    /// Not as recorded.
    Failed {
        /// What is different.
        difference: String,
    },
    /// Something that it needs is not there.
    NotRun {
        /// What.
        reason: String,
    },
}

/// A row with its verdict.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// `cases.toml` and row, for people.
    pub name: String,
    /// How it came out.
    pub verdict: Verdict,
}

/// All rows of a suite.
#[derive(Debug)]
pub struct Report {
    /// The suite.
    pub suite: Suite,
    /// In the order of the data.
    pub outcomes: Vec<Outcome>,
    /// Figures beside those of the summary.
    pub figures: Vec<String>,
}

impl Report {
    /// Runs every row of `suite` below `data`; without any the report is empty.
    ///
    /// # Errors
    /// [`CasesError`] if a `cases.toml` cannot be read.
    pub fn run(suite: Suite, data: &Path, options: &ShellOptions) -> Result<Self, CasesError> {
        if suite == Suite::Rpc {
            return Ok(Self { suite, outcomes: rpc::run(data), figures: Vec::new() });
        }
        if suite == Suite::RpcDomain {
            let (outcomes, figures) = rpc::run_domain(data);
            return Ok(Self { suite, outcomes, figures });
        }
        if suite == Suite::Domain {
            let (outcomes, figures) = domain::run(&data.join(suite.as_str()))?;
            return Ok(Self { suite, outcomes, figures });
        }
        if suite == Suite::ShellDomain {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(suite.as_str());
            let outcomes = shell::run(&dir, options, shell::ServerKind::Ours)?;
            return Ok(Self { suite, outcomes, figures: Vec::new() });
        }
        let server = match suite {
            Suite::Shell => Some(shell::ServerKind::Ours),
            Suite::ShellLibvirtd => Some(shell::ServerKind::Libvirtd),
            _ => None,
        };
        if let Some(server) = server {
            let outcomes = shell::run(&data.join(Suite::Shell.as_str()), options, server)?;
            return Ok(Self { suite, outcomes, figures: Vec::new() });
        }
        let mut outcomes = Vec::new();
        for file in cases::load(&data.join(suite.as_str()))? {
            for row in &file.rows {
                let result = match suite {
                    Suite::NetworkXml => network::run(&file, row),
                    Suite::NetworkPort => port::run(&file, row),
                    Suite::NetworkStatus => status::run(&file, row),
                    Suite::DnsmasqConf => dnsmasq_conf::run(&file, row),
                    Suite::Firewall => firewall::run(&file, row),
                    Suite::Domain
                    | Suite::Rpc
                    | Suite::RpcDomain
                    | Suite::Shell
                    | Suite::ShellLibvirtd
                    | Suite::ShellDomain => continue,
                };
                let name = format!("{} {} {}", file.label, row.kind, row.name);
                outcomes.push(Outcome { name, verdict: row.judge(result) });
            }
        }
        Ok(Self { suite, outcomes, figures: Vec::new() })
    }

    fn count(&self, wanted: impl Fn(&Verdict) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| wanted(&outcome.verdict)).count()
    }

    /// How many rows failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Failed { .. }))
    }
}

impl fmt::Display for Report {
    /// The summary line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.count(|verdict| *verdict == Verdict::Passed);
        let optional = self.count(|verdict| matches!(verdict, Verdict::Optional { .. }));
        let (suite, failed) = (self.suite.as_str(), self.failed());
        write!(f, "{suite}: {passed} passed, {failed} failed, {optional} optional")?;
        match self.count(|verdict| matches!(verdict, Verdict::NotRun { .. })) {
            0 => Ok(()),
            not_run => write!(f, ", {not_run} skipped"),
        }
    }
}
