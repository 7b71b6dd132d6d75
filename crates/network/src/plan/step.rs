//! Steps: the changes to the host that networks need, and what reverts them.

use std::path::PathBuf;

use ipnet::IpNet;
use oxivirt_engine::OnFailure;
use oxivirt_netlink::{Bridge, Stp};
use oxivirt_nft::Removal;
use oxivirt_nft::iptables::Rule;
use oxivirt_nft::libvirt::NetworkRules;
use oxivirt_sys::file::Durability;
use oxivirt_types::link_name::LinkName;
use serde::{Deserialize, Serialize};

use super::journal::Form;
use super::removal::{ForeignRemoval, JumpTarget};
use crate::components::bridge::BridgePort;
use crate::components::dhcp::{DhcpStep, DhcpUndo};
use crate::components::qos::QueueCommand;
use crate::components::resolver::Registration;
use crate::components::routes::RouteState;
use crate::components::rules::RulesChange;

/// One change to the host, so complete that carrying it out needs no decision.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Create a bridge, down; fails if a link of that name exists.
    CreateBridge(Bridge),
    /// Set a link's MTU in bytes.
    SetMtu {
        /// The link.
        link: LinkName,
        /// The MTU.
        mtu: u32,
    },
    /// Write a kernel setting.
    Sysctl(Sysctl),
    /// Load firewall rules, as one transaction.
    LoadRules(RulesChange),
    /// Give a link an address; the prefix length is that of its network.
    AddAddress {
        /// The link.
        link: LinkName,
        /// The address.
        address: IpNet,
    },
    /// Raise a link.
    SetUp(LinkName),
    /// Make links ports of a bridge again and set what was set on them; links that are gone are
    /// left out. The ports forward at once, also if the bridge has a spanning tree protocol.
    AttachPorts {
        /// The bridge.
        bridge: LinkName,
        /// The bridge's spanning tree protocol.
        stp: Stp,
        /// The links.
        ports: Vec<BridgePort>,
    },
    /// Take an address from a link.
    RemoveAddress {
        /// The link.
        link: LinkName,
        /// The address.
        address: IpNet,
    },
    /// Make a bridge keep VLANs apart.
    FilterVlans(LinkName),
    /// Add a route through a link. A refusal is logged and does not stop the plan, as in libvirt.
    AddRoute {
        /// The link.
        link: LinkName,
        /// The route.
        route: RouteState,
    },
    /// Remove a route through a link.
    RemoveRoute {
        /// The link.
        link: LinkName,
        /// The route.
        route: RouteState,
    },
    /// Change the queueing disciplines of a link.
    ChangeQueues {
        /// The link.
        link: LinkName,
        /// Whether the link stays when the network stops.
        is_of_host: bool,
        /// The commands in order.
        commands: Vec<QueueCommand>,
    },
    /// Register the domain behind a link with the host's resolver.
    RegisterDomain {
        /// The link.
        link: LinkName,
        /// The domain and its servers.
        registration: Registration,
    },
    /// Put a bridge into a zone of firewalld.
    JoinZone {
        /// The bridge.
        link: LinkName,
        /// The zone.
        zone: String,
    },
    /// Replace a file.
    WriteFile(FileImage),
    /// Change the server of DHCP and DNS.
    Dhcp(DhcpStep),
    /// Remove something on the way to another state.
    Undo(Undo),
}

/// A file as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileImage {
    /// Where.
    pub path: PathBuf,
    /// Permissions.
    pub mode: u32,
    /// Content.
    pub content: Vec<u8>,
    /// Whether it must survive a power failure.
    pub durability: Durability,
}

/// A kernel setting below `/proc/sys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    /// Path below `/proc/sys`, for example `net/ipv4/ip_forward`.
    pub key: String,
    /// The value.
    pub value: &'static str,
    /// What to do if the kernel has no such setting.
    pub if_missing: IfMissing,
}

/// What the absence of a kernel setting means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// The kernel lacks the whole feature; nothing to set.
    Skip,
    /// The plan fails.
    Fail,
}

/// One change that reverts a [`Step`]. Succeeds if there is nothing to revert, so that it can be
/// repeated after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
#[non_exhaustive]
pub enum Undo {
    /// End the server of DHCP and DNS.
    Dhcp(DhcpUndo),
    /// Delete the bridge with this name and hardware address; another link of that name stays.
    DeleteBridge {
        /// Its name.
        name: LinkName,
        /// Its hardware address; `None` accepts any bridge of that name.
        address: Option<[u8; 6]>,
    },
    /// Remove firewall rules by name; then the table if no network has rules in it any more.
    RemoveRules(Removal),
    /// Remove what libvirt's nftables backend has for a network, by the bridge's index, which must not
    /// be deleted before.
    RemoveLibvirtRules(NetworkRules),
    /// Empty the chain to which chains of other programs jump.
    RemoveUserChainJump(JumpTarget),
    /// Remove those of these iptables rules that exist, as one transaction for each family; then the
    /// shared chains, if no network uses them any more.
    RemoveIptables(Vec<Rule>),
    /// Run a removal command that another program saved, whatever its exit status.
    RunRemoval(ForeignRemoval),
    /// Remove the qdiscs of a bridge of the host.
    ClearQueues {
        /// The bridge.
        link: LinkName,
    },
    /// Take a bridge out of firewalld's zone.
    LeaveZone {
        /// The bridge.
        link: LinkName,
    },
    /// Remove a directory with everything in it.
    RemoveDir {
        /// Where.
        path: PathBuf,
    },
    /// Remove a file.
    RemoveFile {
        /// Where.
        path: PathBuf,
    },
    /// Remove a lease or MAC file that holds nothing; one that holds leases stays for the next start.
    RemoveIfEmpty {
        /// Where.
        path: PathBuf,
    },
}

impl oxivirt_engine::Undo for Undo {}

impl oxivirt_engine::Step for Step {
    type Undo = Undo;
    /// Links.
    type Resource = LinkName;

    /// Addresses, routes through the bridge, its MTU and its settings go with the bridge. The
    /// host-wide forwarding settings stay: other programs may rely on them by now.
    fn undo(&self) -> Vec<Undo> {
        match self {
            Self::CreateBridge(bridge) => vec![Undo::DeleteBridge {
                name: bridge.name.clone(),
                address: Some(bridge.address),
            }],
            Self::LoadRules(change) => change.undo(),
            Self::WriteFile(file) => vec![Undo::RemoveFile { path: file.path.clone() }],
            Self::Dhcp(step) => step.undo().map(Undo::Dhcp).into_iter().collect(),
            Self::JoinZone { link, .. } => vec![Undo::LeaveZone { link: link.clone() }],
            Self::ChangeQueues { link, is_of_host: true, .. } => {
                vec![Undo::ClearQueues { link: link.clone() }]
            }
            Self::SetMtu { .. }
            | Self::Sysctl(_)
            | Self::AddAddress { .. }
            | Self::RemoveAddress { .. }
            | Self::FilterVlans(_)
            | Self::SetUp(_)
            | Self::AttachPorts { .. }
            | Self::AddRoute { .. }
            | Self::RemoveRoute { .. }
            | Self::ChangeQueues { .. }
            | Self::RegisterDomain { .. }
            | Self::Undo(_) => Vec::new(),
        }
    }

    fn on_failure(&self) -> OnFailure {
        match self {
            Self::Dhcp(step) if step.is_undone_on_failure() => OnFailure::UndoStep,
            // Queues may be left that were not refused.
            Self::ChangeQueues { .. } => OnFailure::UndoStep,
            // As in libvirt.
            Self::AddRoute { .. } => OnFailure::Continue,
            _ => OnFailure::Stop,
        }
    }

    fn creates(&self) -> Option<LinkName> {
        match self {
            Self::CreateBridge(bridge) => Some(bridge.name.clone()),
            _ => None,
        }
    }

    fn requires(&self) -> Option<LinkName> {
        match self {
            Self::SetMtu { link, .. }
            | Self::AddAddress { link, .. }
            | Self::FilterVlans(link)
            | Self::RegisterDomain { link, .. }
            | Self::ChangeQueues { link, is_of_host: false, .. }
            | Self::SetUp(link)
            | Self::AddRoute { link, .. } => Some(link.clone()),
            _ => None,
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CreateBridge(bridge) => write!(f, "create bridge {}", bridge.name),
            Self::SetMtu { link, mtu } => write!(f, "set MTU of {link} to {mtu}"),
            Self::Sysctl(sysctl) => write!(f, "set {} to {}", sysctl.key, sysctl.value),
            Self::LoadRules(change) => write!(f, "{change}"),
            Self::AddAddress { link, address } => write!(f, "add address {address} to {link}"),
            Self::SetUp(link) => write!(f, "raise {link}"),
            Self::AttachPorts { bridge, ports, .. } => {
                let names: Vec<_> = ports.iter().map(|port| port.link.as_str()).collect();
                write!(f, "attach {} to {bridge}", names.join(", "))
            }
            Self::RemoveAddress { link, address } => {
                write!(f, "remove address {address} from {link}")
            }
            Self::FilterVlans(link) => write!(f, "filter VLANs on {link}"),
            Self::AddRoute { link, route } => write!(f, "add route {route} dev {link}"),
            Self::RemoveRoute { link, route } => write!(f, "remove route {route} dev {link}"),
            Self::ChangeQueues { link, commands, .. } => {
                write!(f, "change queues of {link} by {} commands", commands.len())
            }
            Self::RegisterDomain { link, registration } => {
                write!(f, "register domain {} for {link}", registration.domain)
            }
            Self::JoinZone { link, zone } => write!(f, "put {link} into firewalld's zone {zone}"),
            Self::Undo(undo) => write!(f, "{undo}"),
            Self::WriteFile(file) => write!(f, "write {}", file.path.display()),
            Self::Dhcp(step) => write!(f, "{step}"),
        }
    }
}

impl std::fmt::Display for Undo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dhcp(undo) => write!(f, "{undo}"),
            Self::DeleteBridge { name, .. } => write!(f, "delete bridge {name}"),
            Self::RemoveRules(_) => write!(f, "remove the network's firewall rules"),
            Self::RemoveLibvirtRules(NetworkRules { bridge, .. }) => {
                write!(f, "remove libvirt's nftables rules for {bridge}")
            }
            Self::RemoveUserChainJump(JumpTarget { family, bridge }) => {
                write!(f, "remove the {family} chain that accepts packets of {bridge}")
            }
            Self::RemoveIptables(rules) => write!(f, "remove {} iptables rules", rules.len()),
            Self::RunRemoval(ForeignRemoval { program, args }) => {
                write!(f, "run '{} {}'", program.name(), args.join(" "))
            }
            Self::ClearQueues { link } => write!(f, "clear queues of {link}"),
            Self::LeaveZone { link } => write!(f, "take {link} out of firewalld's zone"),
            Self::RemoveDir { path } | Self::RemoveFile { path } => {
                write!(f, "remove {}", path.display())
            }
            Self::RemoveIfEmpty { path } => write!(f, "remove {} if it is empty", path.display()),
        }
    }
}
