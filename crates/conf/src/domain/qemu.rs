//! Elements of the namespace `qemu`: what is handed to the emulator unseen.

use std::borrow::Cow;
use std::sync::Arc;

use oxivirt_xml::{Element, Presence, Tag, Writer};

use super::DomainError;
use crate::element::{Fields, Part, Rest};
use crate::error::Result;

/// The namespace.
pub const NAMESPACE: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// `<qemu:…>` elements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QemuExtensions {
    /// Arguments of the command line.
    pub args: Vec<String>,
    /// Variables of the environment.
    pub env: Vec<(String, Option<String>)>,
    /// Capabilities added to those found.
    pub add_capabilities: Vec<String>,
    /// Capabilities taken away.
    pub del_capabilities: Vec<String>,
    /// What is done with deprecated parts.
    pub deprecation: Option<String>,
    /// Properties of devices that are replaced: `<qemu:override>`.
    pub overrides: Vec<DeviceOverride>,
}

/// Properties of one device that are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceOverride {
    /// Alias of the device.
    pub alias: String,
    /// Name, type and value.
    pub properties: Vec<(String, String, Option<String>)>,
}

impl QemuExtensions {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn from_root(root: &Element<'_>) -> Result<Self> {
        let mut extensions = Self::default();
        let uri: Arc<str> = NAMESPACE.into();
        let ours = |node: &Element<'_>| {
            let uri = Arc::clone(&uri);
            let children: Vec<Element<'static>> = node
                .elements()
                .filter(|child| child.namespace.as_ref() == Some(&uri))
                .map(|child| child.clone().into_owned())
                .collect();
            children
        };
        for node in ours(root) {
            match node.name.as_ref() {
                "commandline" => {
                    for child in ours(&node) {
                        extensions.read_command_line(&child)?;
                    }
                }
                "capabilities" => {
                    for child in ours(&node) {
                        let name = child.attribute("capability").ok_or_else(|| {
                            DomainError::Internal(String::from("invalid qemu:capabilities"))
                        })?;
                        match child.name.as_ref() {
                            "add" => extensions.add_capabilities.push(name.to_owned()),
                            "del" => extensions.del_capabilities.push(name.to_owned()),
                            _ => {}
                        }
                    }
                }
                "deprecation" => {
                    extensions.deprecation = node.attribute("behavior").map(str::to_owned);
                }
                "override" => {
                    for device in ours(&node).iter().filter(|child| child.name == "device") {
                        extensions.overrides.push(DeviceOverride::read(device, &ours));
                    }
                }
                _ => {}
            }
        }
        Ok(extensions)
    }

    fn read_command_line(&mut self, child: &Element<'_>) -> Result<()> {
        match child.name.as_ref() {
            "arg" => {
                let value = child.attribute("value").ok_or_else(|| {
                    DomainError::Internal(String::from("No qemu command-line argument specified"))
                })?;
                self.args.push(value.to_owned());
            }
            "env" => {
                let name = child.attribute("name").unwrap_or_default();
                check_env_name(name)?;
                self.env.push((name.to_owned(), child.attribute("value").map(str::to_owned)));
            }
            _ => {}
        }
        Ok(())
    }

    fn write(&self, out: &mut Writer) {
        out.element(
            "qemu:commandline",
            Presence::IfNotEmpty,
            |tag| tag,
            |out| {
                for arg in &self.args {
                    out.begin("qemu:arg").attr("value", arg).empty();
                }
                for (name, value) in &self.env {
                    out.begin("qemu:env")
                        .attr("name", name)
                        .attr_opt("value", value.as_deref())
                        .empty();
                }
            },
        );
        out.element(
            "qemu:override",
            Presence::IfNotEmpty,
            |tag| tag,
            |out| {
                for device in &self.overrides {
                    device.write(out);
                }
            },
        );
        out.element(
            "qemu:capabilities",
            Presence::IfNotEmpty,
            |tag| tag,
            |out| {
                for name in &self.add_capabilities {
                    out.begin("qemu:add").attr("capability", name).empty();
                }
                for name in &self.del_capabilities {
                    out.begin("qemu:del").attr("capability", name).empty();
                }
            },
        );
        if let Some(behavior) = &self.deprecation {
            out.begin("qemu:deprecation").attr("behavior", behavior).empty();
        }
    }
}

impl DeviceOverride {
    fn read(node: &Element<'_>, children: &impl Fn(&Element<'_>) -> Vec<Element<'static>>) -> Self {
        let text = |node: &Element<'_>, name| node.attribute(name).unwrap_or_default().to_owned();
        let properties = children(node)
            .iter()
            .flat_map(children)
            .filter(|property| property.name == "property")
            .map(|property| {
                let value = property.attribute("value").map(str::to_owned);
                (text(&property, "name"), text(&property, "type"), value)
            })
            .collect();
        Self { alias: text(node, "alias"), properties }
    }

    fn write(&self, out: &mut Writer) {
        out.element(
            "qemu:device",
            Presence::Always,
            |tag| tag.attr("alias", &self.alias),
            |out| {
                out.element(
                    "qemu:frontend",
                    Presence::IfNotEmpty,
                    |tag| tag,
                    |out| {
                        for (name, kind, value) in &self.properties {
                            let tag =
                                out.begin("qemu:property").attr("name", name).attr("type", kind);
                            tag.attr_opt("value", value.as_deref()).empty();
                        }
                    },
                );
            },
        );
    }
}

/// libvirt 11.3.0: `qemuDomainDefNamespaceParseCommandlineEnvNameValidate`, src/conf/domain_conf.c
fn check_env_name(name: &str) -> Result<(), DomainError> {
    let first = name
        .chars()
        .next()
        .ok_or_else(|| DomainError::Internal(String::from("No qemu environment name specified")))?;
    if !first.is_ascii_alphabetic() && first != '_' {
        return Err(DomainError::Internal(String::from(
            "Invalid environment name, it must begin with a letter or underscore",
        )));
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(DomainError::Internal(String::from(
            "Invalid environment name, it must contain only alphanumerics and underscore",
        )));
    }
    Ok(())
}

impl Fields for QemuExtensions {
    fn knows(_: Part, _: &str) -> bool {
        false
    }

    fn read(node: &Element<'_>, _: Rest) -> Result<Self> {
        Self::from_root(node)
    }

    fn write_attributes<'w>(&self, tag: Tag<'w>) -> Tag<'w> {
        if self.is_empty() { tag } else { tag.attr("xmlns:qemu", NAMESPACE) }
    }

    fn write_children(&self, out: &mut Writer) {
        self.write(out);
    }

    fn body(&self) -> Option<Cow<'_, str>> {
        None
    }
}
