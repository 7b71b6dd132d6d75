//! Commands of QEMU's monitor, typed.
//!
//! A command is a struct whose fields are its arguments; [`Command::Reply`] is what it returns.
//! Replies ignore members that this crate does not know, and words that it does not know are kept, so
//! that a newer QEMU does not break it. Commands without a type go through
//! [`Monitor::execute`](crate::Monitor::execute).
//!
//! QEMU: qapi/*.json

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

mod block;
mod chardev;
mod cpu;
mod display;
mod dump;
mod job;
mod machine;
mod monitor;
mod net;
mod qom;

pub use block::*;
pub use chardev::*;
pub use cpu::*;
pub use display::*;
pub use dump::*;
pub use job::*;
pub use machine::*;
pub use monitor::*;
pub use net::*;
pub use qom::*;

/// A command: its arguments are what it serialises to.
pub trait Command: Serialize {
    /// Its name on the wire.
    const NAME: &'static str;
    /// What it returns.
    type Reply: DeserializeOwned;
}

/// The empty object that most commands return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Empty {}

/// Defines commands: documentation, type, name on the wire, reply, arguments.
macro_rules! commands {
    ($(
        $(#[$meta:meta])*
        $name:ident = $wire:literal -> $reply:ty {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty, )*
        }
    )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl $crate::command::Command for $name {
            const NAME: &'static str = $wire;
            type Reply = $reply;
        }
    )* };
}

/// Defines commands whose arguments are an object that the caller composes.
macro_rules! object_commands {
    ($( $(#[$meta:meta])* $name:ident = $wire:literal; )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(
            /// The arguments.
            pub serde_json::Map<String, serde_json::Value>,
        );

        impl $crate::command::Command for $name {
            const NAME: &'static str = $wire;
            type Reply = $crate::command::Empty;
        }
    )* };
}

pub(crate) use {commands, object_commands};

/// Text that must not appear in logs: `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests;
