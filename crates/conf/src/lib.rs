//! libvirt's network, port, status and guest documents: read, check, change, write.
//!
//! Byte for byte what libvirt 11.3.0 writes, code for code what it refuses. Pure: no disk, no
//! kernel, no clock, no randomness, no async runtime. What a rule needs from outside (other networks,
//! links of the host, a fresh UUID) is a parameter.
//!
//! ```
//! use oxivirt_conf::network::{Form, NetworkDef};
//!
//! let def = NetworkDef::parse("<network><name>lab</name><bridge name='virbr7'/></network>")?;
//! assert_eq!(def.bridge.name.as_deref(), Some("virbr7"));
//! assert!(def.forward.mode.owns_bridge());
//! assert_eq!(
//!     def.format(Form::Inactive),
//!     "<network>\n  <name>lab</name>\n  <bridge name='virbr7' stp='on' delay='0'/>\n</network>\n",
//! );
//! # Ok::<(), oxivirt_conf::ParseError>(())
//! ```
//!
//! Start reading at [`network::NetworkDef`], [`status::NetworkStatus`], [`port::NetworkPortDef`] and
//! [`domain::DomainDef`].
//!
//! `examples/format.rs` prints a document as libvirt writes it.
#![forbid(unsafe_code)]

pub mod bandwidth;
mod choices;
mod class_ids;
pub mod domain;
mod driver_config;
mod element;
pub mod emulator;
mod error;
mod file;
mod hook;
mod keyword;
mod metadata;
pub mod network;
mod node;
pub mod node_device;
pub mod pci;
pub mod port;
mod scalar;
mod schema;
pub mod secret;
pub mod status;
pub mod storage;
mod uuid;
pub mod virtualport;
pub mod vlan;

pub use choices::attribute_words;
pub use driver_config::{Coexist, DhcpServer, DriverConfig, DriverConfigError, Heal};
pub use element::{Extra, Hex};
pub use error::{Classified, ErrorCode, ErrorDomain, ParseError};
pub use file::{EditCommand, wrap_file};
pub use hook::hook_data;
pub use keyword::{OnOff, YesNo};
pub use metadata::{Metadata, MetadataError};
pub use node::AttributeError;
pub use oxivirt_xml::schema::{SchemaError, SchemaFault};
pub use uuid::{Uuid, parse_uuid};
