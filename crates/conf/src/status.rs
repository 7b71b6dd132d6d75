//! `<networkstatus>`: a running network on disk, with what removes its firewall rules.
//!
//! Owns the document that a driver writes at start and reads after a restart, in the form that
//! libvirt writes and reads, too. Does not run anything: a saved command is data here.

use std::collections::BTreeSet;

use oxivirt_xml::{self as xml, Blanks, Element, Node, Writer};

pub use crate::class_ids::ClassIds;
use crate::error::{Class, ErrorCode, ErrorDomain, INTERNAL, Result, UNSUPPORTED};
use crate::keyword::{Keyword as _, YesNo, keywords};
use crate::network::{Counters, Form, NetworkDef};
use crate::node::{AttributeError, Node as _};
use crate::scalar::{Base, wrapping};

/// Name under which a network's removal is saved; other names belong to other programs.
const REMOVAL_NAME: &str = "fwRemoval";

/// A running network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkStatus {
    /// Class ids in use; 0, 1 and 2 are reserved.
    pub class_ids: ClassIds,
    /// Sum of the rates guaranteed to ports, in kilobytes per second.
    pub floor_sum: u64,
    /// What happened to the network that its definition does not show.
    pub taint: BTreeSet<Taint>,
    /// The live definition.
    pub def: NetworkDef,
    /// What removes its firewall rules; absent if it has none or libvirt forgot them.
    pub removal: Option<FirewallRemoval>,
}

keywords! {
    /// Marks of outside influence.
    pub enum Taint {
        /// A hook script ran.
        HookScript = "hook-script",
    }
}

/// Commands that remove a network's firewall rules, in the order they are to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirewallRemoval {
    /// The backend that the rules were added with, whatever is configured now.
    pub backend: FirewallBackend,
    /// The commands.
    pub groups: Vec<RemovalGroup>,
}

keywords! {
    /// How firewall rules are set.
    pub enum FirewallBackend {
        /// Not at all.
        None = "none",
        /// `iptables`, `ip6tables`, `ebtables`.
        Iptables = "iptables",
        /// `nft`.
        Nftables = "nftables",
    }
}

/// Commands that were added together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovalGroup {
    /// Whether a failing command ends the removal.
    pub errors: Errors,
    /// The commands, at least one.
    pub actions: Vec<RemovalAction>,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovalAction {
    /// Chooses the program.
    pub layer: FirewallLayer,
    /// Whether its failure ends the removal; what the group says comes first.
    pub errors: Errors,
    /// The program's arguments, at least one; an empty one is an argument, too.
    pub args: Vec<String>,
}

/// What a command's failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Errors {
    /// It ends the removal.
    #[default]
    Report,
    /// It is of no consequence.
    Ignore,
}

keywords! {
    /// What a command works on, and so which program it is for.
    pub enum FirewallLayer {
        /// `ebtables`, or `nft`.
        Ethernet = "ethernet",
        /// `iptables`, or `nft`.
        Ipv4 = "ipv4",
        /// `ip6tables`, or `nft`.
        Ipv6 = "ipv6",
        /// `tc` with either backend.
        Tc = "tc",
    }
}

/// What is wrong with a `<networkstatus>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// No definition inside.
    #[error("Could not find any 'network' element in status file")]
    NoNetwork,
    /// Not a list of class ids.
    #[error("Failed to parse bitmap '{bitmap}'")]
    ClassIds {
        /// The value given.
        bitmap: String,
    },
    /// Not a number.
    #[error("Malformed 'floor_sum' attribute: {sum}")]
    FloorSum {
        /// The value given.
        sum: String,
    },
    /// A mark that does not exist.
    #[error("Unknown taint flag {flag}")]
    Taint {
        /// The value given.
        flag: String,
    },
    /// A saved command without words.
    #[error("firewall action has no arguments")]
    NoArguments,
}

impl StatusError {
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::NoNetwork | Self::FloorSum { .. } => INTERNAL,
            Self::ClassIds { .. } => (ErrorCode::INVALID_ARG, ErrorDomain::NONE),
            Self::Taint { .. } => UNSUPPORTED,
            Self::NoArguments => (ErrorCode::INTERNAL_ERROR, ErrorDomain::FIREWALL),
        }
    }
}

impl NetworkStatus {
    /// The class ids no port gets.
    pub const RESERVED_CLASS_IDS: [u32; 3] = [0, 1, 2];

    /// The status of a network at its start.
    #[must_use]
    pub fn new(def: NetworkDef) -> Self {
        Self {
            class_ids: Self::RESERVED_CLASS_IDS.into_iter().collect(),
            floor_sum: 0,
            taint: BTreeSet::new(),
            def,
            removal: None,
        }
    }

    /// Reads a status document.
    ///
    /// The definition is the first element called `network` anywhere, so that a bare definition and
    /// foreign roots load, too, without status data.
    ///
    /// # Errors
    /// [`ParseError`](crate::ParseError), for the definition as well as for what surrounds it.
    ///
    /// libvirt 11.3.0: `virNetworkLoadState`, src/conf/virnetworkobj.c
    pub fn parse(text: &str) -> Result<Self> {
        Self::from_root(xml::parse(text, Blanks::Keep)?)
    }

    /// Reads a status document from a file, which has to be called `NAME.xml`.
    ///
    /// Faults of the document's form are reported as `path:LINE:`.
    ///
    /// # Errors
    /// As [`NetworkStatus::parse`], and
    /// [`GeneralError::FileName`](crate::network::GeneralError::FileName).
    pub fn parse_file(path: &str, text: &str) -> Result<Self> {
        let root = xml::parse(text, Blanks::Keep).map_err(|error| error.in_file(path))?;
        let status = Self::from_root(root)?;
        status.def.check_file_name(path)?;
        Ok(status)
    }

    fn from_root(mut root: Element<'_>) -> Result<Self> {
        let network = find_network(&mut root).ok_or(StatusError::NoNetwork)?;
        let mut status = Self::new(NetworkDef::from_element(network)?);
        if root.name != "networkstatus" {
            return Ok(status);
        }
        if let Some(bitmap) = root.child("class_id").and_then(|node| node.string("bitmap")) {
            status.class_ids = ClassIds::parse(bitmap)
                .ok_or_else(|| StatusError::ClassIds { bitmap: bitmap.to_owned() })?;
        }
        if let Some(sum) = root.child("floor").and_then(|node| node.string("sum")) {
            status.floor_sum = wrapping(sum, Base::Ten)
                .ok_or_else(|| StatusError::FloorSum { sum: sum.to_owned() })?;
        }
        for flag in root.children("taint").filter_map(|node| node.property("flag")) {
            let taint = Taint::from_word(flag)
                .ok_or_else(|| StatusError::Taint { flag: flag.to_owned() })?;
            status.taint.insert(taint);
        }
        if let Some(node) = root.child("firewall") {
            let removal = FirewallRemoval::parse(node)?;
            status.removal = Some(removal).filter(|_| node.property("name") == Some(REMOVAL_NAME));
        }
        Ok(status)
    }

    /// Writes the document; it does not end in a line feed.
    ///
    /// libvirt 11.3.0: `virNetworkObjFormat`, src/conf/virnetworkobj.c
    #[must_use]
    pub fn format(&self, counters: &Counters) -> String {
        let mut out = Writer::new();
        out.begin("networkstatus").open();
        out.begin("class_id").display("bitmap", &self.class_ids).empty();
        out.begin("floor").display("sum", self.floor_sum).empty();
        for taint in &self.taint {
            out.begin("taint").display("flag", taint).empty();
        }
        self.def.write(Form::Live(counters), &mut out);
        if let Some(removal) = &self.removal {
            removal.write(&mut out);
        }
        out.end("networkstatus");
        let mut text = out.finish();
        text.pop();
        text
    }
}

fn find_network<'e, 'i>(element: &'e mut Element<'i>) -> Option<&'e mut Element<'i>> {
    if element.name == "network" && element.namespace.is_none() {
        return Some(element);
    }
    element.nodes.iter_mut().find_map(|node| match node {
        Node::Element(child) => find_network(child),
        _ => None,
    })
}

impl FirewallRemoval {
    /// libvirt 11.3.0: `virFirewallParseXML`, src/util/virfirewall.c
    fn parse(node: &Element<'_>) -> Result<Self> {
        let backend = required_keyword(node, "backend")?;
        let mut groups = Vec::new();
        for group in node.children("group") {
            let errors = parse_errors(group)?;
            let mut actions = Vec::new();
            for action in group.children("action") {
                actions.extend(RemovalAction::parse(action)?);
            }
            if group.child("action").is_some() {
                groups.push(RemovalGroup { errors, actions });
            }
        }
        Ok(Self { backend, groups })
    }

    /// libvirt 11.3.0: `virFirewallFormat`, src/util/virfirewall.c
    fn write(&self, out: &mut Writer) {
        let tag = out.begin("firewall").attr("name", REMOVAL_NAME).display("backend", self.backend);
        if self.groups.is_empty() {
            tag.empty();
            return;
        }
        let out = tag.open();
        for group in &self.groups {
            let ignored = (group.errors == Errors::Ignore).then_some("yes");
            out.begin("group").attr_opt("ignoreErrors", ignored).open();
            for action in &group.actions {
                action.write(group.errors, out);
            }
            out.end("group");
        }
        out.end("firewall");
    }
}

impl RemovalAction {
    /// Nothing for an action without `<args>`.
    fn parse(node: &Element<'_>) -> Result<Option<Self>> {
        let layer = required_keyword(node, "layer")?;
        let errors = parse_errors(node)?;
        let Some(args) = node.child("args") else {
            return Ok(None);
        };
        let args: Vec<String> =
            args.children("item").map(|item| item.text().into_owned()).collect();
        if args.is_empty() {
            return Err(StatusError::NoArguments.into());
        }
        Ok(Some(Self { layer, errors, args }))
    }

    fn write(&self, group: Errors, out: &mut Writer) {
        let ignored = (self.errors == Errors::Ignore && group == Errors::Report).then_some("yes");
        out.begin("action").display("layer", self.layer).attr_opt("ignoreErrors", ignored).open();
        out.begin("args").open();
        for arg in &self.args {
            out.text("item", arg);
        }
        out.end("args");
        out.end("action");
    }
}

fn parse_errors(node: &Element<'_>) -> Result<Errors> {
    Ok(match node.yes_no("ignoreErrors")? {
        Some(YesNo::Yes) => Errors::Ignore,
        Some(YesNo::No) | None => Errors::Report,
    })
}

fn required_keyword<T: crate::keyword::Keyword>(
    node: &Element<'_>,
    attribute: &'static str,
) -> Result<T, AttributeError> {
    node.keyword(attribute)?.ok_or_else(|| AttributeError::Missing {
        attribute,
        element: node.name.clone().into_owned(),
    })
}
