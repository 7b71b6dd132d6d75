//! Libvirt's own clients on a tour of the network API (`cargo xtask interop`).
//!
//! virsh, libvirt-python and Sys::Virt, as the distribution ships them, and `oxish` run the same tour against
//! `oxivirtd` over a socket, TCP and TLS, and against a real libvirtd over its socket. What they print has
//! to be the same. Our own client is judged by what virsh prints.

use std::path::Path;

use crate::daemon::{Daemon, PORTS};
use crate::error::{Error, Result};
use crate::host::{Backend, Host, program};
use crate::process::Run;
use crate::require::{self, Need, peer};
use crate::{Netns, TempRoot, pki};

/// The tour in Python and in Perl.
const PYTHON: &str = include_str!("../interop/tour.py");
const PERL: &str = include_str!("../interop/tour.pl");

/// The tour of a shell: one command a line.
const SHELL: &str = include_str!("../interop/tour.txt");

/// A program that speaks to a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Virsh,
    Python,
    Perl,
    Oxish,
}

impl Client {
    const ALL: [Self; 4] = [Self::Virsh, Self::Python, Self::Perl, Self::Oxish];

    fn name(self) -> &'static str {
        match self {
            Self::Virsh => "virsh",
            Self::Python => "libvirt-python",
            Self::Perl => "Sys::Virt",
            Self::Oxish => "oxish",
        }
    }

    /// Why it cannot be run, if it cannot.
    fn missing(self) -> Option<String> {
        let probe = match self {
            Self::Virsh => Run::new(["virsh", "--version"]),
            Self::Python => Run::new(["/usr/bin/python3", "-c", "import libvirt"]),
            Self::Perl => Run::new(["/usr/bin/perl", "-MSys::Virt", "-e", "1"]),
            Self::Oxish => return program("oxish").err().map(|error| error.chain()),
        };
        let found = probe.output().is_ok_and(|finished| finished.status.success());
        (!found).then(|| format!("{} is not installed", self.name()))
    }

    /// What it prints on its tour.
    fn tour(self, netns: &Netns, uri: &str, dir: &Path) -> Result<String> {
        let run = match self {
            Self::Virsh => return shell(netns, "virsh".as_ref(), uri, dir),
            Self::Oxish => return shell(netns, program("oxish")?.as_os_str(), uri, dir),
            Self::Python => netns.run(["/usr/bin/python3", "-c", PYTHON, uri]),
            Self::Perl => netns.run(["/usr/bin/perl", "-e", PERL, uri]),
        };
        let finished = run.env("LC_ALL", "C.UTF-8").output()?;
        Ok(format!("{}{}status {:?}\n", finished.stdout, finished.stderr, finished.status.code()))
    }
}

fn shell(netns: &Netns, program: &std::ffi::OsStr, uri: &str, dir: &Path) -> Result<String> {
    let mut out = String::new();
    for line in SHELL.lines().filter(|line| !line.is_empty()) {
        let line = line.replace("DIR", &dir.display().to_string());
        // one word each, as a shell would split it
        let script = format!("exec \"$0\" -c \"$1\" {line}");
        let run = netns.run(["sh", "-c", &script]).args([program, uri.as_ref()]);
        let finished = run.env("LC_ALL", "C.UTF-8").output()?;
        let status = finished.status.code();
        out += &format!("$ {line}\n{}{}status {status:?}\n", finished.stdout, finished.stderr);
    }
    Ok(out)
}

/// Lines that differ, as a person reads them.
fn diff(expect: &str, found: &str) -> Vec<String> {
    let (expect, found): (Vec<&str>, Vec<&str>) =
        (expect.lines().collect(), found.lines().collect());
    let mut lines = Vec::new();
    let (mut a, mut b) = (0, 0);
    while a < expect.len() || b < found.len() {
        match (expect.get(a), found.get(b)) {
            (Some(left), Some(right)) if left == right => (a, b) = (a + 1, b + 1),
            (left, right) => {
                // the nearest place where they meet again
                let ahead = (1..40).find_map(|n| {
                    let meets = |x: usize, y: usize| {
                        expect.get(a + x).is_some() && expect.get(a + x) == found.get(b + y)
                    };
                    (0..=n).find_map(|m| {
                        if meets(n, m) { Some((n, m)) } else { meets(m, n).then_some((m, n)) }
                    })
                });
                let (x, y) = ahead.unwrap_or((1, 1));
                lines.extend(expect.iter().skip(a).take(x).map(|line| format!("- {line}")));
                lines.extend(found.iter().skip(b).take(y).map(|line| format!("+ {line}")));
                let _ = (left, right);
                (a, b) = ((a + x).min(expect.len()), (b + y).min(found.len()));
            }
        }
    }
    lines
}

fn documents() -> Result<TempRoot> {
    let dir = TempRoot::new()?;
    for (name, text) in [
        ("lan.xml", include_str!("../interop/lan.xml")),
        ("iso.xml", include_str!("../interop/iso.xml")),
        ("port.xml", include_str!("../interop/port.xml")),
        ("bad.xml", "<network><name>bad</name><forward mode='odd'/></network>\n"),
    ] {
        let path = dir.join(name);
        #[expect(clippy::disallowed_methods, reason = "no reader yet")]
        std::fs::write(&path, text).map_err(Error::file(&path))?;
    }
    Ok(dir)
}

pub(super) fn run(_: &[String]) -> Result<bool> {
    if !require::check("interop", &[Need::Netns, Need::Peer])? {
        return Ok(true);
    }
    let dir = documents()?;
    let libvirt = Host::libvirt(&peer(), Backend::Nftables)?;
    let socket = libvirt.root().join("run/libvirt/libvirt-sock");
    let reference = format!("network:///system?socket={}", socket.display());
    let root = TempRoot::new()?;
    pki::make(root.path())?;
    let daemon = Daemon::start_in(Netns::new()?, root, &pki::config(PORTS), &["--listen"])?;
    let pki = daemon.root().join("pki");
    let ways = [
        ("unix", daemon.uri()),
        ("tcp", "network+tcp://localhost:16509/system".to_owned()),
        ("tls", format!("network+tls://localhost:16514/system?pkipath={}", pki.display())),
    ];
    let mut is_same = true;
    let virsh = Client::Virsh.tour(libvirt.netns(), &reference, dir.path())?;
    for client in Client::ALL {
        if let Some(why) = client.missing() {
            require::print_ignored(&format!("interop: {}", client.name()), &why);
            continue;
        }
        let theirs = match client {
            Client::Virsh => virsh.clone(),
            _ => client.tour(libvirt.netns(), &reference, dir.path())?,
        };
        if client == Client::Oxish {
            is_same &= report("oxish against libvirtd, held with virsh", &diff(&virsh, &theirs));
        }
        for (way, uri) in &ways {
            let ours = client.tour(daemon.netns(), uri, dir.path())?;
            let title = format!("{} over {way}", client.name());
            is_same &= report(&title, &diff(&theirs, &ours));
        }
    }
    Ok(is_same)
}

fn report(title: &str, differences: &[String]) -> bool {
    if differences.is_empty() {
        println!("{title}: the same");
    } else {
        println!("{title}: FAILED: {} lines differ", differences.len());
        for line in differences {
            println!("  {line}");
        }
    }
    differences.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found_and_reported() {
        assert!(diff("a\nb\nc", "a\nb\nc").is_empty());
        assert_eq!(diff("a\nb\nc", "a\nx\nc"), ["- b", "+ x"]);
        assert_eq!(diff("a\nb\nc", "a\nc"), ["- b"]);
        assert_eq!(diff("a\nc", "a\nb\nc\nd"), ["+ b", "+ d"]);
    }
}
