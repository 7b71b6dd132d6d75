//! Running `iptables-save` and `iptables-restore`.
//!
//! A change is one process per family that lists and one that changes. It is computed from the
//! listed rules and computed again if another process changed them in between; changes of this process
//! are serialized. The wait for the lock of the legacy programs is bounded.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use super::counters::{self, RuleCount};
use super::iptables::{self, Listing, Rule, Unused, program};
use super::model::Family;
use oxivirt_sys::command::{self, Command, CommandError};

/// How long the lock of the legacy programs is waited for, in seconds.
const LOCK_TIMEOUT: &str = "10";
/// How often a change is computed again after a change by another process.
const ATTEMPTS: usize = 4;

/// What can go wrong with iptables.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XtablesError {
    /// The program is not installed.
    #[error("cannot find '{program}' in path")]
    Absent {
        /// Its name.
        program: String,
    },
    /// It could not be run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// It refused.
    #[error("Failed to run firewall command {command}: {complaint}")]
    Refused {
        /// The command line.
        command: String,
        /// What it said.
        complaint: String,
    },
}

/// The iptables programs of a host.
#[derive(Debug)]
pub struct Xtables {
    search_path: OsString,
    /// Held while rules are changed.
    change: tokio::sync::Mutex<()>,
    /// Whether the kernel can fill in checksums: 0 unknown, 1 no, 2 yes.
    checksum: AtomicU8,
}

/// A rule that only says whether the kernel has its target: it is gone before the transaction ends.
const PROBE: &str = "*mangle\n--new-chain OXIVIRT_PROBE\n\
    --insert OXIVIRT_PROBE --protocol udp --destination-port 68 --jump CHECKSUM --checksum-fill\n\
    --flush OXIVIRT_PROBE\n--delete-chain OXIVIRT_PROBE\nCOMMIT\n";

impl Xtables {
    /// The programs in a search path of the form of `$PATH`.
    #[must_use]
    pub fn new(search_path: OsString) -> Self {
        Self { search_path, change: tokio::sync::Mutex::default(), checksum: AtomicU8::new(0) }
    }

    /// Whether the programs are installed.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        command::find_in_path("iptables", &self.search_path).is_some()
    }

    /// Whether the programs are those that go past nftables, of which the kernel announces no change.
    ///
    /// Their names are links to one program, `xtables-nft-multi` or `xtables-legacy-multi`; before
    /// iptables 1.8 there was only `xtables-multi`, which is the latter.
    #[must_use]
    pub fn is_legacy(&self) -> bool {
        let Ok(program) = self.find("iptables").map(std::fs::canonicalize) else { return false };
        let is_nft = |path: PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().contains("nft"))
        };
        !program.is_ok_and(is_nft)
    }

    fn find(&self, name: &str) -> Result<PathBuf, XtablesError> {
        command::find_in_path(name, &self.search_path)
            .ok_or_else(|| XtablesError::Absent { program: name.to_owned() })
    }

    fn command(&self, family: Family, what: &str) -> Result<Command, XtablesError> {
        let path = self.find(&format!("{}-{what}", program(family)))?;
        // The legacy programs load modules, with a program that they look for.
        Ok(Command::new(path).env("PATH", OsStr::new(&self.search_path)))
    }

    /// Whether the kernel has the target that fills in checksums. It is only tried if no rule has it yet.
    pub async fn has_checksum(&self) -> bool {
        if self.checksum.load(Ordering::Relaxed) == 0 {
            let listing = self.list(Family::Ipv4).await;
            let has_it = listing.is_ok_and(|listing| listing.has_target("CHECKSUM"))
                || self.restore(Family::Ipv4, PROBE.to_owned()).await.is_ok();
            self.checksum.store(if has_it { 2 } else { 1 }, Ordering::Relaxed);
        }
        self.checksum.load(Ordering::Relaxed) == 2
    }

    /// What is there.
    ///
    /// # Errors
    /// [`XtablesError`] if the program is missing or fails.
    pub async fn list(&self, family: Family) -> Result<Listing, XtablesError> {
        self.save(family, &[]).await.map(|text| Listing::parse(&text))
    }

    /// What rules have counted, by family.
    ///
    /// # Errors
    /// [`XtablesError`] if the program is missing or fails.
    pub async fn counts(&self, family: Family) -> Result<Vec<RuleCount>, XtablesError> {
        self.save(family, &["-c"]).await.map(|text| counters::of_iptables(&text))
    }

    async fn save(&self, family: Family, arguments: &[&str]) -> Result<String, XtablesError> {
        let command = self.command(family, "save")?.args(arguments);
        let output = command.run().await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(XtablesError::Refused { command: command.line(), complaint: output.complaint() })
    }

    async fn restore(&self, family: Family, script: String) -> Result<(), XtablesError> {
        let arguments = ["-w", LOCK_TIMEOUT, "--noflush"];
        let command = self.command(family, "restore")?.args(arguments).stdin(script.into_bytes());
        let output = command.run().await?;
        if output.status.success() {
            return Ok(());
        }
        Err(XtablesError::Refused { command: command.line(), complaint: output.complaint() })
    }

    /// Removes and inserts rules, one transaction per family; all of it or nothing.
    ///
    /// What is to be removed need not be there. An optional rule is added apart, and its refusal is
    /// remembered.
    ///
    /// # Errors
    /// [`XtablesError`]; what was added is gone then.
    pub async fn replace(&self, remove: &[Rule], add: &[Rule]) -> Result<(), XtablesError> {
        let _one = self.change.lock().await;
        let done = self.replace_locked(remove, add).await;
        if done.is_err() && !add.is_empty() {
            for family in [Family::Ipv4, Family::Ipv6] {
                let added = of(family, add);
                if let Err(error) = self.change(family, &added, &[], Unused::Delete).await {
                    tracing::debug!(%error, "not taken back");
                }
            }
        }
        done
    }

    async fn replace_locked(&self, remove: &[Rule], add: &[Rule]) -> Result<(), XtablesError> {
        let unused = if add.is_empty() { Unused::Delete } else { Unused::Keep };
        for family in [Family::Ipv4, Family::Ipv6] {
            let (gone, new) = (of(family, remove), of(family, add));
            if gone.is_empty() && new.is_empty() {
                // libvirt makes the chains of both families for a network of one.
                if unused == Unused::Delete
                    && let Err(error) = self.change(family, &[], &[], unused).await
                {
                    tracing::debug!(%error, "chains of the other family stay");
                }
                continue;
            }
            let (optional, new): (Vec<_>, Vec<_>) =
                new.into_iter().partition(|rule| rule.is_optional);
            self.change(family, &gone, &new, unused).await?;
            if !optional.is_empty()
                && let Err(error) = self.change(family, &[], &optional, Unused::Keep).await
            {
                tracing::debug!(%error, "the kernel does not have an optional target");
                self.checksum.store(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    async fn change(
        &self,
        family: Family,
        remove: &[Rule],
        add: &[Rule],
        unused: Unused,
    ) -> Result<(), XtablesError> {
        if remove.is_empty() && add.is_empty() && unused == Unused::Keep {
            return Ok(());
        }
        let mut refusal = None;
        for _ in 0..ATTEMPTS {
            let listing = self.list(family).await?;
            let Some(script) = iptables::script(&listing, remove, add, unused) else {
                return Ok(());
            };
            match self.restore(family, script).await {
                Ok(()) => return Ok(()),
                Err(error @ XtablesError::Refused { .. }) => {
                    let is_same = self.list(family).await? == listing;
                    refusal = Some(error);
                    if is_same {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        refusal.map_or(Ok(()), Err)
    }
}

fn of(family: Family, rules: &[Rule]) -> Vec<Rule> {
    rules.iter().filter(|rule| rule.family == family).cloned().collect()
}
