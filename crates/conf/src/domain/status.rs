//! `<domstatus>`: a running guest, as the driver keeps it over its own restart.

use oxivirt_xml::{self as xml, Attribute, Blanks, Element, Presence, Writer};

use super::{DomainDef, DomainError};
use crate::element::{Content as _, Extra, Part, Rest, write_tree};
use crate::error::Result;

/// A running guest: its definition and what the driver knows of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DomainStatus {
    /// State of the guest (`running`, `paused`).
    pub state: String,
    /// Why it is in that state.
    pub reason: Option<String>,
    /// Process of the emulator.
    pub pid: Option<u32>,
    /// What the driver keeps beside the definition, in the order of the document.
    pub elements: Vec<Element<'static>>,
    /// The guest as it runs.
    pub domain: DomainDef,
    extra: Extra,
}

impl DomainStatus {
    /// Reads a `<domstatus>` document.
    ///
    /// # Errors
    /// [`ParseError`](crate::ParseError): not well-formed, another kind of document, or a guest that is none.
    ///
    /// libvirt 11.3.0: `virDomainObjParseXML`, src/conf/domain_conf.c
    pub fn parse(text: &str) -> Result<Self> {
        let root = xml::parse(text, Blanks::Drop).map_err(DomainError::NotWellFormed)?;
        crate::network::check_root(&root, "domstatus")?;
        let state = root
            .attribute("state")
            .ok_or_else(|| DomainError::Internal(String::from("missing domain state")))?;
        let domain = root
            .child("domain")
            .ok_or_else(|| DomainError::Internal(String::from("no domain config")))?;
        let others = root.elements().filter(|child| child.name != "domain");
        Ok(Self {
            state: state.to_owned(),
            reason: root.attribute("reason").map(str::to_owned),
            pid: root.attribute("pid").and_then(|pid| pid.parse().ok()),
            elements: others.map(|child| complete_job(child.clone().into_owned())).collect(),
            domain: DomainDef::read(domain)?,
            extra: Extra::read(&root, Rest::Keep, |part, name| {
                part == Part::Child || matches!(name, "state" | "reason" | "pid")
            }),
        })
    }

    /// Writes the document, ending in a line feed.
    ///
    /// libvirt 11.3.0: `virDomainObjFormat`, src/conf/domain_conf.c
    #[must_use]
    pub fn format(&self) -> String {
        let mut out = Writer::new();
        let tag = out.begin("domstatus").attr("state", &self.state);
        let tag = tag.attr_opt("reason", self.reason.as_deref()).display_opt("pid", self.pid);
        let inner = self.extra.write_attributes(tag).open();
        for element in &self.elements {
            write_tree(element, inner);
        }
        self.domain.write("domain", Presence::Always, inner);
        inner.end("domstatus");
        out.finish()
    }
}

/// Older files say less about a job that goes on in the background.
///
/// libvirt 11.3.0: `qemuDomainObjPrivateXMLFormatJob`, src/qemu/qemu_domain.c
fn complete_job(mut element: Element<'static>) -> Element<'static> {
    if element.name == "job" && element.attribute("async").is_some() {
        for (name, value) in [("flags", "0x0"), ("asyncStarted", "0")] {
            if element.attribute(name).is_none() {
                element.attributes.push(Attribute {
                    name: name.into(),
                    prefix: None,
                    namespace: None,
                    value: value.into(),
                });
            }
        }
    }
    element
}
