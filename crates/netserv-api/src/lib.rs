//! What the address and name service is given and answers.
//!
//! [`NetworkSpec`] is all that the service knows of a network: the driver of networks makes it from libvirt's
//! document, so nothing behind it parses XML. The messages of the control socket are in [`message`]; their
//! encoding is postcard, and both ends come from one build.
//!
//! ```
//! use oxivirt_netserv_api::{Dhcp4Spec, LeaseTime, Range4};
//!
//! let range = Range4 { start: [192, 0, 2, 2].into(), end: [192, 0, 2, 254].into(), lease: None };
//! assert_eq!(range.len(), 253);
//! assert_eq!(LeaseTime::default().seconds(), Some(3600));
//! let dhcp = Dhcp4Spec { ranges: vec![range], ..Dhcp4Spec::new([192, 0, 2, 1].into(), 24) };
//! assert_eq!(dhcp.pool_size(), 253);
//! ```
//!
//! `examples/encode.rs` prints the size of an encoded specification.

#![forbid(unsafe_code)]

pub mod client;
mod dns;
pub mod lease_file;
pub mod message;
pub mod sockets;
mod spec;
mod v4;
mod v6;

pub use dns::{DnsSpec, Forwarder, HostNames, Srv, Txt};
pub use spec::{Limits, Mac, NetworkSpec, OwnAddress, SpecError, TftpRoot};
pub use v4::{Boot, Dhcp4Spec, Host4, LeaseTime, Range4};
pub use v6::{Dhcp6Spec, Host6, RaSpec, Range6};
