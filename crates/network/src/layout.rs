//! Where things are on disk.
//!
//! All of libvirt's places, below a root directory (`/` for the system's own driver), and our
//! own below `run/oxivirt`, which libvirt never looks at.

use std::path::{Path, PathBuf};

use oxivirt_conf::DhcpServer;
use uuid::Uuid;

use crate::plan::dnsmasq::file_stem;
use oxivirt_types::link_name::LinkName;

/// The directories of a driver.
///
/// libvirt: `networkStateInitialize`, src/network/bridge_driver.c
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
    settings: PathBuf,
    config: PathBuf,
    state: PathBuf,
    pids: PathBuf,
    dnsmasq: PathBuf,
    leases: PathBuf,
    own: PathBuf,
    hooks: Option<PathBuf>,
    journals: PathBuf,
    dhcp_server: DhcpServer,
}

impl Layout {
    /// The directories of a system's driver, below `root`.
    #[must_use]
    pub fn below(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let dnsmasq = root.join("var/lib/libvirt/dnsmasq");
        Self {
            settings: root.join("etc/libvirt/network.conf"),
            config: root.join("etc/libvirt/qemu/networks"),
            state: root.join("run/libvirt/network"),
            pids: root.join("run/libvirt/network"),
            leases: dnsmasq.clone(),
            dnsmasq,
            own: root.join("run/oxivirt/network"),
            hooks: Some(root.join("etc/libvirt/hooks")),
            journals: root.join("var/lib/oxivirt/netserv"),
            dhcp_server: DhcpServer::default(),
            root,
        }
    }

    /// The directories of an unprivileged user's driver: `config` is the user's configuration directory
    /// for libvirt, `runtime` the one for its state. Hook scripts are the administrator's and not run.
    #[must_use]
    pub fn session(config: impl Into<PathBuf>, runtime: impl Into<PathBuf>) -> Self {
        let (config, runtime) = (config.into(), runtime.into());
        Self {
            root: PathBuf::from("/"),
            settings: config.join("network.conf"),
            config: config.join("qemu/networks"),
            state: runtime.join("network/lib"),
            pids: runtime.join("network/run"),
            dnsmasq: runtime.join("dnsmasq/lib"),
            // The lease helper knows no other place.
            leases: PathBuf::from("/var/lib/libvirt/dnsmasq"),
            journals: runtime.join("oxivirt/netserv"),
            dhcp_server: DhcpServer::default(),
            own: runtime.join("oxivirt/network"),
            hooks: None,
        }
    }

    /// The same with another server for networks that ask for none.
    #[must_use]
    pub const fn with_dhcp_server(mut self, server: DhcpServer) -> Self {
        self.dhcp_server = server;
        self
    }

    /// The server of networks that ask for none.
    #[must_use]
    pub const fn dhcp_server(&self) -> DhcpServer {
        self.dhcp_server
    }

    /// The control socket of the address and name service.
    #[must_use]
    pub fn netserv_socket(&self) -> PathBuf {
        self.own.join("netserv.sock")
    }

    /// The directory of that service's journals.
    #[must_use]
    pub fn netserv_journals(&self) -> PathBuf {
        self.journals.clone()
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The driver's own settings.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.settings.clone()
    }

    /// Whether these are the directories of an unprivileged user.
    #[must_use]
    pub const fn is_session(&self) -> bool {
        self.hooks.is_none()
    }

    /// Definitions: `NAME.xml`.
    #[must_use]
    pub fn config_dir(&self) -> PathBuf {
        self.config.clone()
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

    /// State of running networks.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.state.clone()
    }

    /// Where dnsmasq's pid files are.
    #[must_use]
    pub fn pid_dir(&self) -> PathBuf {
        self.pids.clone()
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
        self.own.join("servers")
    }

    /// Scripts that are run when networks come and go; `None` if none are.
    #[must_use]
    pub fn hooks_dir(&self) -> Option<&Path> {
        self.hooks.as_deref()
    }

    /// Where leases are.
    #[must_use]
    pub fn leases_dir(&self) -> PathBuf {
        self.leases.clone()
    }

    /// Kernel settings as they were before the first network changed them.
    #[must_use]
    pub fn old_settings(&self) -> PathBuf {
        self.own.join("settings.json")
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
        self.pids.join(format!("{}.pid", file_stem(name)))
    }

    /// dnsmasq's configuration, leases and hosts.
    #[must_use]
    pub fn dnsmasq_dir(&self) -> PathBuf {
        self.dnsmasq.clone()
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
    pub fn leases(&self, bridge: &LinkName) -> PathBuf {
        self.leases.join(format!("{bridge}.status"))
    }

    /// Which guest has which MAC addresses.
    #[must_use]
    pub fn macs(&self, bridge: &LinkName) -> PathBuf {
        self.dnsmasq_dir().join(format!("{bridge}.macs"))
    }

    /// Second names of the status files of running networks.
    #[must_use]
    pub fn records_dir(&self) -> PathBuf {
        self.own.join("running")
    }

    /// Second name of the status file of a running network.
    #[must_use]
    pub fn record(&self, name: &str) -> PathBuf {
        self.records_dir().join(format!("{name}.xml"))
    }

    /// What was repaired last of a running network.
    #[must_use]
    pub fn last_heal(&self, name: &str) -> PathBuf {
        self.records_dir().join(format!("{name}.heal"))
    }

    /// Undo lists of operations that have not ended.
    #[must_use]
    pub fn journal_dir(&self) -> PathBuf {
        self.own.join("journal")
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
        let session = Layout::session("/c", "/r");
        check(session.config_file("n"), "/c/qemu/networks/n.xml");
        check(session.status_file("n"), "/r/network/lib/n.xml");
        check(session.dnsmasq_pid("n"), "/r/network/run/n.pid");
        check(session.macs(&LinkName::new("b").unwrap()), "/r/dnsmasq/lib/b.macs");
        check(session.leases(&LinkName::new("b").unwrap()), "/var/lib/libvirt/dnsmasq/b.status");
        assert_eq!(session.hooks_dir(), None);
        check(Layout::below("/").status_file("default"), "/run/libvirt/network/default.xml");
    }
}
