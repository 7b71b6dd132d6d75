//! The crash test: whatever call the driver is killed at, its next start puts things right.
//!
//! [`Bench`] is a host with one network and reference pictures of it: up, down, and what the operation
//! makes of it. [`Bench::kill`] kills the driver at one kill point of the operation, opens the driver
//! again and looks: the host has to be like one of the pictures that are right then, in every detail
//! that a [`Snapshot`] has, and the network has to work on from there.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::host::{Backend, CAMPAIGN, Host, Subject, program};
use crate::inject::calls::Call;
use crate::inject::{Traced, strace};
use crate::packets::name_of;
use crate::process::{PATIENCE, Run};
use crate::root::TempRoot;
use crate::snapshot::{Section, Snapshot};

/// What the driver is killed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Starting a network that is down.
    Start,
    /// Destroying a network that is up.
    Destroy,
    /// Changing a network that is up, and its definition.
    Update(Part),
    /// Opening the driver over a network that is up with the rules of the other backend.
    Switch(Backend),
    /// Opening the driver over a network that is up but has lost something.
    Heal(Loss),
    /// Opening the driver over a network that runs under libvirt with this backend.
    TakeOver(Backend),
    /// Opening the driver after it was killed at this point of a start.
    RecoverStart(usize),
    /// Opening the driver after it was killed at this point of a destroy.
    RecoverDestroy(usize),
}

/// What an update changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A DHCP host: files of dnsmasq.
    Host,
    /// The interface that is forwarded to: rules.
    Interface,
}

impl Part {
    /// The words of `net-update`.
    const fn words(self) -> [&'static str; 3] {
        match self {
            Self::Host => {
                ["add-last", "ip-dhcp-host", "<host mac='52:54:00:00:00:07' ip='192.168.122.7'/>"]
            }
            Self::Interface => ["add-last", "forward-interface", "<interface dev='lo'/>"],
        }
    }
}

/// What a network has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// All rules of the host.
    Rules,
    /// Its dnsmasq.
    Dnsmasq,
    /// The addresses of its bridge.
    Addresses,
    /// Its status file.
    Status,
}

impl Operation {
    /// All operations on a network that runs; [`Self::TakeOver`] needs a libvirt.
    pub const RUNNING: [Self; 10] = [
        Self::Update(Part::Host),
        Self::Update(Part::Interface),
        Self::Switch(Backend::Iptables),
        Self::Switch(Backend::Nftables),
        Self::Heal(Loss::Rules),
        Self::Heal(Loss::Dnsmasq),
        Self::Heal(Loss::Addresses),
        Self::Heal(Loss::Status),
        Self::TakeOver(Backend::Nftables),
        Self::TakeOver(Backend::Iptables),
    ];

    /// States that are right after the driver was opened again.
    const fn outcomes(self) -> &'static [State] {
        match self {
            Self::Update(_) => &[State::Up, State::Changed],
            Self::Switch(_) => &[State::Changed],
            Self::Heal(_) | Self::TakeOver(_) => &[State::Up],
            Self::Start | Self::Destroy | Self::RecoverStart(_) | Self::RecoverDestroy(_) => {
                &[State::Up, State::Down]
            }
        }
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Destroy => f.write_str("destroy"),
            Self::Update(Part::Host) => f.write_str("update of a DHCP host"),
            Self::Update(Part::Interface) => f.write_str("update of the interface"),
            Self::Switch(backend) => write!(f, "switch to {backend}"),
            Self::Heal(Loss::Rules) => f.write_str("repair of flushed rules"),
            Self::Heal(Loss::Dnsmasq) => f.write_str("repair of a killed dnsmasq"),
            Self::Heal(Loss::Addresses) => f.write_str("repair of lost addresses"),
            Self::Heal(Loss::Status) => f.write_str("repair of a lost status file"),
            Self::TakeOver(backend) => write!(f, "take-over from libvirt with {backend}"),
            Self::RecoverStart(at) => write!(f, "recovery from a kill at {at} of start"),
            Self::RecoverDestroy(at) => write!(f, "recovery from a kill at {at} of destroy"),
        }
    }
}

/// What became of one kill.
#[derive(Debug)]
pub enum Kill {
    /// The network came out whole.
    Survived(State),
    /// Something was wrong afterwards.
    Exception {
        /// Where it was killed.
        call: Option<Call>,
        /// What was wrong.
        error: Error,
    },
    /// The operation has fewer kill points.
    BeyondTheEnd,
}

/// Which of the reference pictures the host is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The network is active and complete, as it was started.
    Up,
    /// Nothing of the network is there but its definition.
    Down,
    /// The network is active and complete, with what the operation changes.
    Changed,
}

/// A host with a network to be killed.
#[derive(Debug)]
pub struct Bench {
    host: Host,
    xml: String,
    name: String,
    pictures: BTreeMap<State, Snapshot>,
    reports: TempRoot,
}

impl Bench {
    /// A fresh host on which the network of `xml` is defined and has run once: what the first start
    /// leaves for ever belongs to all pictures.
    ///
    /// # Errors
    /// The network cannot be started and destroyed.
    pub fn new(xml: &str, operation: Operation) -> Result<Self> {
        let host = match operation {
            Operation::TakeOver(backend) => Host::with_backend(Subject::Libvirt, backend)?,
            _ => Host::new(Subject::Oxivirt)?,
        };
        // What iptables makes for ever.
        host.warm_up()?;
        let name = name_of(xml)?.to_owned();
        let (xml, pictures) = (xml.to_owned(), BTreeMap::new());
        let mut bench = Self { host, xml, name, pictures, reports: TempRoot::new()? };
        bench.define()?;
        bench.prepare_picture(operation)?;
        bench.destroy()?;
        bench.picture(State::Down)?;
        bench.prepare_picture(operation)?;
        bench.picture(State::Up)?;
        match operation {
            Operation::Update(_) => {
                bench.run(&bench.words(operation))?;
                bench.picture(State::Changed)?;
            }
            Operation::Switch(backend) => {
                bench.configure(backend)?;
                bench.run(&bench.words(operation))?;
                bench.picture(State::Changed)?;
            }
            _ => {}
        }
        bench.destroy()?;
        // Otherwise the pictures are of no use.
        bench.expect(State::Down, "an undisturbed start and destroy")?;
        Ok(bench)
    }

    fn picture(&mut self, state: State) -> Result<()> {
        let picture = self.snapshot()?;
        self.pictures.insert(state, picture);
        Ok(())
    }

    /// All but the settings, which the test itself changes.
    fn snapshot(&self) -> Result<Snapshot> {
        let is_setting = |section, key: &str| {
            section == Section::File && key.ends_with("etc/libvirt/network.conf")
        };
        Ok(self.host.snapshot()?.without(is_setting))
    }

    /// The network as it shall be before the operation, but for a loss.
    fn prepare_picture(&self, operation: Operation) -> Result<()> {
        match operation {
            Operation::TakeOver(_) => {
                self.prepare(operation)?;
                self.run(&["net-list"])
            }
            Operation::Switch(to) => {
                self.configure(other(to))?;
                self.run(&["net-start", &self.name])
            }
            _ => self.run(&["net-start", &self.name]),
        }
    }

    /// Makes the state that the operation begins with, on a host where the network is down.
    fn prepare(&self, operation: Operation) -> Result<()> {
        match operation {
            Operation::Start | Operation::RecoverStart(_) => return Ok(()),
            Operation::TakeOver(_) => {
                self.host.daemon_up()?;
                self.host.start(&self.name)?;
                return self.host.daemon_down();
            }
            Operation::Switch(to) => self.configure(other(to))?,
            _ => {}
        }
        self.run(&["net-start", &self.name])?;
        match operation {
            Operation::Switch(to) => self.configure(to),
            Operation::Heal(loss) => self.lose(loss),
            _ => Ok(()),
        }
    }

    fn lose(&self, loss: Loss) -> Result<()> {
        let run = |script: &str| self.host.netns().sh(script).map(drop);
        match loss {
            Loss::Rules => {
                run("nft flush ruleset")?;
                self.host.warm_up()
            }
            Loss::Dnsmasq => self.host.netns().kill_all("dnsmasq"),
            Loss::Addresses => run("ip address flush to 192.168.0.0/16"),
            Loss::Status => {
                let path = self.host.status_file(&self.name);
                std::fs::remove_file(&path).map_err(Error::file(&path))
            }
        }
    }

    fn configure(&self, backend: Backend) -> Result<()> {
        self.host.configure(&format!("firewall_backend = \"{backend}\"\n"))
    }

    /// A command of our shell, whichever daemon started the network.
    fn command(&self, words: &[&str]) -> Result<Run> {
        self.host.ours(words)
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        self.command(words)?.stdout().map(drop)
    }

    fn define(&self) -> Result<()> {
        let file = self.host.document(&self.xml)?;
        match self.host.subject() {
            Subject::Libvirt => {
                self.host.define(&self.xml)?;
                self.host.daemon_down()
            }
            Subject::Oxivirt => self.run(&["net-define", &file.path().to_string_lossy()]),
        }
    }

    /// Takes the network down and its definition back to what it was.
    fn destroy(&self) -> Result<()> {
        self.run(&["net-destroy", &self.name])?;
        let file = self.host.document(&self.xml)?;
        self.run(&["net-define", &file.path().to_string_lossy()])
    }

    /// Lists the kill points of starting and of destroying.
    ///
    /// # Errors
    /// The operation failed under the tracer.
    pub fn kill_points(&self) -> Result<(Vec<Call>, Vec<Call>)> {
        let mut lists = Vec::new();
        for operation in [Operation::Start, Operation::Destroy] {
            let traced = self.traced(operation, 0)?;
            if !traced.exit().success() {
                let status = traced.exit();
                return Err(Error::Wrong(format!("{operation} under the tracer: {status}")));
            }
            lists.push(traced.calls);
        }
        let destroy = lists.pop().unwrap_or_default();
        Ok((lists.pop().unwrap_or_default(), destroy))
    }

    /// Counts the same calls by strace.
    ///
    /// # Errors
    /// strace cannot trace, or the operation failed.
    pub fn seen_by_strace(&self) -> Result<(strace::Counts, strace::Counts)> {
        let mut counts = Vec::new();
        for operation in [Operation::Start, Operation::Destroy] {
            let output = self.reports.join("strace").to_string_lossy().into_owned();
            let mut prefix = vec!["strace".to_owned()];
            prefix.extend(strace::arguments(&output));
            let words = self.words(operation);
            self.command(&words)?.with_program_behind(prefix).stdout()?;
            let path = self.reports.join("strace");
            let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
            counts.push(strace::count(&text));
        }
        let destroy = counts.pop().unwrap_or_default();
        Ok((counts.pop().unwrap_or_default(), destroy))
    }

    /// Kills the driver at kill point `at` (from 1) of an operation, and looks at what follows.
    ///
    /// Leaves the network down; after an exception the bench is not to be used again.
    ///
    /// # Errors
    /// The test itself could not be carried out.
    pub fn kill(&self, operation: Operation, at: usize) -> Result<Kill> {
        self.prepare(operation)?;
        let before = match operation {
            Operation::RecoverStart(first) => Some((Operation::Start, first)),
            Operation::RecoverDestroy(first) => Some((Operation::Destroy, first)),
            _ => None,
        };
        if let Some((operation, first)) = before
            && !self.traced(operation, first)?.killed
        {
            self.clean_up()?;
            return Ok(Kill::BeyondTheEnd);
        }
        let traced = self.traced(operation, at)?;
        if !traced.killed {
            if !traced.exit().success() {
                let error = Error::Wrong(format!("{operation} ended with {}", traced.exit()));
                return Ok(Kill::Exception { call: None, error });
            }
            self.clean_up()?;
            return Ok(Kill::BeyondTheEnd);
        }
        Ok(match self.recovered(operation) {
            Ok(state) => Kill::Survived(state),
            Err(error) => Kill::Exception { call: traced.calls.last().cloned(), error },
        })
    }

    /// Opens the driver again; the network is whole, and works on.
    fn recovered(&self, operation: Operation) -> Result<State> {
        self.run(&["net-list", "--all"])?;
        let state = self.expect_one(operation.outcomes(), "the driver was opened again")?;
        if state == State::Down {
            self.run(&["net-start", &self.name])?;
            self.expect(State::Up, "a new start")?;
        }
        self.destroy()?;
        self.expect(State::Down, "a destroy")?;
        Ok(state)
    }

    fn clean_up(&self) -> Result<()> {
        let listed = self.command(&["net-list", "--name"])?.stdout()?;
        if listed.lines().any(|line| line.trim() == self.name) {
            self.destroy()?;
        }
        self.expect(State::Down, "an operation that was not killed")
    }

    fn expect(&self, state: State, after: &str) -> Result<()> {
        self.expect_one(&[state], after).map(drop)
    }

    /// Which of these states the host is in.
    fn expect_one(&self, states: &[State], after: &str) -> Result<State> {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = self.snapshot()?;
            let mut differences = Vec::new();
            for state in states {
                let Some(picture) = self.pictures.get(state) else { continue };
                let difference = picture.diff(&now);
                if difference.is_empty() {
                    return Ok(*state);
                }
                differences.push(format!("not {state:?}:\n{difference}"));
            }
            // Processes end some time after the signal.
            if Instant::now() > end {
                return Err(Error::Wrong(format!("after {after}, {}", differences.join(""))));
            }
        }
    }

    fn words(&self, operation: Operation) -> Vec<&str> {
        match operation {
            Operation::Start => vec!["net-start", &self.name],
            Operation::Destroy => vec!["net-destroy", &self.name],
            Operation::Update(part) => {
                let mut words = vec!["net-update", &self.name];
                words.extend(part.words());
                words.extend(["--live", "--config"]);
                words
            }
            _ => vec!["net-list", "--all"],
        }
    }

    fn traced(&self, operation: Operation, at: usize) -> Result<Traced> {
        let report = self.reports.join("report");
        let prefix = [
            program(CAMPAIGN)?.to_string_lossy().into_owned(),
            "inject".to_owned(),
            report.to_string_lossy().into_owned(),
            at.to_string(),
        ];
        let words = self.words(operation);
        self.command(&words)?.with_program_behind(prefix).stdout()?;
        let text = std::fs::read_to_string(&report).map_err(Error::file(&report))?;
        serde_json::from_str(&text)
            .map_err(|error| Error::Format { what: "a report".into(), found: error.to_string() })
    }
}

const fn other(backend: Backend) -> Backend {
    match backend {
        Backend::Nftables => Backend::Iptables,
        Backend::Iptables => Backend::Nftables,
    }
}
