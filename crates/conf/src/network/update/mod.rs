//! Changes of a part of a definition (`virNetworkUpdate`).
//!
//! A request is read into a [`Change`], which holds checked values and no text, and applied to a
//! definition, which yields a new one. Nothing is changed in place, so that a caller can compute
//! the live and the persistent result first and then take both or neither. What a change means for
//! the running network is not known here.
//!
//! ```
//! use oxivirt_conf::network::update::{Change, Request, update};
//! use oxivirt_conf::network::{Form, NetworkDef};
//!
//! let def = NetworkDef::parse("<network><name>lab</name></network>")?;
//! let payload = "<host ip='192.0.2.1'><hostname>gate</hostname></host>";
//! let request = Request { section: 10, command: 3, parent_index: -1, payload };
//! let change = Change::parse(&def, &request)?;
//! let def = update(&def, &change, Form::Inactive)?;
//! assert_eq!(def.dns.hosts[0].hostnames, ["gate"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dhcp;
mod dns;
mod forward;

use std::fmt;

use oxivirt_xml::{self as xml, Blanks, Element, XmlError};

pub use self::dhcp::{DhcpHostChange, DhcpRangeChange};
pub use self::dns::{DnsHostChange, DnsSrvChange, DnsTxtChange};
pub use self::forward::{InterfaceChange, PortGroupChange};
use super::{Counters, Form, NetworkDef};
use crate::error::{Class, Classified, ErrorCode, ErrorDomain, ParseError, XML};
use oxivirt_types::ip::Family;

/// A change as the API passes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Section number (`virNetworkUpdateSection`).
    pub section: u32,
    /// Command number (`virNetworkUpdateCommand`).
    pub command: u32,
    /// Which `<ip>` is meant, counting from 0; negative for the one that has DHCP.
    pub parent_index: i32,
    /// The element to add, change or delete.
    pub payload: &'a str,
}

macro_rules! numbered {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vm:meta])* $variant:ident = $number:literal $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vm])* $variant = $number,)+ }

        impl $name {
            /// Every value, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The value of a number on the wire.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// The word the shell uses.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

numbered! {
    /// What is to be done (`virNetworkUpdateCommand`).
    pub enum Command {
        /// Replace the matching entry.
        Modify = 1 "modify",
        /// Delete the matching entry.
        Delete = 2 "delete",
        /// Append an entry.
        AddLast = 3 "add-last",
        /// Prepend an entry.
        AddFirst = 4 "add-first",
    }
}

numbered! {
    /// What is changed (`virNetworkUpdateSection`).
    pub enum Section {
        /// `<bridge>`; cannot be changed.
        Bridge = 1 "bridge",
        /// `<domain>`; cannot be changed.
        Domain = 2 "domain",
        /// `<ip>`; cannot be changed.
        Ip = 3 "ip",
        /// `<ip><dhcp><host>`
        IpDhcpHost = 4 "ip-dhcp-host",
        /// `<ip><dhcp><range>`
        IpDhcpRange = 5 "ip-dhcp-range",
        /// `<forward>`; cannot be changed.
        Forward = 6 "forward",
        /// `<forward><interface>`
        ForwardInterface = 7 "forward-interface",
        /// `<forward><pf>`; cannot be changed.
        ForwardPf = 8 "forward-pf",
        /// `<portgroup>`
        PortGroup = 9 "portgroup",
        /// `<dns><host>`
        DnsHost = 10 "dns-host",
        /// `<dns><txt>`
        DnsTxt = 11 "dns-txt",
        /// `<dns><srv>`
        DnsSrv = 12 "dns-srv",
    }
}

/// Where an entry is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before the existing entries.
    First,
    /// After the existing entries.
    Last,
}

/// A checked change of one section.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A fixed host of the address with this index.
    DhcpHost(usize, DhcpHostChange),
    /// A range of the address with this index.
    DhcpRange(usize, DhcpRangeChange),
    /// An interface of the pool.
    Interface(InterfaceChange),
    /// A port group.
    PortGroup(PortGroupChange),
    /// A host name.
    DnsHost(DnsHostChange),
    /// A TXT record.
    DnsTxt(DnsTxtChange),
    /// An SRV record.
    DnsSrv(DnsSrvChange),
}

/// Why a change was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateError {
    /// The payload, or the definition it would lead to, is not valid.
    Parse(ParseError),
    /// The change itself is not possible.
    Refused(Refusal),
}

/// What makes a change impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A section that exists and cannot be changed.
    #[error("can't update '{section}' section of network '{network}'")]
    Section {
        /// The network.
        network: String,
        /// The section, as messages call it.
        section: &'static str,
    },
    /// A section that does not exist.
    #[error("can't update unrecognized section of network")]
    UnknownSection,
    /// A command that does not exist.
    #[error("unrecognized network update command code {command}")]
    UnknownCommand {
        /// The number.
        command: u32,
    },
    /// Entries that can be added and deleted only.
    #[error("{entries} cannot be modified, only added or deleted")]
    NoModify {
        /// What they are.
        entries: &'static str,
    },
    /// The payload is another element.
    #[error(
        "unexpected element <{found}>, expecting <{expected}>, while updating network '{network}'"
    )]
    Element {
        /// The network.
        network: String,
        /// The section's element.
        expected: &'static str,
        /// The payload's root.
        found: String,
    },
    /// No such address.
    #[error(
        "couldn't update dhcp host entry - no <ip> element found at index {index} in network '{network}'"
    )]
    NoIp {
        /// The network.
        network: String,
        /// The index asked for.
        index: i32,
    },
    /// No address at all.
    #[error("couldn't update dhcp host entry - no <ip> element found in network '{network}'")]
    NoIpAtAll {
        /// The network.
        network: String,
    },
    /// A host of the other family than the address it is added to.
    #[error(
        "the address family of a host entry IP must match the address family of the dhcp element's parent"
    )]
    HostFamily,
    /// Another address serves DHCP already.
    #[error("dhcp is supported only for a single {} address on each network", if *.family == Family::Ipv4 { "IPv4" } else { "IPv6" })]
    SecondDhcp {
        /// The address family.
        family: Family,
    },
    /// An entry that is there already.
    #[error("there is an existing {kind} entry in network '{network}' that matches \"{entry}\"")]
    Exists {
        /// The network.
        network: String,
        /// The kind of entry.
        kind: &'static str,
        /// The entry given.
        entry: String,
    },
    /// A host to replace that is not there.
    #[error("couldn't locate an existing dhcp host entry with {entry} in network '{network}'")]
    NoDhcpHost {
        /// The network.
        network: String,
        /// The entry given.
        entry: String,
    },
    /// An entry to delete that is not there.
    #[error("couldn't locate a matching {kind} entry in network '{network}'")]
    NoDhcpEntry {
        /// The network.
        network: String,
        /// The kind of entry.
        kind: &'static str,
    },
    /// An entry that is not there.
    #[error("couldn't find {kind} entry in network '{network}' matching <{entry}>")]
    NotFound {
        /// The network.
        network: String,
        /// The kind of entry with its article.
        kind: &'static str,
        /// The entry given.
        entry: String,
    },
    /// `<interface>` without device.
    #[error("missing dev attribute in <interface> element")]
    NoInterfaceDev,
    /// A device that ports are connected through.
    #[error(
        "unable to delete interface '{device}' in network '{network}'. It is currently being used by {connections} domains."
    )]
    InUse {
        /// The network.
        network: String,
        /// The device.
        device: String,
        /// How many ports.
        connections: u32,
    },
    /// A second default port group.
    #[error(
        "a different portgroup entry in network '{network}' is already set as the default. Only one default is allowed."
    )]
    SecondDefault {
        /// The network.
        network: String,
    },
    /// A host name record that is there already.
    #[error(
        "there is already at least one DNS HOST record with a matching field in network {network}"
    )]
    DnsHostExists {
        /// The network.
        network: String,
    },
    /// A DNS record that is not there.
    #[error("couldn't locate a matching DNS {kind} record in network {network}")]
    NoRecord {
        /// The network.
        network: String,
        /// The kind of record.
        kind: &'static str,
    },
    /// More than one record is meant.
    #[error("multiple matching DNS HOST records were found in network {network}")]
    SeveralDnsHosts {
        /// The network.
        network: String,
    },
    /// A TXT record that is there already.
    #[error("there is already a DNS TXT record with name '{name}' in network {network}")]
    TxtExists {
        /// The network.
        network: String,
        /// The record.
        name: String,
    },
    /// A TXT record to change without its new value.
    #[error("missing value of modifying DNS TXT record in network {network}")]
    NoTxtValue {
        /// The network.
        network: String,
    },
    /// An SRV record that is there already.
    #[error(
        "there is already at least one DNS SRV record matching all specified fields in network {network}"
    )]
    SrvExists {
        /// The network.
        network: String,
    },
    /// More than one record is meant.
    #[error(
        "multiple DNS SRV records matching all specified fields were found in network {network}"
    )]
    SeveralSrvs {
        /// The network.
        network: String,
    },
}

impl UpdateError {
    const fn class(&self) -> Class {
        match self {
            Self::Parse(error) => error.class(),
            Self::Refused(refusal) => refusal.class(),
        }
    }
}

impl Refusal {
    const fn class(&self) -> Class {
        match self {
            Self::Section { .. }
            | Self::UnknownSection
            | Self::UnknownCommand { .. }
            | Self::NoModify { .. } => (ErrorCode::OPERATION_UNSUPPORTED, ErrorDomain::NETWORK),
            Self::Element { .. } | Self::NoInterfaceDev => XML,
            _ => (ErrorCode::OPERATION_INVALID, ErrorDomain::NETWORK),
        }
    }
}

impl Classified for UpdateError {
    fn code(&self) -> ErrorCode {
        self.class().0
    }

    fn domain(&self) -> ErrorDomain {
        self.class().1
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Parse(error) => error.detail(),
            Self::Refused(refusal) => Some(refusal.to_string()),
        }
    }
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for UpdateError {}

impl<E: Into<ParseError>> From<E> for UpdateError {
    fn from(error: E) -> Self {
        Self::Parse(error.into())
    }
}

impl From<Refusal> for UpdateError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

type Result<T, E = UpdateError> = std::result::Result<T, E>;

/// What a section's reader works with.
#[derive(Debug, Clone, Copy)]
struct Context<'a> {
    network: &'a str,
    command: u32,
}

impl Context<'_> {
    fn network(&self) -> String {
        self.network.to_owned()
    }

    const fn is(&self, command: Command) -> bool {
        self.command == command.number()
    }

    /// Where an add puts the entry; nothing for other commands.
    const fn place(&self) -> Option<Place> {
        match Command::from_number(self.command) {
            Some(Command::AddFirst) => Some(Place::First),
            Some(Command::AddLast) => Some(Place::Last),
            _ => None,
        }
    }

    fn check_element(&self, root: &Element<'_>, expected: &'static str) -> Result<(), Refusal> {
        if root.name == expected {
            return Ok(());
        }
        let found = root.name.clone().into_owned();
        Err(Refusal::Element { network: self.network(), expected, found })
    }

    /// What is left once no known command applied.
    const fn unknown_command(&self) -> Refusal {
        Refusal::UnknownCommand { command: self.command }
    }
}

impl Change {
    /// Reads a request against the definition it is meant for.
    ///
    /// # Errors
    /// [`UpdateError`] if the payload is not well-formed, the section or command cannot be, or the
    /// payload breaks the rules of its element.
    ///
    /// libvirt 11.3.0: `virNetworkDefUpdateSection`, src/conf/network_conf.c
    pub fn parse(def: &NetworkDef, request: &Request<'_>) -> Result<Self> {
        let root = xml::parse(request.payload, Blanks::Keep)
            .map_err(|error: XmlError| UpdateError::Parse(error.into()))?;
        let context = Context { network: &def.name, command: request.command };
        let fixed = |section| Refusal::Section { network: context.network(), section };
        match Section::from_number(request.section) {
            None => Err(Refusal::UnknownSection.into()),
            Some(Section::Bridge) => Err(fixed("bridge").into()),
            Some(Section::Domain) => Err(fixed("domain").into()),
            Some(Section::Ip) => Err(fixed("ip").into()),
            Some(Section::Forward) => Err(fixed("forward").into()),
            Some(Section::ForwardPf) => Err(fixed("forward pf").into()),
            Some(Section::IpDhcpHost) => {
                dhcp::parse_host(def, &root, context, request.parent_index)
            }
            Some(Section::IpDhcpRange) => {
                dhcp::parse_range(def, &root, context, request.parent_index)
            }
            Some(Section::ForwardInterface) => forward::parse_interface(&root, context),
            Some(Section::PortGroup) => forward::parse_port_group(&root, context),
            Some(Section::DnsHost) => dns::parse_host(&root, context),
            Some(Section::DnsTxt) => dns::parse_txt(&root, context),
            Some(Section::DnsSrv) => dns::parse_srv(&root, context),
        }
    }

    /// The definition with this change, not checked as a whole: the section alone.
    ///
    /// `counters` says which devices are in use.
    ///
    /// # Errors
    /// [`UpdateError::Refused`] if the entry to add is there, or the one to change or delete is not.
    pub fn apply(&self, def: &NetworkDef, counters: &Counters) -> Result<NetworkDef> {
        let mut def = def.clone();
        match self {
            Self::DhcpHost(index, change) => change.apply(&mut def, *index)?,
            Self::DhcpRange(index, change) => change.apply(&mut def, *index)?,
            Self::Interface(change) => change.apply(&mut def, counters)?,
            Self::PortGroup(change) => change.apply(&mut def)?,
            Self::DnsHost(change) => change.apply(&mut def)?,
            Self::DnsTxt(change) => change.apply(&mut def)?,
            Self::DnsSrv(change) => change.apply(&mut def)?,
        }
        Ok(def)
    }
}

/// The definition with `change`, checked as a whole as reading it from a document would.
///
/// `form` selects the live or the persistent definition.
///
/// # Errors
/// [`UpdateError`] if the change is not possible or leads to a definition that is not valid.
///
/// libvirt 11.3.0: `virNetworkObjUpdate`, src/conf/virnetworkobj.c
pub fn update(def: &NetworkDef, change: &Change, form: Form<'_>) -> Result<NetworkDef> {
    let counters = match form {
        Form::Live(counters) => counters,
        Form::Inactive => Counters::NONE,
    };
    let changed = change.apply(def, counters)?;
    Ok(NetworkDef::parse(&changed.format(form))?)
}

/// Adds an entry at either end.
fn insert<T>(list: &mut Vec<T>, place: Place, entry: T) {
    match place {
        Place::First => list.insert(0, entry),
        Place::Last => list.push(entry),
    }
}

#[cfg(test)]
mod tests;
