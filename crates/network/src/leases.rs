//! Reading the lease file that the lease helper keeps.
//!
//! libvirt: `networkGetDHCPLeases`, src/network/bridge_driver.c

use oxivirt::{DhcpLease, IpAddrType};
use oxivirt_conf::network::{IpDef, NetworkDef};
use oxivirt_types::ip::Family;
use oxivirt_types::mac::MacAddr;
use serde_json::Value;

/// No lease file is larger.
pub const LIMIT: u64 = 32 << 20;

/// Why a lease file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeasesError {
    /// Not JSON.
    #[error("invalid json in lease file of '{bridge}'")]
    Json {
        /// The bridge.
        bridge: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// JSON, but no array.
    #[error("Malformed lease file of '{bridge}': not an array")]
    NotArray {
        /// The bridge.
        bridge: String,
    },
    /// An entry lacks what every lease has.
    #[error("found lease without {key} in lease file of '{bridge}'")]
    Missing {
        /// The bridge.
        bridge: String,
        /// The key.
        key: &'static str,
    },
}

/// Prefix lengths that leases are reported with: those of the network's first subnets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// Of IPv4 addresses.
    pub ipv4: u32,
    /// Of IPv6 addresses.
    pub ipv6: u32,
}

/// The leases in a lease file that have not expired, in its order.
///
/// `now` is in seconds since 1970; `mac` restricts to one guest.
///
/// # Errors
/// [`LeasesError`]; one bad entry spoils the whole file, as in libvirt.
pub fn parse(
    content: &[u8],
    bridge: &str,
    prefixes: Prefixes,
    mac: Option<MacAddr>,
    now: i64,
) -> Result<Vec<DhcpLease>, LeasesError> {
    if content.is_empty() {
        return Ok(Vec::new());
    }
    let value: Value = serde_json::from_slice(content)
        .map_err(|source| LeasesError::Json { bridge: bridge.to_owned(), source })?;
    let Value::Array(entries) = value else {
        return Err(LeasesError::NotArray { bridge: bridge.to_owned() });
    };
    let mut leases = Vec::new();
    for entry in &entries {
        leases.extend(lease(entry, bridge, prefixes, mac, now)?);
    }
    Ok(leases)
}

fn lease(
    entry: &Value,
    bridge: &str,
    prefixes: Prefixes,
    wanted: Option<MacAddr>,
    now: i64,
) -> Result<Option<DhcpLease>, LeasesError> {
    let missing = |key| LeasesError::Missing { bridge: bridge.to_owned(), key };
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let mac = text("mac-address").ok_or_else(|| missing("mac-address"))?;
    // Letter case and leading zeros do not matter.
    if wanted.is_some_and(|wanted| mac.parse() != Ok(wanted)) {
        return Ok(None);
    }
    let expiry = entry.get("expiry-time").ok_or_else(|| missing("expiry-time"))?;
    let expiry_time = expiry
        .as_i64()
        .or_else(|| expiry.as_str().and_then(|text| text.trim().parse().ok()))
        .ok_or_else(|| missing("expiry-time"))?;
    let is_expired = expiry_time > 0 && expiry_time < now;
    if is_expired {
        return Ok(None);
    }
    let ipaddr = text("ip-address").ok_or_else(|| missing("ip-address"))?;
    let (addr_type, prefix) = if ipaddr.contains(':') {
        (IpAddrType::Ipv6, prefixes.ipv6)
    } else {
        (IpAddrType::Ipv4, prefixes.ipv4)
    };
    Ok(Some(DhcpLease {
        iface: bridge.to_owned(),
        expiry_time,
        addr_type,
        mac: Some(mac),
        iaid: text("iaid"),
        ipaddr,
        prefix,
        hostname: text("hostname"),
        client_id: text("client-id"),
    }))
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    now.ok().and_then(|now| i64::try_from(now.as_secs()).ok()).unwrap_or_default()
}

/// Prefix lengths leases are shown with: IPv4 in effect, IPv6 as written.
pub(crate) fn prefixes(def: &NetworkDef) -> Prefixes {
    let first = |family| def.ips.iter().find(|ip| ip.family() == family);
    let ipv4 = first(Family::Ipv4).and_then(IpDef::effective_prefix);
    let ipv6 = first(Family::Ipv6).and_then(|ip| ip.prefix);
    Prefixes { ipv4: ipv4.map_or(0, u32::from), ipv6: ipv6.map_or(0, u32::from) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"[
  {
    "ip-address": "192.168.122.11",
    "mac-address": "52:54:00:00:00:01",
    "hostname": "web",
    "client-id": "01:52:54:00:00:00:01",
    "expiry-time": 2000
  },
  {
    "iaid": "123",
    "ip-address": "fd00::2",
    "mac-address": "52:54:00:00:00:02",
    "expiry-time": 0
  }
]
"#;

    fn addresses(content: &str, mac: Option<&str>, now: i64) -> Vec<String> {
        let prefixes = Prefixes { ipv4: 24, ipv6: 64 };
        let mac = mac.map(|mac| mac.parse().unwrap());
        let leases = parse(content.as_bytes(), "virbr0", prefixes, mac, now).unwrap();
        leases.into_iter().map(|lease| format!("{}/{}", lease.ipaddr, lease.prefix)).collect()
    }

    #[test]
    fn lists_what_has_not_expired() {
        assert_eq!(addresses(FILE, None, 1000), ["192.168.122.11/24", "fd00::2/64"]);
        assert_eq!(addresses(FILE, None, 2000), ["192.168.122.11/24", "fd00::2/64"]);
        assert_eq!(addresses(FILE, None, 2001), ["fd00::2/64"]);
    }

    #[test]
    fn mac_is_compared_as_a_number() {
        assert_eq!(addresses(FILE, Some("52:54:0:0:0:1"), 0), ["192.168.122.11/24"]);
        assert!(addresses(FILE, Some("52:54:00:00:00:09"), 0).is_empty());
    }

    #[test]
    fn nothing_yet() {
        assert!(addresses("", None, 0).is_empty());
        assert!(addresses("[]\n", None, 0).is_empty());
        assert!(addresses("[\n]\n", None, 0).is_empty());
    }

    #[track_caller]
    fn refuse(content: &str, expect: &str) {
        let error = parse(content.as_bytes(), "b", Prefixes::default(), None, 0).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    }

    #[test]
    fn damage_is_an_error() {
        refuse("{", "invalid json");
        refuse("{}", "not an array");
        refuse(r#"[{"ip-address":"1.2.3.4","expiry-time":0}]"#, "without mac-address");
        refuse(r#"[{"mac-address":"a","ip-address":"1.2.3.4"}]"#, "without expiry-time");
        refuse(r#"[{"mac-address":"a","expiry-time":0}]"#, "without ip-address");
        refuse(&"[".repeat(100_000), "invalid json");
    }
}
