//! `<device>`: a device of the host.

use oxivirt_xml::{self as xml, Blanks, Element, Presence, Writer};

use crate::element::{Content, elements, write_tree};
use crate::error::{Class, ErrorCode, ErrorDomain, Result};

elements! {
    /// `<device>`
    pub struct NodeDeviceDef {
        text name: Option<String> = "name",
        text path: Option<String> = "path",
        list links: Vec<DeviceLink> = "devnode",
        text parent: Option<String> = "parent",
        child driver: Option<DeviceDriver> = "driver",
        list capabilities: Vec<DeviceCapability> = "capability",
    }

    /// A device file or a link to one.
    pub struct DeviceLink {
        attr kind: Option<String> = "type",
        body path: Option<String> = "devnode",
    }

    /// The driver bound to a device.
    pub struct DeviceDriver {
        text name: Option<String> = "name",
    }
}

/// What a device can do: kept as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCapability {
    /// The element.
    pub element: Element<'static>,
}

/// Why a device's document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeDeviceError {
    /// Not well-formed.
    #[error("{0}")]
    NotWellFormed(oxivirt_xml::XmlError),
    /// A device that can do nothing.
    #[error("no device capabilities for '{name}'")]
    NoCapability {
        /// The device.
        name: String,
    },
}

impl NodeDeviceError {
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::NotWellFormed(_) => (ErrorCode::XML_DETAIL, ErrorDomain::NODEDEV),
            Self::NoCapability { .. } => (ErrorCode::XML_ERROR, ErrorDomain::NODEDEV),
        }
    }
}

impl Content for DeviceCapability {
    fn read(node: &Element<'_>) -> Result<Self> {
        Ok(Self { element: node.clone().into_owned() })
    }

    fn write(&self, _: &str, _: Presence, out: &mut Writer) {
        write_tree(&self.element, out);
    }
}

impl NodeDeviceDef {
    /// Reads a `<device>` document.
    ///
    /// # Errors
    /// [`ParseError`](crate::ParseError): not well-formed, another kind of document, or without capability.
    ///
    /// libvirt 11.3.0: `virNodeDeviceDefParseXML`, src/conf/node_device_conf.c
    pub fn parse(text: &str) -> Result<Self> {
        let root = xml::parse(text, Blanks::Drop).map_err(NodeDeviceError::NotWellFormed)?;
        crate::network::check_root(&root, "device")?;
        let mut device: Self = Content::read(&root)?;
        let name = device.name.get_or_insert_with(|| String::from("new device")).clone();
        if device.capabilities.is_empty() {
            return Err(NodeDeviceError::NoCapability { name }.into());
        }
        Ok(device)
    }

    /// Writes the document, ending in a line feed.
    ///
    /// libvirt 11.3.0: `virNodeDeviceDefFormat`, src/conf/node_device_conf.c
    #[must_use]
    pub fn format(&self) -> String {
        let mut out = Writer::new();
        self.write("device", Presence::Always, &mut out);
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_kept() {
        let text = "<device>\n  <name>a</name>\n  <capability type='net'>\n    <x y='1'>2</x>\n  \
            </capability>\n</device>\n";
        assert_eq!(NodeDeviceDef::parse(text).unwrap().format(), text);
        let error = NodeDeviceDef::parse("<device><name>a</name></device>").unwrap_err();
        assert_eq!(error.to_string(), "XML error: no device capabilities for 'a'");
    }
}
