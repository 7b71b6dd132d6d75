//! Elements as structs: one declaration gives the type, its reader and its writer.
//!
//! [`elements!`] takes structs whose fields stand in libvirt's order of output. Before each field is
//! its kind, one of the modules below: an attribute, a child element, a list of them, a text. What a
//! document has beyond the declared fields is kept in [`Extra`] and written behind them.
//! Reading is tolerant of order, writing is not: it is libvirt's.

mod kind;
mod value;

use std::borrow::Cow;

use oxivirt_xml::{Element, Presence, Tag, Writer};

use crate::error::Result;

pub(crate) use kind::{
    attr, body, child, flag, flatten, list, metadata, paired, present, text, texts,
};
pub use value::Hex;
pub(crate) use value::{Expected, Value};

/// Attributes and child elements that a type does not name; they are written as they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extra {
    attributes: Vec<(String, String)>,
    elements: Vec<Element<'static>>,
}

/// What a name in a document belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// An attribute of the element.
    Attribute,
    /// A child of the element.
    Child,
}

/// What happens with what a type does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It is kept.
    Keep,
    /// Another type that reads the same element keeps it.
    Leave,
}

/// A part of an element: attributes and children that belong together.
pub(crate) trait Fields: Sized {
    /// Whether this part reads the attribute or child called `name`.
    fn knows(part: Part, name: &str) -> bool;

    /// Reads the part.
    fn read(node: &Element<'_>, rest: Rest) -> Result<Self>;

    /// Writes its attributes.
    fn write_attributes<'w>(&self, tag: Tag<'w>) -> Tag<'w>;

    /// Writes its children.
    fn write_children(&self, out: &mut Writer);

    /// The text of an element that has text instead of children.
    fn body(&self) -> Option<Cow<'_, str>>;
}

/// A whole element.
pub(crate) trait Content: Sized {
    /// Reads the element.
    fn read(node: &Element<'_>) -> Result<Self>;

    /// Writes it under `name`.
    fn write(&self, name: &str, presence: Presence, out: &mut Writer);
}

impl<T: Fields> Content for T {
    fn read(node: &Element<'_>) -> Result<Self> {
        Fields::read(node, Rest::Keep)
    }

    fn write(&self, name: &str, presence: Presence, out: &mut Writer) {
        match self.body() {
            Some(body) => self.write_attributes(out.begin(name)).text(name, &body),
            None => out.element(
                name,
                presence,
                |tag| self.write_attributes(tag),
                |out| self.write_children(out),
            ),
        }
    }
}

impl<T: Fields> Fields for Box<T> {
    fn knows(part: Part, name: &str) -> bool {
        T::knows(part, name)
    }

    fn read(node: &Element<'_>, rest: Rest) -> Result<Self> {
        T::read(node, rest).map(Self::new)
    }

    fn write_attributes<'w>(&self, tag: Tag<'w>) -> Tag<'w> {
        (**self).write_attributes(tag)
    }

    fn write_children(&self, out: &mut Writer) {
        (**self).write_children(out);
    }

    fn body(&self) -> Option<Cow<'_, str>> {
        (**self).body()
    }
}

impl Extra {
    /// What of `node` the type with this `knows` does not read.
    pub(crate) fn read(node: &Element<'_>, rest: Rest, knows: impl Fn(Part, &str) -> bool) -> Self {
        if rest == Rest::Leave {
            return Self::default();
        }
        let attributes = node
            .attributes
            .iter()
            .filter(|attribute| attribute.prefix.is_none())
            .filter(|attribute| !knows(Part::Attribute, &attribute.name))
            .map(|attribute| {
                (attribute.name.clone().into_owned(), attribute.value.clone().into_owned())
            });
        let elements = node
            .elements()
            .filter(|child| child.namespace.is_none() && !knows(Part::Child, &child.name))
            .map(|child| child.clone().into_owned());
        Self { attributes: attributes.collect(), elements: elements.collect() }
    }

    /// Whether nothing is kept.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.elements.is_empty()
    }

    /// Drops the children called `name`.
    pub(crate) fn forget_child(&mut self, name: &str) {
        self.elements.retain(|element| element.name != name);
    }

    pub(crate) fn write_attributes<'w>(&self, tag: Tag<'w>) -> Tag<'w> {
        self.attributes.iter().fold(tag, |tag, (name, value)| tag.attr(name, value))
    }

    pub(crate) fn write_children(&self, out: &mut Writer) {
        for element in &self.elements {
            write_tree(element, out);
        }
    }
}

/// Writes an element tree in libvirt's layout; text that stands beside elements is left out.
pub(crate) fn write_tree(element: &Element<'_>, out: &mut Writer) {
    let text = element.text();
    if element.elements().next().is_none() && !text.is_empty() {
        write_tree_attributes(element, out.begin(&element.name)).text(&element.name, &text);
        return;
    }
    out.element(
        &element.name,
        Presence::Always,
        |tag| write_tree_attributes(element, tag),
        |out| element.elements().for_each(|child| write_tree(child, out)),
    );
}

fn write_tree_attributes<'w>(element: &Element<'_>, tag: Tag<'w>) -> Tag<'w> {
    let attributes = element.attributes.iter();
    attributes.fold(tag, |tag, attribute| tag.attr(&attribute.name, &attribute.value))
}

/// Declares elements; see the head of the module.
///
/// A field is `kind name: Type = "word"`. Fields may have a comment of their own; the word in the document
/// is added to it.
macro_rules! elements {
    ($(
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $($(#[$field_meta:meta])* $kind:ident $field:ident: $ty:ty = $word:literal,)*
        }
    )+) => {
        $(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        $vis struct $name {
            $(
                $(#[$field_meta])*
                #[doc = concat!("`", $word, "` in the document.")]
                pub $field: $ty,
            )*
            /// What is not named here.
            pub extra: $crate::element::Extra,
        }

        impl $crate::element::Fields for $name {
            fn knows(part: $crate::element::Part, name: &str) -> bool {
                $($crate::element::$kind::knows::<$ty>($word, part, name) ||)*
                false
            }

            fn read(
                node: &oxivirt_xml::Element<'_>,
                rest: $crate::element::Rest,
            ) -> $crate::error::Result<Self> {
                Ok(Self {
                    $($field: $crate::element::$kind::read(node, $word)?,)*
                    extra: $crate::element::Extra::read(
                        node,
                        rest,
                        <Self as $crate::element::Fields>::knows,
                    ),
                })
            }

            fn write_attributes<'w>(&self, tag: oxivirt_xml::Tag<'w>) -> oxivirt_xml::Tag<'w> {
                $(let tag = $crate::element::$kind::attribute(&self.$field, $word, tag);)*
                self.extra.write_attributes(tag)
            }

            fn write_children(&self, out: &mut oxivirt_xml::Writer) {
                $($crate::element::$kind::content(&self.$field, $word, out);)*
                self.extra.write_children(out);
            }

            fn body(&self) -> Option<std::borrow::Cow<'_, str>> {
                None$(.or_else(|| $crate::element::$kind::text_of(&self.$field)))*
            }
        }
        )+
    };
}

pub(crate) use elements;
