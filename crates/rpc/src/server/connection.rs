//! The life of one connection.
//!
//! One task reads, decides and writes. A call is polled once where it is; what takes longer becomes a task of
//! its own, which nothing here ever ends: a client that goes away does not stop what it asked for. At the
//! limit of running calls, or while the client does not take its answers, nothing more is read from it.

use std::io;
use std::panic::AssertUnwindSafe;
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
use crate::server::{Answer, Client, Server, Service, Step, Then, carried};

/// A read asks for this much at a time.
const CHUNK: usize = 64 * 1024;

/// While more than this waits to be written, nothing is read and no event is taken from the queue.
const CONGESTED: usize = 256 * 1024;

/// How long the last answer may take to be read once the connection is to end.
const LINGER: Duration = Duration::from_secs(2);

/// How often a connection looks for the next call before it sleeps. A client that waits for each answer calls
/// again within some 20 µs, and waking up takes longer than looking meanwhile: it halves what such a call takes.
const LOOKS: usize = 20;

/// Buffers above this are given back when they are empty.
const KEEP: usize = 256 * 1024;

/// Why a connection ended.
#[derive(Debug)]
pub enum End {
    /// The client closed it.
    Peer,
    /// Somebody here closed it.
    Closed,
    /// The client sent what cannot be a packet.
    Protocol(frame::FrameError),
    /// The client gave no sign of life.
    Silent,
    /// The client did not say who it is.
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
    // a client that sees the end of its stream is in no list any more
    client.close();
    // a peer that still reads sees the end of the stream after the last answer
    drop(poll_immediate(connection.writer.shutdown()).await);
    end
}

/// What a call running elsewhere has to say.
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
    /// Bytes to come that carry descriptors and mean nothing.
    skip: usize,
    running: usize,
    /// Whether the stream may hold back written bytes.
    unflushed: bool,
    /// Whether something was written since the last call: the next may come at once.
    expects: bool,
    /// Since when the connection is to end.
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
                match self.look().await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(end) => return end,
                }
            }
            tokio::select! {
                biased;
                Some((packet, then)) = self.answers.recv() => self.answered(&packet, then),
                () = self.client.told.notified() => {}
                written = write(&mut self.writer, &self.outgoing, self.written), if has_output => {
                    match written {
                        Ok(Written::Some(0)) => return End::Peer,
                        Ok(Written::Some(n)) => self.wrote(n),
                        Ok(Written::All) => self.unflushed = false,
                        Err(error) => return End::Io(error),
                    }
                }
                read = read(&mut self.reader, &mut self.incoming), if may_read => {
                    if let Err(end) = self.heard(read) {
                        return end;
                    }
                }
                () = sleep_until(deadline), if deadline.is_some() => {}
            }
        }
    }

    /// Looks for what comes right after an answer; whether there was something.
    async fn look(&mut self) -> Result<bool, End> {
        if !std::mem::take(&mut self.expects) || self.running > 0 {
            return Ok(false);
        }
        let Some(_looking) = Looking::begin(self.client.server()) else { return Ok(false) };
        for _ in 0..LOOKS {
            if let Some(read) = poll_immediate(read(&mut self.reader, &mut self.incoming)).await {
                return self.heard(read).map(|()| true);
            }
            tokio::task::yield_now().await;
        }
        Ok(false)
    }

    fn heard(&mut self, read: io::Result<usize>) -> Result<(), End> {
        match read {
            Ok(0) => Err(End::Peer),
            Ok(_) => {
                if let Some(watch) = &mut self.watch {
                    watch.heard(now());
                }
                Ok(())
            }
            Err(error) => Err(End::Io(error)),
        }
    }

    /// Deals with everything that needs no waiting.
    async fn settle(&mut self) -> Option<End> {
        while let Ok((packet, then)) = self.answers.try_recv() {
            self.answered(&packet, then);
        }
        if let Err(error) = self.packets().await {
            return Some(End::Protocol(error));
        }
        // after the packets: an event of a registration stands behind the answer that names it
        if !self.is_congested() {
            self.client.drain(&mut self.outgoing);
        }
        if self.client.is_closing() {
            self.close();
        }
        let is_done = self.closing.is_some() && self.outgoing.is_empty() && !self.unflushed;
        is_done.then_some(End::Closed)
    }

    /// Ends the connection once the answers are written. From now on the server lists no such client, so
    /// that a client that has read the answer to its close call is in no later list.
    fn close(&mut self) {
        if self.closing.is_none() {
            self.closing = Some(now());
            self.client.close();
        }
    }

    fn is_congested(&self) -> bool {
        self.outgoing.len() - self.written > CONGESTED
    }

    /// Whether another packet may be taken.
    fn may_go_on(&self) -> bool {
        self.closing.is_none() && self.running < self.client.limits.requests && !self.is_congested()
    }

    /// Takes the packets that have arrived.
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

    /// Keeps what has not been taken, without holding on to a buffer that was large once.
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
        if let Some(count) = carried(&packet.header, packet.payload) {
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

    /// When something has to be done though nothing happens.
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

/// Appends what has arrived. The buffer grows by what arrives, never by what a length word announces.
async fn read<S: AsyncRead>(reader: &mut ReadHalf<S>, incoming: &mut Vec<u8>) -> io::Result<usize> {
    incoming.reserve(CHUNK);
    reader.read_buf(incoming).await
}

/// What became of a write.
enum Written {
    /// So many bytes were taken.
    Some(usize),
    /// The stream holds nothing back.
    All,
}

/// Writes, or lets go what the stream held back; either can be given up at any point.
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

/// The connection that looks, until dropped.
struct Looking(Arc<Server>);

impl Looking {
    fn begin(server: &Arc<Server>) -> Option<Self> {
        server.may_look().then(|| Self(Arc::clone(server)))
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.looked();
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
