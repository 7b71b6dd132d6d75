//! QEMU's monitor protocol (QMP) and the guest agent's.
//!
//! | layer | does | input and output |
//! |---|---|---|
//! | [`frame`], [`message`], [`encode`] | lines out of bytes, messages out of lines, commands into lines; bounded by [`Limits`] | none |
//! | [`command`], [`event`], [`agent`] | commands, replies and events as types | none |
//! | [`Monitor`], [`Events`] | one connection to one QEMU: pipelining, descriptors, deadlines | a UNIX socket |
//! | [`agent::Agent`] | one connection to the agent of one guest | a UNIX socket |
//!
//! The crate does not know what a domain is, starts no process and logs no argument of a command.
//! QEMU is not trusted: a message that is too long, too deep or not of the protocol ends the
//! connection with a typed error, and the calls that wait with it.
//!
//! The codec alone:
//!
//! ```
//! use oxivirt_qmp::command::{Command as _, QueryStatus, RunState};
//! use oxivirt_qmp::frame::Framer;
//! use oxivirt_qmp::message::Message;
//! use oxivirt_qmp::{Limits, encode};
//!
//! let bytes = encode::line(QueryStatus::NAME, "", Some(1), false);
//! assert_eq!(bytes, b"{\"execute\":\"query-status\",\"id\":\"libvirt-1\"}\r\n");
//!
//! let limits = Limits::default();
//! let mut framer = Framer::new(limits.message);
//! framer.push(b"{\"return\": {\"status\": \"prelaunch\", \"running\": false}, \"id\": \"libvirt-1\"}\r\n");
//! let line = framer.next_line().unwrap().unwrap();
//! let Message::Reply(reply) = Message::parse(line, &limits).unwrap() else { panic!() };
//! let status: oxivirt_qmp::command::Status =
//!     serde_json::from_str(reply.result.unwrap().get()).unwrap();
//! assert_eq!(status.status, RunState::Prelaunch);
//! ```
//!
//! A connection: see [`Monitor`].
//!
//! `examples/monitor.rs` asks a guest for its state and waits for an event.

pub mod agent;
pub mod command;
pub mod encode;
pub mod error;
pub mod event;
pub mod frame;
pub mod message;

mod client;
mod limits;
mod word;

pub use client::{Events, Incoming, Monitor, Options, Request, Ticket};
pub use error::{CloseReason, ErrorClass, ProtocolError, QmpError};
pub use limits::Limits;
