//! The host's own file of names.

use std::collections::HashMap;
use std::net::IpAddr;

use oxivirt_netserv_api::HostNames;

use crate::wire::dns::Name;

/// Names of `/etc/hosts`, the same for all networks: dnsmasq answers them too, as libvirt does
/// not turn that off.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct HostFile {
    names: HashMap<Box<[u8]>, Vec<IpAddr>>,
    pointers: HashMap<IpAddr, String>,
}

impl HostFile {
    /// The names of the file's lines, in order. Names that no message can carry are left out.
    #[must_use]
    pub fn new(lines: &[HostNames]) -> Self {
        let mut file = Self::default();
        for line in lines {
            for name in line.names.iter().filter_map(|name| Name::from_text(name).ok()) {
                let addresses = file.names.entry(name.as_bytes().into()).or_default();
                if !addresses.contains(&line.address) {
                    addresses.push(line.address);
                }
            }
            if let Some(name) = line.names.first() {
                file.pointers.entry(line.address).or_insert_with(|| name.clone());
            }
        }
        file
    }

    /// The addresses of a name.
    pub(super) fn addresses(&self, name: &Name) -> &[IpAddr] {
        self.names.get(name.as_bytes()).map_or(&[], Vec::as_slice)
    }

    /// The first name of an address.
    pub(super) fn pointer(&self, address: IpAddr) -> Option<&str> {
        self.pointers.get(&address).map(String::as_str)
    }
}
