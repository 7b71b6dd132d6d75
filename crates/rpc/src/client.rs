//! The client end: one connection that many calls share.
//!
//! A task reads and writes, sends keepalive pings and answers them. The caller writes packets to [`Outgoing`]
//! and reads answers and events from [`Incoming`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::frame::{self, Header, Kind};
use crate::keepalive::{self, Verdict, Watch};

/// While more bytes than this wait to be written, no further packet is taken from the queue.
const CONGESTED: usize = 256 * 1024;

/// While more bytes of streams than this have arrived and are not taken, nothing is read.
const BACKLOG: usize = 4 * 1024 * 1024;

/// Header and payload of a packet that has arrived.
pub type Arrived = (Header, Vec<u8>);

/// Why a connection ended (`virConnectCloseReason`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Reading or writing failed, or the peer violated the protocol.
    Error,
    /// The peer closed it.
    EndOfFile,
    /// The peer did not answer keepalive pings.
    Silent,
    /// This side closed it.
    Closed,
}

/// The writing half of a connection. Clones write to the same connection.
#[derive(Debug, Clone)]
pub struct Outgoing {
    packets: mpsc::UnboundedSender<Order>,
    ended: watch::Receiver<Option<Reason>>,
    leaving: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Order {
    Packet(Vec<u8>),
    /// A packet of a stream; the sender is dropped once it is being written.
    Data(Vec<u8>, oneshot::Sender<()>),
    Keepalive(Duration, u32),
    Close,
}

/// The reading half of a connection.
#[derive(Debug)]
pub struct Incoming {
    /// Answers to calls, and packets of streams.
    pub replies: mpsc::UnboundedReceiver<Arrived>,
    /// Events.
    pub events: mpsc::UnboundedReceiver<Arrived>,
    /// Counts the bytes of streams among them.
    pub backlog: Arc<Backlog>,
}

/// Bytes of streams that have arrived and that the program has not taken yet.
#[derive(Debug, Default)]
pub struct Backlog {
    bytes: AtomicUsize,
    taken: Notify,
}

impl Backlog {
    /// Notes that a payload of `len` bytes has been taken, or is of no use.
    pub fn take(&self, len: usize) {
        self.bytes.fetch_sub(len, Ordering::AcqRel);
        self.taken.notify_one();
    }

    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Acquire) > BACKLOG
    }
}

impl Outgoing {
    /// Queues a packet; `false` if the connection has ended.
    #[must_use]
    pub fn send(&self, packet: Vec<u8>) -> bool {
        self.packets.send(Order::Packet(packet)).is_ok()
    }

    /// Queues a packet of a stream. The receiver fails once the packet is being written, and the next one may
    /// follow, or the connection has ended.
    pub fn send_data(&self, packet: Vec<u8>) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        drop(self.packets.send(Order::Data(packet, sender)));
        receiver
    }

    /// Sends a ping after each `interval` of silence and ends the connection after `count` unanswered ones;
    /// a zero interval stops it.
    pub fn keepalive(&self, interval: Duration, count: u32) {
        drop(self.packets.send(Order::Keepalive(interval, count)));
    }

    /// Announces that the peer will be asked to close the connection, so that its end counts as
    /// [`Reason::Closed`].
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Closes the connection once all queued packets are written.
    pub fn close(&self) {
        self.leave();
        drop(self.packets.send(Order::Close));
    }

    /// Why the connection ended; `None` while it is open.
    #[must_use]
    pub fn ended(&self) -> Option<Reason> {
        *self.ended.borrow()
    }

    /// Waits for the end of the connection.
    pub async fn end(&self) -> Reason {
        let mut ended = self.ended.clone();
        let reason = ended.wait_for(Option::is_some).await.ok().and_then(|reason| *reason);
        reason.unwrap_or(Reason::Error)
    }
}

/// Starts a connection on `stream`, served by a task until it ends.
pub fn start<S>(stream: S) -> (Outgoing, Incoming)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (packets, orders) = mpsc::unbounded_channel();
    let (replies_in, replies) = mpsc::unbounded_channel();
    let (events_in, events) = mpsc::unbounded_channel();
    let (end, ended) = watch::channel(None);
    let leaving = Arc::new(AtomicBool::new(false));
    let left = Arc::clone(&leaving);
    let backlog = Arc::<Backlog>::default();
    let arriving = Arc::clone(&backlog);
    drop(tokio::spawn(async move {
        let (replies, events) = (replies_in, events_in);
        let reason = Loop { orders, replies, events, backlog: arriving }.run(stream).await;
        let reason = if left.load(Ordering::Acquire) { Reason::Closed } else { reason };
        end.send_replace(Some(reason));
    }));
    (Outgoing { packets, ended, leaving }, Incoming { replies, events, backlog })
}

struct Loop {
    orders: mpsc::UnboundedReceiver<Order>,
    replies: mpsc::UnboundedSender<Arrived>,
    events: mpsc::UnboundedSender<Arrived>,
    backlog: Arc<Backlog>,
}

impl Loop {
    async fn run<S: AsyncRead + AsyncWrite + Send>(mut self, stream: S) -> Reason {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (mut incoming, mut outgoing) = (Vec::new(), Vec::new());
        let mut watch: Option<Watch> = None;
        let (mut closing, mut unflushed) = (false, false);
        loop {
            let now = Instant::now();
            let may_read = !self.backlog.is_full();
            // a peer that is not read is not silent
            if let Some(watch) = watch.as_mut().filter(|_| !may_read) {
                watch.received(now);
            }
            let due = match watch.as_mut().map(|watch| watch.check(now)) {
                Some(Verdict::Dead) => return Reason::Silent,
                Some(Verdict::Ping) => {
                    keepalive::append(&mut outgoing, keepalive::PING);
                    continue;
                }
                Some(Verdict::Wait(due)) => Some(due),
                None => None,
            };
            if closing && outgoing.is_empty() && !unflushed {
                drop(writer.shutdown().await);
                return Reason::Closed;
            }
            let has_output = !outgoing.is_empty();
            tokio::select! {
                order = self.orders.recv(), if !closing && outgoing.len() < CONGESTED => match order {
                    Some(Order::Packet(packet)) => {
                        outgoing.extend_from_slice(&packet);
                        self.more(&mut outgoing, &mut watch, &mut closing);
                    }
                    Some(Order::Data(packet, waiting)) => {
                        outgoing.extend_from_slice(&packet);
                        drop(waiting);
                        self.more(&mut outgoing, &mut watch, &mut closing);
                    }
                    Some(Order::Keepalive(interval, count)) => {
                        watch = (!interval.is_zero()).then(|| Watch::new(interval, count, now));
                    }
                    Some(Order::Close) | None => closing = true,
                },
                written = write(&mut writer, &outgoing), if has_output || unflushed => match written {
                    Ok(0) if has_output => return Reason::Error,
                    Ok(n) => {
                        outgoing.drain(..n);
                        unflushed = has_output;
                    }
                    Err(_) => return Reason::Error,
                },
                () = self.backlog.taken.notified(), if !may_read => {}
                read = reader.read_buf(&mut incoming), if may_read => match read {
                    Ok(0) => return Reason::EndOfFile,
                    Ok(_) => {
                        if let Some(watch) = &mut watch {
                            watch.received(Instant::now());
                        }
                        if self.packets(&mut incoming, &mut outgoing).is_err() {
                            return Reason::Error;
                        }
                    }
                    Err(_) => return Reason::Error,
                },
                () = sleep_until(due), if due.is_some() => {}
            }
        }
    }

    /// Takes the other queued orders, so that their packets are written in one piece.
    fn more(&mut self, outgoing: &mut Vec<u8>, watch: &mut Option<Watch>, closing: &mut bool) {
        while outgoing.len() < CONGESTED {
            let Ok(order) = self.orders.try_recv() else { return };
            match order {
                Order::Packet(packet) => {
                    outgoing.extend_from_slice(&packet);
                }
                Order::Data(packet, waiting) => {
                    outgoing.extend_from_slice(&packet);
                    drop(waiting);
                }
                Order::Keepalive(interval, count) => {
                    let now = Instant::now();
                    *watch = (!interval.is_zero()).then(|| Watch::new(interval, count, now));
                }
                Order::Close => {
                    *closing = true;
                    return;
                }
            }
        }
    }

    fn packets(
        &self,
        incoming: &mut Vec<u8>,
        outgoing: &mut Vec<u8>,
    ) -> Result<(), frame::FrameError> {
        let mut at = 0;
        while let Some(packet) = frame::first(incoming.get(at..).unwrap_or_default())? {
            at += packet.len;
            let header = packet.header;
            if header.program == keepalive::PROGRAM {
                if keepalive::wants_pong(&header) {
                    keepalive::append(outgoing, keepalive::PONG);
                }
                continue;
            }
            let arrived = (header, packet.payload.to_vec());
            match header.kind {
                Kind::Reply => drop(self.replies.send(arrived)),
                Kind::Message => drop(self.events.send(arrived)),
                Kind::Stream | Kind::StreamHole => {
                    self.backlog.bytes.fetch_add(arrived.1.len(), Ordering::AcqRel);
                    drop(self.replies.send(arrived));
                }
                // no call made here is answered with descriptors
                _ => {}
            }
        }
        incoming.drain(..at);
        Ok(())
    }
}

/// Writes, or flushes the buffer of an encrypting stream. Cancellation-safe.
async fn write<W: AsyncWrite + Unpin>(writer: &mut W, outgoing: &[u8]) -> io::Result<usize> {
    match outgoing {
        [] => writer.flush().await.map(|()| 0),
        bytes => writer.write(bytes).await,
    }
}

async fn sleep_until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due.into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::STATUS_OK;

    #[tokio::test]
    async fn answers_and_events_come_apart_and_pings_are_answered() {
        let (near, mut far) = tokio::io::duplex(4096);
        let (outgoing, mut incoming) = start(near);
        let call = Header {
            program: 9,
            version: 1,
            procedure: 1,
            kind: Kind::Call,
            serial: 3,
            status: STATUS_OK,
        };
        let mut packet = Vec::new();
        frame::append_empty(&mut packet, call);
        assert!(outgoing.send(packet.clone()));
        let mut read = vec![0; 28];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(read, packet);
        let mut answer = Vec::new();
        keepalive::append(&mut answer, keepalive::PING);
        frame::append_empty(&mut answer, Header::message(9, 2, 1));
        frame::append_empty(&mut answer, call.reply(STATUS_OK));
        far.write_all(&answer).await.unwrap();
        assert_eq!(incoming.replies.recv().await.unwrap().0.serial, 3);
        assert_eq!(incoming.events.recv().await.unwrap().0.procedure, 2);
        far.read_exact(&mut read).await.unwrap();
        let pong = frame::first(&read).unwrap().unwrap().header;
        assert_eq!((pong.program, pong.procedure), (keepalive::PROGRAM, keepalive::PONG));
        drop(far);
        assert_eq!(outgoing.end().await, Reason::EndOfFile);
        assert!(incoming.replies.recv().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_given_up() {
        let (near, _far) = tokio::io::duplex(4096);
        let (outgoing, _incoming) = start(near);
        outgoing.keepalive(Duration::from_secs(1), 0);
        // the watch reads the real clock: a paused one would never be late
        tokio::time::resume();
        assert_eq!(outgoing.end().await, Reason::Silent);
    }
}
