//! Notifications of changes to nftables rules, links and addresses.
//!
//! The kernel reports a flushed rule set with one message per object. A socket filter passes only the
//! last one, which has the number of the new generation, so that a flush is one message and cannot
//! overflow the socket.
//!
//! nfnetlink: linux/netfilter/nf_tables.h; rtnetlink(7)

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
                    Some(Change::Link { name, controller: None, port: PortSettings::default() })
                }
                (DELETE_LINK, _) => Some(Change::LinkGone { name }),
                _ => {
                    let port = PortSettings::of_attributes(attributes);
                    Some(Change::Link { name, controller, port })
                }
            }
        }
        _ => None,
    }
}
