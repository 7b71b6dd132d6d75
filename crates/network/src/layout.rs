//! Where things are on disk.
//!
//! All of libvirt's places, below a root directory (`/` for the system's own driver), and our
//! own below `run/oxivirt`, which libvirt never looks at.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::plan::dnsmasq::file_stem;

/// The directories of a driver.
///
/// libvirt: `networkStateInitialize`, src/network/bridge_driver.c
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The directories below `root`.
    #[must_use]
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Definitions: `NAME.xml`.
    #[must_use]
    pub fn config_dir(&self) -> PathBuf {
        self.root.join("etc/libvirt/qemu/networks")
    }

    /// Definition of a network.
    #[must_use]
    pub fn config_file(&self, name: &str) -> PathBuf {
        self.config_dir().join(format!("{name}.xml"))
    }

    /// Links to the definitions that start with the host.
    #[must_use]
    pub fn autostart_dir(&self) -> PathBuf {
        self.config_dir().join("autostart")
    }

    /// Link that makes a network start with the host.
    #[must_use]
    pub fn autostart_link(&self, name: &str) -> PathBuf {
        self.autostart_dir().join(format!("{name}.xml"))
    }

    /// State of running networks; also where dnsmasq's pid files are.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.root.join("run/libvirt/network")
    }

    /// Status of a running network.
    #[must_use]
    pub fn status_file(&self, name: &str) -> PathBuf {
        self.state_dir().join(format!("{name}.xml"))
    }

    /// Ports of a running network: `UUID.xml`, in a directory of the network's name.
    #[must_use]
    pub fn ports_dir(&self, name: &str) -> PathBuf {
        self.state_dir().join(name).join("ports")
    }

    /// Status of a port.
    #[must_use]
    pub fn port_file(&self, name: &str, port: Uuid) -> PathBuf {
        self.ports_dir(name).join(format!("{port}.xml"))
    }

    /// Name servers of the host, for a dnsmasq that does not look for them itself.
    #[must_use]
    pub fn servers_file(&self, network: Uuid) -> PathBuf {
        self.servers_dir().join(network.to_string())
    }

    /// Where those are.
    #[must_use]
    pub fn servers_dir(&self) -> PathBuf {
        self.root.join("run/oxivirt/network/servers")
    }

    /// Scripts that are run when networks come and go.
    #[must_use]
    pub fn hooks_dir(&self) -> PathBuf {
        self.root.join("etc/libvirt/hooks")
    }

    /// Kernel settings as they were before the first network changed them.
    #[must_use]
    pub fn old_settings(&self) -> PathBuf {
        self.root.join("run/oxivirt/network/settings.json")
    }

    /// Held by the driver for as long as it lives.
    #[must_use]
    pub fn driver_pid(&self) -> PathBuf {
        self.state_dir().join("driver.pid")
    }

    /// Exists once networks were started with the host.
    #[must_use]
    pub fn autostarted(&self) -> PathBuf {
        self.state_dir().join("autostarted")
    }

    /// dnsmasq's pid file. The name is escaped as in XML, as libvirt does it.
    #[must_use]
    pub fn dnsmasq_pid(&self, name: &str) -> PathBuf {
        self.state_dir().join(format!("{}.pid", file_stem(name)))
    }

    /// dnsmasq's configuration, leases and hosts.
    #[must_use]
    pub fn dnsmasq_dir(&self) -> PathBuf {
        self.root.join("var/lib/libvirt/dnsmasq")
    }

    /// dnsmasq's configuration of a network; the name is not escaped.
    #[must_use]
    pub fn dnsmasq_conf(&self, name: &str) -> PathBuf {
        self.dnsmasq_dir().join(format!("{name}.conf"))
    }

    /// Static DHCP hosts; the name is escaped as in XML.
    #[must_use]
    pub fn dnsmasq_hostsfile(&self, name: &str) -> PathBuf {
        self.dnsmasq_dir().join(format!("{}.hostsfile", file_stem(name)))
    }

    /// Extra DNS hosts; the name is escaped as in XML.
    #[must_use]
    pub fn dnsmasq_addnhosts(&self, name: &str) -> PathBuf {
        self.dnsmasq_dir().join(format!("{}.addnhosts", file_stem(name)))
    }

    /// Lease file of older versions; only ever removed.
    #[must_use]
    pub fn old_leases(&self, name: &str) -> PathBuf {
        self.dnsmasq_dir().join(format!("{name}.leases"))
    }

    /// Leases, as the lease helper keeps them.
    #[must_use]
    pub fn leases(&self, bridge: &str) -> PathBuf {
        self.dnsmasq_dir().join(format!("{bridge}.status"))
    }

    /// Which guest has which MAC addresses.
    #[must_use]
    pub fn macs(&self, bridge: &str) -> PathBuf {
        self.dnsmasq_dir().join(format!("{bridge}.macs"))
    }

    /// Undo lists of operations that have not ended.
    #[must_use]
    pub fn journal_dir(&self) -> PathBuf {
        self.root.join("run/oxivirt/network/journal")
    }

    /// Undo list of the operation on a network that has not ended.
    #[must_use]
    pub fn journal_file(&self, network: Uuid) -> PathBuf {
        self.journal_dir().join(format!("{network}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        let layout = Layout::below("/r");
        let check = |path: PathBuf, expect: &str| assert_eq!(path, Path::new(expect));
        check(layout.config_file("a&b"), "/r/etc/libvirt/qemu/networks/a&b.xml");
        check(layout.dnsmasq_conf("a&b"), "/r/var/lib/libvirt/dnsmasq/a&b.conf");
        check(layout.dnsmasq_hostsfile("a&b"), "/r/var/lib/libvirt/dnsmasq/a&amp;b.hostsfile");
        check(layout.dnsmasq_pid("a<b"), "/r/run/libvirt/network/a&lt;b.pid");
        check(Layout::below("/").status_file("default"), "/run/libvirt/network/default.xml");
    }
}
