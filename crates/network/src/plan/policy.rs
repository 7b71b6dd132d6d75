//! What each forward mode means: the one table, and the questions that are answered from it.
//!
//! A new mode is a new arm of [`ModePolicy::of`], which the compiler asks for; no question compares modes
//! itself.

use oxivirt_conf::network::ForwardMode;
use oxivirt_conf::port::MacvlanMode;

/// What a forward mode means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModePolicy {
    /// How guests are connected.
    pub attachment: Attachment,
    /// How the host forwards guests' packets; [`Reach::Unmanaged`] if the network does not create
    /// the bridge.
    pub reach: Reach,
    /// Whether the network loads firewall rules.
    pub rules: Rules,
    /// firewalld's default zone for the bridge.
    pub zone: DefaultZone,
}

/// How guests are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// To a bridge that the network creates and deletes.
    OwnBridge,
    /// To a bridge of the host if one is named, else by macvtap.
    HostBridge,
    /// By macvtap.
    Macvtap(MacvlanMode),
    /// By a PCI function of their own.
    PciFunction,
}

/// How the host forwards guests' packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Not at all.
    Isolated,
    /// As they are.
    Routed,
    /// IPv4, and IPv6 if the definition says so, behind an address of the host.
    Translated,
    /// As another owner of the bridge or device decides.
    Unmanaged,
}

/// Whether a network loads firewall rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// It does.
    Loaded,
    /// It does not.
    None,
}

/// firewalld's default zone for a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultZone {
    /// `libvirt`
    Libvirt,
    /// `libvirt-routed`, if it and its policy exist, else `libvirt`.
    LibvirtRouted,
    /// None: only a zone that the definition names.
    None,
}

impl ModePolicy {
    /// The policy of a mode.
    ///
    /// libvirt 11.3.0: `networkStartNetwork`, `networkSetBridgeZone`, `networkAllocatePort`,
    /// src/network/bridge_driver.c
    #[must_use]
    pub const fn of(mode: ForwardMode) -> Self {
        let own = Self {
            attachment: Attachment::OwnBridge,
            reach: Reach::Isolated,
            rules: Rules::Loaded,
            zone: DefaultZone::Libvirt,
        };
        let unmanaged = Self {
            attachment: Attachment::HostBridge,
            reach: Reach::Unmanaged,
            rules: Rules::None,
            zone: DefaultZone::None,
        };
        match mode {
            ForwardMode::None => own,
            ForwardMode::Nat => Self { reach: Reach::Translated, ..own },
            ForwardMode::Route => {
                Self { reach: Reach::Routed, zone: DefaultZone::LibvirtRouted, ..own }
            }
            ForwardMode::Open => {
                Self { reach: Reach::Routed, rules: Rules::None, zone: DefaultZone::None, ..own }
            }
            ForwardMode::Bridge => unmanaged,
            ForwardMode::Private => {
                Self { attachment: Attachment::Macvtap(MacvlanMode::Private), ..unmanaged }
            }
            ForwardMode::Vepa => {
                Self { attachment: Attachment::Macvtap(MacvlanMode::Vepa), ..unmanaged }
            }
            ForwardMode::Passthrough => {
                Self { attachment: Attachment::Macvtap(MacvlanMode::Passthrough), ..unmanaged }
            }
            ForwardMode::Hostdev => Self { attachment: Attachment::PciFunction, ..unmanaged },
        }
    }

    /// Whether the network creates its bridge.
    #[must_use]
    pub const fn owns_bridge(self) -> bool {
        matches!(self.attachment, Attachment::OwnBridge)
    }

    /// Whether the network loads firewall rules.
    #[must_use]
    pub const fn has_rules(self) -> bool {
        matches!(self.rules, Rules::Loaded)
    }

    /// Whether the host forwards guests' packets for the network.
    #[must_use]
    pub const fn forwards(self) -> bool {
        match self.reach {
            Reach::Routed | Reach::Translated => true,
            Reach::Isolated | Reach::Unmanaged => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_modes() {
        use ForwardMode::{Bridge, Hostdev, Nat, None, Open, Passthrough, Private, Route, Vepa};
        let all = [None, Nat, Route, Open, Bridge, Private, Vepa, Passthrough, Hostdev];
        let having = |has: fn(ModePolicy) -> bool| -> Vec<_> {
            all.into_iter().filter(|mode| has(ModePolicy::of(*mode))).collect()
        };
        assert_eq!(having(ModePolicy::owns_bridge), [None, Nat, Route, Open]);
        assert_eq!(having(ModePolicy::has_rules), [None, Nat, Route]);
        assert_eq!(having(ModePolicy::forwards), [Nat, Route, Open]);
        for mode in all {
            // Documents are checked by the same notion.
            assert_eq!(ModePolicy::of(mode).owns_bridge(), mode.owns_bridge(), "{mode:?}");
        }
    }
}
