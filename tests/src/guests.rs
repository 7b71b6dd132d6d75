//! A host with guests: namespaces, a root directory, and a process with the drivers of networks and guests.
//!
//! The process reads a line a call, `VERB NAME [ARGUMENT]`:
//!
//! | verb | argument | returns |
//! |---|---|---|
//! | `define`, `create-xml` | XML | UUID |
//! | `start` | flags | number of the guest |
//! | `destroy` | flags | |
//! | `shutdown`, `reboot`, `reset`, `suspend`, `resume`, `undefine`, `autostart` | | |
//! | `xml` | flags | the document |
//! | `state`, `info` | | numbers |
//! | `until` | number of a state | once the guest has it |
//! | `addresses` | | `LINK ADDRESS/PREFIX`, a line each, by lease |
//! | `list` | flags | names |
//! | `events` | | what happened since it was last asked: `NAME EVENT DETAIL` or `NAME reboot`, a line each |
//! | `net-define`, `net-start`, `net-destroy`, `net-ports` | XML or nothing | |

use std::path::{Path, PathBuf};

use crate::campaign::inject::INPUT;
use crate::cgroups::{self, Cgroups};
use crate::error::{Error, Result};
use crate::host::{CAMPAIGN, campaign, program};
use crate::inject::Traced;
use crate::netns::{Netns, Process};
use crate::process::{Run, Running, wait_until};
use crate::root::TempRoot;

/// A host with guests.
#[derive(Debug)]
pub struct Guests {
    /// `None` while no driver runs.
    driver: Option<Running>,
    root: TempRoot,
    netns: Netns,
    /// Removed when all processes have ended.
    cgroups: Option<Cgroups>,
}

impl Guests {
    /// A fresh host with open drivers.
    ///
    /// # Errors
    /// No right to make namespaces; the drivers do not open.
    pub fn new() -> Result<Self> {
        let mut host =
            Self { driver: None, root: TempRoot::new()?, netns: Netns::new()?, cgroups: None };
        host.open()?;
        Ok(host)
    }

    /// A fresh host with control groups, where the machine has them, and open drivers.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_cgroups() -> Result<Self> {
        let netns = Netns::new()?;
        let cgroups = Cgroups::mount(&netns)?;
        let mut host = Self { driver: None, root: TempRoot::new()?, netns, cgroups };
        host.open()?;
        Ok(host)
    }

    /// Whether guests have control groups.
    pub fn has_groups(&self) -> bool {
        self.cgroups.is_some()
    }

    /// Control groups of guests that exist.
    pub fn groups(&self) -> Vec<String> {
        self.cgroups.as_ref().map(Cgroups::guests).unwrap_or_default()
    }

    /// The namespaces.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// A path below the root directory.
    pub fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// Opens the drivers.
    ///
    /// # Errors
    /// [`Error::Refused`]
    pub fn open(&mut self) -> Result<()> {
        let mut driver = self.program()?.start()?;
        match driver.line()?.as_str() {
            "ready" => {
                self.driver = Some(driver);
                Ok(())
            }
            other => Err(refused(other)),
        }
    }

    fn program(&self) -> Result<Run> {
        let run = campaign("guests")?.args([self.root.path()]);
        let run = if self.cgroups.is_some() { run.behind(cgroups::prefix()) } else { run };
        Ok(run.behind(self.netns.prefix()))
    }

    /// Opens the drivers under the tracer, has them make `calls`, and kills them at kill point `at` (0: not at
    /// all) behind the opening; they must not be open. The end of the last call is waited for.
    ///
    /// # Errors
    /// They do not open, or a call failed and they were not killed.
    pub fn inject(&self, at: usize, calls: &[&str]) -> Result<Traced> {
        let report = TempRoot::new()?;
        let path = report.join("report");
        let prefix = [
            program(CAMPAIGN)?.to_string_lossy().into_owned(),
            "inject".to_owned(),
            INPUT.to_owned(),
            path.to_string_lossy().into_owned(),
            at.to_string(),
        ];
        let input: String = calls.iter().map(|call| format!("{call}\n")).collect();
        let output = self.program()?.with_program_behind(prefix).input(input).stdout()?;
        let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
        let traced: Traced = serde_json::from_str(&text)
            .map_err(|error| Error::Format { what: "a report".into(), found: error.to_string() })?;
        match output.lines().find(|line| line.starts_with("error")) {
            Some(error) if !traced.killed => Err(refused(error)),
            _ => Ok(traced),
        }
    }

    /// Ends the process of the drivers as a daemon is ended.
    pub fn close(&mut self) {
        self.driver = None;
    }

    /// Kills the process of the drivers.
    ///
    /// # Errors
    /// It cannot be found.
    pub fn kill(&mut self) -> Result<()> {
        self.netns.kill_all(CAMPAIGN)?;
        self.driver = None;
        Ok(())
    }

    /// Makes a call; what it returned.
    ///
    /// # Errors
    /// [`Error::Refused`]
    pub fn call(&mut self, verb: &str, name: &str, argument: &str) -> Result<String> {
        self.send(verb, name, argument)?;
        self.answer()
    }

    /// Begins a call without waiting for its answer.
    ///
    /// # Errors
    /// The drivers do not run.
    pub fn send(&mut self, verb: &str, name: &str, argument: &str) -> Result<()> {
        let argument = argument.replace('\n', " ");
        self.running()?.send(&format!("{verb} {name} {argument}"))
    }

    /// The answer to a call that was begun.
    ///
    /// # Errors
    /// [`Error::Refused`]
    pub fn answer(&mut self) -> Result<String> {
        let answer = self.running()?.line()?;
        let text = answer.strip_prefix("ok ").and_then(|text| serde_json::from_str(text).ok());
        text.ok_or_else(|| refused(&answer))
    }

    fn running(&mut self) -> Result<&mut Running> {
        self.driver.as_mut().ok_or_else(|| Error::Wrong("no driver runs".to_owned()))
    }

    /// Waits for a guest's state.
    ///
    /// # Errors
    /// [`Error::Wait`]
    pub fn wait_state(&mut self, name: &str, state: &str) -> Result<()> {
        wait_until(&format!("state {state} of '{name}'"), || {
            Ok(self.call("state", name, "")?.split(' ').next() == Some(state))
        })
    }

    /// The emulators that run.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn emulators(&self) -> Result<Vec<Process>> {
        self.netns.processes_of(crate::qemu::SYSTEM)
    }

    /// What guests have left on the host, see [`traces`].
    ///
    /// # Errors
    /// A program failed.
    pub fn traces(&self) -> Result<Vec<String>> {
        traces(&self.netns, self.root.path())
    }
}

/// What guests have left on a host: links, files of their own, processes.
///
/// # Errors
/// A program failed.
pub fn traces(netns: &Netns, root: &Path) -> Result<Vec<String>> {
    let emulators = netns.processes_of(crate::qemu::SYSTEM)?;
    let mut found: Vec<String> = emulators.into_iter().map(|process| process.command).collect();
    let links = netns.sh("ip -o link show | grep -o 'vnet[0-9]*' || true")?;
    found.extend(links.lines().map(str::to_owned));
    for dir in ["run/libvirt/qemu", "var/lib/libvirt/qemu", "run/oxivirt/qemu/journal"] {
        let known = ["driver.pid", "autostarted", "channel", "ram", "passt"];
        let Ok(entries) = std::fs::read_dir(root.join(dir)) else { continue };
        let names = entries.flatten().map(|entry| entry.file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        found.extend(names.filter(|name| !known.contains(&name.as_str())));
    }
    for dir in ["run/libvirt/qemu/channel", "var/lib/libvirt/qemu/ram"] {
        let Ok(entries) = std::fs::read_dir(root.join(dir)) else { continue };
        found.extend(entries.flatten().map(|entry| entry.path().display().to_string()));
    }
    Ok(found)
}

/// Reads `error NUMBER DOMAIN MESSAGE`.
fn refused(answer: &str) -> Error {
    let mut words = answer.splitn(4, ' ');
    let read = (|| {
        words.next().filter(|word| *word == "error")?;
        let number = words.next()?.parse().ok()?;
        let domain = words.next()?.parse().ok()?;
        Some(Error::Refused { number, domain, message: words.next()?.to_owned() })
    })();
    read.unwrap_or_else(|| Error::Format { what: "a driver's answer".into(), found: answer.into() })
}
