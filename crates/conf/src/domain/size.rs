//! Sizes with a unit.

use std::borrow::Cow;

use oxivirt_xml::{Element, Tag, Writer};

use super::DomainError;
use crate::element::{Fields, Part, Rest, Value as _};
use crate::error::Result;
use crate::scalar::{Base, unsigned};

/// Bytes in a KiB.
pub(super) const KIB: u64 = 1024;
/// Bytes in a MiB.
const MIB: u64 = 1024 * KIB;

/// A size in bytes; documents give it in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size {
    bytes: u64,
}

/// A size in bytes that documents give in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize {
    /// How many bytes.
    pub bytes: u64,
}

/// A size in bytes that is written in the largest unit that divides it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrettySize {
    /// How many bytes.
    pub bytes: u64,
}

impl Size {
    /// So many KiB.
    #[must_use]
    pub const fn from_kib(kib: u64) -> Self {
        Self { bytes: kib.saturating_mul(KIB) }
    }

    /// In KiB.
    #[must_use]
    pub const fn kib(self) -> u64 {
        self.bytes / KIB
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.bytes
    }

    /// As written, however large: bytes rounded up to KiB.
    pub(super) fn scale(value: u64, unit: Option<&str>) -> Result<Self, DomainError> {
        let bytes = scale(value, unit, KIB)?;
        Ok(Self::from_kib(bytes.div_ceil(KIB)))
    }
}

/// A number with or without a unit, `10G`, in bytes; without one it counts `default` bytes. `None` if
/// the text does not begin with a number.
///
/// # Errors
/// If the unit is unknown, or the size does not fit.
///
/// libvirt 11.3.0: `virshVolSize`, tools/virsh-volume.c
pub fn parse_scaled(text: &str, default: u64) -> Option<Result<u64>> {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let value = digits.parse().ok()?;
    Some(scale(value, Some(unit), default).map_err(Into::into))
}

/// `value` in bytes; without a unit it counts `default` bytes.
///
/// libvirt 11.3.0: `virScaleInteger`, src/util/virutil.c
pub(crate) fn scale(value: u64, unit: Option<&str>, default: u64) -> Result<u64, DomainError> {
    let factor = match unit.filter(|unit| !unit.is_empty()) {
        None => default,
        Some(unit) => {
            factor(unit).ok_or_else(|| DomainError::Argument(format!("unknown suffix '{unit}'")))?
        }
    };
    value.checked_mul(factor).ok_or_else(|| {
        let unit = unit.unwrap_or_default();
        DomainError::Overflow(format!("value too large: {value}{unit}"))
    })
}

/// `value` in bytes; without a unit it counts bytes.
pub(crate) fn scale_bytes(value: u64, unit: Option<&str>) -> Result<u64, DomainError> {
    scale(value, unit, 1)
}

fn factor(unit: &str) -> Option<u64> {
    let lower = unit.to_ascii_lowercase();
    if matches!(lower.as_str(), "b" | "byte" | "bytes") {
        return Some(1);
    }
    let mut chars = lower.chars();
    let power = match chars.next()? {
        'k' => 1,
        'm' => 2,
        'g' => 3,
        't' => 4,
        'p' => 5,
        'e' => 6,
        _ => return None,
    };
    match chars.as_str() {
        "" | "ib" => Some(1024_u64.pow(power)),
        "b" => Some(1000_u64.pow(power)),
        _ => None,
    }
}

fn read(node: &Element<'_>, default: u64) -> Result<u64> {
    let text = node.text();
    let value =
        unsigned(&text, Base::Ten).ok_or_else(|| DomainError::element(&node.name, &text))?;
    Ok(scale(value, node.attribute("unit"), default)?)
}

macro_rules! size_fields {
    ($name:ident, $default:expr, $from:expr, $shown:expr) => {
        impl Fields for $name {
            fn knows(part: Part, name: &str) -> bool {
                part == Part::Attribute && name == "unit"
            }

            fn read(node: &Element<'_>, _: Rest) -> Result<Self> {
                let from: fn(u64) -> Self = $from;
                read(node, $default).map(from)
            }

            fn write_attributes<'w>(&self, tag: Tag<'w>) -> Tag<'w> {
                let shown: fn(&Self) -> (u64, &'static str) = $shown;
                tag.attr("unit", shown(self).1)
            }

            fn write_children(&self, _: &mut Writer) {}

            fn body(&self) -> Option<Cow<'_, str>> {
                let shown: fn(&Self) -> (u64, &'static str) = $shown;
                Some(Cow::Owned(shown(self).0.to_text().into_owned()))
            }
        }
    };
}

size_fields!(Size, KIB, |bytes| Self::from_kib(bytes.div_ceil(KIB)), |size| (size.kib(), "KiB"));
size_fields!(ByteSize, 1, |bytes| Self { bytes }, |size| (size.bytes, "bytes"));
size_fields!(PrettySize, MIB, |bytes| Self { bytes }, |size| pretty(size.bytes));

/// The largest unit that gives a whole number.
///
/// libvirt 11.3.0: `virFormatIntPretty`, src/util/virutil.c
fn pretty(bytes: u64) -> (u64, &'static str) {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or("B");
    while value != 0 && value.is_multiple_of(1024) {
        let Some(next) = units.next() else { break };
        value /= 1024;
        unit = next;
    }
    (value, unit)
}
