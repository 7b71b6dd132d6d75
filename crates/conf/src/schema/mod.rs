//! What a document may consist of, strictly: `--validate`.
//!
//! Readers tolerate what they do not know, so that a document of a later version loads. On request
//! ([`NetworkDef::parse_validated`](crate::network::NetworkDef::parse_validated)) a document is held
//! against the complete list of elements and attributes first, which finds misspelt ones. The list
//! is that of libvirt's RELAX NG schemas, as values that [`grammar`] interprets.
//!
//! libvirt 11.3.0: src/conf/schemas/{network,networkcommon,networkport,basictypes}.rng

mod common;
mod datatype;
mod grammar;
mod network;
mod port;

use oxivirt_xml::Element as Tree;

use crate::error::{Class, ErrorCode, ErrorDomain};

/// The first place at which a document is not what the schema allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {fault}")]
pub struct SchemaError {
    /// Where, as an XPath: `/network/ip[2]/dhcp`.
    pub path: String,
    /// What is wrong there.
    #[source]
    pub fault: SchemaFault,
}

/// What is wrong with one element.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaFault {
    /// The root is in a namespace.
    #[error("the element must not be in namespace '{0}'")]
    RootNamespace(String),
    /// An attribute that the element does not have.
    #[error("unknown attribute '{0}'")]
    UnknownAttribute(String),
    /// An attribute that has to be there.
    #[error("attribute '{0}' is missing")]
    MissingAttribute(&'static str),
    /// A value that the attribute cannot have.
    #[error("attribute '{attribute}' is '{value}', expected {expected}")]
    Attribute {
        /// The attribute.
        attribute: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// Attributes that exclude each other.
    #[error("attributes '{0}' and '{1}' exclude each other")]
    ExclusiveAttributes(&'static str, &'static str),
    /// None of several attributes of which one has to be there.
    #[error("one of the attributes {0} is missing")]
    NoneOf(String),
    /// An element that cannot be here.
    #[error("unknown element '{0}'")]
    UnknownElement(String),
    /// An element that can be here once.
    #[error("element '{0}' is there more than once")]
    Repeated(&'static str),
    /// An element that has to be here.
    #[error("element '{0}' is missing")]
    MissingElement(&'static str),
    /// Elements that exclude each other.
    #[error("elements '{0}' and '{1}' exclude each other")]
    ExclusiveElements(&'static str, &'static str),
    /// Text that the element cannot have.
    #[error("text is '{value}', expected {expected}")]
    Text {
        /// The text.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// Text where only elements can be.
    #[error("there must be no text")]
    StrayText,
}

impl SchemaError {
    pub(crate) const fn class() -> Class {
        (ErrorCode::XmlInvalidSchema, ErrorDomain::Xml)
    }
}

/// Holds a `<network>` against the schema.
///
/// # Errors
/// The first fault in document order.
pub(crate) fn check_network(root: &Tree<'_>) -> Result<(), SchemaError> {
    grammar::check(&network::NETWORK, root)
}

/// Holds a `<networkport>` against the schema.
///
/// # Errors
/// The first fault in document order.
pub(crate) fn check_port(root: &Tree<'_>) -> Result<(), SchemaError> {
    grammar::check(&port::NETWORK_PORT, root)
}

#[cfg(test)]
mod tests;
