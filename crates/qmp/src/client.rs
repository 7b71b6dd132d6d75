//! The client: one connection to the monitor of one QEMU.
//!
//! A task owns the socket and waits only for the socket: replies go to the calls that
//! wait for them, events to a bounded queue. Calls only put their bytes into a queue and wait for
//! their reply, each with its own deadline. So a QEMU that hangs holds up nothing but the calls
//! made to it.

use std::fmt;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::command::{AddFd, AddedFd, Capabilities, Command, Empty, Getfd};
use crate::error::{CloseReason, QmpError};
use crate::frame::Framer;
use crate::limits::Limits;
use crate::message::Greeting;

mod call;
mod events;
mod handshake;
mod io;
mod shared;

pub use call::{Request, Ticket};
pub use events::{Events, Incoming};

use shared::Shared;

/// How a connection behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bounds on what the peer may send and the caller may queue.
    pub limits: Limits,
    /// Time for a reply unless the call sets another; also for connecting.
    pub deadline: Duration,
    /// Whether out-of-band execution is enabled when QEMU offers it. QEMU then reads up to eight
    /// commands ahead, and executes [`Request::out_of_band`] ones while other commands run.
    pub oob: bool,
}

impl Default for Options {
    /// Half a minute for a reply, which is how long libvirt lets a call wait for a busy guest.
    fn default() -> Self {
        Self { limits: Limits::default(), deadline: Duration::from_secs(30), oob: true }
    }
}

/// A connection to a monitor. Clones share it; it is closed when the last one is dropped.
///
/// # Cancellation
/// Dropping the future of a call withdraws the command if none of its bytes has been sent; otherwise
/// QEMU executes it and its reply is discarded.
///
/// ```no_run
/// use oxivirt_qmp::command::{Cont, QueryStatus};
/// use oxivirt_qmp::{Monitor, Options};
///
/// # async fn example() -> Result<(), oxivirt_qmp::QmpError> {
/// let path = "/var/lib/libvirt/qemu/domain-1-demo/monitor.sock";
/// let (monitor, mut events) = Monitor::connect(path, &Options::default()).await?;
/// if !monitor.run(&QueryStatus {}).await?.running {
///     monitor.run(&Cont {}).await?;
/// }
/// while let Some(event) = events.next().await {
///     println!("{event:?}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Monitor {
    handle: Arc<Handle>,
}

/// Closes the connection with the last clone.
struct Handle {
    shared: Arc<Shared>,
    greeting: Greeting,
    oob: bool,
    deadline: Duration,
    peer_pid: Option<i32>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.finish(CloseReason::Local);
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Monitor")
            .field("version", &self.handle.greeting.version)
            .field("closed", &self.close_reason())
            .finish_non_exhaustive()
    }
}

impl Monitor {
    /// Connects to the socket at `path`, reads the greeting and negotiates capabilities. Must be
    /// called in a tokio runtime.
    ///
    /// # Errors
    /// [`QmpError::Connect`]; [`QmpError::Timeout`] if QEMU does not greet in time, for example
    /// because another client has the monitor; [`QmpError::Closed`]; [`QmpError::Rejected`].
    pub async fn connect(
        path: impl AsRef<Path>,
        options: &Options,
    ) -> Result<(Self, Events), QmpError> {
        let path = path.as_ref();
        let error = |source| QmpError::Connect { path: path.to_owned(), source };
        let stream = UnixStream::connect(path).await.map_err(error)?;
        Self::start(stream, options).await
    }

    /// As [`connect`](Self::connect), over a connected stream socket such as one end of a socket pair
    /// whose other end QEMU inherited (`-chardev socket,fd=N`).
    ///
    /// # Errors
    /// [`QmpError::Descriptor`] if it is no socket; otherwise as [`connect`](Self::connect).
    pub async fn from_fd(socket: OwnedFd, options: &Options) -> Result<(Self, Events), QmpError> {
        rustix::net::sockopt::socket_type(socket.as_fd())
            .map_err(|error| QmpError::Descriptor(error.into()))?;
        let stream = StdStream::from(socket);
        stream.set_nonblocking(true).map_err(QmpError::Descriptor)?;
        let stream = UnixStream::from_std(stream).map_err(QmpError::Descriptor)?;
        Self::start(stream, options).await
    }

    async fn start(stream: UnixStream, options: &Options) -> Result<(Self, Events), QmpError> {
        let deadline = Instant::now() + options.deadline;
        let peer_pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
        let mut framer = Framer::new(options.limits.message);
        let greeted = handshake::greeting(&stream, &mut framer, &options.limits);
        let greeting = tokio::time::timeout_at(deadline, greeted).await.map_err(|_| {
            QmpError::Timeout { command: String::from("greeting"), after: options.deadline }
        })?;
        let greeting = greeting.map_err(QmpError::Closed)?;
        let oob = options.oob && greeting.offers_oob();
        let shared = Arc::new(Shared::new(options.limits));
        let events = Events::new(Arc::clone(&shared));
        tokio::spawn(io::Connection::new(stream, framer, Arc::clone(&shared)).run());
        let version = greeting.version.qemu;
        tracing::debug!(?version, oob, peer_pid, "connected to monitor");
        let handle = Handle { shared, greeting, oob, deadline: options.deadline, peer_pid };
        let monitor = Self { handle: Arc::new(handle) };
        let enable = if oob { vec![String::from("oob")] } else { Vec::new() };
        monitor.run(&Capabilities { enable }).await?;
        Ok((monitor, events))
    }

    /// What QEMU sent first.
    #[must_use]
    pub fn greeting(&self) -> &Greeting {
        &self.handle.greeting
    }

    /// Whether out-of-band execution is enabled.
    #[must_use]
    pub fn is_oob(&self) -> bool {
        self.handle.oob
    }

    /// The process that listens on the socket, or made the pair, as the kernel recorded it.
    ///
    /// With a listening socket that the daemon made and QEMU inherited it is the daemon.
    #[must_use]
    pub fn peer_pid(&self) -> Option<i32> {
        self.handle.peer_pid
    }

    /// Executes a command and waits for its reply.
    ///
    /// # Errors
    /// [`QmpError::Rejected`] if QEMU returns an error, [`QmpError::Timeout`], [`QmpError::Closed`],
    /// [`QmpError::Reply`] if the reply has another form.
    pub async fn run<C: Command>(&self, command: &C) -> Result<C::Reply, QmpError> {
        self.reply(Request::new(command)?).await
    }

    /// As [`run`](Self::run), with a deadline of its own.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_within<C: Command>(
        &self,
        command: &C,
        deadline: Duration,
    ) -> Result<C::Reply, QmpError> {
        self.reply(Request::new(command)?.deadline(deadline)).await
    }

    /// Executes commands in order without waiting for one reply before sending the next.
    ///
    /// Each has its own result. QEMU executes the next even if one fails. The deadline is for all of
    /// them together.
    ///
    /// ```no_run
    /// # use oxivirt_qmp::Monitor;
    /// # use oxivirt_qmp::command::QomGet;
    /// # async fn example(monitor: Monitor) {
    /// let path = "/machine/unattached/device[0]";
    /// let reads = ["realized", "hotplugged"]
    ///     .map(|property| QomGet { path: path.into(), property: property.into() });
    /// for value in monitor.run_all(&reads).await {
    ///     println!("{value:?}");
    /// }
    /// # }
    /// ```
    pub async fn run_all<C: Command>(&self, commands: &[C]) -> Vec<Result<C::Reply, QmpError>> {
        let until = Instant::now() + self.handle.deadline;
        let mut tickets = Vec::with_capacity(commands.len());
        for command in commands {
            // A place becomes free with each reply, whether or not the reply is taken.
            tickets.push(match Request::new(command) {
                Ok(request) => self.submit_until(request, until).await,
                Err(error) => Err(error),
            });
        }
        let mut results = Vec::with_capacity(commands.len());
        for ticket in tickets {
            results.push(match ticket {
                Ok(ticket) => ticket.reply().await,
                Err(error) => Err(error),
            });
        }
        results
    }

    /// Executes a command that this crate has no type for.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`QmpError::Arguments`] if they are not an object.
    pub async fn execute(&self, name: &str, arguments: &Value) -> Result<Value, QmpError> {
        self.reply(Request::raw(name, arguments)?).await
    }

    /// Names a descriptor in QEMU, for `fd:NAME` of later commands (`getfd`).
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn getfd(&self, name: &str, descriptor: OwnedFd) -> Result<(), QmpError> {
        let command = Getfd { fdname: name.to_owned() };
        let request = Request::new(&command)?.descriptors(vec![descriptor]);
        self.reply::<Empty>(request).await.map(drop)
    }

    /// Adds a descriptor to a set, a new one if `fdset` is `None` (`add-fd`).
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn add_fd(
        &self,
        fdset: Option<u64>,
        opaque: Option<&str>,
        descriptor: OwnedFd,
    ) -> Result<AddedFd, QmpError> {
        let command = AddFd { fdset_id: fdset, opaque: opaque.map(ToOwned::to_owned) };
        self.reply(Request::new(&command)?.descriptors(vec![descriptor])).await
    }

    /// Sends a request and returns what its reply arrives at. Requests are sent in the order in which
    /// this returns.
    ///
    /// Waits while [`Limits::in_flight`] commands are unanswered.
    ///
    /// # Errors
    /// [`QmpError::Timeout`] if there is no place before the request's deadline; [`QmpError::Closed`].
    pub async fn submit(&self, request: Request) -> Result<Ticket, QmpError> {
        let until = Instant::now() + request.deadline.unwrap_or(self.handle.deadline);
        self.submit_until(request, until).await
    }

    async fn submit_until(&self, request: Request, until: Instant) -> Result<Ticket, QmpError> {
        call::submit(&self.handle.shared, request, until).await
    }

    async fn reply<T: DeserializeOwned>(&self, request: Request) -> Result<T, QmpError> {
        self.submit(request).await?.reply().await
    }

    /// Whether a deadline has passed since QEMU last replied to anything. A job that would wait for
    /// it had better not start; killing the process and [`close`](Self::close) work.
    #[must_use]
    pub fn is_unresponsive(&self) -> bool {
        self.handle.shared.is_unresponsive()
    }

    /// Why the connection ended; `None` while it is open.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.handle.shared.close_reason()
    }

    /// Waits for the end of the connection.
    pub async fn closed(&self) -> CloseReason {
        self.handle.shared.closed().await
    }

    /// Closes the connection at once. Calls that wait return [`QmpError::Closed`]. Never waits.
    pub fn close(&self) {
        self.handle.shared.finish(CloseReason::Local);
    }
}
