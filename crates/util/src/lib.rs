//! Building blocks of a virtual-network driver.
//!
//! The default features are pure: addresses, MAC addresses, an XML element tree with libvirt's
//! output rules, libvirt's `.conf` grammar, typed firewall rules with their renderers, atomic
//! files. What talks to the kernel or to other programs is opt-in: `netlink` (links, addresses,
//! routes, the nftables executor), `exec` (processes, dnsmasq), `dbus` (the host's resolver), `firewalld` (zones), `nft-json` (rules as `nft` JSON);
//! `json` adds the MAC map.
//!
//! This crate knows nothing of networks or of remote calls.

pub mod chain;
pub mod file;
pub mod firewall;
pub mod ip;
pub mod keyfile;
pub mod link_name;
pub mod mac;
#[cfg(feature = "json")]
pub mod macmap;
pub mod pidfile;
pub mod sriov;
pub mod xml;

#[cfg(feature = "exec")]
pub mod command;
#[cfg(feature = "exec")]
pub mod dnsmasq;
#[cfg(feature = "firewalld")]
pub mod firewalld;
#[cfg(feature = "netlink")]
pub mod netlink;
#[cfg(feature = "dbus")]
pub mod resolved;
#[cfg(feature = "exec")]
#[cfg(feature = "exec")]
pub mod watch;
