//! libvirt's protocol and our own: the lists of procedures and both sides of them.
//!
//! [`protocol`] has a list per object family: number, parameters, result, what is checked before. A macro
//! makes each list the trait that the serving side implements ([`serve`]), the client that [`client`] calls,
//! and the table of numbers. [`wire`] has the types of the parameters, [`admin`] is one more list:
//! administration.
//!
//! This crate does not know what an object is made of: it passes calls to an [`oxivirt::Connection`], and is
//! one for programs that connect to a daemon.
//!
//! ```no_run
//! # async fn example() -> oxivirt::Result<()> {
//! use oxivirt::{Connect, Registry};
//! use oxivirt_remote::client::{Environment, register};
//!
//! let mut registry = Registry::new();
//! register(&mut registry, Environment::of_process());
//! let connect = Connect::builder(&registry).open("network:///system").await?;
//! println!("{}", connect.hostname().await?);
//! # Ok(())
//! # }
//! ```
//!
//! `examples/serve.rs` serves a driver on a socket and is its client.

pub mod admin;
pub mod call;
pub mod client;
pub mod config;
pub mod protocol;
pub mod serve;
pub mod uri;
pub mod wire;

/// The examples of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/library.md")]
struct Guide;
