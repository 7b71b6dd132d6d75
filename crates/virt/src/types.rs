//! Arguments and results of calls: references, leases, parameters, facts about the host.

use crate::IpAddrType;
use std::fmt;
use uuid::Uuid;

/// Names one network.
///
/// The UUID decides; the name is the one known when the reference was made and shows in messages.
///
/// libvirt: `virNetworkPtr`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkRef {
    /// Name, unique on a connection at any one time.
    pub name: String,
    /// UUID, unique on a connection and stable.
    pub uuid: Uuid,
}

impl fmt::Display for NetworkRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Names one port of a network.
///
/// libvirt: `virNetworkPortPtr`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRef {
    /// The network it is on.
    pub network: NetworkRef,
    /// UUID, unique on that network.
    pub uuid: Uuid,
}

/// A UUID as libvirt reads it: hyphens between any two pairs of digits or none, either letter
/// case, blanks around it.
///
/// libvirt: `virUUIDParse`, src/util/viruuid.c
#[must_use]
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    let mut bytes = [0; 16];
    let mut rest = text.trim_ascii();
    for byte in &mut bytes {
        rest = rest.trim_start_matches('-');
        let (digits, after) = rest.split_at_checked(2)?;
        // from_str_radix takes a sign, a UUID does not have one
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
        rest = after;
    }
    rest.is_empty().then(|| Uuid::from_bytes(bytes))
}

/// One address handed out by DHCP.
///
/// libvirt: `virNetworkDHCPLease`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhcpLease {
    /// Link it was handed out on: the bridge.
    pub iface: String,
    /// When it ends, in seconds since 1970-01-01 00:00 UTC; 0 is never.
    pub expiry_time: i64,
    /// Family of `ipaddr`.
    pub addr_type: IpAddrType,
    /// MAC address of the client, six pairs of hexadecimal digits.
    pub mac: Option<String>,
    /// Identity association of a DHCPv6 client.
    pub iaid: Option<String>,
    /// The address, without prefix length.
    pub ipaddr: String,
    /// Prefix length of the network's first subnet of that family.
    pub prefix: u32,
    /// Name the client gave or was given.
    pub hostname: Option<String>,
    /// Client identifier (DHCPv4) or DUID (DHCPv6).
    pub client_id: Option<String>,
}

/// Named value of an open-ended set of parameters.
///
/// libvirt: `virTypedParameter`
#[derive(Debug, Clone, PartialEq)]
pub struct TypedParam {
    /// Name, such as `inbound.average`; at most 79 bytes on the wire.
    pub field: String,
    /// The value.
    pub value: TypedValue,
}

/// Value of a [`TypedParam`]; the variants are libvirt's types.
#[derive(Debug, Clone, PartialEq)]
pub enum TypedValue {
    /// `VIR_TYPED_PARAM_INT`
    Int(i32),
    /// `VIR_TYPED_PARAM_UINT`
    UInt(u32),
    /// `VIR_TYPED_PARAM_LLONG`
    LLong(i64),
    /// `VIR_TYPED_PARAM_ULLONG`
    ULLong(u64),
    /// `VIR_TYPED_PARAM_DOUBLE`
    Double(f64),
    /// `VIR_TYPED_PARAM_BOOLEAN`
    Boolean(bool),
    /// `VIR_TYPED_PARAM_STRING`
    String(String),
}

/// Three-part version, on the wire `major × 1,000,000 + minor × 1,000 + release`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First part.
    pub major: u64,
    /// Second part, below 1,000.
    pub minor: u64,
    /// Third part, below 1,000.
    pub release: u64,
}

impl Version {
    /// The libvirt release whose behaviour this library has.
    pub const LIBVIRT: Self = Self { major: 11, minor: 3, release: 0 };

    /// The version in one number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self { major: number / 1_000_000, minor: number / 1_000 % 1_000, release: number % 1_000 }
    }

    /// The one number of the version.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.major
            .saturating_mul(1_000_000)
            .saturating_add(self.minor.saturating_mul(1_000))
            .saturating_add(self.release)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.release)
    }
}

/// The processor and memory of a host.
///
/// libvirt: `virNodeInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Processor architecture.
    pub model: String,
    /// Memory in KiB.
    pub memory_kib: u64,
    /// Active processors.
    pub cpus: u32,
    /// Frequency in MHz, 0 if unknown.
    pub mhz: u32,
    /// NUMA cells, 1 for uniform memory.
    pub nodes: u32,
    /// Sockets per cell.
    pub sockets: u32,
    /// Cores per socket.
    pub cores: u32,
    /// Threads per core.
    pub threads: u32,
}

/// Which processors of a host are there, and which run; index is the processor number.
///
/// libvirt: `virNodeGetCPUMap`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuMap {
    /// One entry per processor present: whether it is online.
    pub online: Vec<bool>,
}

/// What processors have spent their time with since the host started, in nanoseconds.
///
/// libvirt: `virNodeGetCPUStats`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuStats {
    /// In the kernel.
    pub kernel: u64,
    /// In programs.
    pub user: u64,
    /// With nothing to do.
    pub idle: u64,
    /// With nothing to do while a disk is waited for.
    pub iowait: u64,
}

/// How guests are kept apart.
///
/// libvirt: `virSecurityModel`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityModel {
    /// Its name; `none` if there is none.
    pub model: String,
    /// Its domain of interpretation.
    pub doi: String,
}

/// How a running guest is kept apart.
///
/// libvirt: `virSecurityLabel`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityLabel {
    /// Its label in the host's security model; empty if it has none.
    pub label: String,
    /// Whether the security module prevents what the label does not allow.
    pub is_enforcing: bool,
}

/// Which guests capabilities are asked for; what is missing is chosen by the driver.
///
/// libvirt: `virConnectGetDomainCapabilities`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DomainCapabilitiesQuery<'a> {
    /// Path of the emulator.
    pub emulator: Option<&'a str>,
    /// Architecture of the guests.
    pub arch: Option<&'a str>,
    /// Their machine, by canonical name or alias.
    pub machine: Option<&'a str>,
    /// What runs them: `kvm`, `qemu`.
    pub virt_type: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_uuid(text: &str, expect: Option<u128>) {
        assert_eq!(parse_uuid(text), expect.map(Uuid::from_u128), "{text}");
    }

    #[test]
    fn uuids_are_read_as_generously_as_libvirt_does() {
        let value = Some(0xdd8f_e884_6c02_601e_7551_cca9_7df1_c5df);
        check_uuid("dd8fe884-6c02-601e-7551-cca97df1c5df", value);
        check_uuid("DD8FE884-6C02-601E-7551-CCA97DF1C5DF", value);
        check_uuid(" dd8fe8846c02601e7551cca97df1c5df\n", value);
        check_uuid("dd-8f-e8-84-6c02-601e-7551-cca97df1c5df", value);
        check_uuid("dd8fe884-6c02-601e-7551-cca97df1c5d", None);
        check_uuid("dd8fe884-6c02-601e-7551-cca97df1c5df0", None);
        check_uuid("dd8fe884-6c02-601e-7551-cca97df1c5df-", None);
        check_uuid("+d8fe884-6c02-601e-7551-cca97df1c5df", None);
        check_uuid("d-d8fe884-6c02-601e-7551-cca97df1c5df", None);
        check_uuid("dd8fe884-6c02-601e-7551-cca97df1c5dé", None);
        check_uuid("", None);
    }

    #[test]
    fn versions_travel_as_one_number() {
        for (number, text) in [(11_003_000, "11.3.0"), (2, "0.0.2"), (1_999_999, "1.999.999")] {
            let version = Version::from_number(number);
            assert_eq!(version.to_string(), text);
            assert_eq!(version.number(), number);
        }
        assert_eq!(Version::LIBVIRT.number(), 11_003_000);
    }
}
