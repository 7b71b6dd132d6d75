//! Leaf types that every other crate shares: libvirt's error numbers and domains, MAC addresses,
//! IP ranges and prefixes, link names.
//!
//! This crate performs no I/O and depends on no other crate of the workspace.
//!
//! ```
//! use oxivirt_types::error::{ErrorCode, ErrorDomain};
//! use oxivirt_types::mac::MacAddr;
//!
//! let mac: MacAddr = "52:54:00:61:aa:01".parse().unwrap();
//! assert_eq!(mac.to_string(), "52:54:00:61:aa:01");
//! assert_eq!(ErrorCode::NO_NETWORK.0, 43);
//! assert_eq!(ErrorDomain::NETWORK.0, 19);
//! ```
//!
//! `examples/errors.rs` prints error numbers with their messages.

pub mod domain;
pub mod error;
pub mod ip;
pub mod link_name;
pub mod mac;
pub mod storage;
