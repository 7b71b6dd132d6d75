//! PCI addresses as documents write them.

use std::fmt;

use oxivirt_xml::{Element, Tag};

use crate::error::{Class, ErrorCode, ErrorDomain, Result};
use crate::keyword::keywords;
use crate::node::Node as _;
use crate::scalar::Base;

/// Where a PCI function sits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// PCI domain.
    pub domain: u32,
    /// Bus, at most 0xff.
    pub bus: u32,
    /// Slot (device), at most 0x1f.
    pub slot: u32,
    /// Function, at most 7 unless all other parts are 0, when it is not checked.
    pub function: u32,
}

keywords! {
    /// Read and dropped: whether a slot holds several functions.
    pub enum Multifunction {
        /// Several.
        On = "on",
        /// One.
        Off = "off",
    }
}

/// What is wrong with a PCI address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PciError {
    /// Bus beyond 0xff.
    #[error("Invalid PCI address bus='0x{bus:x}', must be <= 0xFF")]
    Bus {
        /// The value.
        bus: u32,
    },
    /// Slot beyond 0x1f.
    #[error("Invalid PCI address slot='0x{slot:x}', must be <= 0x1F")]
    Slot {
        /// The value.
        slot: u32,
    },
    /// Function beyond 7.
    #[error("Invalid PCI address function=0x{function:x}, must be <= 7")]
    Function {
        /// The value.
        function: u32,
    },
}

impl PciError {
    pub(crate) const fn class(&self) -> Class {
        (ErrorCode::XML_ERROR, ErrorDomain::NONE)
    }
}

impl PciAddress {
    /// Reads the attributes of an `<address>`.
    ///
    /// libvirt 11.3.0: `virPCIDeviceAddressParseXML`, src/conf/device_conf.c
    pub(crate) fn parse(node: &Element<'_>) -> Result<Self> {
        let part = |name| Ok::<_, crate::ParseError>(node.number(name, Base::Auto)?.unwrap_or(0));
        let address = Self {
            domain: part("domain")?,
            bus: part("bus")?,
            slot: part("slot")?,
            function: part("function")?,
        };
        node.keyword::<Multifunction>("multifunction")?;
        let Self { domain, bus, slot, function } = address;
        if (domain, bus, slot) != (0, 0, 0) {
            match () {
                () if bus > 0xff => return Err(PciError::Bus { bus }.into()),
                () if slot > 0x1f => return Err(PciError::Slot { slot }.into()),
                () if function > 7 => return Err(PciError::Function { function }.into()),
                () => {}
            }
        }
        if let Some(zpci) = node.subelement("zpci") {
            zpci.number::<u32>("uid", Base::Auto)?;
            zpci.number::<u32>("fid", Base::Auto)?;
        }
        Ok(address)
    }

    /// Adds the attributes to `tag` and ends it.
    pub(crate) fn format(&self, tag: Tag<'_>) {
        tag.display("domain", format_args!("0x{:04x}", self.domain))
            .display("bus", format_args!("0x{:02x}", self.bus))
            .display("slot", format_args!("0x{:02x}", self.slot))
            .display("function", format_args!("0x{}", self.function))
            .empty();
    }
}

/// Not a PCI address as sysfs has it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a PCI address")]
pub struct PciNameError {
    /// The text.
    pub text: String,
}

impl std::str::FromStr for PciAddress {
    type Err = PciNameError;

    fn from_str(text: &str) -> Result<Self, PciNameError> {
        let parse = || {
            let (rest, function) = text.rsplit_once('.')?;
            let mut parts = rest.split(':').map(|part| u32::from_str_radix(part, 16).ok());
            let mut next = || parts.next().flatten();
            let (domain, bus, slot) = (next()?, next()?, next()?);
            let function = u32::from_str_radix(function, 16).ok()?;
            parts.next().is_none().then_some(Self { domain, bus, slot, function })
        };
        parse().ok_or_else(|| PciNameError { text: text.to_owned() })
    }
}

impl fmt::Display for PciAddress {
    /// `0000:01:00.0`, as sysfs has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, slot, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{slot:02x}.{function}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for name in ["0000:01:00.0", "0001:ff:1f.7"] {
            assert_eq!(name.parse::<PciAddress>().unwrap().to_string(), name);
        }
        for text in ["", "0000:01:00", "01:00.0", "0000:01:00.x", "0:0:0:0.0"] {
            assert!(text.parse::<PciAddress>().is_err(), "{text}");
        }
    }
}
