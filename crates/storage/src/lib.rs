//! The storage driver: pools that are directories of the host, and the disk images in them.
//!
//! A volume is created by *plan → journal → apply → rename*: a pure planner ([`plan`]) turns the document
//! into steps, which work in a staging directory inside the pool; the file gets its name in the pool when it
//! is complete. A driver that opens removes the staging directories of creations that a crash interrupted and completes
//! deletions. [`Driver`] puts this behind [`oxivirt::StorageDriver`].
//!
//! Nothing is written outside a pool: volumes are opened for writing below a descriptor of the pool's
//! directory, without following links. Formats are found by
//! [`oxivirt_image`], never by running a program on an image; `qemu-img` creates, converts and resizes images
//! whose format is known.
//!
//! The driver does not know guests, the wire or command lines.
//!
//! `examples/one_volume.rs` creates a pool with a volume and deletes both.

mod capabilities;
mod dir;
mod driver;
mod error;
mod host;
pub mod layout;
mod lookup;
mod measure;
pub mod plan;
mod pool;
mod pools;
mod recover;
mod registry;
mod shared;
mod store;
mod transfer;
mod volumes;

pub use driver::{Driver, Options, StartWithHost};
