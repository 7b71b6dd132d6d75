//! XPath 1.0 over a parsed document, as `virsh --xpath` evaluates it.
//!
//! The whole recommendation except the namespace axis, variables and extension functions: libvirt's shell
//! registers neither prefixes nor variables, so an expression cannot refer to any. The crate is pure: no
//! input or output, and no knowledge of networks.
//!
//! ```
//! let xml = "<network><ip address='10.0.0.1'/><ip address='fd00::1'/></network>";
//! let selected = oxivirt_xpath::select(xml, "//ip[2]/@address", oxivirt_xpath::Form::Lines)?;
//! assert_eq!(selected?, " address=\"fd00::1\"\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! <https://www.w3.org/TR/1999/REC-xpath-19991116/>
//!
//! `examples/select.rs` prints what an expression selects.

mod eval;
mod functions;
mod lex;
mod parse;
mod tree;

use std::collections::BTreeSet;

use oxivirt_xml::{self as xml, Attribute, Blanks, Element, Node, XmlError};

use eval::Context;
use tree::{Document, Kind};

/// Why an expression selects no nodes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XPathError {
    /// The text is not an expression.
    #[error("{what} at character {at}")]
    Syntax {
        /// What is wrong.
        what: &'static str,
        /// Position in characters, from 0.
        at: usize,
    },
    /// A prefix, function or variable that is not defined.
    #[error("unknown {what} '{name}'")]
    Unknown {
        /// The kind of name.
        what: &'static str,
        /// The name as written.
        name: String,
    },
    /// A function call with the wrong number or type of arguments.
    #[error("wrong arguments for function '{function}'")]
    Arguments {
        /// The function's name.
        function: &'static str,
    },
    /// The expression exceeds the limit on length or nesting.
    #[error("expression is too long or too deep")]
    TooDeep,
    /// The value is a number, a string or a boolean instead of a node set.
    #[error("expression is not a node set")]
    NotNodes,
}

/// How [`select`] prints a node set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One line for each node.
    Lines,
    /// All nodes inside one `<nodes>` element.
    Wrapped,
}

/// A value of an expression.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// In document order.
    Nodes(BTreeSet<usize>),
    Number(f64),
    Text(String),
    Truth(bool),
}

/// Evaluates `expression` with the root element of `text` as the context node, and prints the selected nodes
/// in document order.
///
/// # Errors
/// The outer error if `text` is not a well-formed document, the inner one if `expression` is invalid or its
/// value is not a node set.
pub fn select(
    text: &str,
    expression: &str,
    form: Form,
) -> Result<Result<String, XPathError>, XmlError> {
    let root = xml::parse(text, Blanks::Drop)?;
    Ok(evaluate(&root, expression).map(|(document, nodes)| match form {
        Form::Lines => lines(&document, &nodes),
        Form::Wrapped => wrapped(&document, &nodes),
    }))
}

fn evaluate<'i>(
    root: &'i Element<'i>,
    expression: &str,
) -> Result<(Document<'i>, BTreeSet<usize>), XPathError> {
    let expression = parse::expression(expression)?;
    let document = Document::new(root);
    let value = eval::evaluate(&expression, &Context::at_root_element(&document))?;
    match value {
        Value::Nodes(nodes) => Ok((document, nodes)),
        _ => Err(XPathError::NotNodes),
    }
}

fn lines(document: &Document<'_>, nodes: &BTreeSet<usize>) -> String {
    let mut text = String::new();
    for &node in nodes {
        match &document.node(node).kind {
            Kind::Root => {
                text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
                if let Some(element) = document.root_element() {
                    text.push_str(&xml::dump(element, 0));
                }
                text.push('\n');
            }
            Kind::Element(element) => text.push_str(&xml::dump(element, 0)),
            Kind::Attribute(attribute) => push_attribute(&mut text, attribute),
            Kind::Text(content) => push_text(&mut text, content),
            Kind::Comment(content) => {
                text.push_str(&format!("<!--{content}-->"));
            }
            Kind::Instruction { target, data } => match data {
                Some(data) => text.push_str(&format!("<?{target} {data}?>")),
                None => text.push_str(&format!("<?{target}?>")),
            },
        }
        text.push('\n');
    }
    text
}

fn push_attribute(text: &mut String, attribute: &Attribute<'_>) {
    let mut holder = Element::new("a");
    holder.attributes.push(attribute.clone());
    let dumped = xml::dump(&holder, 0);
    // `<a name="value"/>` without its ends
    let inner = dumped.strip_prefix("<a").and_then(|rest| rest.strip_suffix("/>"));
    text.push_str(inner.unwrap_or_default());
}

fn push_text(text: &mut String, content: &str) {
    for c in content.chars() {
        match c {
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '&' => text.push_str("&amp;"),
            c => text.push(c),
        }
    }
}

fn wrapped(document: &Document<'_>, nodes: &BTreeSet<usize>) -> String {
    let mut holder = Element::new("nodes");
    for &node in nodes {
        match &document.node(node).kind {
            Kind::Root => {
                if let Some(element) = document.root_element() {
                    holder.nodes.push(Node::Element(Box::new(element.clone())));
                }
            }
            Kind::Element(element) => {
                holder.nodes.push(Node::Element(Box::new((*element).clone())));
            }
            // the same name twice is one attribute, with the last value
            Kind::Attribute(attribute) => {
                let same = |other: &&mut Attribute<'_>| other.name == attribute.name;
                match holder.attributes.iter_mut().find(same) {
                    Some(other) => other.value = attribute.value.clone(),
                    None => holder.attributes.push((*attribute).clone()),
                }
            }
            Kind::Text(content) => holder.nodes.push(Node::Text((*content).into())),
            Kind::Comment(content) => holder.nodes.push(Node::Comment((*content).into())),
            Kind::Instruction { .. } => {}
        }
    }
    xml::dump(&holder, 0) + "\n"
}

#[cfg(test)]
mod tests;
