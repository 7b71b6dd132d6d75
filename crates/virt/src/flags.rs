//! Flags and numbered choices of the calls about networks, with libvirt's numbers.
//!
//! A flag word keeps bits that have no name here (`from_bits_retain`), and a driver names the flags that it
//! understands ([`ListFlags::check`]): a caller that is newer than the driver gets
//! [`ErrorCode::INVALID_ARG`](crate::ErrorCode::INVALID_ARG) instead of a call without its flag. A numbered
//! choice keeps an unknown number in its `Unknown` variant for the same reason.

use bitflags::bitflags;

use crate::{Error, ErrorDomain, Result};

macro_rules! flags {
    ($($(#[$($doc:tt)*])* $name:ident { $($(#[$($bit_doc:tt)*])* $bit:ident = $value:literal,)* })*) => {$(
        bitflags! {
            $(#[$($doc)*])*
            #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
            pub struct $name: u32 {
                $($(#[$($bit_doc)*])* const $bit = $value;)*
            }
        }

        impl $name {
            /// No flag.
            pub const NONE: Self = Self::empty();

            /// Refuses bits outside `supported` in the name of `function`, the driver's own
            /// function name as libvirt prints it.
            ///
            /// # Errors
            /// [`ErrorCode::INVALID_ARG`](crate::ErrorCode::INVALID_ARG) if there are any.
            ///
            /// libvirt: `virCheckFlags`
            pub fn check(self, supported: Self, domain: ErrorDomain, function: &str) -> Result<()> {
                match self.bits() & !supported.bits() {
                    0 => Ok(()),
                    unknown => Err(Error::unsupported_flags(domain, unknown, function)),
                }
            }
        }
    )*};
}

flags! {
    /// Which networks to list. The flags come in three pairs; within a pair either is enough,
    /// between pairs all must hold, and a pair without a flag does not filter.
    ///
    /// libvirt: `virConnectListAllNetworksFlags`
    ListFlags {
        /// Networks that do not run.
        INACTIVE = 1,
        /// Networks that run.
        ACTIVE = 2,
        /// Networks with a stored definition.
        PERSISTENT = 4,
        /// Networks without a stored definition; they cease to exist when they stop.
        TRANSIENT = 8,
        /// Networks started with the host.
        AUTOSTART = 16,
        /// Networks not started with the host.
        NO_AUTOSTART = 32,
    }

    /// Which XML to print.
    ///
    /// libvirt: `virNetworkXMLFlags`
    XmlFlags {
        /// What applies after the next stop, without run-time data.
        INACTIVE = 1,
    }

    /// How to define a network.
    ///
    /// libvirt: `virNetworkDefineFlags`
    DefineFlags {
        /// Check the document against the schema first.
        VALIDATE = 1,
    }

    /// How to create a transient network.
    ///
    /// libvirt: `virNetworkCreateFlags`
    CreateFlags {
        /// Check the document against the schema first.
        VALIDATE = 1,
    }

    /// Scope of an update or a metadata call. Without a flag: the live network if it runs, else the
    /// stored definition.
    ///
    /// libvirt: `virNetworkUpdateFlags`
    UpdateFlags {
        /// The running network.
        LIVE = 1,
        /// The stored definition.
        CONFIG = 2,
    }

    /// How to create a port.
    ///
    /// libvirt: `virNetworkPortCreateFlags`
    PortCreateFlags {
        /// The port is in use by a running guest: the driver records it and changes nothing on the host.
        RECLAIM = 1,
        /// Check the document against the schema first.
        VALIDATE = 2,
    }
}

impl ListFlags {
    /// Whether a network in this state passes the filter.
    ///
    /// libvirt: `virNetworkObjMatch`
    #[must_use]
    pub fn matches(self, state: NetworkState) -> bool {
        let pair = |set: Self, clear: Self, value: bool| {
            !self.intersects(set | clear) || self.contains(if value { set } else { clear })
        };
        pair(Self::ACTIVE, Self::INACTIVE, state.activity == Activity::Active)
            && pair(Self::PERSISTENT, Self::TRANSIENT, state.lifetime == Lifetime::Persistent)
            && pair(Self::AUTOSTART, Self::NO_AUTOSTART, state.autostart == Autostart::Enabled)
    }
}

/// Whether a network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activity {
    /// It runs.
    Active,
    /// It does not run.
    Inactive,
}

/// Whether a network outlives its next stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lifetime {
    /// It has a stored definition.
    Persistent,
    /// It ceases to exist when it stops.
    Transient,
}

/// Whether a network starts with the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Autostart {
    /// It does.
    Enabled,
    /// It does not.
    Disabled,
}

/// The three properties lists filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NetworkState {
    /// Whether it runs.
    pub activity: Activity,
    /// Whether it outlives its next stop.
    pub lifetime: Lifetime,
    /// Whether it starts with the host.
    pub autostart: Autostart,
}

macro_rules! numbered {
    ($($(#[$doc:meta])* $name:ident: $repr:ty {
        $($(#[$variant_doc:meta])* $variant:ident = $value:literal, $word:literal;)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A number this version does not know.
            Unknown($repr),
        }

        impl $name {
            /// Every choice with a meaning, in numeric order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The choice with this number.
            #[must_use]
            pub const fn from_number(number: $repr) -> Self {
                match number {
                    $($value => Self::$variant,)*
                    unknown => Self::Unknown(unknown),
                }
            }

            /// Number of the choice.
            #[must_use]
            pub const fn number(self) -> $repr {
                match self {
                    $(Self::$variant => $value,)*
                    Self::Unknown(number) => number,
                }
            }

            /// The word libvirt prints for the choice; `None` for an unknown number.
            #[must_use]
            pub const fn word(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($word),)*
                    Self::Unknown(_) => None,
                }
            }

            /// The choice with this word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    )*};
}

numbered! {
    /// What an update does with the given element.
    ///
    /// libvirt: `virNetworkUpdateCommand`
    UpdateCommand: u32 {
        /// Replaces the element it matches.
        Modify = 1, "modify";
        /// Removes the element it matches.
        Delete = 2, "delete";
        /// Appends it.
        AddLast = 3, "add-last";
        /// Puts it first.
        AddFirst = 4, "add-first";
    }

    /// The part of a network an update is about.
    ///
    /// libvirt: `virNetworkUpdateSection`
    UpdateSection: u32 {
        /// `<bridge>`.
        Bridge = 1, "bridge";
        /// `<domain>`.
        Domain = 2, "domain";
        /// `<ip>`.
        Ip = 3, "ip";
        /// `<ip><dhcp><host>`.
        IpDhcpHost = 4, "ip-dhcp-host";
        /// `<ip><dhcp><range>`.
        IpDhcpRange = 5, "ip-dhcp-range";
        /// `<forward>`.
        Forward = 6, "forward";
        /// `<forward><interface>`.
        ForwardInterface = 7, "forward-interface";
        /// `<forward><pf>`.
        ForwardPf = 8, "forward-pf";
        /// `<portgroup>`.
        PortGroup = 9, "portgroup";
        /// `<dns><host>`.
        DnsHost = 10, "dns-host";
        /// `<dns><txt>`.
        DnsTxt = 11, "dns-txt";
        /// `<dns><srv>`.
        DnsSrv = 12, "dns-srv";
    }

    /// The operation of which a plan is made. Not libvirt's: numbers of our own program.
    PlanVerb: u32 {
        /// Starting the network.
        Start = 1, "start";
        /// Stopping the network.
        Destroy = 2, "destroy";
    }

    /// Kind of metadata of a network.
    ///
    /// libvirt: `virNetworkMetadataType`
    MetadataType: i32 {
        /// Free text.
        Description = 0, "description";
        /// One line of free text.
        Title = 1, "title";
        /// An XML element in a namespace of its owner.
        Element = 2, "element";
    }

    /// Family of an address.
    ///
    /// libvirt: `virIPAddrType`
    IpAddrType: i32 {
        /// Internet protocol version 4.
        Ipv4 = 0, "ipv4";
        /// Internet protocol version 6.
        Ipv6 = 1, "ipv6";
    }

    /// Which events a registration is about.
    ///
    /// libvirt: `virNetworkEventID`
    NetworkEventId: i32 {
        /// Defined, undefined, started, stopped.
        Lifecycle = 0, "lifecycle";
        /// Title, description or custom metadata changed.
        MetadataChange = 1, "metadata-change";
        /// A part of a definition changed. Ours; libvirt has no such event.
        Updated = 1000, "updated";
        /// The driver repaired something that was missing on the host. Ours.
        Healed = 1001, "healed";
        /// A guest's address changed. Ours.
        Lease = 1002, "lease";
        /// The driver found a condition that limits a network, such as a foreign firewall rule. Ours.
        Warning = 1003, "warning";
    }

    /// Step in the life of a network.
    ///
    /// libvirt: `virNetworkEventLifecycleType`
    LifecycleEvent: i32 {
        /// A definition was stored.
        Defined = 0, "Defined";
        /// The stored definition was removed.
        Undefined = 1, "Undefined";
        /// The network runs.
        Started = 2, "Started";
        /// The network no longer runs.
        Stopped = 3, "Stopped";
    }

    /// Why a connection ended.
    ///
    /// libvirt: `virConnectCloseReason`
    CloseReason: i32 {
        /// A read or write failed.
        Error = 0, "error";
        /// The peer closed it.
        EndOfFile = 1, "end of file";
        /// The peer was silent for too long.
        KeepAlive = 2, "keepalive timeout";
        /// This side closed it.
        Client = 3, "client";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(flags: u32, state: (Activity, Lifetime, Autostart), expect: bool) {
        let (activity, lifetime, autostart) = state;
        let state = NetworkState { activity, lifetime, autostart };
        assert_eq!(ListFlags::from_bits_retain(flags).matches(state), expect, "{flags} {state:?}");
    }

    #[test]
    fn list_flags_or_inside_a_pair_and_and_between_pairs() {
        use Activity::{Active, Inactive};
        use Autostart::{Disabled, Enabled};
        use Lifetime::{Persistent, Transient};
        let up = (Active, Persistent, Disabled);
        let down = (Inactive, Persistent, Enabled);
        let brief = (Active, Transient, Disabled);
        check(0, up, true);
        check(0, down, true);
        check(1, up, false);
        check(1, down, true);
        check(2, up, true);
        check(2, down, false);
        check(3, up, true);
        check(3, down, true);
        check(4, brief, false);
        check(8, brief, true);
        check(2 | 4, brief, false);
        check(2 | 8, brief, true);
        check(16, down, true);
        check(32, down, false);
        check(1 | 16, down, true);
        check(1 | 32, down, false);
        check(63, up, true);
    }

    #[test]
    fn unknown_bits_are_kept_and_refused() {
        let flags = ListFlags::from_bits_retain(0x42);
        assert_eq!(flags.bits(), 0x42);
        let error = flags
            .check(ListFlags::all(), ErrorDomain::NETWORK, "networkConnectListAllNetworks")
            .unwrap_err();
        assert_eq!(
            error.message(),
            "unsupported flags (0x40) in function networkConnectListAllNetworks"
        );
        assert_eq!(error.code().0, 8);
        ListFlags::all().check(ListFlags::all(), ErrorDomain::NETWORK, "f").unwrap();
        assert_eq!(ListFlags::all().bits(), 63);
    }

    #[test]
    fn numbers_and_words_agree() {
        for (number, section) in (1..).zip(UpdateSection::ALL) {
            assert_eq!(section.number(), number);
            assert_eq!(UpdateSection::from_number(number), *section);
            assert_eq!(UpdateSection::from_word(section.word().unwrap()), Some(*section));
        }
        assert_eq!(UpdateSection::ALL.len(), 12);
        assert_eq!(UpdateSection::from_number(13).number(), 13);
        assert_eq!(UpdateSection::from_number(0), UpdateSection::Unknown(0));
        assert_eq!(UpdateSection::from_word("none"), None);
        assert_eq!(UpdateCommand::AddFirst.number(), 4);
        assert_eq!(UpdateCommand::from_number(9).word(), None);
        assert_eq!(MetadataType::from_number(-1).number(), -1);
        assert_eq!(NetworkEventId::MetadataChange.number(), 1);
        assert_eq!(LifecycleEvent::Stopped.number(), 3);
        assert_eq!(IpAddrType::Ipv6.word(), Some("ipv6"));
        assert_eq!(CloseReason::Client.number(), 3);
    }
}
