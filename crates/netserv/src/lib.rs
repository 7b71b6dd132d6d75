//! Address and name service of all virtual networks of a host.
//!
//! Each protocol is a state machine without sockets, clock and disk: a method `handle` takes the time, a packet
//! and an [`Out`] to which it adds what is to be done. [`Out`] is carried out by `io`, or looked at by a test.
//! Bytes of packets are read and written in `wire` and nowhere else.
//!
//! ```
//! use std::time::Duration;
//!
//! use oxivirt_netserv::{Now, Out};
//!
//! let now = Now::new(Duration::from_secs(100), 1_700_000_000);
//! assert_eq!(now.unix_of(now.boot + Duration::from_secs(60)), 1_700_000_060);
//! assert!(Out::default().is_empty());
//! ```
//!
//! `examples/clock.rs` prints when a lease ends on both clocks.

#![forbid(unsafe_code)]

pub mod bucket;
pub mod dhcp4;
pub mod dhcp6;
mod dns;
pub mod engine;
pub mod io;
pub mod lease;

mod now;
mod out;
mod ra;
pub mod tftp;
pub mod wire;

pub use dns::{HostDns, HostFile, NameService, Turn};
pub use lease::{Lease, Record};
pub use now::Now;
pub use out::{Datagram, Event, Out, Packet, Probe, Socket, To};
pub use ra::Advertiser;
