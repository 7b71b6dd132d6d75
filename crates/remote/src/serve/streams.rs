//! Streams: bytes between a client and what one of its calls has opened.
//!
//! A stream begins with the answer to its call; its packets carry that call's procedure and serial. The client
//! ends it with a finish or an abort, both of which are confirmed. [`Streams`] takes the client's packets and
//! queues them as [`Piece`]s, a task per stream pumps: [`Outlet`] has one packet of data on its way at a time.
//! While more than [`QUEUED`] bytes of a client wait for the other side, its packets count as running calls,
//! so that reading from it stops.
//!
//! What a stream is made of is an [`Opened`]; another kind of stream is a variant there and a pump here.
//!
//! libvirt 11.3.0: src/remote/remote_daemon_stream.c

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use oxivirt::{DomainStream, Error, ErrorCode, ErrorDomain, VolumeStream};
use oxivirt_rpc::frame::{
    self, Header, Kind, Packet, STATUS_CONTINUE, STATUS_ERROR, STATUS_OK, STREAM_DATA_MAX,
};
use oxivirt_rpc::server::{Client, Step, Then};
use oxivirt_rpc::xdr;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::serve::session::rpc;
use crate::wire::RemoteError;

/// Bytes of a client that may wait in a stream before reading from the client slows down.
const QUEUED: usize = 256 * 1024;

/// Most streams of a client at a time.
const STREAMS_MAX: usize = 256;

/// What a call has opened.
#[derive(Debug)]
pub(super) enum Opened {
    /// Bytes in both directions. It is closed once the client finishes or aborts the stream; what the guest
    /// has not read by then is dropped.
    Console(Box<dyn DomainStream>),
    /// New data for a volume, with holes or without. A finish is confirmed once they are on the disk.
    Upload(Box<dyn VolumeStream>, bool),
    /// The data of a volume, with holes or without.
    Download(Box<dyn VolumeStream>, bool),
}

/// What a client sends on a stream.
#[derive(Debug)]
enum Piece {
    /// Bytes; the sender is dropped once they have been taken.
    Data(Vec<u8>, Option<oneshot::Sender<()>>),
    /// So many zeros.
    Hole(u64),
    /// Something that no stream takes.
    Unexpected(&'static str),
    /// Nothing follows.
    Finish,
}

/// The client's side of an open stream.
#[derive(Debug)]
struct Handle {
    procedure: i32,
    pieces: mpsc::UnboundedSender<Piece>,
    queued: Arc<AtomicUsize>,
    /// Wakes a pump whose writing cannot go on: the client has finished.
    finished: Arc<Notify>,
}

/// The open streams of a client, by the serial of their call.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    handles: BTreeMap<u32, Handle>,
    is_closed: bool,
}

impl Streams {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all streams: their tasks see that no more pieces come.
    pub(super) fn close(&self) {
        let mut open = self.open();
        open.is_closed = true;
        open.handles.clear();
    }

    /// Refuses a stream beyond the limit.
    ///
    /// # Errors
    /// [`ErrorCode::RPC`]
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.open().handles.len() < STREAMS_MAX {
            return Ok(());
        }
        Err(rpc(format!("too many streams, at most {STREAMS_MAX} may be open")))
    }

    /// Lets the packets with this header be those of `opened`. Its call has been answered.
    pub(super) fn start(&self, client: &Arc<Client>, header: Header, opened: Opened) {
        let (sender, pieces) = mpsc::unbounded_channel();
        let handle = Handle {
            procedure: header.procedure,
            pieces: sender,
            queued: Arc::default(),
            finished: Arc::default(),
        };
        let inlet = Inlet {
            pieces,
            queued: Arc::clone(&handle.queued),
            finished: Arc::clone(&handle.finished),
        };
        let header = Header { kind: Kind::Stream, ..header };
        let outlet = Outlet { client: Arc::clone(client), header };
        {
            let mut open = self.open();
            if open.is_closed {
                return;
            }
            open.handles.insert(header.serial, handle);
        }
        let open = Arc::clone(&self.open);
        drop(tokio::spawn(async move {
            let end = match opened {
                Opened::Console(console) => pump(console, inlet, &outlet).await,
                Opened::Upload(volume, is_sparse) => upload(volume, is_sparse, inlet).await,
                Opened::Download(volume, is_sparse) => {
                    download(volume, is_sparse, inlet, &outlet).await
                }
            };
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            // an aborted stream is not there any more, and its serial may be that of another
            let is_open = open.handles.get(&header.serial).is_some_and(|h| h.pieces.is_closed());
            if is_open {
                open.handles.remove(&header.serial);
            }
            drop(open);
            match end {
                End::Gone => {}
                End::Finished => outlet.confirm(),
                End::Failed(error) => outlet.fail(error),
            }
        }));
    }

    /// Takes a packet of a stream; one of a stream that has ended is ignored.
    pub(super) fn packet(&self, client: &Client, packet: &Packet<'_>) -> Step {
        let header = packet.header;
        let mut open = self.open();
        let handle = open.handles.get(&header.serial);
        let Some(handle) = handle.filter(|handle| handle.procedure == header.procedure) else {
            return Step::Done(Then::Continue);
        };
        let (piece, taken) = match (header.kind, header.status) {
            (Kind::StreamHole, STATUS_CONTINUE) => (hole(packet.payload), None),
            (Kind::StreamHole, _) => (Piece::Unexpected("Unexpected message status"), None),
            (_, STATUS_CONTINUE) => handle.data(packet.payload),
            (_, STATUS_OK) => {
                handle.finished.notify_one();
                (Piece::Finish, None)
            }
            (_, STATUS_ERROR) => {
                open.handles.remove(&header.serial);
                client.send(confirmation(header));
                return Step::Done(Then::Continue);
            }
            _ => (Piece::Unexpected("Unexpected message status"), None),
        };
        // the task may have ended meanwhile
        drop(handle.pieces.send(piece));
        match taken {
            None => Step::Done(Then::Continue),
            Some(taken) => Step::Wait(Box::pin(async move { drop(taken.await) })),
        }
    }
}

/// Length of the hole in a packet (`virNetStreamHole`).
fn hole(payload: &[u8]) -> Piece {
    match xdr::from_bytes::<(i64, u32)>(payload).map(|(length, _)| u64::try_from(length)) {
        Ok(Ok(length)) => Piece::Hole(length),
        _ => Piece::Unexpected("Unexpected stream hole"),
    }
}

/// The packet that confirms a finish or an abort.
fn confirmation(header: Header) -> Vec<u8> {
    let mut packet = Vec::new();
    frame::append_empty(&mut packet, Header { status: STATUS_OK, ..header });
    packet
}

impl Handle {
    /// A piece of data, and the end of its way if the client has to wait for that.
    fn data(&self, payload: &[u8]) -> (Piece, Option<oneshot::Receiver<()>>) {
        let queued = self.queued.fetch_add(payload.len(), Ordering::AcqRel) + payload.len();
        if queued <= QUEUED {
            return (Piece::Data(payload.to_vec(), None), None);
        }
        let (sender, receiver) = oneshot::channel();
        (Piece::Data(payload.to_vec(), Some(sender)), Some(receiver))
    }
}

/// What a pump gets from the client.
#[derive(Debug)]
struct Inlet {
    pieces: mpsc::UnboundedReceiver<Piece>,
    queued: Arc<AtomicUsize>,
    finished: Arc<Notify>,
}

/// What a pump sends to the client.
#[derive(Debug)]
struct Outlet {
    client: Arc<Client>,
    header: Header,
}

/// How a stream ends.
enum End {
    /// The client has aborted it or has gone.
    Gone,
    /// The client has finished it.
    Finished,
    /// The other side has failed.
    Failed(Error),
}

impl Outlet {
    /// Sends data, at most [`STREAM_DATA_MAX`] bytes, and waits until it is on its way; no data is the end of
    /// the data. Whether the client is still there.
    async fn data(&self, data: &[u8]) -> bool {
        let mut packet = Vec::new();
        let header = Header { status: STATUS_CONTINUE, ..self.header };
        let written = frame::append::<()>(&mut packet, header, |out| {
            out.extend_from_slice(data);
            Ok(())
        });
        written.is_ok() && self.client.send_data(packet).await
    }

    /// Sends a hole. Whether the client is still there.
    async fn hole(&self, length: u64) -> bool {
        let mut packet = Vec::new();
        let header = Header { kind: Kind::StreamHole, status: STATUS_CONTINUE, ..self.header };
        let hole = (i64::try_from(length).unwrap_or(i64::MAX), 0_u32);
        let written = frame::append(&mut packet, header, |out| xdr::append(out, &hole));
        written.is_ok() && self.client.send_data(packet).await
    }

    /// Confirms that the stream is finished.
    fn confirm(&self) {
        self.client.send(confirmation(self.header));
    }

    /// Ends the stream with an error.
    fn fail(&self, error: Error) {
        let mut packet = Vec::new();
        let header = Header { status: STATUS_ERROR, ..self.header };
        let error = RemoteError::from(error);
        if frame::append(&mut packet, header, |out| xdr::append(out, &error)).is_ok() {
            self.client.send(packet);
        }
    }
}

/// The error of the other side: the driver's own, or the system's.
fn failed(error: &std::io::Error, what: &str) -> End {
    let carried = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    End::Failed(match carried {
        Some(error) => error.clone(),
        None => Error::io(ErrorDomain::STREAMS, error, what),
    })
}

fn unexpected(what: &str) -> End {
    End::Failed(Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::STREAMS, what))
}

/// Copies from a client to a volume.
async fn upload(mut volume: Box<dyn VolumeStream>, is_sparse: bool, inlet: Inlet) -> End {
    let Inlet { mut pieces, queued, .. } = inlet;
    loop {
        let written = match pieces.recv().await {
            None => return End::Gone,
            Some(Piece::Finish) => {
                return match volume.close().await {
                    Ok(()) => End::Finished,
                    Err(error) => failed(&error, "cannot write to stream"),
                };
            }
            Some(Piece::Unexpected(what)) => return unexpected(what),
            Some(Piece::Hole(_)) if !is_sparse => return unexpected("Unexpected stream hole"),
            Some(Piece::Hole(length)) => {
                poll_fn(|cx| Pin::new(&mut *volume).poll_write_hole(cx, length)).await
            }
            Some(Piece::Data(data, _taken)) => {
                queued.fetch_sub(data.len(), Ordering::AcqRel);
                volume.write_all(&data).await
            }
        };
        if let Err(error) = written {
            return failed(&error, "cannot write to stream");
        }
    }
}

/// Copies from a volume to a client.
async fn download(
    mut volume: Box<dyn VolumeStream>,
    is_sparse: bool,
    inlet: Inlet,
    outlet: &Outlet,
) -> End {
    let Inlet { mut pieces, .. } = inlet;
    let down = async {
        match pieces.recv().await {
            None => End::Gone,
            Some(Piece::Finish) => End::Finished,
            Some(Piece::Unexpected(what)) => unexpected(what),
            Some(Piece::Hole(_)) => unexpected("Unexpected stream hole"),
            Some(Piece::Data(..)) => unexpected("stream is not writable"),
        }
    };
    let up = async {
        let mut buffer = vec![0; STREAM_DATA_MAX];
        loop {
            if is_sparse {
                match poll_fn(|cx| Pin::new(&mut *volume).poll_hole(cx)).await {
                    Ok(0) => {}
                    Ok(length) if outlet.hole(length).await => continue,
                    Ok(_) => return End::Gone,
                    Err(error) => return failed(&error, "cannot read from stream"),
                }
            }
            match volume.read(&mut buffer).await {
                Ok(0) => {
                    outlet.data(&[]).await;
                    // the client finishes or aborts
                    return std::future::pending().await;
                }
                Ok(n) => {
                    if !outlet.data(buffer.get(..n).unwrap_or_default()).await {
                        return End::Gone;
                    }
                }
                Err(error) => return failed(&error, "cannot read from stream"),
            }
        }
    };
    tokio::select! {
        end = down => end,
        end = up => end,
    }
}

/// Copies between a client and a console until one of them ends.
async fn pump(console: Box<dyn DomainStream>, inlet: Inlet, outlet: &Outlet) -> End {
    let (mut reader, mut writer) = console.split();
    let Inlet { mut pieces, queued, finished } = inlet;
    let down = async {
        loop {
            let (data, _taken) = match pieces.recv().await {
                None => return End::Gone,
                Some(Piece::Finish) => return End::Finished,
                Some(Piece::Unexpected(what)) => return unexpected(what),
                Some(Piece::Hole(_)) => return unexpected("Unexpected stream hole"),
                Some(Piece::Data(data, taken)) => (data, taken),
            };
            queued.fetch_sub(data.len(), Ordering::AcqRel);
            let written = match writer.write_all(&data).await {
                Ok(()) => writer.flush().await,
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                return failed(&error, "cannot write to stream");
            }
        }
    };
    let up = async {
        let mut buffer = vec![0; STREAM_DATA_MAX];
        loop {
            match reader.read(&mut buffer).await {
                Ok(0) => {
                    outlet.data(&[]).await;
                    // the client finishes or aborts
                    return std::future::pending().await;
                }
                Ok(n) => {
                    if !outlet.data(buffer.get(..n).unwrap_or_default()).await {
                        return End::Gone;
                    }
                }
                Err(error) => return failed(&error, "cannot read from stream"),
            }
        }
    };
    // `down` first: what can still be written before a finish is
    tokio::select! {
        biased;
        end = down => end,
        () = finished.notified() => End::Finished,
        end = up => end,
    }
}
