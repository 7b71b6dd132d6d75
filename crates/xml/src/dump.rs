//! libxml2's formatted dump, for content that is kept without being understood.
//!
//! Double quotes, declarations before attributes, two spaces per level; an element that holds
//! text keeps its whole content on one line.

use std::fmt::Write as _;

use super::tree::{Attribute, Element, Namespace, Node};

/// The markup of `element` as libxml2 prints it at `level`, without indent before the first line
/// and without a final line feed.
///
/// libxml2: `xmlNodeDump` with `format` 1, xmlsave.c
#[must_use]
pub fn dump(element: &Element<'_>, level: usize) -> String {
    let mut out = String::new();
    dump_element(&mut out, element, level, Layout::Indented);
    out
}

/// Deeper levels are not indented any further (`MAX_INDENT`), which bounds what blanks can cost.
const LEVEL_MAX: usize = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Indented,
    /// Some enclosing element holds text: any added blank would change it.
    Verbatim,
}

fn dump_element(out: &mut String, element: &Element<'_>, level: usize, outer: Layout) {
    let has_text = |node: &Node<'_>| matches!(node, Node::Text(_) | Node::CData(_));
    let layout = if element.nodes.iter().any(has_text) { Layout::Verbatim } else { outer };
    out.push('<');
    push_name(out, element.prefix.as_deref(), &element.name);
    for declaration in &element.declarations {
        dump_declaration(out, declaration);
    }
    for attribute in &element.attributes {
        dump_attribute(out, attribute);
    }
    if element.nodes.is_empty() {
        out.push_str("/>");
        return;
    }
    out.push('>');
    for node in &element.nodes {
        if layout == Layout::Indented {
            new_line(out, level + 1);
        }
        dump_node(out, node, level + 1, layout);
    }
    if layout == Layout::Indented {
        new_line(out, level);
    }
    out.push_str("</");
    push_name(out, element.prefix.as_deref(), &element.name);
    out.push('>');
}

fn dump_node(out: &mut String, node: &Node<'_>, level: usize, layout: Layout) {
    match node {
        Node::Element(element) => dump_element(out, element, level, layout),
        Node::Text(text) => escape_text(out, text),
        Node::CData(text) => dump_cdata(out, text),
        Node::Comment(text) => {
            out.push_str("<!--");
            out.push_str(text);
            out.push_str("-->");
        }
        Node::Instruction(instruction) => {
            out.push_str("<?");
            out.push_str(&instruction.target);
            if let Some(data) = &instruction.data {
                out.push(' ');
                out.push_str(data);
            }
            out.push_str("?>");
        }
    }
}

fn dump_declaration(out: &mut String, declaration: &Namespace<'_>) {
    out.push_str(" xmlns");
    if let Some(prefix) = &declaration.prefix {
        out.push(':');
        out.push_str(prefix);
    }
    // Unlike an attribute's value, a URI is quoted by whichever quote it does not hold.
    let single = declaration.uri.contains('"') && !declaration.uri.contains('\'');
    let quote = if single { '\'' } else { '"' };
    out.push('=');
    out.push(quote);
    for c in declaration.uri.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '"' if !single => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out.push(quote);
}

fn dump_attribute(out: &mut String, attribute: &Attribute<'_>) {
    out.push(' ');
    push_name(out, attribute.prefix.as_deref(), &attribute.name);
    out.push_str("=\"");
    escape_attribute(out, &attribute.value);
    out.push('"');
}

fn push_name(out: &mut String, prefix: Option<&str>, name: &str) {
    if let Some(prefix) = prefix {
        out.push_str(prefix);
        out.push(':');
    }
    out.push_str(name);
}

fn new_line(out: &mut String, level: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", level.min(LEVEL_MAX)));
}

/// A section cannot hold its own end: it is split there.
fn dump_cdata(out: &mut String, text: &str) {
    out.push_str("<![CDATA[");
    for (index, part) in text.split("]]>").enumerate() {
        if index > 0 {
            out.push_str("]]]]><![CDATA[>");
        }
        out.push_str(part);
    }
    out.push_str("]]>");
}

fn escape_text(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\r' => out.push_str("&#13;"),
            _ => out.push(c),
        }
    }
}

fn escape_attribute(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            // A tree without a declared encoding is printed in ASCII, but only inside of attributes.
            _ if !c.is_ascii() => {
                // Writing to a String cannot fail.
                let written = write!(out, "&#x{:X};", u32::from(c));
                debug_assert!(written.is_ok());
            }
            _ => out.push(c),
        }
    }
}
