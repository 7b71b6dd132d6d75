//! The kinds of fields that [`elements!`](super::elements) knows, one module each.
//!
//! Every module has the same functions: whether a name in a document is this field, reading it, and
//! writing it as an attribute, as content and as the text of the element itself. What does not
//! apply to a kind writes nothing.

/// The functions of a kind that has no attribute.
macro_rules! no_attribute {
    () => {
        pub(crate) fn attribute<'w, T>(_: &T, _: &str, tag: Tag<'w>) -> Tag<'w> {
            tag
        }
    };
}

/// The functions of a kind that is no text of its own element.
macro_rules! no_text {
    () => {
        pub(crate) fn text_of<T>(_: &T) -> Option<Cow<'_, str>> {
            None
        }
    };
}

/// The function of a kind whose field is one named part of the element.
macro_rules! named {
    ($part:ident) => {
        #[expect(
            clippy::extra_unused_type_parameters,
            reason = "every kind is asked with the type of its field"
        )]
        pub(crate) fn knows<T>(word: &str, part: Part, name: &str) -> bool {
            part == Part::$part && word == name
        }
    };
}

/// An attribute: `Option<V>`.
pub(crate) mod attr {
    use std::borrow::Cow;

    use oxivirt_xml::{Element, Tag, Writer};

    use super::super::{Expected, Part, Value};
    use crate::error::Result;
    use crate::node::AttributeError;

    named!(Attribute);
    no_text!();

    pub(crate) fn read<V: Value>(node: &Element<'_>, word: &'static str) -> Result<Option<V>> {
        let Some(value) = node.attribute(word) else {
            return Ok(None);
        };
        if let Some(value) = V::from_text(value) {
            return Ok(Some(value));
        }
        // Many lists of words of libvirt begin with one that means "not given".
        if value == "default" && V::EXPECTED == Expected::Word {
            return Ok(None);
        }
        let (element, value) = (node.name.clone().into_owned(), value.to_owned());
        Err(match V::EXPECTED {
            Expected::Word => AttributeError::Keyword { attribute: word, element, value },
            // libvirt reads this one as a signed number.
            Expected::Number if element == "controller" && word == "index" => {
                match i32::from_text(&value) {
                    Some(_) => AttributeError::Index { attribute: word, element, value },
                    None => AttributeError::Signed { attribute: word, element, value },
                }
            }
            Expected::Number => AttributeError::Number { attribute: word, element, value },
            Expected::Signed => AttributeError::Signed { attribute: word, element, value },
        }
        .into())
    }

    pub(crate) fn attribute<'w, V: Value>(value: &Option<V>, word: &str, tag: Tag<'w>) -> Tag<'w> {
        tag.attr_opt(word, value.as_ref().map(Value::to_text).as_deref())
    }

    pub(crate) fn content<T>(_: &T, _: &str, _: &mut Writer) {}
}

/// A child element that is left out when it has nothing in it: `Option<T>`.
pub(crate) mod child {
    use std::borrow::Cow;

    use oxivirt_xml::{Element, Presence, Tag, Writer};

    use super::super::{Content, Part};
    use crate::error::Result;

    named!(Child);
    no_attribute!();
    no_text!();

    pub(crate) fn read<T: Content>(node: &Element<'_>, word: &str) -> Result<Option<T>> {
        node.child(word).map(T::read).transpose()
    }

    pub(crate) fn content<T: Content>(value: &Option<T>, word: &str, out: &mut Writer) {
        if let Some(value) = value {
            value.write(word, Presence::IfNotEmpty, out);
        }
    }
}

/// A child element that is written even if it has nothing in it: `Option<T>`.
pub(crate) mod present {
    use std::borrow::Cow;

    use oxivirt_xml::{Presence, Tag, Writer};

    use super::super::{Content, Part};

    named!(Child);
    no_attribute!();
    no_text!();

    pub(crate) use super::child::read;

    pub(crate) fn content<T: Content>(value: &Option<T>, word: &str, out: &mut Writer) {
        if let Some(value) = value {
            value.write(word, Presence::Always, out);
        }
    }
}

/// A child element that is always written as a pair of tags: `Option<T>`.
pub(crate) mod paired {
    use std::borrow::Cow;

    use oxivirt_xml::{Tag, Writer};

    use super::super::{Fields, Part};

    named!(Child);
    no_attribute!();
    no_text!();

    pub(crate) use super::child::read;

    pub(crate) fn content<T: Fields>(value: &Option<T>, word: &str, out: &mut Writer) {
        if let Some(value) = value {
            let out = value.write_attributes(out.begin(word)).open();
            value.write_children(out);
            out.end(word);
        }
    }
}

/// Child elements of one name: `Vec<T>`.
pub(crate) mod list {
    use std::borrow::Cow;

    use oxivirt_xml::{Element, Presence, Tag, Writer};

    use super::super::{Content, Part};
    use crate::error::Result;

    named!(Child);
    no_attribute!();
    no_text!();

    pub(crate) fn read<T: Content>(node: &Element<'_>, word: &str) -> Result<Vec<T>> {
        node.children(word).map(T::read).collect()
    }

    pub(crate) fn content<T: Content>(values: &[T], word: &str, out: &mut Writer) {
        for value in values {
            value.write(word, Presence::Always, out);
        }
    }
}

/// A child element that holds nothing but text: `Option<V>`. An empty one counts as absent.
pub(crate) mod text {
    use std::borrow::Cow;

    use oxivirt_xml::{Element, Tag, Writer};

    use super::super::{Part, Value};
    use crate::domain::DomainError;
    use crate::error::Result;

    named!(Child);
    no_attribute!();
    no_text!();

    pub(crate) fn read<V: Value>(node: &Element<'_>, word: &'static str) -> Result<Option<V>> {
        node.child(word).and_then(|child| parse(child, word).transpose()).transpose()
    }

    /// The text of `child` as a value; nothing if it is empty.
    pub(crate) fn parse<V: Value>(child: &Element<'_>, word: &str) -> Result<Option<V>> {
        let text = child.text();
        if text.is_empty() {
            return Ok(None);
        }
        match V::from_text(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(DomainError::element(word, &text).into()),
        }
    }

    pub(crate) fn content<V: Value>(value: &Option<V>, word: &str, out: &mut Writer) {
        if let Some(value) = value {
            out.text(word, &value.to_text());
        }
    }
}

/// Child elements of one name that hold nothing but text: `Vec<V>`.
pub(crate) mod texts {
    use std::borrow::Cow;

    use oxivirt_xml::{Element, Tag, Writer};

    use super::super::{Part, Value};
    use crate::error::Result;

    named!(Child);
    no_attribute!();
    no_text!();

    pub(crate) fn read<V: Value>(node: &Element<'_>, word: &str) -> Result<Vec<V>> {
        let values = node.children(word).map(|child| super::text::parse(child, word));
        values.filter_map(Result::transpose).collect()
    }

    pub(crate) fn content<V: Value>(values: &[V], word: &str, out: &mut Writer) {
        for value in values {
            out.text(word, &value.to_text());
        }
    }
}

/// A child element that says something by being there: `bool`.
pub(crate) mod flag {
    use std::borrow::Cow;

    use oxivirt_xml::{Element, Tag, Writer};

    use super::super::Part;
    use crate::error::Result;

    named!(Child);
    no_attribute!();
    no_text!();

    #[expect(clippy::unnecessary_wraps, reason = "every kind reads with the same signature")]
    pub(crate) fn read(node: &Element<'_>, word: &str) -> Result<bool> {
        Ok(node.child(word).is_some())
    }

    pub(crate) fn content(value: &bool, word: &str, out: &mut Writer) {
        if *value {
            out.begin(word).empty();
        }
    }
}

/// The text of the element itself: `Option<V>`.
pub(crate) mod body {
    use std::borrow::Cow;

    use oxivirt_xml::{Element, Tag, Writer};

    use super::super::{Part, Value};
    use crate::error::Result;

    no_attribute!();

    #[expect(
        clippy::extra_unused_type_parameters,
        reason = "every kind is asked with the type of its field"
    )]
    pub(crate) fn knows<T>(_: &str, _: Part, _: &str) -> bool {
        false
    }

    pub(crate) fn read<V: Value>(node: &Element<'_>, word: &'static str) -> Result<Option<V>> {
        // Only text of its own counts, not that of children.
        if node.elements().next().is_some() { Ok(None) } else { super::text::parse(node, word) }
    }

    pub(crate) fn content<T>(_: &T, _: &str, _: &mut Writer) {}

    pub(crate) fn text_of<V: Value>(value: &Option<V>) -> Option<Cow<'_, str>> {
        value.as_ref().map(Value::to_text)
    }
}

/// Attributes and children of the element that several elements share: `T`.
pub(crate) mod flatten {
    use std::borrow::Cow;

    use oxivirt_xml::{Element, Tag, Writer};

    use super::super::{Fields, Part, Rest};
    use crate::error::Result;

    pub(crate) fn knows<T: Fields>(_: &str, part: Part, name: &str) -> bool {
        T::knows(part, name)
    }

    pub(crate) fn read<T: Fields>(node: &Element<'_>, _: &str) -> Result<T> {
        T::read(node, Rest::Leave)
    }

    pub(crate) fn attribute<'w, T: Fields>(value: &T, _: &str, tag: Tag<'w>) -> Tag<'w> {
        value.write_attributes(tag)
    }

    pub(crate) fn content<T: Fields>(value: &T, _: &str, out: &mut Writer) {
        value.write_children(out);
    }

    pub(crate) fn text_of<T: Fields>(value: &T) -> Option<Cow<'_, str>> {
        value.body()
    }
}

/// Documents of other programs: `Option<Metadata>`.
pub(crate) mod metadata {
    use std::borrow::Cow;

    use oxivirt_xml::{Element, Tag, Writer};

    use super::super::Part;
    use crate::error::Result;
    use crate::metadata::Metadata;

    named!(Child);
    no_attribute!();
    no_text!();

    #[expect(clippy::unnecessary_wraps, reason = "every kind reads with the same signature")]
    pub(crate) fn read(node: &Element<'_>, word: &str) -> Result<Option<Metadata>> {
        Ok(node.child(word).cloned().and_then(Metadata::from_element))
    }

    pub(crate) fn content(value: &Option<Metadata>, _: &str, out: &mut Writer) {
        if let Some(value) = value {
            value.format(out);
        }
    }
}
