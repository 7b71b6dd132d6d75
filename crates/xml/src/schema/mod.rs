//! A schema as values, its interpreter, and the datatypes of RELAX NG that libvirt's schemas use.
//!
//! Readers tolerate what they do not know, so that a document of a later version loads. A schema is
//! the complete list of the elements and attributes a document may have, which finds misspelt ones.
//! This module owns the engine; the grammars belong to the documents they describe.
//!
//! ```
//! use oxivirt_xml::schema::{self, Attribute, Child, Element, Occurs, datatype::YES_NO};
//! use oxivirt_xml::{self as xml, Blanks};
//!
//! static LEAF: Element = Element::empty(&[Attribute::required("on", YES_NO)]);
//! static ROOT: Element = Element::new(&[], &[Child::new("leaf", Occurs::Any, &LEAF)]);
//!
//! let root = xml::parse("<root><leaf on='yes'/><leaf on='maybe'/></root>", Blanks::Drop)?;
//! let error = schema::check(&ROOT, &root).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "/root/leaf[2]: attribute 'on' is 'maybe', expected one of 'yes', 'no'",
//! );
//! # Ok::<(), xml::XmlError>(())
//! ```

pub mod datatype;
mod grammar;

pub use datatype::Datatype;
pub use grammar::{Attribute, Child, Content, Element, Occurs, Rule, check};

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
