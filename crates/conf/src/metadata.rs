//! `<metadata>`: documents of other programs, kept by namespace and never understood.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use oxivirt_xml::{self as xml, Blanks, Element, Namespace, Node, Writer};

use crate::error::{Class, ErrorCode, ErrorDomain, Result};

/// The longest key taken, in bytes: it is written before the name of every element of a payload.
const KEY_MAX: usize = 256;

/// The content of a `<metadata>` element: at most one direct child per namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    element: Element<'static>,
}

/// What is wrong with a metadata payload or its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The key cannot be a namespace prefix.
    #[error("failed to validate prefix for a new XML namespace")]
    Key {
        /// The key.
        key: String,
    },
    /// The payload's root gives the key a meaning already.
    #[error("failed to create a new XML namespace")]
    KeyInUse {
        /// The key.
        key: String,
    },
}

impl MetadataError {
    pub(crate) const fn class(&self) -> Class {
        (ErrorCode::INTERNAL_ERROR, ErrorDomain::XML)
    }
}

impl Metadata {
    /// Takes over the element of a definition; nothing unless it holds an element.
    ///
    /// Direct children without a namespace go, of several in one namespace the first stays.
    /// A prefix bound further out is declared again on the element itself.
    ///
    /// libvirt 11.3.0: `virXMLNodeSanitizeNamespaces`, src/util/virxml.c
    pub(crate) fn from_element(node: Element<'_>) -> Option<Self> {
        node.elements().next()?;
        let mut element = node.into_owned();
        let mut seen: BTreeSet<Arc<str>> = BTreeSet::new();
        element.nodes.retain(|child| match child {
            Node::Element(child) => {
                child.namespace.as_ref().is_some_and(|uri| seen.insert(Arc::clone(uri)))
            }
            _ => false,
        });
        declare_outer(&mut element);
        Some(Self { element })
    }

    /// `current` with the element of namespace `uri` replaced by `payload`, or taken out without one.
    ///
    /// What of the payload has no namespace is put into `uri` under the prefix `key`; what has one
    /// keeps it, and if that is the root it cannot be found by `uri`. Blanks of the payload are kept.
    /// Nothing is left once the last element is taken out.
    ///
    /// # Errors
    /// [`ParseError::NotWellFormed`](crate::ParseError::NotWellFormed) for the payload,
    /// [`MetadataError`] for a key that is no prefix or means something else in it.
    ///
    /// libvirt 11.3.0: `virNetworkDefSetMetadata`, src/conf/virnetworkobj.c
    pub fn set(
        current: Option<&Self>,
        key: &str,
        uri: &str,
        payload: Option<&str>,
    ) -> Result<Option<Self>> {
        let added = match payload {
            Some(payload) => {
                let mut root = xml::parse(payload, Blanks::Keep)?.into_owned();
                bind(&mut root, key, uri)?;
                Some(root)
            }
            None => None,
        };
        let mut element = current.map_or_else(|| Element::new("metadata"), |m| m.element.clone());
        element.nodes.retain(|node| match node {
            Node::Element(child) => child.namespace.as_deref() != Some(uri),
            _ => true,
        });
        element.nodes.extend(added.map(Box::new).map(Node::Element));
        let holds_element = element.elements().next().is_some();
        Ok(holds_element.then_some(Self { element }))
    }

    /// The first element of namespace `uri`, as a document of its own in no namespace.
    ///
    /// libvirt 11.3.0: `virNetworkObjGetMetadata` and `virXMLExtractNamespaceXML`, src/util/virxml.c
    #[must_use]
    pub fn get(&self, uri: &str) -> Option<String> {
        let is_meant = |child: &&Element<'static>| child.namespace.as_deref() == Some(uri);
        let found = self.element.elements().find(is_meant)?;
        let mut found = found.clone();
        declare_missing(&mut found, &self.element);
        let keep_declaration = uses_in_attributes(&found, uri);
        strip(&mut found, uri, keep_declaration);
        Some(xml::dump(&found, 0))
    }

    pub(crate) fn format(&self, out: &mut Writer) {
        out.raw_line(&xml::dump(&self.element, out.indent() / 2));
    }
}

/// Puts the payload into the namespace: declares it on the root, and whatever has none joins it.
fn bind(root: &mut Element<'static>, key: &str, uri: &str) -> Result<(), MetadataError> {
    if !xml::is_ncname(key) || matches!(key, "xml" | "xmlns") || key.len() > KEY_MAX {
        return Err(MetadataError::Key { key: key.to_owned() });
    }
    if root.declarations.iter().any(|declared| declared.prefix.as_deref() == Some(key)) {
        return Err(MetadataError::KeyInUse { key: key.to_owned() });
    }
    let declaration = Namespace { prefix: Some(Cow::Owned(key.to_owned())), uri: uri.into() };
    root.declarations.push(declaration.clone());
    join(root, &declaration);
    Ok(())
}

fn join(element: &mut Element<'static>, declaration: &Namespace<'static>) {
    if element.namespace.is_none() {
        element.namespace = Some(Arc::clone(&declaration.uri));
        element.prefix.clone_from(&declaration.prefix);
    }
    for node in &mut element.nodes {
        if let Node::Element(child) = node {
            join(child, declaration);
        }
    }
}

/// Takes an element and all below it out of a namespace.
fn strip(element: &mut Element<'static>, uri: &str, keep_declaration: bool) {
    if element.namespace.as_deref() == Some(uri) {
        element.namespace = None;
        element.prefix = None;
    }
    if !keep_declaration {
        element.declarations.retain(|declared| *declared.uri != *uri);
    }
    for node in &mut element.nodes {
        if let Node::Element(child) = node {
            strip(child, uri, keep_declaration);
        }
    }
}

fn uses_in_attributes(element: &Element<'static>, uri: &str) -> bool {
    element.attributes.iter().any(|attribute| attribute.namespace.as_deref() == Some(uri))
        || element.elements().any(|child| uses_in_attributes(child, uri))
}

/// Declares on `element` what it uses of the declarations of `outer`.
fn declare_missing(element: &mut Element<'static>, outer: &Element<'static>) {
    let missing = undeclared(element);
    element
        .declarations
        .extend(missing.into_iter().filter(|declaration| outer.declarations.contains(declaration)));
}

/// Declares on `element` every namespace used inside of it but declared outside.
fn declare_outer(element: &mut Element<'static>) {
    let missing = undeclared(element);
    element.declarations.extend(missing);
}

/// What an element uses without declaring it, in the order of first use.
fn undeclared(element: &Element<'static>) -> Vec<Namespace<'static>> {
    let mut search = Undeclared::default();
    search.visit(element);
    search.missing
}

/// A search for prefixes that no element on the way declares.
#[derive(Debug, Default)]
struct Undeclared {
    /// How many enclosing elements declare a prefix.
    declared: BTreeMap<Option<Cow<'static, str>>, usize>,
    seen: BTreeSet<Option<Cow<'static, str>>>,
    missing: Vec<Namespace<'static>>,
}

impl Undeclared {
    fn visit(&mut self, element: &Element<'static>) {
        for declaration in &element.declarations {
            *self.declared.entry(declaration.prefix.clone()).or_default() += 1;
        }
        for attribute in &element.attributes {
            self.note(attribute.prefix.as_ref(), attribute.namespace.as_ref());
        }
        self.note(element.prefix.as_ref(), element.namespace.as_ref());
        for node in &element.nodes {
            if let Node::Element(child) = node {
                self.visit(child);
            }
        }
        for declaration in &element.declarations {
            if let Some(count) = self.declared.get_mut(&declaration.prefix) {
                *count -= 1;
            }
        }
    }

    fn note(&mut self, prefix: Option<&Cow<'static, str>>, uri: Option<&Arc<str>>) {
        let Some(uri) = uri.filter(|_| prefix.is_none_or(|prefix| prefix != "xml")) else {
            return;
        };
        let prefix = prefix.cloned();
        let is_declared = self.declared.get(&prefix).is_some_and(|&count| count > 0);
        if !is_declared && self.seen.insert(prefix.clone()) {
            self.missing.push(Namespace { prefix, uri: Arc::clone(uri) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Classified as _;
    use crate::network::{Form, NetworkDef};

    fn metadata(content: &str) -> Option<Metadata> {
        let xml = format!("<network><name>n</name><metadata>{content}</metadata></network>");
        NetworkDef::parse(&xml).unwrap().metadata
    }

    fn printed(metadata: Option<Metadata>) -> String {
        let def = NetworkDef { name: String::from("n"), metadata, ..NetworkDef::default() };
        let text = def.format(Form::Inactive);
        let start = text.find("  <metadata").unwrap_or(text.len());
        text.get(start..text.find("  <bridge").unwrap()).unwrap_or_default().to_owned()
    }

    /// Setting `payload` as `k` of `urn:1` prints `expect`, and getting it gives `read`.
    #[track_caller]
    fn check(before: &str, payload: &str, expect: &str, read: Option<&str>) {
        let before = metadata(before);
        let after = Metadata::set(before.as_ref(), "k", "urn:1", Some(payload)).unwrap();
        assert_eq!(after.as_ref().and_then(|after| after.get("urn:1")).as_deref(), read);
        assert_eq!(printed(after), format!("  <metadata>\n{expect}\n  </metadata>\n"));
    }

    #[test]
    fn set_and_get() {
        check(
            "",
            "<a q='1'><b/><c x='é'>t</c></a>",
            "    <k:a xmlns:k=\"urn:1\" q=\"1\">\n      <k:b/>\n      <k:c x=\"&#xE9;\">t</k:c>\n    </k:a>",
            Some("<a q=\"1\">\n  <b/>\n  <c x=\"&#xE9;\">t</c>\n</a>"),
        );
        check(
            "",
            "<a>\n <b/>\n</a>",
            "    <k:a xmlns:k=\"urn:1\">\n <k:b/>\n</k:a>",
            Some("<a>\n <b/>\n</a>"),
        );
        check(
            "",
            "<x:a xmlns:x='urn:9'><b/></x:a>",
            "    <x:a xmlns:x=\"urn:9\" xmlns:k=\"urn:1\">\n      <k:b/>\n    </x:a>",
            None,
        );
        check(
            "",
            "<a xmlns:x='urn:9'><x:b/></a>",
            "    <k:a xmlns:x=\"urn:9\" xmlns:k=\"urn:1\">\n      <x:b/>\n    </k:a>",
            Some("<a xmlns:x=\"urn:9\">\n  <x:b/>\n</a>"),
        );
        check(
            "<p:z xmlns:p='urn:1'/><q:z xmlns:q='urn:2'/>",
            "<a/>",
            "    <q:z xmlns:q=\"urn:2\"/>\n    <k:a xmlns:k=\"urn:1\"/>",
            Some("<a/>"),
        );
    }

    #[test]
    fn remove() {
        let before = metadata("<p:z xmlns:p='urn:1'/>");
        assert_eq!(Metadata::set(before.as_ref(), "", "urn:1", None), Ok(None));
        assert_eq!(Metadata::set(before.as_ref(), "", "urn:2", None), Ok(before));
        assert_eq!(Metadata::set(None, "", "urn:2", None), Ok(None));
    }

    #[test]
    fn refusals() {
        #[track_caller]
        fn check(key: &str, payload: &str, code: i32, domain: i32) {
            let error = Metadata::set(None, key, "urn:1", Some(payload)).unwrap_err();
            assert_eq!((error.code().0, error.domain().0), (code, domain));
        }
        check("1k", "<a/>", 1, 5);
        check("a:b", "<a/>", 1, 5);
        check("", "<a/>", 1, 5);
        check("k", "<a xmlns:k='urn:9'/>", 1, 5);
        check("k", "<a", 35, 19);
    }

    #[test]
    fn outer_declarations_follow_what_uses_them() {
        let xml = "<network><name>n</name><metadata xmlns:o='urn:3'><p:z xmlns:p='urn:1' o:y='1'/></metadata></network>";
        let def = NetworkDef::parse(xml).unwrap();
        let read = def.metadata.unwrap().get("urn:1");
        assert_eq!(read.as_deref(), Some("<z xmlns:o=\"urn:3\" o:y=\"1\"/>"));
    }
}
