//! A complete driver of a toy kind of object, directories below a shelf: plan, lint, journal, apply, and
//! what a crash leaves.
//!
//! `cargo run -p oxivirt-engine --example shelf`

use std::fmt;
use std::io;
use std::path::PathBuf;

use oxivirt_engine::{
    Executor, Journal, JournalEntry, Operation, Plan, Step, Undo, lint, operation,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A change to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    CreateDir(PathBuf),
    WriteFile(PathBuf, String),
}

/// What reverts it. Its JSON form is what the journal holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Revert {
    RemoveDir { path: PathBuf },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateDir(path) => write!(f, "create {}", path.display()),
            Self::WriteFile(path, _) => write!(f, "write {}", path.display()),
        }
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::RemoveDir { path } = self;
        write!(f, "remove {}", path.display())
    }
}

impl Undo for Revert {}

impl Step for Change {
    type Undo = Revert;
    type Resource = String;

    fn undo(&self) -> Vec<Revert> {
        match self {
            Self::CreateDir(path) => vec![Revert::RemoveDir { path: path.clone() }],
            // It goes with its directory.
            Self::WriteFile(..) => Vec::new(),
        }
    }

    fn creates(&self) -> Option<String> {
        match self {
            Self::CreateDir(path) => Some(path.display().to_string()),
            Self::WriteFile(..) => None,
        }
    }

    fn requires(&self) -> Option<String> {
        match self {
            Self::CreateDir(_) => None,
            Self::WriteFile(path, _) => path.parent().map(|dir| dir.display().to_string()),
        }
    }
}

struct Host;

impl Executor<Change> for Host {
    type Error = io::Error;

    async fn run(&self, step: &Change) -> io::Result<()> {
        match step {
            Change::CreateDir(path) => std::fs::create_dir(path),
            Change::WriteFile(path, text) => std::fs::File::create(path)
                .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes())),
        }
    }

    async fn undo(&self, undo: &Revert) -> io::Result<()> {
        let Revert::RemoveDir { path } = undo;
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shelf = tempfile::tempdir()?;
    let object = shelf.path().join("object");
    let status = shelf.path().join("status");

    // Decide.
    let (mut plan, mut undo) = (Plan::default(), Plan::default());
    plan.then([Change::CreateDir(object.clone())]);
    plan.then_parallel(
        ["a", "b"].map(|name| vec![Change::WriteFile(object.join(name), name.to_owned())]),
    );
    undo.then([Revert::RemoveDir { path: object.clone() }]);
    lint::check(&plan, &undo)?;

    // Do: journal, steps, commit.
    let journal = Journal::at(shelf.path().to_owned());
    let entry = JournalEntry::new(Operation::Start, "object".into(), Uuid::from_u128(1), undo);
    let commit = async |()| std::fs::File::create(&status).map(drop);
    let started =
        operation::start(&Host, &journal, &entry, &plan, async {}, commit, |_| false).await;
    assert!(started.is_ok() && object.join("a").exists() && journal.all().is_empty());

    // A crash before the commit: the journal is there, the status file is not.
    std::fs::remove_file(&status)?;
    journal.write(&entry)?;
    operation::finish(&Host, &journal, &entry, status.exists()).await?;
    assert!(!object.exists());
    Ok(())
}
