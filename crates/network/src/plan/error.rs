//! Why a network cannot be started.

use std::path::PathBuf;

use ipnet::IpNet;
use oxivirt_types::link_name::{LinkName, LinkNameError};

use super::dnsmasq::DnsmasqError;

/// Why a network cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The definition has no bridge name.
    #[error("network '{network}' has no bridge name")]
    NoBridgeName {
        /// The network.
        network: String,
    },
    /// The metadata name a server that there is not.
    #[error("unknown address service '{word}'")]
    ServerWord {
        /// What they say.
        word: String,
    },
    /// Options for dnsmasq, and a wish for another server.
    #[error("dnsmasq options need server='dnsmasq'")]
    ServerOptions,
    /// The definition has no MAC address, by which its bridge is recognised.
    #[error("network '{network}' has no MAC address")]
    NoMac {
        /// The network.
        network: String,
    },
    /// The bridge or the forward device has a name that no link can have.
    #[error(transparent)]
    LinkName(#[from] LinkNameError),
    /// A link has the bridge's name already.
    #[error("error creating bridge interface {bridge}: File exists")]
    BridgeExists {
        /// The bridge.
        bridge: LinkName,
    },
    /// A subnet is the destination of a route of the host.
    #[error("Network is already in use by interface {link}")]
    InUse {
        /// The link the route leads through.
        link: String,
    },
    /// A route is the destination of a route of the host.
    #[error("Route address '{destination}' conflicts with IP address for '{link}'")]
    RouteInUse {
        /// The route's destination.
        destination: String,
        /// The link the host's route leads through.
        link: String,
    },
    /// Forwarding would make links lose the routes that they learnt.
    #[error(
        "Check the host setup: interface {links} has kernel autoconfigured IPv6 routes and enabling \
         forwarding without accept_ra set to 2 will cause the kernel to flush them, breaking networking."
    )]
    RaRoutes {
        /// The links, separated by commas.
        links: String,
    },
    /// An address has no usable prefix.
    #[error("bridge '{bridge}' has an invalid netmask or IP address")]
    Prefix {
        /// The bridge.
        bridge: LinkName,
    },
    /// The NAT port range is empty.
    #[error("Invalid port range '{start}-{end}'.")]
    PortRange {
        /// First port.
        start: u16,
        /// Last port.
        end: u16,
    },
    /// Too many networks overlap one another.
    #[error("subnet {subnet} overlaps with too many other networks")]
    TooManyLayers {
        /// The subnet.
        subnet: IpNet,
    },
    /// dnsmasq is needed and not installed.
    #[error("Cannot find 'dnsmasq' in path")]
    NoDnsmasq,
    /// The definition cannot be expressed in dnsmasq's configuration.
    #[error(transparent)]
    Dnsmasq(#[from] DnsmasqError),
    /// A path is not text, which dnsmasq's configuration needs.
    #[error("path '{path}' is not UTF-8")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A firewalld zone is named, and firewalld is not there.
    #[error("zone {zone} requested for network {network} but firewalld is not active")]
    Zone {
        /// The zone.
        zone: String,
        /// The network.
        network: String,
    },
    /// firewalld lacks the zone for bridges that comes with libvirt.
    #[error("firewalld can't find the 'libvirt' zone that should have been installed with libvirt")]
    NoLibvirtZone,
    /// firewalld runs and does not answer.
    #[error("{reason}")]
    UnresponsiveFirewalld {
        /// Why.
        reason: String,
    },
    /// There is no way to set rules on this host.
    #[error("No firewall backend is available")]
    NoFirewall,
    /// An unprivileged user has no way to set rules, and no right to make a bridge either, which
    /// libvirt tries first.
    #[error("error creating bridge interface {bridge}: Operation not permitted")]
    NotPermitted {
        /// The bridge.
        bridge: LinkName,
    },
    /// Rate limits need privileges.
    #[error("Network bandwidth tuning is not available in session mode")]
    UnprivilegedBandwidth,
    /// A pool of virtual functions, of a device that has none.
    #[error("No usable Vf's present on SRIOV PF {pf}")]
    NoVirtualFunctions {
        /// The device.
        pf: String,
    },
}
