//! The types of nftables objects and rules that a virtual network needs.

use std::net::IpAddr;

use ipnet::IpNet;

pub use oxivirt_types::ip::Family;
use oxivirt_types::link_name::LinkName;

/// Changes to the table `inet NAME`, carried out in order and atomically.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Name of the table (family `inet`).
    pub table: String,
    /// The changes, in order.
    pub changes: Vec<Change>,
}

impl Transaction {
    /// The same transaction with the table owned by this process, or without an owner.
    #[must_use]
    pub fn with_owner(mut self, is_owned: bool) -> Self {
        for change in &mut self.changes {
            if matches!(change, Change::AddTable | Change::AddOwnedTable) {
                *change = if is_owned { Change::AddOwnedTable } else { Change::AddTable };
            }
        }
        self
    }

    /// Whether the table is to be this process's own; `None` if the transaction does not create it.
    #[must_use]
    pub fn owns(&self) -> Option<bool> {
        self.changes.iter().find_map(|change| match change {
            Change::AddTable => Some(false),
            Change::AddOwnedTable => Some(true),
            _ => None,
        })
    }
}

/// One change to a table.
///
/// Adding an object that exists with the same properties changes nothing; adding a rule always
/// adds one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Create the table.
    AddTable,
    /// Create the table with the flags `owner` and `persist` (Linux 6.9): only this process can change
    /// it while its socket is open, and it stays when the socket is closed. An orphaned table with
    /// these flags is adopted.
    AddOwnedTable,
    /// Delete the table with all it holds.
    DeleteTable,
    /// Create a chain the kernel calls.
    AddBaseChain {
        /// Name of the chain.
        name: String,
        /// Where it is called.
        hook: ChainHook,
        /// When it is called among the chains of the same hook; smaller is earlier.
        priority: i32,
    },
    /// Create a chain that other rules jump to.
    AddChain {
        /// Name of the chain.
        name: String,
        /// Shown by `nft list`; cannot be changed while the chain exists.
        comment: Option<String>,
    },
    /// Create a chain that several networks share: it stays when the rules that refer to it go.
    AddSharedChain {
        /// Name of the chain.
        name: String,
    },
    /// Delete all rules of a chain.
    FlushChain {
        /// Name of the chain.
        name: String,
    },
    /// Delete an empty chain; an error if it does not exist.
    DeleteChain {
        /// Name of the chain.
        name: String,
    },
    /// Delete a chain with its rules; no error if it does not exist (Linux 6.3).
    DestroyChain {
        /// Name of the chain.
        name: String,
    },
    /// Create a verdict map.
    AddMap {
        /// Name of the map.
        name: String,
        /// Its key type.
        map: Map,
    },
    /// Create a set with constant content.
    AddSet {
        /// Name of the set.
        name: String,
        /// Its content.
        set: Set,
    },
    /// Append a rule to a chain.
    AddRule {
        /// Name of the chain.
        chain: String,
        /// The rule.
        rule: Rule,
    },
    /// Add an element to a verdict map.
    AddElement {
        /// Name of the map.
        map: String,
        /// What is looked up.
        key: Key,
        /// What is done with a packet that matches.
        verdict: Verdict,
    },
    /// Delete an element; an error if it does not exist.
    DeleteElement {
        /// Name of the map.
        map: String,
        /// Its key.
        key: Key,
    },
    /// Delete an element; no error if it does not exist (Linux 6.3).
    DestroyElement {
        /// Name of the map.
        map: String,
        /// Its key.
        key: Key,
    },
}

/// Where the kernel calls a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainHook {
    /// `type filter hook forward`: packets passing through.
    FilterForward,
    /// `type nat hook postrouting`: the first packet of each flow that leaves.
    NatPostrouting,
}

/// Key type of a verdict map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// `type ifname : verdict`
    Link,
    /// `type ifname . ifname : verdict`
    LinkPair,
    /// `type ipv4_addr : verdict; flags interval` or its IPv6 form.
    Prefix(Family),
}

/// A set whose content never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// `type ipv4_addr; flags interval` or its IPv6 form; the prefixes do not overlap.
    Prefixes(Family, Vec<IpNet>),
}

/// Key of a map element.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A link.
    Link(LinkName),
    /// Incoming and outgoing link.
    LinkPair(LinkName, LinkName),
    /// All addresses of a network.
    Prefix(IpNet),
}

/// What a map element does with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Let it pass this hook.
    Accept,
    /// Evaluate a chain and come back.
    Jump(String),
    /// Evaluate a chain and do not come back.
    Goto(String),
}

/// A rule: conditions that must all hold, then what is done.
///
/// Every rule counts its packets, but for those that only look up a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The conditions, evaluated in order.
    pub matches: Vec<Match>,
    /// What is done with a packet that fulfils them.
    pub action: Action,
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// `iifname "LINK"`
    InLink(LinkName),
    /// `oifname "LINK"`
    OutLink(LinkName),
    /// `ip saddr NET`
    Source(IpNet),
    /// `ip daddr NET`
    Destination(IpNet),
    /// `ip daddr != NET`
    NotDestination(IpNet),
    /// `ip daddr @SET`
    DestinationIn(Family, String),
    /// `ct state established,related`
    Established,
    /// `meta nfproto ipv4`
    Family(Family),
    /// `meta l4proto tcp`
    L4Protocol(L4Protocol),
}

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum L4Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl L4Protocol {
    /// Its number in the IP header.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Inclusive range of port numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// First port.
    pub start: u16,
    /// Last port.
    pub end: u16,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `accept`
    Accept,
    /// `return`
    Return,
    /// `reject`: answer with ICMP "port unreachable".
    Reject,
    /// `masquerade`, optionally `to :A-B`; ports need a match on the protocol before.
    Masquerade(Option<PortRange>),
    /// `snat ip to A-B`, optionally with ports.
    Snat {
        /// First address.
        start: IpAddr,
        /// Last address.
        end: IpAddr,
        /// Source ports to choose from.
        ports: Option<PortRange>,
    },
    /// `iifname vmap @MAP` and the like.
    Lookup(LookupKey, String),
}

/// What of a packet is looked up in a verdict map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupKey {
    /// `iifname`
    InLink,
    /// `oifname`
    OutLink,
    /// `iifname . oifname`
    LinkPair,
    /// `ip saddr` or `ip6 saddr`
    Source(Family),
}

impl Rule {
    /// Whether the rule has a packet counter: all but pure lookups.
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        !matches!(self.action, Action::Lookup(..))
    }
}
