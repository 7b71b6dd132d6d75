//! `<interface>`

use crate::element::{Content, elements};
use crate::error::Result;
use crate::keyword::{OnOff, YesNo, words};
use crate::network::MacTableManager;
use oxivirt_types::mac::MacAddr;
use oxivirt_xml::{Element, Presence, Writer};

use super::super::address::DeviceInfo;
use super::chardev::Reconnect;
use super::disk::BackendDomain;
use super::hostdev::{HostAddress, Teaming};
use crate::bandwidth::{Bandwidth, Floor};
use crate::virtualport::{TypeIs, VirtualPort};
use crate::vlan::Vlan;

words! {
    /// What an interface is connected to.
    pub enum InterfaceType {
        User = "user",
        Ethernet = "ethernet",
        VhostUser = "vhostuser",
        Server = "server",
        Client = "client",
        Mcast = "mcast",
        Network = "network",
        Bridge = "bridge",
        Internal = "internal",
        Direct = "direct",
        Hostdev = "hostdev",
        Udp = "udp",
        Vdpa = "vdpa",
        Null = "null",
        Vds = "vds",
    }

    /// Whether a MAC address was made up.
    pub enum MacType {
        Generated = "generated",
        Static = "static",
    }

    /// Whether a cable is plugged in.
    pub enum LinkState {
        Up = "up",
        Down = "down",
    }
}

elements! {
    /// `<interface>`
    pub struct Interface {
        attr kind: Option<InterfaceType> = "type",
        attr managed: Option<YesNo> = "managed",
        attr trust_guest_rx_filters: Option<YesNo> = "trustGuestRxFilters",
        child mac: Option<InterfaceMac> = "mac",
        child source: Option<InterfaceSource> = "source",
        child vlan: Option<Vlan> = "vlan",
        child virtual_port: Option<VirtualPort> = "virtualport",
        child bandwidth: Option<Bandwidth> = "bandwidth",
        child port: Option<PortOptions> = "port",
        child actual: Option<ActualInterface> = "actual",
        child script: Option<Script> = "script",
        child downscript: Option<Script> = "downscript",
        child backend_domain: Option<BackendDomain> = "backenddomain",
        child target: Option<InterfaceTarget> = "target",
        child guest: Option<InterfaceGuest> = "guest",
        list ips: Vec<InterfaceIp> = "ip",
        list routes: Vec<InterfaceRoute> = "route",
        list port_forwards: Vec<PortForward> = "portForward",
        child model: Option<InterfaceModel> = "model",
        child driver: Option<InterfaceDriver> = "driver",
        child backend: Option<InterfaceBackend> = "backend",
        child filter: Option<FilterRef> = "filterref",
        child tune: Option<InterfaceTune> = "tune",
        child teaming: Option<Teaming> = "teaming",
        child link: Option<InterfaceLink> = "link",
        child mtu: Option<InterfaceMtu> = "mtu",
        child coalesce: Option<Coalesce> = "coalesce",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// What an interface of a network is connected to while the guest runs.
    pub struct ActualInterface {
        attr kind: Option<InterfaceType> = "type",
        attr managed: Option<YesNo> = "managed",
        attr trust_guest_rx_filters: Option<YesNo> = "trustGuestRxFilters",
        child source: Option<InterfaceSource> = "source",
        child vlan: Option<Vlan> = "vlan",
        child virtual_port: Option<VirtualPort> = "virtualport",
        child bandwidth: Option<Bandwidth> = "bandwidth",
        child port: Option<PortOptions> = "port",
    }

    /// `<mac>`
    pub struct InterfaceMac {
        attr address: Option<MacAddr> = "address",
        attr kind: Option<MacType> = "type",
        attr check: Option<YesNo> = "check",
    }

    /// `<source>` of an interface, all kinds together
    pub struct InterfaceSource {
        attr network: Option<String> = "network",
        attr kind: Option<String> = "type",
        attr path: Option<String> = "path",
        attr portgroup: Option<String> = "portgroup",
        attr portid: Option<String> = "portid",
        attr bridge: Option<String> = "bridge",
        attr mac_table_manager: Option<MacTableManager> = "macTableManager",
        attr name: Option<String> = "name",
        attr dev: Option<String> = "dev",
        attr mode: Option<String> = "mode",
        attr switch_id: Option<String> = "switchid",
        attr portgroup_id: Option<String> = "portgroupid",
        attr connection_id: Option<String> = "connectionid",
        attr address: Option<String> = "address",
        attr port: Option<u32> = "port",
        child local: Option<InterfaceLocal> = "local",
        child reconnect: Option<Reconnect> = "reconnect",
        child host_address: Option<HostAddress> = "address",
        list ips: Vec<InterfaceIp> = "ip",
        list routes: Vec<InterfaceRoute> = "route",
    }

    /// The host's end of a UDP tunnel.
    pub struct InterfaceLocal {
        attr address: Option<String> = "address",
        attr port: Option<u32> = "port",
    }

    /// `<port>` of an interface
    pub struct PortOptions {
        attr isolated: Option<YesNo> = "isolated",
    }

    /// A script of the host.
    pub struct Script {
        attr path: Option<String> = "path",
    }

    /// `<target>` of an interface
    pub struct InterfaceTarget {
        attr dev: Option<String> = "dev",
        attr managed: Option<YesNo> = "managed",
    }

    /// Name of an interface in a container.
    pub struct InterfaceGuest {
        attr dev: Option<String> = "dev",
        attr actual: Option<String> = "actual",
    }

    /// An address.
    pub struct InterfaceIp {
        attr address: Option<String> = "address",
        attr family: Option<String> = "family",
        attr prefix: Option<u32> = "prefix",
        attr peer: Option<String> = "peer",
    }

    /// A route.
    pub struct InterfaceRoute {
        attr family: Option<String> = "family",
        attr address: Option<String> = "address",
        attr netmask: Option<String> = "netmask",
        attr prefix: Option<u32> = "prefix",
        attr gateway: Option<String> = "gateway",
        attr metric: Option<u32> = "metric",
    }

    /// `<portForward>`
    pub struct PortForward {
        attr proto: Option<String> = "proto",
        attr address: Option<String> = "address",
        attr dev: Option<String> = "dev",
        list ranges: Vec<PortForwardRange> = "range",
    }

    /// A range of ports.
    pub struct PortForwardRange {
        attr start: Option<u32> = "start",
        attr end: Option<u32> = "end",
        attr to: Option<u32> = "to",
        attr exclude: Option<YesNo> = "exclude",
    }

    /// `<model>` of an interface
    pub struct InterfaceModel {
        attr kind: Option<String> = "type",
    }

    /// `<driver>` of an interface
    pub struct InterfaceDriver {
        attr name: Option<String> = "name",
        attr model: Option<String> = "model",
        attr txmode: Option<String> = "txmode",
        attr ioeventfd: Option<OnOff> = "ioeventfd",
        attr event_idx: Option<OnOff> = "event_idx",
        attr queues: Option<u32> = "queues",
        attr rx_queue_size: Option<u32> = "rx_queue_size",
        attr tx_queue_size: Option<u32> = "tx_queue_size",
        attr rss: Option<OnOff> = "rss",
        attr rss_hash_report: Option<OnOff> = "rss_hash_report",
        attr iommu: Option<OnOff> = "iommu",
        attr ats: Option<OnOff> = "ats",
        attr packed: Option<OnOff> = "packed",
        attr page_per_vq: Option<OnOff> = "page_per_vq",
        child host: Option<HostOffloads> = "host",
        child guest: Option<GuestOffloads> = "guest",
    }

    /// Offloads of the host's side.
    pub struct HostOffloads {
        attr csum: Option<OnOff> = "csum",
        attr gso: Option<OnOff> = "gso",
        attr tso4: Option<OnOff> = "tso4",
        attr tso6: Option<OnOff> = "tso6",
        attr ecn: Option<OnOff> = "ecn",
        attr ufo: Option<OnOff> = "ufo",
        attr mrg_rxbuf: Option<OnOff> = "mrg_rxbuf",
    }

    /// Offloads of the guest's side.
    pub struct GuestOffloads {
        attr csum: Option<OnOff> = "csum",
        attr tso4: Option<OnOff> = "tso4",
        attr tso6: Option<OnOff> = "tso6",
        attr ecn: Option<OnOff> = "ecn",
        attr ufo: Option<OnOff> = "ufo",
    }

    /// `<backend>` of an interface
    pub struct InterfaceBackend {
        attr kind: Option<String> = "type",
        attr tap: Option<String> = "tap",
        attr vhost: Option<String> = "vhost",
        attr log_file: Option<String> = "logFile",
        attr hostname: Option<String> = "hostname",
        attr fqdn: Option<String> = "fqdn",
    }

    /// `<filterref>`
    pub struct FilterRef {
        attr filter: Option<String> = "filter",
        list parameters: Vec<FilterParameter> = "parameter",
    }

    /// A variable of a filter.
    pub struct FilterParameter {
        attr name: Option<String> = "name",
        attr value: Option<String> = "value",
    }

    /// `<tune>`
    pub struct InterfaceTune {
        text sndbuf: Option<u64> = "sndbuf",
    }

    /// `<link>`
    pub struct InterfaceLink {
        attr state: Option<LinkState> = "state",
    }

    /// `<mtu>`
    pub struct InterfaceMtu {
        attr size: Option<u32> = "size",
    }

    /// `<coalesce>`
    pub struct Coalesce {
        child rx: Option<CoalesceRx> = "rx",
    }

    /// Receiving.
    pub struct CoalesceRx {
        child frames: Option<CoalesceFrames> = "frames",
    }

    /// How many frames.
    pub struct CoalesceFrames {
        attr max: Option<u32> = "max",
    }
}

impl Content for Vlan {
    fn read(node: &Element<'_>) -> Result<Self> {
        Self::parse(node)
    }

    fn write(&self, _: &str, _: Presence, out: &mut Writer) {
        self.format(out);
    }
}

impl Content for VirtualPort {
    fn read(node: &Element<'_>) -> Result<Self> {
        Self::parse(node, TypeIs::Optional)
    }

    fn write(&self, _: &str, _: Presence, out: &mut Writer) {
        self.format(out);
    }
}

impl Content for Bandwidth {
    fn read(node: &Element<'_>) -> Result<Self> {
        let rates = Self::parse_rates(node, Floor::Allowed)?;
        Ok(rates.unwrap_or(Self { inbound: None, outbound: None }))
    }

    fn write(&self, _: &str, _: Presence, out: &mut Writer) {
        if self.inbound.is_some() || self.outbound.is_some() {
            self.format(0, out);
        }
    }
}
