//! A network as the service sees it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Dhcp4Spec, Dhcp6Spec, DnsSpec, RaSpec};

/// An Ethernet address.
pub type Mac = [u8; 6];

/// All that the service knows of one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// Which network; names of files of its state, and its key in all messages.
    pub uuid: Uuid,
    /// Grows with each change, so that the driver sees after a reconnection which networks differ.
    pub generation: u64,
    /// libvirt's name of the network, for log lines.
    pub name: String,
    /// The bridge's name.
    pub bridge: String,
    /// The bridge's index in its network namespace.
    pub ifindex: u32,
    /// The bridge's Ethernet address.
    pub mac: Mac,
    /// The bridge's MTU in bytes.
    pub mtu: u32,
    /// The MTU of the definition's `<mtu>`, in bytes; what DHCPv4 option 26 announces.
    pub mtu_option: Option<u16>,
    /// Whether guests reach other networks: false for `<forward mode='none'>`, which then announces no router
    /// and asks no other name server.
    pub is_forwarded: bool,
    /// The name of `<domain>`.
    pub domain: Option<String>,
    /// The network's own addresses, in the order of the definition.
    pub addresses: Vec<OwnAddress>,
    /// DHCPv4, if the network has a range or a host for it.
    pub dhcp4: Option<Dhcp4Spec>,
    /// Router advertisements, if the network has an IPv6 address.
    pub ra: Option<RaSpec>,
    /// DHCPv6, if the network has a range or a host for it.
    pub dhcp6: Option<Dhcp6Spec>,
    /// Names, unless `<dns enable='no'>`.
    pub dns: Option<DnsSpec>,
    /// Directories served over TFTP.
    pub tftp: Vec<TftpRoot>,
    /// What the network may use up.
    pub limits: Limits,
}

/// An address that the host has on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAddress {
    /// The address.
    pub address: IpAddr,
    /// Length of its subnet's prefix, in bits.
    pub prefix: u8,
    /// Whether unknown addresses of the subnet have no name at all: `localPtr='yes'`.
    pub local_ptr: bool,
}

/// A directory served over TFTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TftpRoot {
    /// The address it is served at.
    pub address: IpAddr,
    /// Its path, as the definition has it; requests may begin with it.
    pub path: String,
}

/// What one network may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// DHCP packets per second that are handled in the long run.
    pub dhcp_rate: u32,
    /// DHCP packets that are handled at once after a pause.
    pub dhcp_burst: u32,
    /// Queries that wait for another name server.
    pub dns_in_flight: u32,
    /// Of those, queries of one source address.
    pub dns_in_flight_per_source: u32,
    /// Connections for DNS over TCP.
    pub tcp_clients: u32,
    /// Of those, connections of one source address.
    pub tcp_clients_per_source: u32,
    /// TFTP transfers.
    pub tftp_transfers: u32,
    /// Of those, transfers of one client.
    pub tftp_transfers_per_client: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            dhcp_rate: 2_000,
            dhcp_burst: 500,
            dns_in_flight: 150,
            dns_in_flight_per_source: 50,
            tcp_clients: 20,
            tcp_clients_per_source: 5,
            tftp_transfers: 50,
            tftp_transfers_per_client: 4,
        }
    }
}

/// Why a specification cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{field}: {reason}")]
pub struct SpecError {
    /// The field that is wrong.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl SpecError {
    /// An error of `field`.
    #[must_use]
    pub fn new(field: &str, reason: impl Into<String>) -> Self {
        Self { field: field.to_owned(), reason: reason.into() }
    }
}

impl NetworkSpec {
    /// A network on a bridge that serves nothing yet.
    #[must_use]
    pub fn new(uuid: Uuid, bridge: &str, ifindex: u32, mac: Mac) -> Self {
        Self {
            uuid,
            generation: 1,
            name: bridge.to_owned(),
            bridge: bridge.to_owned(),
            ifindex,
            mac,
            mtu: 1500,
            mtu_option: None,
            is_forwarded: true,
            domain: None,
            addresses: Vec::new(),
            dhcp4: None,
            ra: None,
            dhcp6: None,
            dns: None,
            tftp: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// A number that differs for specifications that differ, whatever their generation and the bridge's index.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let same = Self { generation: 0, ifindex: 0, ..self.clone() };
        let mut hasher = DefaultHasher::new();
        // Only types that postcard cannot express fail, and none of ours is one.
        postcard::to_allocvec(&same).unwrap_or_default().hash(&mut hasher);
        hasher.finish()
    }

    /// Checks what the parts presuppose of each other and of themselves.
    ///
    /// # Errors
    /// The first field that cannot be served.
    pub fn check(&self) -> Result<(), SpecError> {
        for own in &self.addresses {
            let longest = if own.address.is_ipv4() { 32 } else { 128 };
            if own.prefix > longest {
                return Err(SpecError::new(
                    "addresses",
                    format!("prefix {} is too long", own.prefix),
                ));
            }
        }
        self.dhcp4.as_ref().map_or(Ok(()), Dhcp4Spec::check)?;
        self.dhcp6.as_ref().map_or(Ok(()), Dhcp6Spec::check)
    }
}
