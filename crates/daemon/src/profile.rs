//! Which of libvirt's daemons this program is, as data.
//!
//! Everything that differs between libvirtd and its modular siblings is in [`Profile`]; no other module names
//! a daemon or a driver. A further driver is a row in [`Profile::drivers`].

use std::ffi::OsStr;
use std::path::Path;

use oxivirt_remote::serve::Profile as Remote;

use crate::drivers::{self, Entry};

/// What a socket of the daemon is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// All calls.
    ReadWrite,
    /// Calls that change nothing.
    ReadOnly,
    /// Administration.
    Admin,
}

impl Role {
    pub(crate) const ALL: [Self; 3] = [Self::ReadWrite, Self::ReadOnly, Self::Admin];
}

/// One of libvirt's daemons.
#[derive(Debug)]
pub(crate) struct Profile {
    /// libvirt's name of the daemon. Its main server has it, and its sockets, units, configuration and pid
    /// file are named after it.
    pub(crate) name: &'static str,
    /// The daemons whose driver it has, with the name of that driver: their sockets are served too.
    pub(crate) siblings: &'static [(&'static str, &'static str)],
    /// What the protocol side has to know of each URI scheme, and which driver answers first there.
    pub(crate) served: &'static [(Remote, &'static str)],
    /// The drivers it opens, in this order. The first answers calls about the connection itself.
    pub(crate) drivers: &'static [Entry],
}

/// The daemons of one driver each, with the name of that driver.
const MODULAR: [(&str, &str); 3] = [
    ("virtqemud", drivers::QEMU.name),
    ("virtnetworkd", drivers::NETWORK.name),
    ("virtstoraged", drivers::STORAGE.name),
];
/// The schemes of all drivers.
const SCHEMES: [(Remote, &str); 3] = [
    (Remote::QEMU, drivers::QEMU.name),
    (Remote::NETWORK, drivers::NETWORK.name),
    (Remote::STORAGE, drivers::STORAGE.name),
];

impl Profile {
    /// The daemon of a whole host: guests, networks and pools in one process.
    pub(crate) const HOST: Self = Self {
        name: "libvirtd",
        siblings: &MODULAR,
        served: &SCHEMES,
        drivers: &[drivers::NETWORK, drivers::STORAGE, drivers::QEMU],
    };

    /// The daemon of virtual networks.
    pub(crate) const NETWORK: Self = Self {
        name: "virtnetworkd",
        siblings: &[],
        served: &[(Remote::NETWORK, drivers::NETWORK.name)],
        drivers: &[drivers::NETWORK],
    };

    /// The daemon of storage pools.
    pub(crate) const STORAGE: Self = Self {
        name: "virtstoraged",
        siblings: &[],
        served: &[(Remote::STORAGE, drivers::STORAGE.name)],
        drivers: &[drivers::STORAGE],
    };

    /// The daemon of QEMU guests, with their networks and pools; libvirt's asks daemons of their own for these.
    pub(crate) const QEMU: Self = Self {
        name: "virtqemud",
        siblings: MODULAR.split_at(1).1,
        served: &SCHEMES,
        drivers: &[drivers::NETWORK, drivers::STORAGE, drivers::QEMU],
    };

    /// The daemon that a program called `program` stands for: that of the whole host, unless it has the name
    /// of another one.
    pub(crate) fn of_program(program: &OsStr) -> &'static Self {
        const ALL: [&Profile; 3] = [&Profile::NETWORK, &Profile::STORAGE, &Profile::QEMU];
        let name = Path::new(program).file_name();
        let found = ALL.into_iter().find(|profile| name == Some(OsStr::new(profile.name)));
        found.unwrap_or(&Self::HOST)
    }

    /// File name of a socket in the daemon's directory of sockets.
    pub(crate) fn socket(&self, role: Role) -> String {
        socket(self.name, role)
    }

    /// Name of the service manager's unit for a socket, which is also the name of the descriptor it passes.
    pub(crate) fn socket_unit(&self, role: Role) -> String {
        let name = self.name;
        match role {
            Role::ReadWrite => format!("{name}.socket"),
            Role::ReadOnly => format!("{name}-ro.socket"),
            Role::Admin => format!("{name}-admin.socket"),
        }
    }
}

/// File name of a socket of the daemon `name`.
pub(crate) fn socket(name: &str, role: Role) -> String {
    let name = if name == Profile::HOST.name { "libvirt" } else { name };
    match role {
        Role::ReadWrite => format!("{name}-sock"),
        Role::ReadOnly => format!("{name}-sock-ro"),
        Role::Admin => format!("{name}-admin-sock"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;

    #[test]
    fn names_are_those_of_libvirt() {
        let profile = Profile::NETWORK;
        let sockets = Role::ALL.map(|role| profile.socket(role));
        assert_eq!(
            sockets,
            ["virtnetworkd-sock", "virtnetworkd-sock-ro", "virtnetworkd-admin-sock"]
        );
        let units = Role::ALL.map(|role| profile.socket_unit(role));
        let expect = ["virtnetworkd.socket", "virtnetworkd-ro.socket", "virtnetworkd-admin.socket"];
        assert_eq!(units, expect);
        let sockets = Role::ALL.map(|role| Profile::HOST.socket(role));
        assert_eq!(sockets, ["libvirt-sock", "libvirt-sock-ro", "libvirt-admin-sock"]);
        assert_eq!(Profile::HOST.socket_unit(Role::ReadOnly), "libvirtd-ro.socket");
        let paths = Paths::system(profile.name, Path::new("/"));
        assert_eq!(paths.config, Path::new("/etc/libvirt/virtnetworkd.conf"));
        assert_eq!(paths.pid_file, Path::new("/run/virtnetworkd.pid"));
    }

    #[test]
    fn a_program_stands_for_the_daemon_whose_name_it_has() {
        let name = |program: &str| Profile::of_program(OsStr::new(program)).name;
        assert_eq!(name("/usr/sbin/virtstoraged"), "virtstoraged");
        assert_eq!(name("virtqemud"), "virtqemud");
        assert_eq!(name("/usr/sbin/virtnetworkd"), "virtnetworkd");
        assert_eq!(name("oxivirtd"), "libvirtd");
        assert_eq!(name(""), "libvirtd");
    }
}
