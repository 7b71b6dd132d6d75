//! libvirt's wire, both ends of it: packets, XDR, connections, limits, identity.
//!
//! [`frame`] and [`xdr`] turn bytes into packets and values and back, [`keepalive`] decides when to send a
//! ping; none of them does input or output. [`server`] and [`client`] are the two ends of a connection,
//! [`tls`] encrypts it.
//!
//! This crate knows no procedure: a [`server::Service`] interprets calls, and the reader of
//! [`client::Incoming`] interprets events.
//!
//! `examples/echo.rs` is a program with one procedure: server and client.

pub mod client;
pub mod frame;
pub mod identity;
pub mod keepalive;
pub mod limits;
pub mod server;
pub mod tls;
pub mod xdr;
