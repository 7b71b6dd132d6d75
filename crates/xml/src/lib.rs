//! XML as libvirt reads and writes it: a strict reader with positions, a small element tree, a
//! writer with libvirt's layout, and libxml2's formatted dump for foreign content.
//!
//! Owns well-formedness, namespaces, internal entities and their limits. Knows no element name.
//! There is no external entity, no DTD validation and no network access by construction.
//!
//! The reader is written here rather than taken from a tokenizer crate because three things
//! that scripts and administrators see depend on it: documents with internal entities are accepted,
//! errors carry libxml2's words, line and column, and everything libxml2 refuses is refused. The
//! limits (depth, size, expansion) are constants at the head of `reader`.
//!
//! ```
//! use oxivirt_xml::{self as xml, Blanks, Writer};
//!
//! let root = xml::parse("<pool dev='eth0'><size>4</size></pool>", Blanks::Drop)?;
//! assert_eq!(root.attribute("dev"), Some("eth0"));
//! assert_eq!(root.child("size").map(|size| size.text()).as_deref(), Some("4"));
//!
//! let mut out = Writer::new();
//! out.begin("pool").attr("dev", "eth0 & eth1").empty();
//! assert_eq!(out.finish(), "<pool dev='eth0 &amp; eth1'/>\n");
//! # Ok::<(), xml::XmlError>(())
//! ```
//!
//! Start reading at [`parse`] and [`Element`].
//!
//! `examples/outline.rs` reads a document and writes one.

mod chars;
mod declaration;
mod doctype;
mod dump;
mod error;
mod reader;
mod scan;
pub mod schema;
mod tree;
mod writer;

pub use chars::is_ncname;
pub use dump::dump;
pub use error::{Position, XmlError, XmlErrorKind};
pub use reader::{Blanks, MAX_DEPTH, MAX_SIZE, decode, parse};
pub use tree::{Attribute, Element, Instruction, Namespace, Node};
pub use writer::{Presence, Tag, Writer, escape};

#[cfg(test)]
mod tests;
