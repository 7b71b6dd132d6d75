//! The driver of QEMU guests.
//!
//! [`Driver`] implements the calls of the API; it needs to know where files are ([`layout`]) and what the
//! host's emulators can do ([`emulators`], found out by [`capabilities`]). [`command`] decides what is started,
//! without touching the host, [`firmware`] with which firmware. [`host`] answers calls about the host.
//! [`label`] gives files that a guest uses to the user of its process, and back.

pub mod capabilities;
pub mod command;
mod definitions;
mod driver;
pub mod emulators;
mod error;
pub mod firmware;
mod guest;
pub mod host;
pub mod label;
pub mod layout;
mod metadata;
mod registry;
mod shared;
mod store;

pub use driver::{Driver, Options};
