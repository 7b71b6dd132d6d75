//! Typed access to attributes, with the two lookup styles that libvirt mixes.
//!
//! A *property* is any attribute of that local name and counts even when empty; an *XPath string*
//! is an attribute without namespace and counts as absent when empty. Which one an attribute uses
//! is visible in documents (`''`), so every reader says which it means.

use oxivirt_xml::Element;

use crate::keyword::{Keyword, YesNo};
use crate::scalar::{Base, unsigned};

/// What is wrong with one attribute.
///
/// libvirt 11.3.0: `virXMLProp…`, src/util/virxml.c
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributeError {
    /// The attribute has to be there.
    #[error("Missing required attribute '{attribute}' in element '{element}'")]
    Missing {
        /// The attribute.
        attribute: &'static str,
        /// Its element.
        element: String,
    },
    /// Not a number of the right size.
    #[error(
        "Invalid value for attribute '{attribute}' in element '{element}': '{value}'. \
         Expected non-negative integer value"
    )]
    Number {
        /// The attribute.
        attribute: &'static str,
        /// Its element.
        element: String,
        /// The value refused.
        value: String,
    },
    /// Not a number of the right size, in the words that libvirt has for places and counts.
    #[error(
        "Invalid value for attribute '{attribute}' in element '{element}': '{value}'. Expected non-negative value"
    )]
    Index {
        /// The attribute.
        attribute: &'static str,
        /// Its element.
        element: String,
        /// The value refused.
        value: String,
    },
    /// Not a number.
    #[error(
        "Invalid value for attribute '{attribute}' in element '{element}': '{value}'. Expected integer value"
    )]
    Signed {
        /// The attribute.
        attribute: &'static str,
        /// Its element.
        element: String,
        /// The value refused.
        value: String,
    },
    /// A number that has to be at least one.
    #[error(
        "Invalid value for attribute '{attribute}' in element '{element}': Zero is not permitted"
    )]
    Zero {
        /// The attribute.
        attribute: &'static str,
        /// Its element.
        element: String,
    },
    /// None of the words allowed.
    #[error("Invalid value for attribute '{attribute}' in element '{element}': '{value}'.")]
    Keyword {
        /// The attribute.
        attribute: &'static str,
        /// Its element.
        element: String,
        /// The value refused.
        value: String,
    },
}

type Result<T> = std::result::Result<T, AttributeError>;

/// Attribute readers on an element.
pub(crate) trait Node {
    /// An attribute in XPath style: empty is absent.
    fn string(&self, attribute: &str) -> Option<&str>;

    /// A property that has to be there.
    fn required(&self, attribute: &'static str) -> Result<&str>;

    /// A property that is one of `T`'s words.
    fn keyword<T: Keyword>(&self, attribute: &'static str) -> Result<Option<T>>;

    /// A property that is a number fitting `T`.
    fn number<T: TryFrom<u64>>(&self, attribute: &'static str, base: Base) -> Result<Option<T>>;

    /// A property that is `yes` or `no`.
    fn yes_no(&self, attribute: &'static str) -> Result<Option<YesNo>> {
        self.keyword(attribute)
    }

    /// The first child called `name`, whatever its namespace.
    fn subelement(&self, name: &str) -> Option<&Self>;
}

impl Node for Element<'_> {
    fn string(&self, attribute: &str) -> Option<&str> {
        self.attribute(attribute).filter(|value| !value.is_empty())
    }

    fn required(&self, attribute: &'static str) -> Result<&str> {
        self.property(attribute).ok_or_else(|| AttributeError::Missing {
            attribute,
            element: self.name.clone().into_owned(),
        })
    }

    fn keyword<T: Keyword>(&self, attribute: &'static str) -> Result<Option<T>> {
        let Some(value) = self.property(attribute) else {
            return Ok(None);
        };
        T::from_word(value).map(Some).ok_or_else(|| AttributeError::Keyword {
            attribute,
            element: self.name.clone().into_owned(),
            value: value.to_owned(),
        })
    }

    fn number<T: TryFrom<u64>>(&self, attribute: &'static str, base: Base) -> Result<Option<T>> {
        let Some(value) = self.property(attribute) else {
            return Ok(None);
        };
        let number = unsigned(value, base).and_then(|number| T::try_from(number).ok());
        number.map(Some).ok_or_else(|| AttributeError::Number {
            attribute,
            element: self.name.clone().into_owned(),
            value: value.to_owned(),
        })
    }

    fn subelement(&self, name: &str) -> Option<&Self> {
        self.elements().find(|element| element.name == name)
    }
}
