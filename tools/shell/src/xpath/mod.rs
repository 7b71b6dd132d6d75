//! XPath 1.0 over a document, for `--xpath`.
//!
//! Everything of the recommendation but the namespace axis, variables and extension functions: the
//! shell registers neither prefixes nor variables, so none of these could name anything. Owns the
//! language; knows nothing about networks.
//!
//! <https://www.w3.org/TR/1999/REC-xpath-19991116/>

mod eval;
mod functions;
mod lex;
mod parse;
mod tree;

use std::collections::BTreeSet;

use oxivirt_xml::{self as xml, Attribute, Blanks, Element, Node, XmlError};

use eval::Context;
use tree::{Document, Kind};

/// Why there are no nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum XPathError {
    /// The text is no expression; the position is in characters, from 0.
    Syntax { what: &'static str, at: usize },
    /// A name that means nothing here.
    Unknown { what: &'static str, name: String },
    /// A function with other arguments than it takes.
    Arguments { function: &'static str },
    /// Nested deeper than anybody writes.
    TooDeep,
    /// The value is a number, a text or a truth.
    NotNodes,
}

/// What [`select`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A line for each node.
    Lines,
    /// All nodes inside one element.
    Wrapped,
}

/// A value of the language.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// In document order.
    Nodes(BTreeSet<usize>),
    Number(f64),
    Text(String),
    Truth(bool),
}

/// The nodes that an expression selects in a document, as text.
///
/// # Errors
/// The outer error if `text` is no document, the inner if `expression` selects no nodes.
pub(crate) fn select(
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
