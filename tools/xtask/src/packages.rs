//! System packages: which programs a task needs, and installing those that are missing.
//!
//! Programs are looked for, not packages, so that a machine set up by other means passes too. `uidmap`, which
//! namespaces need without root, is none of them: what cannot run without it is skipped, see `privilege`.

use crate::privilege;
use crate::process::{self, Call};
use crate::ui::{self, Failure};

/// What the packages are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// `cargo xtask try`, `packets`, `crash`, `bench`: what runs a network and its guests.
    Run,
    /// `cargo xtask check`: also what only tests need.
    Check,
    /// `cargo xtask interop`: also libvirt and its clients.
    Interop,
}

struct Package {
    /// Debian's name.
    name: &'static str,
    /// A program that it brings, or the path of another file; found means installed.
    program: &'static str,
    why: &'static str,
}

const RUN: &[Package] = &[
    Package { name: "nftables", program: "nft", why: "lists the firewall rules" },
    Package { name: "dnsmasq-base", program: "dnsmasq", why: "serves DHCP and DNS on a network" },
    Package { name: "iproute2", program: "ip", why: "builds guests and reads the host's state" },
    Package { name: "busybox", program: "busybox", why: "the guest's DHCP and DNS client" },
    Package { name: "util-linux", program: "nsenter", why: "enters namespaces" },
    Package { name: "iptables", program: "iptables", why: "the other way to set firewall rules" },
    Package { name: "gcc", program: "cc", why: "the linker that rustc calls" },
];

const CHECK: &[Package] = &[
    Package {
        name: "strace",
        program: "strace",
        why: "second opinion on the crash test's kill points",
    },
    Package {
        name: "dbus-daemon",
        program: "dbus-daemon",
        why: "the bus on which domains are registered",
    },
    Package {
        name: "qemu-system-x86",
        program: "qemu-system-x86_64",
        why: "answers the monitor's client and runs guests",
    },
    Package { name: "qemu-utils", program: "qemu-img", why: "writes disk images to be read" },
    Package { name: "zsh", program: "zsh", why: "completes the shell's commands" },
    Package { name: "fish", program: "fish", why: "completes the shell's commands" },
];

const INTEROP: &[Package] = &[
    Package { name: "libvirt-clients", program: "virsh", why: "goes on the tour" },
    Package { name: "libvirt-daemon", program: "libvirtd", why: "answers as we should" },
    Package { name: "openssl", program: "openssl", why: "makes certificates" },
    Package {
        name: "python3-libvirt",
        program: "/usr/share/doc/python3-libvirt",
        why: "goes on the tour",
    },
    Package {
        name: "libsys-virt-perl",
        program: "/usr/share/doc/libsys-virt-perl",
        why: "goes on the tour",
    },
];

fn missing(purpose: Use) -> Vec<&'static Package> {
    let more: &[Package] = match purpose {
        Use::Run => &[],
        Use::Check => CHECK,
        Use::Interop => INTEROP,
    };
    RUN.iter().chain(more).filter(|package| !is_there(package)).collect()
}

fn is_there(package: &Package) -> bool {
    match package.program.starts_with('/') {
        true => std::path::Path::new(package.program).exists(),
        false => process::find(package.program).is_some(),
    }
}

/// Makes sure that everything a task needs is there.
///
/// As root, missing packages are installed: asked for on a terminal, said otherwise. Without root
/// the command to run is in the error.
///
/// # Errors
/// Nothing was installed, or the installation did not bring what is missing.
pub(crate) fn ensure(purpose: Use) -> Result<(), Failure> {
    components(purpose)?;
    let missing_now = missing(purpose);
    if missing_now.is_empty() {
        return Ok(());
    }
    ui::line("missing on this machine:");
    for package in &missing_now {
        ui::line(format_args!("  {:<14} {} ({})", package.name, package.why, package.program));
    }
    let names: Vec<&str> = missing_now.iter().flat_map(|package| debian_names(package)).collect();
    if process::find("apt-get").is_none() {
        return Err(Failure::new(
            "this machine has no apt-get; install the programs in brackets by its own package manager",
        ));
    }
    if !privilege::is_root() {
        return Err(Failure::new(format!(
            "not root, so nothing was installed; run: sudo apt-get install {}",
            names.join(" ")
        )));
    }
    if ui::confirm("install them with apt-get?") == Some(false) {
        return Err(Failure::new(format!(
            "nothing installed; run: apt-get install {}",
            names.join(" ")
        )));
    }
    install(&names)?;
    match missing(purpose).as_slice() {
        [] => Ok(()),
        [package, ..] => Err(Failure::new(format!(
            "'{}' is still missing after installing package {}",
            package.program, package.name
        ))),
    }
}

fn debian_names(package: &Package) -> Vec<&'static str> {
    // The compiler alone cannot link: the start-up objects are in the C library's package.
    if package.name == "gcc" { vec!["gcc", "libc6-dev"] } else { vec![package.name] }
}

fn install(names: &[&str]) -> Result<(), Failure> {
    ui::line(format_args!("apt-get install {}", names.join(" ")));
    let apt = |arguments: &[&str]| {
        Call::new(["apt-get", "-qq"])
            .arguments(arguments)
            .environment("DEBIAN_FRONTEND", "noninteractive")
    };
    apt(&["update"]).run()?;
    apt(&["install", "-y", "--no-install-recommends"]).arguments(names).run()
}

/// Parts of the Rust distribution that a minimal installation lacks.
fn components(purpose: Use) -> Result<(), Failure> {
    if purpose != Use::Check {
        return Ok(());
    }
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if Call::cargo(&[subcommand, "--version"]).capture().is_err() {
            return Err(Failure::new(format!(
                "`cargo {subcommand}` is missing; run: rustup component add {component}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_named_once() {
        let mut names: Vec<&str> = RUN.iter().chain(CHECK).map(|package| package.name).collect();
        let before = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), before);
    }

    #[test]
    fn a_compiler_comes_with_its_library() {
        let gcc = RUN.iter().find(|package| package.name == "gcc").unwrap();
        assert_eq!(debian_names(gcc), ["gcc", "libc6-dev"]);
    }
}
