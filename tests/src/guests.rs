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
//! | `addresses` | | `LINK ADDRESS/PREFIX`, a line each, by lease |
//! | `list` | flags | names |
//! | `events` | | what happened since it was last asked: `NAME EVENT DETAIL` or `NAME reboot`, a line each |
//! | `net-define`, `net-start`, `net-destroy`, `net-ports` | XML or nothing | |

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::host::campaign;
use crate::netns::{Netns, Process};
use crate::process::{Running, wait_until};
use crate::root::TempRoot;

/// A host with guests.
#[derive(Debug)]
pub struct Guests {
    /// `None` while no driver runs.
    driver: Option<Running>,
    root: TempRoot,
    netns: Netns,
}

impl Guests {
    /// A fresh host with open drivers.
    ///
    /// # Errors
    /// No right to make namespaces; the drivers do not open.
    pub fn new() -> Result<Self> {
        let (netns, root) = (Netns::new()?, TempRoot::new()?);
        let mut host = Self { driver: None, root, netns };
        host.open()?;
        Ok(host)
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
        let root = self.root.path().to_string_lossy().into_owned();
        let run = campaign("guests")?.args([root]).behind(self.netns.prefix());
        let mut driver = run.start()?;
        match driver.line()?.as_str() {
            "ready" => {
                self.driver = Some(driver);
                Ok(())
            }
            other => Err(refused(other)),
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
        self.netns.kill_all(crate::host::CAMPAIGN)?;
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

    /// What guests have left on the host: links, files of their own, processes.
    ///
    /// # Errors
    /// A program failed.
    pub fn traces(&self) -> Result<Vec<String>> {
        let mut found: Vec<String> =
            self.emulators()?.into_iter().map(|process| process.command).collect();
        let links = self.netns.sh("ip -o link show | grep -o 'vnet[0-9]*' || true")?;
        found.extend(links.lines().map(str::to_owned));
        for dir in ["run/libvirt/qemu", "var/lib/libvirt/qemu", "run/oxivirt/qemu/journal"] {
            let known = ["driver.pid", "autostarted", "channel", "ram", "passt"];
            let Ok(entries) = std::fs::read_dir(self.path(dir)) else { continue };
            let names = entries.flatten().map(|entry| entry.file_name());
            let names = names.map(|name| name.to_string_lossy().into_owned());
            found.extend(names.filter(|name| !known.contains(&name.as_str())));
        }
        for dir in ["run/libvirt/qemu/channel", "var/lib/libvirt/qemu/ram"] {
            let Ok(entries) = std::fs::read_dir(self.path(dir)) else { continue };
            found.extend(entries.flatten().map(|entry| entry.path().display().to_string()));
        }
        Ok(found)
    }
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
