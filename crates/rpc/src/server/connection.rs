//! The loop that serves one connection.
//!
//! One task reads, dispatches and writes. It polls a call once; a call that is not finished then becomes a task
//! of its own, which is never cancelled: a client that disconnects does not stop its calls. While the limit of
//! running calls is reached, or the client does not read its answers, nothing is read from it.

use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::poll_immediate;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::sync::mpsc;

use crate::frame::{self, FDS_MAX, Packet};
use crate::keepalive::{self, Verdict, Watch};
use crate::server::{Answer, Client, Server, Service, Step, Then, announced_fds};

/// Size of a read, in bytes.
const CHUNK: usize = 64 * 1024;

/// While more bytes than this wait to be written, nothing is read and no event is taken from the queue.
const CONGESTED: usize = 256 * 1024;

/// How long a connection that is being closed waits until its last answer is written.
const LINGER: Duration = Duration::from_secs(2);

/// How often a connection polls for the next call before it sleeps. A client that waits for each answer calls
/// again within some 20 µs, which is less than a wake-up takes: polling halves the time of such a call.
const SPINS: usize = 20;

/// An empty buffer that is larger than this, in bytes, is freed.
const KEEP: usize = 256 * 1024;

/// Why a connection ended.
#[derive(Debug)]
pub enum End {
    /// The client closed it.
    Peer,
    /// This side closed it.
    Closed,
    /// The client violated the protocol.
    Protocol(frame::FrameError),
    /// The client did not answer keepalive pings.
    Silent,
    /// The client did not authenticate in time.
    Anonymous,
    /// Reading or writing failed.
    Io(io::Error),
}

/// Serves `client` on `stream` until it ends.
pub async fn serve<S>(stream: S, client: &Arc<Client>, service: &dyn Service) -> End
where
    S: AsyncRead + AsyncWrite + Send,
{
    let (reader, writer) = tokio::io::split(stream);
    let (done, answers) = mpsc::unbounded_channel();
    let mut connection = Connection {
        reader,
        writer,
        client,
        service,
        incoming: Vec::new(),
        outgoing: Vec::new(),
        written: 0,
        skip: 0,
        running: 0,
        unflushed: false,
        expects: false,
        closing: None,
        watch: None,
        since: now(),
        done,
        answers,
    };
    let end = connection.run().await;
    // before the end of the stream is visible: the client must be in no list by then
    client.close();
    // a peer that still reads gets the end of the stream after the last answer
    drop(poll_immediate(connection.writer.shutdown()).await);
    end
}

/// The answer of a call that became a task.
type Answered = (Vec<u8>, Then);

struct Connection<'a, S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    client: &'a Arc<Client>,
    service: &'a dyn Service,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// Bytes of `outgoing` that have been written.
    written: usize,
    /// Bytes to skip: each of them carries a descriptor.
    skip: usize,
    running: usize,
    /// Whether written bytes may still be in a buffer of the stream.
    unflushed: bool,
    /// Whether something was written since the last call, so that the next one may follow at once.
    expects: bool,
    /// Since when the connection is being closed.
    closing: Option<Instant>,
    watch: Option<Watch>,
    since: Instant,
    done: mpsc::UnboundedSender<Answered>,
    answers: mpsc::UnboundedReceiver<Answered>,
}

impl<S: AsyncRead + AsyncWrite + Send> Connection<'_, S> {
    async fn run(&mut self) -> End {
        loop {
            if let Some(end) = self.settle().await {
                return end;
            }
            let may_read = self.may_go_on();
            let has_output = !self.outgoing.is_empty() || self.unflushed;
            let deadline = match self.deadline() {
                Ok(deadline) => deadline,
                Err(end) => return end,
            };
            if may_read && !has_output {
                match self.spin().await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(end) => return end,
                }
            }
            tokio::select! {
                biased;
                Some((packet, then)) = self.answers.recv() => self.answered(&packet, then),
                () = self.client.wake.notified() => {}
                written = write(&mut self.writer, &self.outgoing, self.written), if has_output => {
                    match written {
                        Ok(Written::Some(0)) => return End::Peer,
                        Ok(Written::Some(n)) => self.wrote(n),
                        Ok(Written::All) => self.unflushed = false,
                        Err(error) => return End::Io(error),
                    }
                }
                read = read(&mut self.reader, &mut self.incoming), if may_read => {
                    if let Err(end) = self.received(read) {
                        return end;
                    }
                }
                () = sleep_until(deadline), if deadline.is_some() => {}
            }
        }
    }

    /// Polls for a call that follows an answer at once; whether anything arrived.
    async fn spin(&mut self) -> Result<bool, End> {
        if !std::mem::take(&mut self.expects) || self.running > 0 {
            return Ok(false);
        }
        let Some(_guard) = SpinGuard::acquire(self.client.server()) else { return Ok(false) };
        for _ in 0..SPINS {
            if let Some(read) = poll_immediate(read(&mut self.reader, &mut self.incoming)).await {
                return self.received(read).map(|()| true);
            }
            tokio::task::yield_now().await;
        }
        Ok(false)
    }

    fn received(&mut self, read: io::Result<usize>) -> Result<(), End> {
        match read {
            Ok(0) => Err(End::Peer),
            Ok(_) => {
                if let Some(watch) = &mut self.watch {
                    watch.received(now());
                }
                Ok(())
            }
            Err(error) => Err(End::Io(error)),
        }
    }

    /// Does everything that needs no waiting.
    async fn settle(&mut self) -> Option<End> {
        while let Ok((packet, then)) = self.answers.try_recv() {
            self.answered(&packet, then);
        }
        if let Err(error) = self.packets().await {
            return Some(End::Protocol(error));
        }
        // after the packets: an event must follow the answer to its registration
        if !self.is_congested() {
            self.client.drain(&mut self.outgoing);
        }
        if self.client.is_closing() {
            self.close();
        }
        let is_done = self.closing.is_some() && self.outgoing.is_empty() && !self.unflushed;
        is_done.then_some(End::Closed)
    }

    /// Closes the connection once the answers are written. The client is removed from the server's list at
    /// once, so that it is in no list that is made after the answer to its close call.
    fn close(&mut self) {
        if self.closing.is_none() {
            self.closing = Some(now());
            self.client.close();
        }
    }

    fn is_congested(&self) -> bool {
        self.outgoing.len() - self.written > CONGESTED
    }

    /// Whether another packet may be processed.
    fn may_go_on(&self) -> bool {
        self.closing.is_none() && self.running < self.client.limits.requests && !self.is_congested()
    }

    /// Processes the packets that have arrived.
    async fn packets(&mut self) -> Result<(), frame::FrameError> {
        let incoming = std::mem::take(&mut self.incoming);
        let mut at = 0;
        while self.may_go_on() {
            let rest = incoming.get(at..).unwrap_or_default();
            if self.skip > 0 {
                let skipped = self.skip.min(rest.len());
                self.skip -= skipped;
                at += skipped;
                if skipped == 0 {
                    break;
                }
                continue;
            }
            let Some(packet) = frame::first(rest)? else { break };
            at += packet.len;
            self.packet(packet).await?;
        }
        self.keep(incoming, at);
        Ok(())
    }

    /// Keeps the bytes that have not been processed, and shrinks a buffer that was large once.
    fn keep(&mut self, mut incoming: Vec<u8>, taken: usize) {
        incoming.drain(..taken);
        if incoming.capacity() > KEEP && incoming.len() < KEEP / 4 {
            incoming.shrink_to(CHUNK);
        }
        self.incoming = incoming;
    }

    async fn packet(&mut self, packet: Packet<'_>) -> Result<(), frame::FrameError> {
        if packet.header.program == keepalive::PROGRAM && packet.header.kind == frame::Kind::Message
        {
            if keepalive::wants_pong(&packet.header) {
                keepalive::append(&mut self.outgoing, keepalive::PONG);
            }
            return Ok(());
        }
        if let Some(count) = announced_fds(&packet.header, packet.payload) {
            if count > FDS_MAX {
                return Err(frame::FrameError::Fds(count));
            }
            self.skip = count as usize;
        }
        if packet.header.kind == frame::Kind::Call {
            self.client.received_call();
        }
        match self.service.packet(packet, &mut self.outgoing) {
            Step::Done(Then::Continue) => {}
            Step::Done(Then::Close) => self.close(),
            Step::Answer(answer) => self.answer(answer).await,
            Step::Wait(wait) => self.wait(wait),
        }
        Ok(())
    }

    async fn answer(&mut self, mut answer: Answer) {
        let running = Running::new(self.client.server());
        self.running += 1;
        if let Some((packet, then)) = poll_immediate(&mut answer).await {
            self.answered(&packet, then);
            return;
        }
        let done = self.done.clone();
        // its handle is not kept: dropping that lets the task go on
        drop(tokio::spawn(async move {
            let answered = AssertUnwindSafe(answer).catch_unwind().await;
            drop(running);
            // the client may be gone
            drop(done.send(answered.unwrap_or_else(|_| (Vec::new(), Then::Close))));
        }));
    }

    fn wait(&mut self, wait: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.running += 1;
        let done = self.done.clone();
        drop(tokio::spawn(async move {
            tokio::select! {
                () = wait => {}
                () = done.closed() => {}
            }
            drop(done.send((Vec::new(), Then::Continue)));
        }));
    }

    fn answered(&mut self, packet: &[u8], then: Then) {
        self.running -= 1;
        self.outgoing.extend_from_slice(packet);
        if then == Then::Close {
            self.close();
        }
    }

    fn wrote(&mut self, n: usize) {
        self.written += n;
        self.unflushed = true;
        self.expects = true;
        if self.written >= self.outgoing.len() {
            self.outgoing.clear();
            self.written = 0;
            if self.outgoing.capacity() > KEEP {
                self.outgoing = Vec::new();
            }
        }
    }

    /// When the loop has to run again even if no event wakes it.
    fn deadline(&mut self) -> Result<Option<Instant>, End> {
        let now = now();
        let limits = &self.client.limits;
        let mut deadline = None;
        if let Some(since) = self.closing {
            return if now >= since + LINGER { Err(End::Closed) } else { Ok(Some(since + LINGER)) };
        }
        if !self.client.is_authenticated() && self.running == 0 {
            let due = self.since + limits.authentication;
            if now >= due {
                return Err(End::Anonymous);
            }
            deadline = Some(due);
        }
        if self.watch.is_none()
            && self.client.wants_keepalive()
            && let Some(interval) = limits.keepalive_interval
        {
            self.watch = Some(Watch::new(interval, limits.keepalive_count, now));
        }
        let Some(watch) = &mut self.watch else { return Ok(deadline) };
        loop {
            match watch.check(now) {
                Verdict::Dead => return Err(End::Silent),
                Verdict::Ping => keepalive::append(&mut self.outgoing, keepalive::PING),
                Verdict::Wait(due) => {
                    return Ok(Some(deadline.map_or(due, |other: Instant| other.min(due))));
                }
            }
        }
    }
}

/// The time of the runtime's clock, which tests pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn sleep_until(deadline: Option<Instant>) {
    if let Some(deadline) = deadline {
        tokio::time::sleep_until(deadline.into()).await;
    }
}

/// Appends bytes that have arrived. The buffer grows by them, never by the value of a length word.
async fn read<S: AsyncRead>(reader: &mut ReadHalf<S>, incoming: &mut Vec<u8>) -> io::Result<usize> {
    incoming.reserve(CHUNK);
    reader.read_buf(incoming).await
}

/// Result of a write.
enum Written {
    /// Number of bytes that were accepted.
    Some(usize),
    /// The stream is flushed.
    All,
}

/// Writes, or flushes if there is nothing to write. Cancellation-safe.
async fn write<S: AsyncWrite>(
    writer: &mut WriteHalf<S>,
    outgoing: &[u8],
    from: usize,
) -> io::Result<Written> {
    match outgoing.get(from..) {
        None | Some([]) => writer.flush().await.map(|()| Written::All),
        Some(bytes) => writer.write(bytes).await.map(Written::Some),
    }
}

/// Permission to poll, until dropped.
struct SpinGuard(Arc<Server>);

impl SpinGuard {
    fn acquire(server: &Arc<Server>) -> Option<Self> {
        server.start_spinning().then(|| Self(Arc::clone(server)))
    }
}

impl Drop for SpinGuard {
    fn drop(&mut self) {
        self.0.stop_spinning();
    }
}

/// Counts one call for as long as it runs, however it ends.
struct Running(Arc<Server>);

impl Running {
    fn new(server: &Arc<Server>) -> Self {
        server.call_started();
        Self(Arc::clone(server))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.call_ended();
    }
}
