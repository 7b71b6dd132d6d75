//! Packets as bytes.
//!
//! Views and writers of each protocol: lengths are checked here, meaning is not. Nothing in this
//! module knows networks, leases, time or sockets.

pub mod dhcp4;
pub mod dhcp6;
pub mod dns;
pub mod ip4;
pub mod ra;
pub mod tftp;
