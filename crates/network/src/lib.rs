//! The virtual-network driver.
//!
//! A network start is *plan → journal → apply → status*: a pure planner ([`plan`]) turns the
//! definition and facts about the host into steps; what undoes them goes to disk ([`oxivirt_engine::journal`]); a
//! thin executor ([`apply`]) carries them out; the status file makes it final. [`Driver`] puts
//! this behind [`oxivirt::NetworkDriver`].
//!
//! The driver knows the kernel only through [`apply::Host`], and knows nothing of sockets, remote
//! calls or command lines.
//!
//! `examples/one_network.rs` starts a network and destroys it.

pub mod apply;
pub mod components;
mod config;
pub mod counts;
pub mod dnsmasq;
pub mod driver;
pub mod embed;
mod error;
mod heal;
mod health;
mod hooks;
pub mod layout;
pub mod leases;
mod lifecycle;
pub mod macmap;
mod metadata;
pub mod network;
pub mod plan;
mod ports;
pub mod preview;
mod recover;
mod registry;
mod reload;
mod repair;
mod settings;
mod shared;
mod store;
mod transition;
mod update;
mod watch;

pub use driver::{Driver, HookOptions, Options, StartWithHost};
pub use embed::register;
pub use network::Network;
pub use settings::RestoreSettings;
