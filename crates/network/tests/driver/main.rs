//! The driver on a host that only keeps books: every operation, every failure, every restart.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod bench;
mod errors;
mod firewall;
mod hooks;
mod lifecycle;
mod ports;
mod reports;
mod state;
