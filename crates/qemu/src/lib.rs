//! The driver of QEMU guests.
//!
//! [`Driver`] implements the calls of the API; it needs to know where files are ([`layout`]) and what the
//! host's emulators can do ([`emulators`], found out by [`capabilities`]). [`command`] decides what is started,
//! without touching the host, [`firmware`] with which firmware. [`host`] answers calls about the host.
//! [`label`] gives files that a guest uses to the user of its process, and back.

mod addresses;
mod agent;
mod apply;
pub mod capabilities;
pub mod command;
mod config;
mod console;
mod definitions;
mod devices;
mod driver;
pub mod emulators;
mod error;
mod facts;
pub mod firmware;
mod guest;
mod hooks;
pub mod host;
pub mod label;
pub mod layout;
mod lifecycle;
mod live;
mod log;
mod metadata;
mod plan;
mod power;
mod preview;
mod process;
mod recover;
mod registry;
mod replug;
mod resolve;
mod session;
mod shared;
mod statistics;
mod status;
mod store;
mod tuning;

pub use driver::{Driver, Options, StartWithHost};
