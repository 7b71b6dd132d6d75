//! Leases of a network.

pub mod freemap;
pub mod journal;
pub mod table;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use oxivirt_netserv_api::Mac;
use oxivirt_netserv_api::message::LeaseInfo;

use crate::Now;

/// An address that a client has, of either IP version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: IpAddr,
    /// The client's Ethernet address; unknown for some clients of DHCPv6.
    pub mac: Option<Mac>,
    /// Option 61 with its type octet, or the DUID.
    pub client_id: Option<Vec<u8>>,
    /// Identity association, of DHCPv6.
    pub iaid: Option<u32>,
    /// The client's name without domain.
    pub hostname: Option<String>,
    /// Whether the name resolves: that of a client which says that it is of another domain does not.
    pub resolves: bool,
    /// When it ends, on the boot clock; never if absent.
    pub deadline: Option<Duration>,
}

/// A change of a network's leases, as its journal records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A lease was given or changed in more than its end.
    Grant(LeaseInfo),
    /// A lease ends at another time, in seconds of Unix time; never if absent.
    Renew(IpAddr, Option<u64>),
    /// A lease was given back, or its time had come.
    Release(IpAddr),
    /// An address is not given before this Unix time in seconds.
    Decline(IpAddr, u64),
    /// The DUID of the server.
    Duid(Vec<u8>),
}

/// Does to leases what a record says.
pub fn apply(leases: &mut BTreeMap<IpAddr, LeaseInfo>, record: Record) {
    match record {
        Record::Grant(info) => {
            leases.insert(info.address, info);
        }
        Record::Renew(address, expiry) => {
            if let Some(info) = leases.get_mut(&address) {
                info.expiry = expiry;
            }
        }
        Record::Release(address) => {
            leases.remove(&address);
        }
        Record::Decline(..) | Record::Duid(_) => {}
    }
}

impl Lease {
    /// The lease as files and messages have it.
    #[must_use]
    pub fn info(&self, now: Now) -> LeaseInfo {
        LeaseInfo {
            address: self.address,
            mac: self.mac,
            client_id: self.client_id.clone(),
            iaid: self.iaid,
            hostname: self.hostname.clone(),
            resolves: self.resolves,
            expiry: self.deadline.map(|deadline| now.unix_of(deadline)),
        }
    }

    /// The lease of a file or message.
    #[must_use]
    pub fn of(info: LeaseInfo, now: Now) -> Self {
        Self {
            address: info.address,
            mac: info.mac,
            client_id: info.client_id,
            iaid: info.iaid,
            hostname: info.hostname,
            resolves: info.resolves,
            deadline: info.expiry.map(|expiry| now.deadline_of(expiry)),
        }
    }
}
