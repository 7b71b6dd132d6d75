//! Addresses of a guest's interfaces.
//!
//! libvirt 11.3.0: `qemuDomainInterfaceAddresses`, src/qemu/qemu_driver.c

use oxivirt::{
    DomainInterface, DomainRef, Error, ErrorCode, ErrorDomain, InterfaceAddress, IpAddrType, Result,
};
use oxivirt_types::domain::AddressSource;

use crate::error;
use crate::registry::View;
use crate::shared::Shared;

/// The host's neighbours (proc_net(5)): address, type, flags, MAC, mask, link.
const NEIGHBOURS: &str = "/proc/net/arp";

impl Shared {
    pub(crate) async fn interface_addresses(
        &self,
        domain: &DomainRef,
        source: AddressSource,
    ) -> Result<Vec<DomainInterface>> {
        let view = self.entry(domain)?.view();
        if !view.is_active() {
            return Err(error::not_running());
        }
        match source {
            AddressSource::Lease => self.leases(&view).await,
            AddressSource::Arp => Ok(neighbours(&view)),
            AddressSource::Agent => self.guest_addresses(&view).await,
            AddressSource::Unknown(number) => {
                let detail = format!("Unknown IP address data source {number}");
                Err(Error::new(ErrorCode::ARGUMENT_UNSUPPORTED, ErrorDomain::QEMU, detail))
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn leases(&self, view: &View) -> Result<Vec<DomainInterface>> {
        let Some(networks) = self.host.networks.as_deref() else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (link, mac, network) in interfaces(view) {
            let Some(network) = network else { continue };
            let network = networks.network_lookup_by_name(&network).await?;
            let leases = networks.network_dhcp_leases(&network, Some(&mac), 0).await?;
            if leases.is_empty() {
                continue;
            }
            let addresses = leases.into_iter().map(|lease| InterfaceAddress {
                addr_type: lease.addr_type,
                address: lease.ipaddr,
                prefix: lease.prefix,
            });
            let addresses = addresses.collect();
            found.push(DomainInterface { name: link, mac: Some(mac), addresses });
        }
        Ok(found)
    }
}

/// Link, MAC address and network of each interface that has a link.
fn interfaces(view: &View) -> Vec<(String, String, Option<String>)> {
    let interfaces = view.def.devices.iter().flat_map(|devices| &devices.interfaces);
    let found = interfaces.filter_map(|interface| {
        let link = interface.target.as_ref()?.dev.clone()?;
        let mac = interface.mac.as_ref()?.address?.to_string();
        let network = interface.source.as_ref().and_then(|source| source.network.clone());
        Some((link, mac, network))
    });
    found.collect()
}

/// What the host's neighbour table has of a guest.
fn neighbours(view: &View) -> Vec<DomainInterface> {
    let table = std::fs::read_to_string(NEIGHBOURS).unwrap_or_default();
    let mut found = Vec::new();
    for (link, mac, _) in interfaces(view) {
        let addresses: Vec<_> = addresses_of(&table, &mac).collect();
        if !addresses.is_empty() {
            found.push(DomainInterface { name: link, mac: Some(mac), addresses });
        }
    }
    found
}

fn addresses_of<'t>(table: &'t str, mac: &'t str) -> impl Iterator<Item = InterfaceAddress> + 't {
    table.lines().skip(1).filter_map(move |line| {
        let mut words = line.split_whitespace();
        let (address, own) = (words.next()?, words.nth(2)?);
        own.eq_ignore_ascii_case(mac).then(|| InterfaceAddress {
            addr_type: IpAddrType::Ipv4,
            address: address.to_owned(),
            prefix: 0,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_found_by_their_mac_address() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     10.0.0.2         0x1         0x2         52:54:00:00:00:01     *        virbr0\n\
                     10.0.0.3         0x1         0x2         52:54:00:00:00:02     *        virbr0\n";
        let found: Vec<_> = addresses_of(table, "52:54:00:00:00:02").collect();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].address.as_str(), found[0].prefix), ("10.0.0.3", 0));
    }
}
