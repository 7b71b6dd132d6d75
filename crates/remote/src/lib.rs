//! libvirt's procedures for networks: one list, both sides of it.
//!
//! [`protocol`] is the list: number, parameters, result, what is checked before. A macro makes it the trait
//! that the serving side implements ([`server`]), the client that [`driver`] calls, and the table of
//! numbers. [`wire`] has the types of its parameters, [`admin`] is a second list: administration.
//!
//! This crate does not know what a network is made of: it hands calls to an [`oxivirt::NetworkDriver`], and it
//! is one for those who ask a daemon.

pub mod admin;
pub mod call;
pub mod config;
pub mod driver;
pub mod foreign;
pub mod protocol;
pub mod server;
pub mod uri;
pub mod wire;

/// The examples of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/library.md")]
struct Guide;
