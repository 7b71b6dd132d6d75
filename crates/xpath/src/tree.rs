//! The data model of XPath: numbered nodes with a link to the parent.

use oxivirt_xml::{Attribute, Element, Node};

/// All nodes; the number of a node is its position in document order.
#[derive(Debug)]
pub(super) struct Document<'i> {
    nodes: Vec<TreeNode<'i>>,
}

#[derive(Debug)]
pub(super) struct TreeNode<'i> {
    pub(super) kind: Kind<'i>,
    pub(super) parent: Option<usize>,
    /// Attributes excluded.
    pub(super) children: Vec<usize>,
    pub(super) attributes: Vec<usize>,
}

/// Kind and content of a node.
#[derive(Debug)]
pub(super) enum Kind<'i> {
    Root,
    Element(&'i Element<'i>),
    Attribute(&'i Attribute<'i>),
    Text(&'i str),
    Comment(&'i str),
    Instruction { target: &'i str, data: Option<&'i str> },
}

/// The number of the root, which is above the root element.
pub(super) const ROOT: usize = 0;

static NOTHING: TreeNode<'static> =
    TreeNode { kind: Kind::Root, parent: None, children: Vec::new(), attributes: Vec::new() };

impl<'i> Document<'i> {
    pub(super) fn new(root: &'i Element<'i>) -> Self {
        let mut document = Self { nodes: Vec::new() };
        document.add(Kind::Root, None);
        document.add_element(root, ROOT);
        document
    }

    fn add(&mut self, kind: Kind<'i>, parent: Option<usize>) -> usize {
        let number = self.nodes.len();
        let is_attribute = matches!(kind, Kind::Attribute(_));
        self.nodes.push(TreeNode { kind, parent, children: Vec::new(), attributes: Vec::new() });
        if let Some(parent) = parent.and_then(|parent| self.nodes.get_mut(parent)) {
            let list = if is_attribute { &mut parent.attributes } else { &mut parent.children };
            list.push(number);
        }
        number
    }

    // the reader bounds the depth of a document
    fn add_element(&mut self, element: &'i Element<'i>, parent: usize) {
        let number = self.add(Kind::Element(element), Some(parent));
        for attribute in &element.attributes {
            self.add(Kind::Attribute(attribute), Some(number));
        }
        for node in &element.nodes {
            let kind = match node {
                Node::Element(child) => {
                    self.add_element(child, number);
                    continue;
                }
                Node::Text(text) | Node::CData(text) => Kind::Text(text),
                Node::Comment(text) => Kind::Comment(text),
                Node::Instruction(instruction) => Kind::Instruction {
                    target: &instruction.target,
                    data: instruction.data.as_deref(),
                },
                _ => continue,
            };
            self.add(kind, Some(number));
        }
    }

    pub(super) fn node(&self, number: usize) -> &TreeNode<'i> {
        // numbers come from this document
        self.nodes.get(number).unwrap_or(&NOTHING)
    }

    /// The one element below the root.
    pub(super) fn root_element(&self) -> Option<&'i Element<'i>> {
        match self.node(ROOT + 1).kind {
            Kind::Element(element) => Some(element),
            _ => None,
        }
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The first number after a node and its descendants.
    pub(super) fn end_of(&self, number: usize) -> usize {
        let mut last = number;
        loop {
            let node = self.node(last);
            match node.children.last().or_else(|| node.attributes.last()) {
                Some(&inner) => last = inner,
                None => return last + 1,
            }
        }
    }

    /// The string-value of a node (section 5 of the recommendation).
    pub(super) fn string_value(&self, number: usize) -> String {
        match &self.node(number).kind {
            Kind::Attribute(attribute) => attribute.value.to_string(),
            Kind::Text(text) | Kind::Comment(text) => (*text).to_owned(),
            Kind::Instruction { data, .. } => data.unwrap_or_default().to_owned(),
            Kind::Root | Kind::Element(_) => {
                let inner = (number..self.end_of(number)).map(|inner| &self.node(inner).kind);
                let texts = inner.filter_map(|kind| match kind {
                    Kind::Text(text) => Some(*text),
                    _ => None,
                });
                texts.collect()
            }
        }
    }

    /// Local name and namespace.
    pub(super) fn name(&self, number: usize) -> (&str, Option<&str>, Option<&str>) {
        match &self.node(number).kind {
            Kind::Element(element) => {
                (&element.name, element.namespace.as_deref(), element.prefix.as_deref())
            }
            Kind::Attribute(attribute) => {
                (&attribute.name, attribute.namespace.as_deref(), attribute.prefix.as_deref())
            }
            Kind::Instruction { target, .. } => (target, None, None),
            _ => ("", None, None),
        }
    }
}
