//! Firewall rules as values.
//!
//! A [`Transaction`] is a list of changes to one nftables table that the kernel carries out
//! completely or not at all. The same value is rendered as text and as argument words
//! ([`text`]), as `nft` JSON (`json`, feature `json`) and as nfnetlink messages
//! ([`crate::kernel`], feature `kernel`); what `nft list` shows afterwards is equal in all
//! cases. [`removal`] derives from the objects of a transaction the words that take them away
//! again in every state of the kernel, and reads such words back.
//!
//! Start reading at [`model`]. This module decides nothing about networks and does no I/O.
//!
//! `examples/rules_as_text.rs` prints a transaction as `nft` reads it.

pub mod counters;
pub mod iptables;
#[cfg(feature = "json")]
pub mod json;
#[cfg(feature = "kernel")]
pub mod kernel;
pub mod libvirt;
pub mod model;
pub mod removal;
pub mod text;
pub mod user_chain;
#[cfg(feature = "xtables")]
pub mod xtables;

pub use model::{
    Action, ChainHook, Change, Family, Key, Map, Match, PortRange, Rule, Set, Transaction, Verdict,
};
pub use removal::Removal;
pub use user_chain::UserChainJump;
