//! Proof that nothing in the kernel is written: programs that print every change of rules, links,
//! addresses and routes of a host.
//!
//! A change of the test's own, the *mark*, delimits what is looked at. Notifications arrive in
//! order, so everything that was changed between two marks is printed between them.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::netns::Netns;
use crate::process::{Running, wait_until};

/// The programs, each with its file on the host.
const COMMANDS: [(&str, &str); 2] = [
    ("nft monitor", "/run/monitor-nft"),
    ("ip -o monitor link address route rule", "/run/monitor-ip"),
];

/// Makes and removes a table and a bridge of a name.
fn mark(netns: &Netns, name: &str) -> Result<()> {
    let script = format!(
        "nft add table ip {name}; nft delete table ip {name}
         ip link add {name} type bridge; ip link delete {name}"
    );
    netns.sh(&script).map(drop)
}

/// Whether a program has printed the second half of a mark.
fn has_ended(text: &str, name: &str) -> bool {
    let end = text.lines().filter(|line| line.to_lowercase().contains("delete"));
    end.filter(|line| line.contains(name)).count() > 0
}

/// The running programs.
#[derive(Debug)]
pub struct Monitors<'h> {
    netns: &'h Netns,
    files: Vec<(&'static str, PathBuf)>,
    _running: Vec<Running>,
}

impl<'h> Monitors<'h> {
    /// Starts the programs; what is changed from now on is noticed.
    ///
    /// # Errors
    /// A program is missing, or does not print.
    pub fn start(netns: &'h Netns) -> Result<Self> {
        let mut monitors = Self { netns, files: Vec::new(), _running: Vec::new() };
        for (command, path) in COMMANDS {
            // The background has no input of its own.
            let script = format!("{command} >{path} & read line; kill $!");
            monitors._running.push(netns.run(["sh", "-c", &script]).start()?);
            monitors.files.push((command, netns.path(Path::new(path))));
        }
        // Repeated until the programs listen.
        wait_until("monitors that listen", || {
            mark(netns, "listening")?;
            monitors.have_printed("listening")
        })?;
        monitors.set_mark("first")?;
        Ok(monitors)
    }

    fn have_printed(&self, name: &str) -> Result<bool> {
        for (_, file) in &self.files {
            let text = std::fs::read_to_string(file).map_err(Error::file(file))?;
            if !has_ended(&text, name) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn set_mark(&self, name: &str) -> Result<()> {
        mark(self.netns, name)?;
        wait_until("a mark in the monitors' output", || self.have_printed(name))
    }

    /// What was changed since the start, a line each; empty if nothing was.
    ///
    /// # Errors
    /// A program has ended.
    pub fn finish(self) -> Result<String> {
        self.set_mark("last")?;
        let mut changes = String::new();
        for (command, file) in &self.files {
            let text = std::fs::read_to_string(file).map_err(Error::file(file))?;
            for line in between(&text) {
                changes.push_str(&format!("{command}: {line}\n"));
            }
        }
        Ok(changes)
    }
}

/// The lines between the marks, without what a mark itself leads to.
fn between(text: &str) -> Vec<&str> {
    let is_mark =
        |line: &str| ["listening", "first", "last"].iter().any(|name| line.contains(name));
    let lines: Vec<&str> = text.lines().collect();
    let Some(begin) = lines.iter().rposition(|line| line.contains("first")) else {
        return lines;
    };
    let mut found = Vec::new();
    let mut previous = lines[begin];
    for line in &lines[begin + 1..] {
        // nft prints the number of each transaction behind it.
        let is_of_mark = line.starts_with("# new generation") && is_mark(previous);
        if !is_mark(line) && !is_of_mark {
            found.push(*line);
        }
        previous = line;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_between_the_marks_count() {
        let text = "add table ip before\n# new generation 1 by process 1 (nft)\n\
            add table ip first\n# new generation 2 by process 1 (nft)\n\
            delete table ip first\n# new generation 3 by process 1 (nft)\n\
            add table ip x\n# new generation 4 by process 1 (nft)\n\
            add table ip last\n# new generation 5 by process 1 (nft)\n";
        assert_eq!(between(text), ["add table ip x", "# new generation 4 by process 1 (nft)"]);
        assert!(has_ended(text, "first") && !has_ended(text, "last"));
    }
}
