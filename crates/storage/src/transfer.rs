//! Data of volumes in and out.
//!
//! Files are read and written on threads for blocking work, a chunk at a time; each stream has at most one
//! chunk in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite};
use oxivirt::{Error, ErrorCode, ErrorDomain, Result, VolumeRange, VolumeStream};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::host::{self, Context as _, open_pool};
use crate::registry::VolumeState;
use crate::shared::{Found, Shared, blocking};

/// Most bytes that are read or written at a time.
const CHUNK: usize = 256 * 1024;

impl Shared {
    /// Opens a volume for reading.
    pub(crate) async fn download(
        self: &Arc<Self>,
        found: &Found,
        range: VolumeRange,
    ) -> Result<Download> {
        found.check_ready()?;
        let (pool, name) = (found.pool_path(), found.name.clone());
        let (file, size) = blocking(move || {
            let path = pool.join(&name);
            let failed = || format!("Unable to open stream for '{}'", path.display());
            let file = open_pool(&pool)?.open_for_reading(&name).context(failed)?;
            if file.metadata().context(failed)?.is_dir() {
                return Err(io::Error::from(Errno::ISDIR)).context(failed);
            }
            let size = oxivirt_image::Source::size(&file).context(failed)?;
            Ok((file, size))
        })
        .await?;
        let end = match range.length {
            0 => size,
            length => range.offset.saturating_add(length).min(size),
        };
        let (file, runtime) = (Arc::new(file), Handle::current());
        Ok(Download { file, runtime, at: range.offset, end, state: Reading::Idle })
    }

    /// Opens a volume for writing.
    pub(crate) async fn upload(
        self: &Arc<Self>,
        found: Found,
        range: VolumeRange,
    ) -> Result<Upload> {
        found.check_ready()?;
        self.check_unused(&found)?;
        let (pool, name) = (found.pool_path(), found.name.clone());
        let file = blocking(move || {
            let path = pool.join(&name);
            let opened = open_pool(&pool)?.open_for_writing(&name);
            opened.context(|| format!("Unable to open stream for '{}'", path.display()))
        })
        .await?;
        Ok(Upload {
            shared: Arc::clone(self),
            found,
            file: Arc::new(file),
            runtime: Handle::current(),
            at: range.offset,
            left: (range.length > 0).then_some(range.length),
            state: Writing::Idle,
        })
    }

    /// Reads a volume again whose data were replaced. Its format is that of the new data.
    async fn uploaded(&self, found: &Found) -> Result<()> {
        let operation = found.entry.lock().await;
        let view = found.entry.view();
        let is_there = view.active.as_ref().and_then(|active| active.volumes.get(&found.name));
        if is_there.is_some_and(|volume| volume.state == VolumeState::Ready) {
            self.update(&found.entry, &found.name, None).await?;
        }
        drop(operation);
        self.emit_refresh(view.reference());
        Ok(())
    }
}

/// An error of the API as one of a stream.
fn carried(error: Error) -> io::Error {
    io::Error::other(error)
}

fn task(error: &tokio::task::JoinError) -> io::Error {
    carried(crate::error::task(error))
}

fn refused(errno: Errno, what: &str) -> io::Error {
    let io = io::Error::from(errno);
    carried(Error::io(ErrorDomain::STREAMS, &io, what))
}

/// The stream goes in the other direction.
fn one_way(what: &str) -> io::Error {
    carried(Error::new(ErrorCode::OPERATION_INVALID, ErrorDomain::STREAMS, what))
}

/// The data of a volume.
#[derive(Debug)]
pub(crate) struct Download {
    file: Arc<File>,
    runtime: Handle,
    /// Where the next chunk begins.
    at: u64,
    end: u64,
    state: Reading,
}

#[derive(Debug)]
enum Reading {
    Idle,
    Running(JoinHandle<io::Result<Chunk>>),
    Ready(Chunk),
}

#[derive(Debug)]
enum Chunk {
    /// Bytes, of which so many are taken.
    Data(Vec<u8>, usize),
    /// So many zeros.
    Hole(u64),
    End,
}

impl Download {
    /// Goes on until a chunk is ready.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut Chunk>> {
        loop {
            match &mut self.state {
                Reading::Idle => {
                    let (file, at, end) = (Arc::clone(&self.file), self.at, self.end);
                    let work = self.runtime.spawn_blocking(move || next_chunk(&file, at, end));
                    self.state = Reading::Running(work);
                }
                Reading::Running(work) => {
                    let done = ready!(Pin::new(work).poll(cx));
                    self.state = Reading::Idle;
                    let chunk = done.unwrap_or_else(|error| Err(task(&error)))?;
                    let length = match &chunk {
                        Chunk::Data(data, _) => data.len() as u64,
                        Chunk::Hole(length) => *length,
                        Chunk::End => 0,
                    };
                    self.at = self.at.saturating_add(length);
                    self.state = Reading::Ready(chunk);
                }
                Reading::Ready(_) => break,
            }
        }
        match &mut self.state {
            Reading::Ready(chunk) => Poll::Ready(Ok(chunk)),
            // the loop ends with a chunk
            _ => Poll::Pending,
        }
    }
}

/// What follows at a place.
fn next_chunk(file: &File, at: u64, end: u64) -> io::Result<Chunk> {
    if at >= end {
        return Ok(Chunk::End);
    }
    let (data, data_end) = match host::next_data(file, at, end)? {
        None => return Ok(Chunk::Hole(end - at)),
        Some((data, _)) if data > at => return Ok(Chunk::Hole(data - at)),
        Some(range) => range,
    };
    let n = usize::try_from(data_end - data).unwrap_or(CHUNK).min(CHUNK);
    let mut bytes = vec![0; n];
    let n = file.read_at(&mut bytes, data)?;
    if n == 0 {
        // it has become shorter meanwhile
        return Ok(Chunk::End);
    }
    bytes.truncate(n);
    Ok(Chunk::Data(bytes, 0))
}

impl AsyncRead for Download {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let chunk = ready!(self.poll_chunk(cx))?;
        let (n, is_empty) = match chunk {
            Chunk::End => return Poll::Ready(Ok(0)),
            Chunk::Hole(length) => {
                let n = buffer.len().min(usize::try_from(*length).unwrap_or(usize::MAX));
                buffer.get_mut(..n).unwrap_or_default().fill(0);
                *length -= n as u64;
                (n, *length == 0)
            }
            Chunk::Data(data, taken) => {
                let rest = data.get(*taken..).unwrap_or_default();
                let n = buffer.len().min(rest.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..n), rest.get(..n)) {
                    to.copy_from_slice(from);
                }
                *taken += n;
                (n, *taken >= data.len())
            }
        };
        if is_empty {
            self.state = Reading::Idle;
        }
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for Download {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(one_way("stream is not writable")))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl VolumeStream for Download {
    fn poll_hole(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let Chunk::Hole(length) = ready!(self.poll_chunk(cx))? else { return Poll::Ready(Ok(0)) };
        let length = *length;
        self.state = Reading::Idle;
        Poll::Ready(Ok(length))
    }

    fn poll_write_hole(self: Pin<&mut Self>, _: &mut Context<'_>, _: u64) -> Poll<io::Result<()>> {
        Poll::Ready(Err(one_way("stream is not writable")))
    }
}

/// New data for a volume.
#[derive(Debug)]
pub(crate) struct Upload {
    shared: Arc<Shared>,
    found: Found,
    file: Arc<File>,
    runtime: Handle,
    /// Where the next chunk goes.
    at: u64,
    /// How many bytes may follow, if the client said it.
    left: Option<u64>,
    state: Writing,
}

#[derive(Debug)]
enum Writing {
    Idle,
    Running(JoinHandle<io::Result<()>>),
    Finishing(JoinHandle<Result<()>>),
    Finished,
}

impl Upload {
    /// Goes on until nothing is being written.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            Writing::Running(work) => {
                let done = ready!(Pin::new(work).poll(cx));
                self.state = Writing::Idle;
                Poll::Ready(done.unwrap_or_else(|error| Err(task(&error))))
            }
            Writing::Idle => Poll::Ready(Ok(())),
            Writing::Finishing(_) | Writing::Finished => {
                Poll::Ready(Err(one_way("stream is not open")))
            }
        }
    }

    /// How many of `wanted` bytes may be written.
    fn allowed(&self, wanted: u64) -> io::Result<u64> {
        match self.left {
            Some(0) if wanted > 0 => Err(refused(Errno::NOSPC, "cannot write to stream")),
            Some(left) => Ok(left.min(wanted)),
            None => Ok(wanted),
        }
    }

    /// Writes `length` bytes in the background.
    fn start(
        &mut self,
        length: u64,
        work: impl FnOnce(&File, u64) -> io::Result<()> + Send + 'static,
    ) {
        let (file, at) = (Arc::clone(&self.file), self.at);
        self.state = Writing::Running(self.runtime.spawn_blocking(move || {
            work(&file, at).map_err(|error| {
                carried(Error::io(ErrorDomain::STREAMS, &error, "cannot write to stream"))
            })
        }));
        self.at = self.at.saturating_add(length);
        self.left = self.left.map(|left| left.saturating_sub(length));
    }
}

impl AsyncWrite for Upload {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_idle(cx))?;
        let wanted = buffer.len().min(CHUNK);
        let n = usize::try_from(self.allowed(wanted as u64)?).unwrap_or(wanted);
        let data = buffer.get(..n).unwrap_or_default().to_vec();
        self.start(n as u64, move |file, at| file.write_all_at(&data, at));
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_idle(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                Writing::Finished => return Poll::Ready(Ok(())),
                Writing::Finishing(work) => {
                    let done = ready!(Pin::new(work).poll(cx));
                    self.state = Writing::Finished;
                    let done = done.unwrap_or_else(|error| Err(crate::error::task(&error)));
                    return Poll::Ready(done.map_err(carried));
                }
                Writing::Idle | Writing::Running(_) => {
                    ready!(self.poll_idle(cx))?;
                    let (shared, found) = (Arc::clone(&self.shared), self.found.clone());
                    let file = Arc::clone(&self.file);
                    self.state = Writing::Finishing(self.runtime.spawn(async move {
                        blocking(move || {
                            file.sync_all().context(|| String::from("cannot write to stream"))
                        })
                        .await?;
                        shared.uploaded(&found).await
                    }));
                }
            }
        }
    }
}

impl AsyncRead for Upload {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(one_way("stream is not readable")))
    }
}

impl VolumeStream for Upload {
    fn poll_hole(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Err(one_way("stream is not readable")))
    }

    fn poll_write_hole(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        length: u64,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_idle(cx))?;
        if self.allowed(length)? < length {
            return Poll::Ready(Err(refused(Errno::NOSPC, "cannot write to stream")));
        }
        if length > 0 {
            self.start(length, move |file, at| make_hole(file, at, length));
        }
        Poll::Ready(Ok(()))
    }
}

/// Makes a part of a file read as zeros.
fn make_hole(file: &File, at: u64, length: u64) -> io::Result<()> {
    let end = at.checked_add(length).ok_or(Errno::FBIG)?;
    let size = file.metadata()?.len();
    if size < end {
        file.set_len(end)?;
    }
    let inside = size.min(end).saturating_sub(at);
    if inside == 0 {
        return Ok(());
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match rustix::fs::fallocate(file, flags, at, inside) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => host::zero(file, at, inside),
        other => Ok(other?),
    }
}
