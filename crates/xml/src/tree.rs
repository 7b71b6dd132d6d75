//! The element tree a document is read into.

use std::borrow::Cow;
use std::sync::Arc;

/// An element with its attributes and content.
///
/// Strings borrow from the text that was read wherever it holds them literally;
/// [`Element::into_owned`] cuts the tie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element<'i> {
    /// Local name; with its prefix if that is bound to nothing.
    pub name: Cow<'i, str>,
    /// Namespace prefix as written.
    pub prefix: Option<Cow<'i, str>>,
    /// URI of the namespace the element is in; shared, since hostile ones are long and many.
    pub namespace: Option<Arc<str>>,
    /// Namespace declarations of this very element, in document order.
    pub declarations: Vec<Namespace<'i>>,
    /// Attributes in document order, declarations excluded.
    pub attributes: Vec<Attribute<'i>>,
    /// Content in document order.
    pub nodes: Vec<Node<'i>>,
}

/// A namespace declaration (`xmlns:prefix='uri'`, or `xmlns='uri'` without a prefix).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace<'i> {
    /// The prefix bound; none for the default namespace.
    pub prefix: Option<Cow<'i, str>>,
    /// What it is bound to; empty undoes an outer default.
    pub uri: Arc<str>,
}

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute<'i> {
    /// Local name; with its prefix if that is bound to nothing.
    pub name: Cow<'i, str>,
    /// Namespace prefix as written, if it is bound.
    pub prefix: Option<Cow<'i, str>>,
    /// URI of the namespace the attribute is in; without a prefix there is none.
    pub namespace: Option<Arc<str>>,
    /// Value, references resolved and white space normalised.
    pub value: Cow<'i, str>,
}

/// One piece of an element's content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Node<'i> {
    /// A child element.
    Element(Box<Element<'i>>),
    /// Character data, references resolved.
    Text(Cow<'i, str>),
    /// A CDATA section.
    CData(Cow<'i, str>),
    /// A comment without its delimiters.
    Comment(Cow<'i, str>),
    /// A processing instruction.
    Instruction(Box<Instruction<'i>>),
}

/// A processing instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction<'i> {
    /// Its target.
    pub target: Cow<'i, str>,
    /// What follows the target, if anything.
    pub data: Option<Cow<'i, str>>,
}

impl<'i> Element<'i> {
    /// An element without namespace and content.
    #[must_use]
    pub fn new(name: impl Into<Cow<'i, str>>) -> Self {
        Self {
            name: name.into(),
            prefix: None,
            namespace: None,
            declarations: Vec::new(),
            attributes: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// The value of the attribute without namespace called `name` (`@name` in XPath).
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let mut plain = self.attributes.iter().filter(|attribute| attribute.prefix.is_none());
        plain.find(|attribute| attribute.name == name).map(|attribute| attribute.value.as_ref())
    }

    /// The value of the first attribute called `name` in any namespace (`xmlGetProp`).
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        let attribute = self.attributes.iter().find(|attribute| attribute.name == name);
        attribute.map(|attribute| attribute.value.as_ref())
    }

    /// The child elements in document order.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Element(element) => Some(&**element),
            _ => None,
        })
    }

    /// The child elements without namespace called `name` (`./name` in XPath).
    pub fn children(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.elements().filter(move |element| element.namespace.is_none() && element.name == name)
    }

    /// The first child element without namespace called `name` (`./name[1]` in XPath).
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children(name).next()
    }

    /// All character data below this element, comments excluded (`string(.)` in XPath).
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self.nodes.as_slice() {
            [] => Cow::Borrowed(""),
            [Node::Text(text) | Node::CData(text)] => Cow::Borrowed(text),
            _ => {
                let mut text = String::new();
                self.collect_text(&mut text);
                Cow::Owned(text)
            }
        }
    }

    fn collect_text(&self, out: &mut String) {
        for node in &self.nodes {
            match node {
                Node::Text(text) | Node::CData(text) => out.push_str(text),
                Node::Element(element) => element.collect_text(out),
                Node::Comment(_) | Node::Instruction(_) => {}
            }
        }
    }

    /// Takes the first child element without namespace called `name` out of the tree.
    pub fn take_child(&mut self, name: &str) -> Option<Self> {
        let is_meant = |node: &Node<'i>| match node {
            Node::Element(child) => child.namespace.is_none() && child.name == name,
            _ => false,
        };
        let at = self.nodes.iter().position(is_meant)?;
        match self.nodes.remove(at) {
            Node::Element(child) => Some(*child),
            _ => None,
        }
    }

    /// The same tree, independent of the text it was read from.
    #[must_use]
    pub fn into_owned(self) -> Element<'static> {
        Element {
            name: owned(self.name),
            prefix: self.prefix.map(owned),
            namespace: self.namespace,
            declarations: self.declarations.into_iter().map(Namespace::into_owned).collect(),
            attributes: self.attributes.into_iter().map(Attribute::into_owned).collect(),
            nodes: self.nodes.into_iter().map(Node::into_owned).collect(),
        }
    }
}

impl Namespace<'_> {
    fn into_owned(self) -> Namespace<'static> {
        Namespace { prefix: self.prefix.map(owned), uri: self.uri }
    }
}

impl Attribute<'_> {
    fn into_owned(self) -> Attribute<'static> {
        Attribute {
            name: owned(self.name),
            prefix: self.prefix.map(owned),
            namespace: self.namespace,
            value: owned(self.value),
        }
    }
}

impl Node<'_> {
    /// The same node, independent of the text it was read from.
    #[must_use]
    pub fn into_owned(self) -> Node<'static> {
        match self {
            Self::Element(element) => Node::Element(Box::new(element.into_owned())),
            Self::Text(text) => Node::Text(owned(text)),
            Self::CData(text) => Node::CData(owned(text)),
            Self::Comment(text) => Node::Comment(owned(text)),
            Self::Instruction(instruction) => {
                let Instruction { target, data } = *instruction;
                let (target, data) = (owned(target), data.map(owned));
                Node::Instruction(Box::new(Instruction { target, data }))
            }
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
