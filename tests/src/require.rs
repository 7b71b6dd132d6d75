//! What a test needs from the machine.
//!
//! A test that cannot run is reported as ignored, with the reason. `OXIVIRT_REQUIRE`, a list such
//! as `netns,peer`, turns that into a failure.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::harness;
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
    /// A guest of its own for QEMU ([`crate::qemu::Image`]).
    Guest,
    /// A kernel whose bridges keep VLANs apart.
    VlanFiltering,
    /// Another program.
    Program(&'static str),
}

impl Need {
    /// Its word in `OXIVIRT_REQUIRE`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Netns => "netns",
            Self::Shared => "shared",
            Self::Peer => "peer",
            Self::Strace => "strace",
            Self::Guest => "guest",
            Self::VlanFiltering => "kernel",
            Self::Program(_) => "programs",
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
                .then(|| format!("'{}' does not exist", shared().join("data").display())),
            Self::Peer => {
                if !peer().is_file() {
                    Some(format!("'{}' does not exist", peer().display()))
                } else if find("libvirtd").is_none() || find("virsh").is_none() {
                    Some("libvirt is not installed".to_owned())
                } else {
                    None
                }
            }
            Self::Strace => Self::Program("strace").missing(),
            Self::Guest => {
                static FOUND: OnceLock<Option<String>> = OnceLock::new();
                FOUND
                    .get_or_init(|| crate::qemu::NEED.missing().or_else(crate::qemu::missing_image))
                    .clone()
            }
            Self::VlanFiltering => {
                let netns = Netns::new().ok()?;
                let made = netns.sh("ip link add try type bridge vlan_filtering 1");
                made.is_err().then(|| "the kernel has no VLAN filtering".to_owned())
            }
            Self::Program(name) => find(name).is_none().then(|| format!("{name} is not installed")),
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

/// Ends the running test as ignored if something that it needs is missing.
///
/// # Panics
/// A missing need is in `OXIVIRT_REQUIRE`.
pub fn need(needs: &[Need]) {
    match missing(needs) {
        Ok(None) => {}
        Ok(Some(why)) => skip(&why),
        Err(error) => panic!("{error}"),
    }
}

/// Ends the running test as ignored.
pub fn skip(why: &str) -> ! {
    harness::ignore(why.lines().next().unwrap_or_default().to_owned())
}

/// Whether a part of a campaign can run; if not, its name and the reason are printed as those of an
/// ignored test.
///
/// # Errors
/// A missing need is in `OXIVIRT_REQUIRE`.
pub fn check(name: &str, needs: &[Need]) -> Result<bool> {
    let why = missing(needs).map_err(|error| Error::Wrong(format!("{name}: {error}")))?;
    if let Some(why) = &why {
        print_ignored(name, why);
    }
    Ok(why.is_none())
}

/// Prints that a part of a campaign did not run, as libtest prints an ignored test.
pub fn print_ignored(name: &str, why: &str) {
    println!("test {name} ... ignored, {}", why.lines().next().unwrap_or_default());
}

/// The reason why one of the needs is missing, if one is.
fn missing(needs: &[Need]) -> Result<Option<String>> {
    let Some((need, why)) = needs.iter().find_map(|need| Some((*need, need.missing()?))) else {
        return Ok(None);
    };
    let required = std::env::var("OXIVIRT_REQUIRE").unwrap_or_default();
    if required.split(',').any(|word| word.trim() == need.word()) {
        let word = need.word();
        return Err(Error::Wrong(format!("OXIVIRT_REQUIRE has '{word}', but {why}")));
    }
    Ok(Some(why))
}
