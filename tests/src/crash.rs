//! The crash test: whatever call the driver is killed at, its next start puts things right.
//!
//! [`Bench`] is a host with one network and two reference pictures of it, one while the network is
//! up and one while it is down. [`Bench::kill`] kills the driver at one kill point of starting or
//! of destroying the network, opens the driver again and looks: the host has to be like one of the
//! two pictures, in every detail that a [`Snapshot`] has, and the network has to work on from there.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::host::{Host, Subject, program};
use crate::inject::calls::Call;
use crate::inject::{Traced, strace};
use crate::packets::name_of;
use crate::root::TempRoot;
use crate::snapshot::Snapshot;

/// Time in which what was told to end has to be gone.
const SETTLE: Duration = Duration::from_secs(3);

/// What the driver is killed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Starting a network that is down.
    Start,
    /// Destroying a network that is up.
    Destroy,
    /// Opening the driver after it was killed at this point of a start.
    RecoverStart(usize),
    /// Opening the driver after it was killed at this point of a destroy.
    RecoverDestroy(usize),
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Destroy => f.write_str("destroy"),
            Self::RecoverStart(at) => write!(f, "recovery from a kill at {at} of start"),
            Self::RecoverDestroy(at) => write!(f, "recovery from a kill at {at} of destroy"),
        }
    }
}

/// What became of one kill.
#[derive(Debug)]
pub enum Kill {
    /// The network came out whole: up or down.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The network is active and complete.
    Up,
    /// Nothing of the network is there but its definition.
    Down,
}

/// A host with a network to be killed.
#[derive(Debug)]
pub struct Bench {
    host: Host,
    name: String,
    up: Snapshot,
    down: Snapshot,
    reports: TempRoot,
}

impl Bench {
    /// A fresh host on which the network of `xml` is defined and has run once: what the first start
    /// leaves for ever belongs to both pictures.
    ///
    /// # Errors
    /// The network cannot be started and destroyed.
    pub fn new(xml: &str) -> Result<Self> {
        let host = Host::new(Subject::Oxivirt)?;
        let name = name_of(xml)?.to_owned();
        host.define(xml)?;
        host.start(&name)?;
        host.destroy(&name)?;
        let down = host.snapshot()?;
        host.start(&name)?;
        let up = host.snapshot()?;
        host.destroy(&name)?;
        let bench = Self { host, name, up, down, reports: TempRoot::new()? };
        // Otherwise the pictures are of no use.
        bench.expect(State::Down, "an undisturbed start and destroy")?;
        Ok(bench)
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
            self.host.command(&words)?.with_program_behind(prefix).stdout()?;
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
        match operation {
            Operation::Start => {}
            Operation::Destroy => self.host.start(&self.name)?,
            Operation::RecoverStart(first) => {
                if !self.traced(Operation::Start, first)?.killed {
                    self.host.destroy(&self.name)?;
                    return Ok(Kill::BeyondTheEnd);
                }
            }
            Operation::RecoverDestroy(first) => {
                self.host.start(&self.name)?;
                if !self.traced(Operation::Destroy, first)?.killed {
                    return Ok(Kill::BeyondTheEnd);
                }
            }
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
        Ok(match self.recovered() {
            Ok(state) => Kill::Survived(state),
            Err(error) => Kill::Exception { call: traced.calls.last().cloned(), error },
        })
    }

    /// Opens the driver again; the network is whole, and works on.
    fn recovered(&self) -> Result<State> {
        self.host.restart()?;
        let state = if self.host.is_active(&self.name)? { State::Up } else { State::Down };
        self.expect(state, "the driver was opened again")?;
        if state == State::Down {
            self.host.start(&self.name)?;
            self.expect(State::Up, "a new start")?;
        }
        self.host.destroy(&self.name)?;
        self.expect(State::Down, "a destroy")?;
        Ok(state)
    }

    fn clean_up(&self) -> Result<()> {
        if self.host.is_active(&self.name)? {
            self.host.destroy(&self.name)?;
        }
        self.expect(State::Down, "an operation that was not killed")
    }

    fn expect(&self, state: State, after: &str) -> Result<()> {
        let wanted = match state {
            State::Up => &self.up,
            State::Down => &self.down,
        };
        let end = Instant::now() + SETTLE;
        loop {
            let difference = wanted.diff(&self.host.snapshot()?);
            if difference.is_empty() {
                return Ok(());
            }
            // Processes end a moment after they were told to.
            if Instant::now() > end {
                return Err(Error::Wrong(format!("after {after}, not {state:?}:\n{difference}")));
            }
        }
    }

    fn words(&self, operation: Operation) -> Vec<&str> {
        match operation {
            Operation::Start => vec!["net-start", &self.name],
            Operation::Destroy => vec!["net-destroy", &self.name],
            Operation::RecoverStart(_) | Operation::RecoverDestroy(_) => {
                vec!["net-list", "--all"]
            }
        }
    }

    fn traced(&self, operation: Operation, at: usize) -> Result<Traced> {
        let report = self.reports.join("report");
        let prefix = [
            program("oxivirt-inject")?.to_string_lossy().into_owned(),
            report.to_string_lossy().into_owned(),
            at.to_string(),
        ];
        let words = self.words(operation);
        self.host.command(&words)?.with_program_behind(prefix).stdout()?;
        let text = std::fs::read_to_string(&report).map_err(Error::file(&report))?;
        serde_json::from_str(&text)
            .map_err(|error| Error::Format { what: "a report".into(), found: error.to_string() })
    }
}
