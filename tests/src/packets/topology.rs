//! `topology.toml`: which networks are started and who is on them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};

use super::Family;

/// The networks and hosts of a data set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// Files with the networks, in the order in which they are started.
    pub networks: Vec<String>,
    /// The file with the expected results.
    pub expected: String,
    /// Network sysctls of all hosts, by dotted name.
    #[serde(default)]
    pub sysctl: BTreeMap<String, u32>,
    /// The hosts.
    pub host: Vec<HostLink>,
}

/// A host and the link of the router that it is on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostLink {
    /// Its name in the table.
    pub name: String,
    /// A bridge (`virbr…`), or else a link of the router that leads to this host only.
    pub link: String,
    /// Its addresses with prefix lengths, one per family.
    pub addresses: Vec<String>,
    /// Addresses outside of the link's subnet, which the router routes to the link all the same.
    #[serde(default)]
    pub extra: Vec<String>,
}

impl Topology {
    /// Reads `topology.toml` of a data set.
    ///
    /// # Errors
    /// There is none, or it has another form.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join("topology.toml");
        let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
        toml::from_str(&text).map_err(|error| Error::Format {
            what: path.display().to_string(),
            found: error.to_string(),
        })
    }

    /// The host of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &str) -> Result<&HostLink> {
        self.host
            .iter()
            .find(|host| host.name == name)
            .ok_or_else(|| Error::Wrong(format!("no host '{name}' in the topology")))
    }
}

impl HostLink {
    /// Whether it is a guest of a network.
    pub fn is_on_bridge(&self) -> bool {
        self.link.starts_with("virbr")
    }

    /// Its address of a family.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        of_family(&self.addresses, family)
    }

    /// Its address of a family outside of the subnet.
    pub fn extra_address(&self, family: Family) -> Option<IpAddr> {
        of_family(&self.extra, family)
    }
}

fn of_family(addresses: &[String], family: Family) -> Option<IpAddr> {
    addresses
        .iter()
        .filter_map(|address| split(address).ok())
        .map(|(ip, _)| ip)
        .find(|ip| ip.is_ipv6() == (family == Family::V6))
}

/// Address and prefix length of `ADDRESS/PREFIX`.
pub(super) fn split(address: &str) -> Result<(IpAddr, u8)> {
    let wrong = || Error::Format { what: "an address".into(), found: address.into() };
    let (ip, prefix) = address.split_once('/').ok_or_else(wrong)?;
    Ok((ip.parse().map_err(|_| wrong())?, prefix.parse().map_err(|_| wrong())?))
}

/// The router's address on the subnet of `ADDRESS/PREFIX`: its first one.
pub(super) fn gateway(address: &str) -> Result<IpAddr> {
    let (ip, prefix) = split(address)?;
    let prefix = u32::from(prefix);
    Ok(match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits((ip.to_bits() & mask) | 1).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits((ip.to_bits() & mask) | 1).into()
        }
    })
}

/// The name of a network, out of its XML.
///
/// # Errors
/// There is no `<name>`.
pub fn name_of(xml: &str) -> Result<&str> {
    xml.split_once("<name>")
        .and_then(|(_, rest)| rest.split_once("</name>"))
        .map(|(name, _)| name)
        .ok_or_else(|| Error::Format { what: "the name of a network".into(), found: xml.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expect: &str) {
        assert_eq!(gateway(address).unwrap().to_string(), expect);
    }

    #[test]
    fn the_first_address_is_the_router() {
        check("192.168.122.10/24", "192.168.122.1");
        check("10.1.2.3/8", "10.0.0.1");
        check("fd01::10/64", "fd01::1");
        assert!(gateway("10.0.0.1").is_err());
        assert!(gateway("x/8").is_err());
    }

    #[test]
    fn names_come_out_of_the_xml() {
        assert_eq!(name_of("<network>\n <name>a</name></network>").unwrap(), "a");
        assert!(name_of("<network/>").is_err());
    }
}
