//! `<network>`: the definition of a virtual network.
//!
//! Owns types, reader and writer of every element, the rules at define time ([`validate`]) and the
//! partial change ([`update`]). Knows neither the host nor other networks: what a rule needs from
//! them is a parameter. Start reading at [`NetworkDef`].

mod bridge;
mod def;
mod dhcp;
mod dns;
mod forward;
mod ip;
mod nat;
mod portgroup;
mod records;
mod route;
pub mod update;
pub mod validate;

pub use bridge::{Bridge, BridgeError, MacTableManager};
pub use def::{Counters, Form, GeneralError, NetworkDef};
pub(crate) use def::{DNSMASQ_NAMESPACE, check_root};
pub use dhcp::{Bootp, Dhcp, DhcpHost, DhcpHostPattern, DhcpRange, HostMac, Lease, LeaseUnit};
pub use dns::{Dns, DnsError, Domain, Forwarder};
pub use forward::{
    Forward, ForwardDevice, ForwardError, ForwardMode, HostdevDriver, HostdevDriverName,
};
pub use ip::{AddressingError, IpDef};
pub use nat::{Nat, NatAddresses, NatPorts};
pub use portgroup::PortGroup;
pub use records::{DnsHost, DnsHostPattern, SrvPattern, SrvRecord, TxtPattern, TxtRecord};
pub use route::{RouteDef, RouteError};

#[cfg(test)]
mod tests;
