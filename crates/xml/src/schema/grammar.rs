//! A schema as values, and its interpreter.

use crate::{Element as Tree, Node};

use super::datatype::{Datatype, collapsed};
use super::{SchemaError, SchemaFault as Fault};

/// What an element may be.
#[derive(Debug)]
pub struct Element {
    /// Namespace it is in, and all its child elements.
    pub namespace: Option<&'static str>,
    /// Every attribute it may have.
    pub attributes: &'static [Attribute],
    /// What holds between its attributes.
    pub rules: &'static [Rule],
    /// What may stand in it.
    pub content: Content,
}

/// An attribute.
#[derive(Debug)]
pub struct Attribute {
    name: &'static str,
    value: Datatype,
    is_required: bool,
}

/// Something that holds between attributes or elements.
#[derive(Debug)]
pub enum Rule {
    /// At most one of two attributes.
    NotBoth(&'static str, &'static str),
    /// At least one of these attributes.
    OneOf(&'static [&'static str]),
    /// Child elements of at most one of two names.
    NotBothElements(&'static str, &'static str),
}

/// What stands in an element.
#[derive(Debug)]
pub enum Content {
    /// Text of a type; nothing is empty text.
    Text(Datatype),
    /// These elements in any order, and white space.
    Elements(&'static [Child]),
    /// Elements of any kind with anything in them.
    Foreign,
}

/// Elements of one name in another.
#[derive(Debug)]
pub struct Child {
    name: &'static str,
    occurs: Occurs,
    shape: Shape,
}

/// How often an element may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurs {
    /// Once or not at all.
    Optional,
    /// Once.
    Once,
    /// Any number of times.
    Any,
    /// Once or more.
    Some,
}

/// What an element of a name looks like.
#[derive(Debug)]
enum Shape {
    /// Always this.
    One(&'static Element),
    /// Selected by the attribute `type`, as for `virtualport`; the first of each pair is its value.
    ByType(&'static [(Option<&'static str>, &'static Element)]),
}

impl Element {
    /// An element that has attributes only.
    #[must_use]
    pub const fn empty(attributes: &'static [Attribute]) -> Self {
        Self { namespace: None, attributes, rules: &[], content: Content::Elements(&[]) }
    }

    /// An element that has text only.
    #[must_use]
    pub const fn text(datatype: Datatype) -> Self {
        Self { namespace: None, attributes: &[], rules: &[], content: Content::Text(datatype) }
    }

    /// An element with attributes and elements in it.
    #[must_use]
    pub const fn new(attributes: &'static [Attribute], children: &'static [Child]) -> Self {
        Self { namespace: None, attributes, rules: &[], content: Content::Elements(children) }
    }

    /// The same with rules.
    #[must_use]
    pub const fn rules(self, rules: &'static [Rule]) -> Self {
        Self { rules, ..self }
    }
}

impl Attribute {
    /// An attribute that may be missing.
    #[must_use]
    pub const fn optional(name: &'static str, value: Datatype) -> Self {
        Self { name, value, is_required: false }
    }

    /// An attribute that has to be there.
    #[must_use]
    pub const fn required(name: &'static str, value: Datatype) -> Self {
        Self { name, value, is_required: true }
    }
}

impl Child {
    /// Elements that all look alike.
    #[must_use]
    pub const fn new(name: &'static str, occurs: Occurs, element: &'static Element) -> Self {
        Self { name, occurs, shape: Shape::One(element) }
    }

    /// Elements whose attributes and content depend on their `type`.
    #[must_use]
    pub const fn by_type(
        name: &'static str,
        occurs: Occurs,
        types: &'static [(Option<&'static str>, &'static Element)],
    ) -> Self {
        Self { name, occurs, shape: Shape::ByType(types) }
    }
}

/// Checks a document against the schema of its root element, whose name the caller has checked.
///
/// # Errors
/// The first fault in document order.
pub fn check(element: &Element, root: &Tree<'_>) -> Result<(), SchemaError> {
    let mut place = Place { path: format!("/{}", root.name) };
    if let Some(namespace) = &root.namespace {
        return Err(place.error(Fault::RootNamespace(namespace.to_string())));
    }
    place.check(element, root)
}

struct Place {
    path: String,
}

impl Place {
    fn error(&self, fault: Fault) -> SchemaError {
        SchemaError { path: self.path.clone(), fault }
    }

    fn check(&mut self, element: &Element, tree: &Tree<'_>) -> Result<(), SchemaError> {
        check_attributes(element, tree).map_err(|fault| self.error(fault))?;
        match element.content {
            Content::Text(datatype) => {
                check_text(datatype, tree).map_err(|fault| self.error(fault))
            }
            Content::Elements(children) => {
                check_no_text(tree).map_err(|fault| self.error(fault))?;
                self.check_children(element.namespace, children, tree)
            }
            Content::Foreign => check_no_text(tree).map_err(|fault| self.error(fault)),
        }
    }

    fn check_children(
        &mut self,
        namespace: Option<&str>,
        children: &[Child],
        tree: &Tree<'_>,
    ) -> Result<(), SchemaError> {
        let mut seen = vec![0_usize; children.len()];
        for found in tree.elements() {
            let is_meant = |child: &Child| {
                let expected = child.namespace().or(namespace);
                child.name == found.name && found.namespace.as_deref() == expected
            };
            let known = children.iter().zip(&mut seen).find(|(child, _)| is_meant(child));
            let Some((child, count)) = known else {
                return Err(self.error(Fault::UnknownElement(found.name.clone().into_owned())));
            };
            *count += 1;
            let is_single = matches!(child.occurs, Occurs::Optional | Occurs::Once);
            if is_single && *count > 1 {
                return Err(self.error(Fault::Repeated(child.name)));
            }
            let outer = self.path.len();
            self.path.push('/');
            self.path.push_str(child.name);
            if !is_single {
                self.path.push_str(&format!("[{count}]"));
            }
            let element = child.shape.of(found).map_err(|fault| self.error(fault))?;
            self.check(element, found)?;
            self.path.truncate(outer);
        }
        let missing = children.iter().zip(&seen).find(|(child, count)| {
            **count == 0 && matches!(child.occurs, Occurs::Once | Occurs::Some)
        });
        match missing {
            Some((child, _)) => Err(self.error(Fault::MissingElement(child.name))),
            None => Ok(()),
        }
    }
}

impl Child {
    /// The namespace an element brings itself, as dnsmasq's options do.
    fn namespace(&self) -> Option<&'static str> {
        match self.shape {
            Shape::One(element) => element.namespace,
            Shape::ByType(_) => None,
        }
    }
}

impl Shape {
    fn of(&self, found: &Tree<'_>) -> Result<&'static Element, Fault> {
        let types = match *self {
            Self::One(element) => return Ok(element),
            Self::ByType(types) => types,
        };
        let value = found.attribute("type");
        let is_meant = |meant: Option<&'static str>| match (meant, value) {
            (Some(word), Some(value)) => collapsed(value) == word,
            (meant, value) => meant.is_none() && value.is_none(),
        };
        if let Some(&(_, element)) = types.iter().find(|(meant, _)| is_meant(*meant)) {
            return Ok(element);
        }
        let Some(value) = value else {
            return Err(Fault::MissingAttribute("type"));
        };
        let words: Vec<&str> = types.iter().filter_map(|&(word, _)| word).collect();
        let expected = format!("one of '{}'", words.join("', '"));
        Err(Fault::Attribute { attribute: "type", value: value.to_owned(), expected })
    }
}

fn check_attributes(element: &Element, tree: &Tree<'_>) -> Result<(), Fault> {
    for found in &tree.attributes {
        let mut known = element.attributes.iter();
        let known = known.find(|known| known.name == found.name && found.namespace.is_none());
        let Some(Attribute { name, value, .. }) = known else {
            return Err(Fault::UnknownAttribute(found.name.clone().into_owned()));
        };
        if !value.accepts(&found.value) {
            let (value, expected) = (found.value.clone().into_owned(), value.expected());
            return Err(Fault::Attribute { attribute: name, value, expected });
        }
    }
    let has = |name: &str| tree.attribute(name).is_some();
    let missing = |known: &&Attribute| known.is_required && !has(known.name);
    if let Some(missing) = element.attributes.iter().find(missing) {
        return Err(Fault::MissingAttribute(missing.name));
    }
    let has_element = |name: &str| tree.child(name).is_some();
    element.rules.iter().try_for_each(|rule| match *rule {
        Rule::NotBoth(one, other) if has(one) && has(other) => {
            Err(Fault::ExclusiveAttributes(one, other))
        }
        Rule::OneOf(names) if !names.iter().copied().any(has) => {
            Err(Fault::NoneOf(format!("'{}'", names.join("', '"))))
        }
        Rule::NotBothElements(one, other) if has_element(one) && has_element(other) => {
            Err(Fault::ExclusiveElements(one, other))
        }
        Rule::NotBoth(..) | Rule::OneOf(_) | Rule::NotBothElements(..) => Ok(()),
    })
}

fn check_text(datatype: Datatype, tree: &Tree<'_>) -> Result<(), Fault> {
    if let Some(child) = tree.elements().next() {
        return Err(Fault::UnknownElement(child.name.clone().into_owned()));
    }
    let text = tree.text();
    if datatype.accepts(&text) {
        return Ok(());
    }
    Err(Fault::Text { value: text.into_owned(), expected: datatype.expected() })
}

fn check_no_text(tree: &Tree<'_>) -> Result<(), Fault> {
    let is_text = |node: &Node<'_>| match node {
        Node::Text(text) | Node::CData(text) => {
            text.contains(|c| !matches!(c, ' ' | '\t' | '\n' | '\r'))
        }
        _ => false,
    };
    if tree.nodes.iter().any(is_text) { Err(Fault::StrayText) } else { Ok(()) }
}
