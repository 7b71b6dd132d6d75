//! Domains, their state, their interfaces.

use oxivirt::{DomainRef, IpAddrType};
use oxivirt_rpc::xdr::{List, Text, Uuid16};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::host::{letters, of_letters};
use super::text;

/// Longest list of domains (`REMOTE_DOMAIN_LIST_MAX`).
pub const DOMAINS_MAX: usize = 16384;
/// Most interfaces of a domain (`REMOTE_DOMAIN_INTERFACE_MAX`).
pub const INTERFACES_MAX: usize = 2048;
/// Most addresses of an interface (`REMOTE_DOMAIN_IP_ADDR_MAX`).
pub const ADDRESSES_MAX: usize = 2048;
/// Longest label of a guest with its zero (`REMOTE_SECURITY_LABEL_MAX`).
const SECURITY_LABEL_MAX: usize = 4097;

/// Names a domain (`remote_nonnull_domain`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Its name; it shows in messages only.
    pub name: Text,
    /// Its UUID.
    pub uuid: Uuid16,
    /// Number of the running domain, -1 if it does not run.
    pub id: i32,
}

impl From<&DomainRef> for Domain {
    fn from(domain: &DomainRef) -> Self {
        Self {
            name: domain.name.as_str().into(),
            uuid: domain.uuid.into_bytes().into(),
            id: domain.id.and_then(|id| i32::try_from(id).ok()).unwrap_or(-1),
        }
    }
}

impl From<&Domain> for DomainRef {
    fn from(domain: &Domain) -> Self {
        Self {
            name: domain.name.to_text(),
            uuid: Uuid::from_bytes(domain.uuid.into()),
            id: u32::try_from(domain.id).ok(),
        }
    }
}

/// A list of domains and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllDomains {
    /// The domains, if they were wanted.
    pub domains: List<Domain, DOMAINS_MAX>,
    /// How many.
    pub ret: u32,
}

/// State and reason (`remote_domain_get_state_ret`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainState {
    /// Number of the state.
    pub state: i32,
    /// Number of the reason.
    pub reason: i32,
}

impl From<oxivirt::DomainStatus> for DomainState {
    fn from(status: oxivirt::DomainStatus) -> Self {
        Self { state: status.state.number(), reason: status.reason }
    }
}

impl From<DomainState> for oxivirt::DomainStatus {
    fn from(state: DomainState) -> Self {
        Self { state: oxivirt::DomainState::from_number(state.state), reason: state.reason }
    }
}

/// Key figures (`remote_domain_get_info_ret`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainInfo {
    /// Number of the state.
    pub state: u8,
    /// Memory that it may have, in KiB.
    pub max_memory: u64,
    /// Memory that it has, in KiB.
    pub memory: u64,
    /// Virtual CPUs.
    pub n_vcpus: u16,
    /// CPU time it has used, in nanoseconds.
    pub cpu_time: u64,
}

impl From<oxivirt::DomainInfo> for DomainInfo {
    fn from(info: oxivirt::DomainInfo) -> Self {
        Self {
            state: u8::try_from(info.state.number()).unwrap_or_default(),
            max_memory: info.max_memory_kib,
            memory: info.memory_kib,
            n_vcpus: info.n_vcpus,
            cpu_time: info.cpu_time_ns,
        }
    }
}

impl From<DomainInfo> for oxivirt::DomainInfo {
    fn from(info: DomainInfo) -> Self {
        Self {
            state: oxivirt::DomainState::from_number(info.state.into()),
            max_memory_kib: info.max_memory,
            memory_kib: info.memory,
            n_vcpus: info.n_vcpus,
            cpu_time_ns: info.cpu_time,
        }
    }
}

/// The scheduler of a domain (`remote_domain_get_scheduler_type_ret`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerType {
    /// Its name.
    pub kind: Text,
    /// How many parameters it has.
    pub nparams: i32,
}

/// Label of a guest (`remote_domain_get_security_label_ret`): letters of four bytes, with a zero at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityLabel {
    /// The label.
    pub label: List<i8, SECURITY_LABEL_MAX>,
    /// Whether it is enforced: 0 or 1.
    pub enforcing: i32,
}

impl From<&oxivirt::SecurityLabel> for SecurityLabel {
    fn from(label: &oxivirt::SecurityLabel) -> Self {
        Self { label: letters(&label.label), enforcing: label.is_enforcing.into() }
    }
}

impl From<&SecurityLabel> for oxivirt::SecurityLabel {
    fn from(label: &SecurityLabel) -> Self {
        Self { label: of_letters(&label.label.0), is_enforcing: label.enforcing != 0 }
    }
}

/// Progress of a job (`remote_domain_get_job_info_ret`). All of it is 0 if there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobInfo {
    /// Kind of job, 0 for none.
    pub kind: i32,
    /// Milliseconds so far, and those that are left.
    pub time: [u64; 2],
    /// Bytes in all, done, and left: of the whole job, of memory, of files.
    pub bytes: [[u64; 3]; 3],
}

/// An address (`remote_domain_ip_addr`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceAddress {
    /// Family: 0 IPv4, 1 IPv6.
    pub kind: i32,
    /// The address.
    pub addr: Text,
    /// Prefix length.
    pub prefix: u32,
}

/// An interface with its addresses (`remote_domain_interface`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainInterface {
    /// Its name.
    pub name: Text,
    /// MAC address.
    pub hwaddr: Option<Text>,
    /// Its addresses.
    pub addrs: List<InterfaceAddress, ADDRESSES_MAX>,
}

/// Interfaces of a domain.
pub type DomainInterfaces = List<DomainInterface, INTERFACES_MAX>;

impl From<&oxivirt::DomainInterface> for DomainInterface {
    fn from(interface: &oxivirt::DomainInterface) -> Self {
        let addresses = interface.addresses.iter().map(|address| InterfaceAddress {
            kind: address.addr_type.number(),
            addr: address.address.as_str().into(),
            prefix: address.prefix,
        });
        Self {
            name: interface.name.as_str().into(),
            hwaddr: interface.mac.as_deref().map(Into::into),
            addrs: addresses.collect(),
        }
    }
}

impl From<&DomainInterface> for oxivirt::DomainInterface {
    fn from(interface: &DomainInterface) -> Self {
        let addresses = interface.addrs.0.iter().map(|address| oxivirt::InterfaceAddress {
            addr_type: IpAddrType::from_number(address.kind),
            address: address.addr.to_text(),
            prefix: address.prefix,
        });
        Self {
            name: interface.name.to_text(),
            mac: text(interface.hwaddr.as_ref()),
            addresses: addresses.collect(),
        }
    }
}

/// A list that has no elements, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {
    /// The elements.
    pub elements: List<(), 0>,
    /// How many.
    pub ret: u32,
}

/// Most snapshots or checkpoints of a list (`REMOTE_DOMAIN_SNAPSHOT_LIST_MAX`).
pub const SNAPSHOTS_MAX: usize = 16384;

/// A snapshot or a checkpoint (`remote_nonnull_domain_snapshot`, `remote_nonnull_domain_checkpoint`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfDomain {
    /// Its name.
    pub name: Text,
    /// The domain that it is of.
    pub dom: Domain,
}

/// Snapshots or checkpoints, and their number (`remote_domain_list_all_snapshots_ret` and the like).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfDomainList {
    /// The objects.
    pub elements: List<OfDomain, SNAPSHOTS_MAX>,
    /// How many.
    pub ret: i32,
}
