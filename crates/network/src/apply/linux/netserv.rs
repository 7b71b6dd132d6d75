//! Our own address and name service: found by its socket, started if there is none, given networks with sockets.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use oxivirt_netserv_api::client::{Client, ClientError, listen};
use oxivirt_netserv_api::message::{Reply, Request};
use oxivirt_netserv_api::{HostNames, NetworkSpec, SpecError, sockets};
use oxivirt_sys::file;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::apply::HostError;
use crate::apply::host::End;
use crate::components::dhcp::{Serve, Service, StopServing};

/// Only one start or end of the service at a time; the driver's lock excludes other processes.
static LIFE: Mutex<()> = Mutex::new(());
/// Longest name file of the host that is read, in bytes.
const HOSTS_MAX: u64 = 1 << 20;

/// What goes wrong with the service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetservError {
    /// It cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It cannot be started.
    #[error("cannot start the address and name service")]
    Start(#[source] io::Error),
    /// A socket of the network cannot be opened.
    #[error("cannot open a socket for addresses and names on '{bridge}'")]
    Socket {
        /// The bridge.
        bridge: String,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// It cannot serve the network.
    #[error("the address and name service refuses the network")]
    Refused(#[source] SpecError),
    /// It answers something else than it was asked.
    #[error("the address and name service answers something else than it was asked")]
    Answer,
}

/// Serves a network.
pub(super) fn serve(step: &Serve) -> Result<(), HostError> {
    let _one = LIFE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut client = connect(&step.service)?;
    let mut spec = step.spec.clone();
    let index = oxivirt_netlink::link_index(&spec.bridge);
    spec.ifindex = index.map_err(|source| socket_error(&spec.bridge, source))?;
    let host = Request::Host(name_servers(), host_names());
    client.request(&host, &[]).map_err(NetservError::from)?;
    // A network that is served keeps its sockets if it still has the same.
    let kept = client.request(&Request::Add(spec.clone()), &[]).map_err(NetservError::from)?;
    if matches!(kept, Reply::Ready { .. }) {
        return Ok(());
    }
    let remove = Request::Remove { uuid: spec.uuid, drop_state: false };
    client.request(&remove, &[]).map_err(NetservError::from)?;
    let opened = open(&spec)?;
    let fds: Vec<_> = opened.iter().map(OwnedFd::as_fd).collect();
    match client.request(&Request::Add(spec), &fds).map_err(NetservError::from)? {
        Reply::Ready { .. } => Ok(()),
        Reply::Refused(error) => Err(NetservError::Refused(error).into()),
        _ => Err(NetservError::Answer.into()),
    }
}

fn socket_error(bridge: &str, source: io::Error) -> NetservError {
    NetservError::Socket { bridge: bridge.to_owned(), source }
}

fn open(spec: &NetworkSpec) -> Result<Vec<OwnedFd>, NetservError> {
    let open = |role| sockets::open(spec, role);
    let opened: io::Result<Vec<OwnedFd>> = sockets::roles(spec).into_iter().map(open).collect();
    opened.map_err(|source| socket_error(&spec.bridge, source))
}

/// A connection to the service, which is started if none answers.
fn connect(service: &Service) -> Result<Client, NetservError> {
    if let Ok(mut client) = Client::connect(&service.socket)
        && let Ok(Reply::Hello(_)) = client.request(&Request::Hello, &[])
    {
        return Ok(client);
    }
    start(service).map_err(NetservError::Start)?;
    let mut client = Client::connect(&service.socket)?;
    let host = sockets::host().map_err(NetservError::Start)?;
    let fds: Vec<_> = host.iter().map(OwnedFd::as_fd).collect();
    match client.request(&Request::Hello, &fds)? {
        Reply::Hello(_) => Ok(client),
        Reply::Refused(error) => Err(NetservError::Refused(error)),
        _ => Err(NetservError::Answer),
    }
}

/// Starts the service with its listening socket, so that it can be asked at once.
fn start(service: &Service) -> io::Result<()> {
    for dir in [&service.journals, &service.lease_files] {
        file::create_dir(dir).map_err(io::Error::other)?;
    }
    file::remove(&service.socket).map_err(io::Error::other)?;
    let listener = listen(&service.socket)?;
    let arguments = [service.journals.as_os_str(), service.lease_files.as_os_str()];
    let pid = oxivirt_sys::command::start_detached(&service.program, &arguments, listener)?;
    tracing::info!(?pid, program = %service.program.display(), "the address and name service is started");
    Ok(())
}

/// Ends the service of a network, and the service if it was the last one.
pub(super) fn stop(step: &StopServing) -> Result<(), HostError> {
    let _one = LIFE.lock().unwrap_or_else(PoisonError::into_inner);
    if step.socket.exists()
        && let Ok(mut client) = Client::connect(&step.socket)
    {
        let remove = Request::Remove { uuid: step.network, drop_state: true };
        client.request(&remove, &[]).map_err(NetservError::from)?;
        let hello = client.request(&Request::Hello, &[]).map_err(NetservError::from)?;
        if hello == Reply::Hello(Vec::new()) {
            client.request(&Request::End, &[]).map_err(NetservError::from)?;
            // Its last files are written when it has closed the socket.
            client.wait_for_end().map_err(NetservError::from)?;
            file::remove(&step.socket)?;
        }
    }
    file::remove(&step.journal)?;
    if let Some(dir) = step.journal.parent() {
        // Other networks may have theirs there.
        drop(fs::remove_dir(dir));
    }
    Ok(())
}

/// The generation of a network that the service serves.
pub(super) fn served(socket: &Path, network: uuid::Uuid) -> Option<u64> {
    if !socket.exists() {
        return None;
    }
    let mut client = Client::connect(socket).ok()?;
    let Ok(Reply::Hello(served)) = client.request(&Request::Hello, &[]) else { return None };
    served.into_iter().find(|served| served.uuid == network).map(|served| served.generation)
}

/// The pid of the service, and what waits for its end.
pub(super) fn end(socket: &Path) -> Option<(i32, End)> {
    let pid = Client::connect(socket).ok()?.peer().ok()?;
    let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::NONBLOCK).ok()?;
    Some((pid, Box::pin(crate::dnsmasq::gone(pidfd))))
}

/// The host's name servers.
fn name_servers() -> Vec<IpAddr> {
    let text = lines("/etc/resolv.conf");
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| *word == "nameserver").and_then(|_| words.next()?.parse().ok())
    });
    servers.collect()
}

/// The names in the host's own file.
fn host_names() -> Vec<HostNames> {
    let text = lines("/etc/hosts");
    let names = text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        Some(HostNames { address, names: words.map(str::to_owned).collect() })
    });
    names.take(1000).collect()
}

fn lines(path: &str) -> String {
    let content = file::read(Path::new(path), HOSTS_MAX).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&content).into_owned()
}
