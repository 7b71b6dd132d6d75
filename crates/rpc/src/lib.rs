//! libvirt's wire, both ends of it: packets, XDR, connections, limits, identity.
//!
//! [`frame`] and [`xdr`] turn bytes into packets and values and back, [`keepalive`] decides when to ask for
//! a sign of life; none of them does input or output. [`server`] drives connections.
//!
//! This crate knows no procedure: what a packet asks for is decided behind [`server::Service`].

pub mod frame;
pub mod identity;
pub mod keepalive;
pub mod limits;
pub mod server;
pub mod xdr;
