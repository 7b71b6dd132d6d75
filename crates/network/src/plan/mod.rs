//! to be written
pub mod dnsmasq;
pub mod nftables;
