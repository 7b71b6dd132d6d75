//! libvirt's wire, both ends of it: packets, XDR, connections, limits, identity.
//!
//! [`frame`] and [`xdr`] turn bytes into packets and values and back, [`keepalive`] decides when to ask for
//! a sign of life; none of them does input or output. [`server`] drives connections, [`client`] is the
//! other end, [`tls`] puts either on an encrypted stream.
//!
//! This crate knows no procedure: what a packet asks for is decided behind [`server::Service`], and what an
//! event means by whoever takes it from [`client::Incoming`].
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
