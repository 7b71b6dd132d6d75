//! `<metadata>`: documents of other programs, kept by namespace and never understood.

use std::borrow::Cow;

use oxivirt_util::xml::{self, Element, Namespace, Node, Writer};

use crate::error::{Class, INTERNAL};

/// The content of a `<metadata>` element: at most one direct child per namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    element: Element<'static>,
}

/// What is wrong with a metadata payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The prefix asked for is no name, or means something else already.
    #[error("failed to create a new XML namespace '{key}'")]
    Key {
        /// The prefix.
        key: String,
    },
}

impl MetadataError {
    pub(crate) const fn class(&self) -> Class {
        INTERNAL
    }
}

impl Metadata {
    /// Takes over the element of a definition; nothing unless it holds an element.
    ///
    /// Direct children without a namespace go, of several in one namespace the first stays.
    /// A prefix bound further out is declared again on the element itself.
    ///
    /// libvirt 11.3.0: `virXMLNodeSanitizeNamespaces`, src/util/virxml.c
    pub(crate) fn from_element(node: &Element<'_>) -> Option<Self> {
        node.elements().next()?;
        let mut element = node.clone().into_owned();
        let mut seen: Vec<Cow<'static, str>> = Vec::new();
        element.nodes.retain(|child| match child {
            Node::Element(child) => match &child.namespace {
                Some(uri) if !seen.contains(uri) => {
                    seen.push(uri.clone());
                    true
                }
                _ => false,
            },
            _ => false,
        });
        declare_outer(&mut element);
        Some(Self { element })
    }

    pub(crate) fn format(&self, out: &mut Writer) {
        out.raw_line(&xml::dump(&self.element, out.indent() / 2));
    }
}

/// Declares on `element` every namespace used inside of it but declared outside.
fn declare_outer(element: &mut Element<'static>) {
    let mut missing = Vec::new();
    let mut scope = Vec::new();
    collect_undeclared(element, &mut scope, &mut missing);
    for declaration in missing {
        if !element.declarations.contains(&declaration) {
            element.declarations.push(declaration);
        }
    }
}

fn collect_undeclared(
    element: &Element<'static>,
    scope: &mut Vec<Option<Cow<'static, str>>>,
    missing: &mut Vec<Namespace<'static>>,
) {
    let outer = scope.len();
    scope.extend(element.declarations.iter().map(|declaration| declaration.prefix.clone()));
    let attributes = element.attributes.iter().map(|a| (&a.prefix, &a.namespace));
    for (prefix, namespace) in attributes.chain([(&element.prefix, &element.namespace)]) {
        if let Some(uri) = namespace
            && !scope.contains(prefix)
            && prefix.as_deref() != Some("xml")
        {
            missing.push(Namespace { prefix: prefix.clone(), uri: uri.clone() });
        }
    }
    for node in &element.nodes {
        if let Node::Element(child) = node {
            collect_undeclared(child, scope, missing);
        }
    }
    scope.truncate(outer);
}
