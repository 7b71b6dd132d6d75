//! What a document may consist of, strictly: `--validate`.
//!
//! Readers tolerate what they do not know, so that a document of a later version loads. On request
//! ([`NetworkDef::parse_validated`](crate::network::NetworkDef::parse_validated)) a document is checked
//! against the complete list of elements and attributes first, which finds misspelt ones. The list
//! is that of libvirt's RELAX NG schemas, as values that [`oxivirt_xml::schema`] interprets.
//!
//! libvirt 11.3.0: src/conf/schemas/{network,networkcommon,networkport,basictypes}.rng

mod common;
mod network;
mod port;

use oxivirt_xml::Element as Tree;
use oxivirt_xml::schema::{self, SchemaError};

use crate::error::{Class, ErrorCode, ErrorDomain};

/// Number and domain of a [`SchemaError`].
pub(crate) const CLASS: Class = (ErrorCode::XML_INVALID_SCHEMA, ErrorDomain::XML);

/// Checks a `<network>` against the schema.
///
/// # Errors
/// The first fault in document order.
pub(crate) fn check_network(root: &Tree<'_>) -> Result<(), SchemaError> {
    schema::check(&network::NETWORK, root)
}

/// Checks a `<networkport>` against the schema.
///
/// # Errors
/// The first fault in document order.
pub(crate) fn check_port(root: &Tree<'_>) -> Result<(), SchemaError> {
    schema::check(&port::NETWORK_PORT, root)
}

#[cfg(test)]
mod tests;
