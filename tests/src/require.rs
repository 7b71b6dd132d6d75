//! What a test needs from the machine, and what happens where it is not there.
//!
//! A test that cannot run says so by name on standard error, and leaves its name in the file that
//! `OXIVIRT_SKIPPED` names, for the summary of `cargo xtask check`. `OXIVIRT_REQUIRE`, a list such
//! as `netns,peer`, turns that into a failure.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::netns::Netns;
use crate::process::find;

/// Something that a test cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The right to make namespaces.
    Netns,
    /// The conformance data in `../shared/data`.
    Shared,
    /// A real libvirt, and the script that runs it in namespaces.
    Peer,
    /// strace, with the right to trace.
    Strace,
}

impl Need {
    /// Its word in `OXIVIRT_REQUIRE`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Netns => "netns",
            Self::Shared => "shared",
            Self::Peer => "peer",
            Self::Strace => "strace",
        }
    }

    /// `None` if it is there, else why not.
    pub fn missing(self) -> Option<String> {
        match self {
            Self::Netns => {
                static FOUND: OnceLock<Option<String>> = OnceLock::new();
                FOUND
                    .get_or_init(|| {
                        let error = Netns::new().err()?;
                        Some(format!("no namespaces: {}", error.chain()))
                    })
                    .clone()
            }
            Self::Shared => (!shared().join("data").is_dir())
                .then(|| format!("'{}' is not there", shared().join("data").display())),
            Self::Peer => {
                if !peer().is_file() {
                    Some(format!("'{}' is not there", peer().display()))
                } else if find("libvirtd").is_none() || find("virsh").is_none() {
                    Some("libvirt is not installed".to_owned())
                } else {
                    None
                }
            }
            Self::Strace => find("strace").is_none().then(|| "strace is not installed".to_owned()),
        }
    }
}

/// The directory that the workspace is in.
pub fn workspace() -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().unwrap_or(member).to_path_buf()
}

/// Where specifications and conformance data are, if they are.
pub fn shared() -> PathBuf {
    workspace().join("../shared")
}

/// The script that runs a real libvirt in namespaces.
pub fn peer() -> PathBuf {
    shared().join("tools/peer")
}

/// Whether a test can run; if not, its name and the reason are reported.
///
/// # Panics
/// A need that is not met is in `OXIVIRT_REQUIRE`.
#[must_use]
pub fn available(test: &str, needs: &[Need]) -> bool {
    match check(test, needs) {
        Ok(available) => available,
        Err(error) => panic!("{error}"),
    }
}

/// As [`available`], for programs.
///
/// # Errors
/// A need that is not met is in `OXIVIRT_REQUIRE`.
pub fn check(test: &str, needs: &[Need]) -> Result<bool> {
    let Some((need, why)) = needs.iter().find_map(|need| Some((*need, need.missing()?))) else {
        return Ok(true);
    };
    let required = std::env::var("OXIVIRT_REQUIRE").unwrap_or_default();
    if required.split(',').any(|word| word.trim() == need.word()) {
        let word = need.word();
        return Err(Error::Wrong(format!("{test}: OXIVIRT_REQUIRE has '{word}', but {why}")));
    }
    report(test, &why)?;
    Ok(false)
}

/// Says by name that a test did not run.
///
/// # Errors
/// The file of `OXIVIRT_SKIPPED` cannot be written.
pub fn report(test: &str, why: &str) -> Result<()> {
    let line = format!("{test}: {}", why.lines().next().unwrap_or_default());
    // Not `eprintln!`, which libtest captures and then drops for a test that passes.
    drop(writeln!(std::io::stderr(), "did not run: {line}"));
    let Some(path) = std::env::var_os("OXIVIRT_SKIPPED").map(PathBuf::from) else {
        return Ok(());
    };
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| writeln!(file, "{line}"))
        .map_err(Error::file(&path))
}
