//! Links, addresses, routes and traffic control over rtnetlink.
//!
//! [`Handle`] is the only way in. Its sockets belong to the network namespace of the thread that
//! called [`Handle::open`], whatever thread uses them. The kernel executes a request inside the
//! sender's system call, and deleting one bridge takes 30 to 40 ms there; so the
//! rtnetlink connection lives on a thread of its own, never on a worker of the caller's runtime.
//!
//! Knows no networks, only kernel objects.
//!
//! `examples/bridge.rs` makes a bridge with an address, lists it, and removes it.

mod addr;
pub mod attributes;
mod link;
pub mod monitor;
mod port;
mod qdisc;
mod route;
pub mod sriov;
pub mod tap;
mod tc;

use std::fmt;
use std::io;
use std::sync::Arc;

use netlink_sys::AsyncSocket as _;
use tokio::sync::Mutex;

pub use link::{Bridge, Link, LinkKind, Stp};
pub use port::{PortSettings, PortVlan};
pub use qdisc::Queues;
pub use route::Route;
pub use tc::{Class, Hook, QueueChange};

/// Why a request to the kernel failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetlinkError {
    /// The socket or its thread cannot be had.
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    /// The kernel refused the request.
    #[error("cannot {action}")]
    Refused {
        /// What was to be done.
        action: String,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// The answer was no valid answer to the request.
    #[error("cannot {action}: unexpected answer of the kernel")]
    Answer {
        /// What was to be done.
        action: String,
    },
}

impl NetlinkError {
    /// The kernel's error number, if it gave one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Open(source) | Self::Refused { source, .. } => source.raw_os_error(),
            Self::Answer { .. } => None,
        }
    }

    /// Whether the link that the request was about does not exist.
    #[must_use]
    pub fn is_no_device(&self) -> bool {
        self.errno() == Some(nix::libc::ENODEV)
    }
}

/// Access to links, addresses and routes of one network namespace.
#[derive(Clone)]
pub struct Handle {
    route: rtnetlink::Handle,
    /// Listings one at a time: concurrent ones on one socket fail with EBUSY.
    listing: Arc<Mutex<()>>,
    /// Ends the connection's thread when the last handle is dropped.
    _thread: Arc<Thread>,
}

/// Dropping the sender ends the thread.
struct Thread {
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
    /// Opens the socket, in the network namespace of the calling thread, and starts its thread.
    ///
    /// # Errors
    /// [`NetlinkError::Open`] if the socket or the thread cannot be had.
    pub fn open() -> Result<Self, NetlinkError> {
        let (ready, started) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        // A new thread inherits the network namespace of its creator.
        std::thread::Builder::new()
            .name("rtnetlink".to_owned())
            .spawn(move || run(&ready, stopped))
            .map_err(NetlinkError::Open)?;
        let route = started
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the rtnetlink thread has ended")))
            .map_err(NetlinkError::Open)?;
        Ok(Self { route, listing: Arc::default(), _thread: Arc::new(Thread { _stop: stop }) })
    }
}

fn run(
    ready: &std::sync::mpsc::Sender<io::Result<rtnetlink::Handle>>,
    stopped: tokio::sync::oneshot::Receiver<()>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async move {
        match rtnetlink::new_connection() {
            Ok((mut connection, handle, _)) => {
                let socket = connection.socket_mut().socket_mut();
                if let Err(error) = socket.set_ext_ack(true) {
                    tracing::debug!(%error, "cannot enable extended acknowledgements: errors of the kernel have no text");
                }
                drop(ready.send(Ok(handle)));
                // Ends with whichever ends first: the socket, or the last handle.
                drop(futures::future::select(Box::pin(connection), stopped).await);
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    });
}

/// The name of the link with this index, in the network namespace of the calling thread.
#[must_use]
pub fn link_name(index: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(index).ok()?.into_string().ok()?;
    // For an index that no link has, the library gives an empty name instead of an error.
    (!name.is_empty()).then_some(name)
}

/// Whether there is a link of this name, in the network namespace of the calling thread.
#[must_use]
pub fn has_link(name: &str) -> bool {
    nix::net::if_::if_nametoindex(name).is_ok()
}

/// The index of the link with this name, in the network namespace of the calling thread
/// (if_nametoindex(3)).
///
/// # Errors
/// No link has the name.
pub fn link_index(name: &str) -> io::Result<u32> {
    Ok(nix::net::if_::if_nametoindex(name)?)
}

/// Turns an rtnetlink error into ours.
fn refused(action: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> NetlinkError {
    let action = action.into();
    move |error| match error {
        rtnetlink::Error::NetlinkError(message) => NetlinkError::Refused {
            action,
            source: io::Error::from_raw_os_error(-message.raw_code()),
        },
        _ => NetlinkError::Answer { action },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_without_link_has_no_name() {
        assert_eq!(link_name(1).as_deref(), Some("lo"));
        assert_eq!(link_name(0x7fff_fff0), None);
    }
}
