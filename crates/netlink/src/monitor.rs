//! Notifications of changes to nftables rules, links and addresses.
//!
//! The kernel reports a flushed rule set with one message per object. A socket filter passes only the
//! last one, which has the number of the new generation, so that a flush is one message and cannot
//! overflow the socket.
//!
//! nfnetlink: linux/netfilter/nf_tables.h; rtnetlink(7)

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};

use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};
use socket2::{SockFilter, SockRef};
use tokio::io::unix::AsyncFd;

use super::PortSettings;
use super::attributes::{Attributes, number, text};

/// `NFNLGRP_NFTABLES`
const GROUP_NFTABLES: u32 = 7;
/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV6_IFADDR`
const GROUPS_ROUTE: [u32; 3] = [1, 5, 9];
/// `NFT_MSG_NEWGEN` of subsystem nftables.
const NEW_GENERATION: u16 = 10 << 8 | 15;
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
/// `IFF_UP`
const UP: u32 = 1;
/// `IFLA_ADDRESS`, `IFLA_IFNAME`, `IFLA_MTU`, `IFLA_MASTER`
const SETTINGS: [u16; 4] = [1, 3, 4, 10];
const LINK_INFO: u16 = 18;
/// `IFLA_INFO_DATA`
const INFO_DATA: u16 = 2;
/// What a bridge learns and counts: `IFLA_BR_ROOT_ID` to `IFLA_BR_GC_TIMER`, `IFLA_BR_FDB_N_LEARNED`.
const BRIDGE_STATE: [u16; 11] = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 48];
/// `AF_BRIDGE`: a message about a port of a bridge, not about the link.
const FAMILY_BRIDGE: u8 = 7;

/// A change of the host's network configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A transaction of nftables was committed; this is the new generation.
    Rules {
        /// Its number.
        generation: u32,
    },
    /// A link was created or changed.
    Link {
        /// Its name.
        name: String,
        /// Index of the bridge that it is a port of.
        controller: Option<u32>,
        /// What is set on it as a port.
        port: PortSettings,
        /// A digest of what programs set on the link; `None` if the message is about it as a port only. A
        /// message with the digest of the one before is about what changes by itself: carrier, counters, timers.
        settings: Option<u64>,
    },
    /// A link is gone.
    LinkGone {
        /// Its name.
        name: String,
    },
    /// An address of a link came or went.
    Address {
        /// Index of the link.
        link: u32,
    },
    /// Changes were lost: anything may have changed.
    Overflow,
}

/// The sockets, in the network namespace of the thread that opened them.
#[derive(Debug)]
pub struct Monitor {
    rules: AsyncFd<Descriptor>,
    links: AsyncFd<Descriptor>,
}

#[derive(Debug)]
struct Descriptor(Socket);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Monitor {
    /// Begins to listen. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// The system's reason.
    pub fn open() -> io::Result<Self> {
        let rules = socket(NETLINK_NETFILTER)?;
        SockRef::from(&rules).attach_filter(&generations_only())?;
        join(&rules, &[GROUP_NFTABLES])?;
        let links = socket(NETLINK_ROUTE)?;
        join(&links, &GROUPS_ROUTE)?;
        Ok(Self { rules: register(rules)?, links: register(links)? })
    }

    /// Waits for the next changes.
    ///
    /// # Errors
    /// The system's reason.
    pub async fn changes(&mut self) -> io::Result<Vec<Change>> {
        let rules = Box::pin(read(&self.rules));
        let links = Box::pin(read(&self.links));
        let (bytes, is_rules) = match futures::future::select(rules, links).await {
            futures::future::Either::Left((bytes, _)) => (bytes?, true),
            futures::future::Either::Right((bytes, _)) => (bytes?, false),
        };
        Ok(match bytes {
            None => vec![Change::Overflow],
            Some(bytes) if is_rules => messages(&bytes).filter_map(rules_change).collect(),
            Some(bytes) => messages(&bytes).filter_map(link_change).collect(),
        })
    }
}

fn socket(protocol: isize) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    socket.set_non_blocking(true)?;
    Ok(socket)
}

fn join(socket: &Socket, groups: &[u32]) -> io::Result<()> {
    groups.iter().try_for_each(|group| socket.add_membership(*group))
}

fn register(socket: Socket) -> io::Result<AsyncFd<Descriptor>> {
    #[expect(
        deprecated,
        reason = "an owned socket stays open; the replacement is an unsafe function"
    )]
    AsyncFd::new(Descriptor(socket))
}

/// "The message is of type `NEW_GENERATION`", for the kernel's packet filter, which reads the first byte
/// of two as the upper one.
fn generations_only() -> [SockFilter; 4] {
    let wanted = u16::from_be_bytes(NEW_GENERATION.to_ne_bytes());
    [
        // Load the half word at 4, where the type is.
        SockFilter::new(0x28, 0, 0, 4),
        // If it is that one go on, else skip one.
        SockFilter::new(0x15, 0, 1, u32::from(wanted)),
        // All of it.
        SockFilter::new(0x06, 0, 0, u32::MAX),
        // Nothing of it.
        SockFilter::new(0x06, 0, 0, 0),
    ]
}

/// The next datagram; `None` if some were lost.
async fn read(socket: &AsyncFd<Descriptor>) -> io::Result<Option<Vec<u8>>> {
    loop {
        let mut ready = socket.readable().await?;
        let mut buffer = Vec::with_capacity(1 << 16);
        match ready.get_inner().0.recv(&mut buffer, 0) {
            Ok(_) => return Ok(Some(buffer)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Type and body of each message of a datagram; a damaged one ends it.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header: &[u8; 16] = bytes.first_chunk()?;
        let [l0, l1, l2, l3, k0, k1, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let body = bytes.get(16..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]), body))
    })
}

fn rules_change((kind, body): (u16, &[u8])) -> Option<Change> {
    let attributes = body.get(4..).filter(|_| kind == NEW_GENERATION)?;
    let (_, id) = Attributes(attributes).find(|(kind, _)| *kind == 1)?;
    Some(Change::Rules { generation: number(id) })
}

/// The digest of what is set on a link: whether it is up, and the attributes that no event of the network
/// changes.
fn settings(body: &[u8], attributes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    let flags = body.get(8..12).and_then(|flags| flags.first_chunk()).copied();
    (u32::from_ne_bytes(flags.unwrap_or_default()) & UP).hash(&mut hasher);
    for (kind, value) in Attributes(attributes) {
        if SETTINGS.contains(&kind) {
            (kind, value).hash(&mut hasher);
        }
        if kind == LINK_INFO {
            for (_, data) in Attributes(value).filter(|(kind, _)| *kind == INFO_DATA) {
                let set = Attributes(data).filter(|(kind, _)| !BRIDGE_STATE.contains(kind));
                set.for_each(|attribute| attribute.hash(&mut hasher));
            }
        }
    }
    hasher.finish()
}

fn link_change((kind, body): (u16, &[u8])) -> Option<Change> {
    match kind {
        NEW_ADDRESS | DELETE_ADDRESS => {
            let index = body.get(4..8)?.first_chunk()?;
            Some(Change::Address { link: u32::from_ne_bytes(*index) })
        }
        NEW_LINK | DELETE_LINK => {
            let family = *body.first()?;
            if ![0, FAMILY_BRIDGE].contains(&family) {
                // A message about the link's IP settings has no information about its bridge.
                let index = body.get(4..8)?.first_chunk()?;
                return Some(Change::Address { link: u32::from_ne_bytes(*index) });
            }
            let attributes = body.get(16..)?;
            let attribute =
                |wanted| Attributes(attributes).find(|(kind, _)| *kind == wanted).map(|(_, v)| v);
            let name = attribute(3).map(text)?;
            let controller = attribute(10)
                .and_then(|value| value.first_chunk())
                .map(|bytes| u32::from_ne_bytes(*bytes));
            match (kind, family) {
                (DELETE_LINK, FAMILY_BRIDGE) => {
                    let port = PortSettings::default();
                    Some(Change::Link { name, controller: None, port, settings: None })
                }
                (DELETE_LINK, _) => Some(Change::LinkGone { name }),
                _ => {
                    let port = PortSettings::of_attributes(attributes);
                    let settings = (family == 0).then(|| settings(body, attributes));
                    Some(Change::Link { name, controller, port, settings })
                }
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// The digest in a message about bridge `br0`.
    fn digest(flags: u32, mtu: u32, data: &[(u16, u32)]) -> Option<u64> {
        let mut body = vec![0; 8];
        body.extend(flags.to_ne_bytes());
        body.extend([0; 4]);
        body.extend(attribute(3, b"br0\0"));
        body.extend(attribute(4, &mtu.to_ne_bytes()));
        let data: Vec<u8> =
            data.iter().flat_map(|(kind, value)| attribute(*kind, &value.to_ne_bytes())).collect();
        let info = [attribute(1, b"bridge\0"), attribute(INFO_DATA, &data)].concat();
        body.extend(attribute(LINK_INFO, &info));
        match link_change((NEW_LINK, &body)) {
            Some(Change::Link { name, settings, .. }) if name == "br0" => settings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn carrier_and_timers_are_no_settings() {
        const LOWER_UP: u32 = 1 << 16;
        let stp = |state| (5, state);
        let before = digest(UP, 1500, &[stp(1), (16, 7)]);
        assert!(before.is_some());
        assert_eq!(digest(UP | LOWER_UP, 1500, &[stp(1), (16, 9)]), before);
        for changed in [
            digest(0, 1500, &[stp(1)]),
            digest(UP, 1400, &[stp(1)]),
            digest(UP, 1500, &[stp(0)]),
            digest(UP, 1500, &[]),
        ] {
            assert_ne!(changed, before);
        }
    }
}
