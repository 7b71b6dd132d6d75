//! Files of a network's TFTP directories, for guests that boot over the network.
//!
//! ```text
//! request ──> OACK, if options are agreed ──ACK 0──> window of blocks ──ACK──> next window … end
//!    └──────────────── no options ─────────────────────┘  no ACK: again after 2, 4, 8 s …
//! ```
//!
//! Nothing of a file is kept: a block that is sent again is read again. Where files come from is
//! behind [`Files`], which alone decides what a client may read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use oxivirt_netserv_api::{NetworkSpec, TftpRoot};

use crate::wire::tftp::{Message, Opt, Request, data, error, failure, oack};
use crate::{Now, Out, Packet, Socket, To};

/// Bytes of a block without option (RFC 1350).
const BLOCK_SIZE: usize = 512;
/// Most blocks that are sent without waiting for a client.
const MAX_WINDOW: usize = 64;
/// Pause before the first repetition, unless the client says another one.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest pause between two repetitions.
const MAX_PAUSE: Duration = Duration::from_secs(64);
/// How often a window is sent before the client counts as gone.
const MAX_TRIES: u32 = 10;

/// Where files come from.
pub trait Files: fmt::Debug + Send {
    /// Opens a file for reading; `path` is relative to the directory `root` of the definition
    /// and has no `..`.
    ///
    /// # Errors
    /// [`OpenError`], which the client gets as an error packet.
    fn open(&mut self, root: &str, path: &str) -> Result<Box<dyn File>, OpenError>;
}

/// A file that is sent.
pub trait File: fmt::Debug + Send {
    /// Its length in bytes.
    fn size(&self) -> u64;

    /// Reads from `offset` into `buffer`; returns the number of bytes, 0 at the end.
    ///
    /// # Errors
    /// The file cannot be read any longer.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize>;
}

/// Why a file is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is none.
    #[error("file not found")]
    NotFound,
    /// It is no regular file, not below the directory, or not readable.
    #[error("access violation")]
    Denied,
}

/// No files at all.
#[derive(Debug)]
pub struct NoFiles;

impl Files for NoFiles {
    fn open(&mut self, _root: &str, _path: &str) -> Result<Box<dyn File>, OpenError> {
        Err(OpenError::NotFound)
    }
}

/// The TFTP server of one network.
#[derive(Debug)]
pub struct Tftp {
    roots: Vec<TftpRoot>,
    mtu: usize,
    max_transfers: usize,
    max_per_client: usize,
    transfers: BTreeMap<u64, Transfer>,
    by_client: BTreeMap<SocketAddr, u64>,
    deadlines: BTreeSet<(Duration, u64)>,
    next: u64,
}

/// A place in a file. In netascii a byte of the file may be two that are sent, of which the
/// second one is left over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    offset: u64,
    left_over: Option<u8>,
}

/// A file on its way.
#[derive(Debug)]
struct Transfer {
    client: SocketAddr,
    local: IpAddr,
    file: Box<dyn File>,
    is_netascii: bool,
    block_size: usize,
    window: usize,
    pause: Duration,
    /// The options that wait for their ACK.
    agreed: Option<Vec<(Opt, u64)>>,
    /// Number of the last block that the client has, without its upper bits.
    acked: u16,
    /// Where the blocks behind `acked` begin, as far as they were sent, and where the next one
    /// begins. Without the latter the last block was sent.
    places: Vec<Place>,
    is_last_sent: bool,
    /// Whether the window was sent again because the client missed its first block.
    is_repeated: bool,
    n_tries: u32,
    deadline: Duration,
}

impl Tftp {
    /// The server of a definition; nothing if it has no directory.
    #[must_use]
    pub fn new(spec: &NetworkSpec) -> Option<Self> {
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        (!spec.tftp.is_empty()).then(|| Self {
            roots: spec.tftp.clone(),
            mtu: size(spec.mtu),
            max_transfers: size(spec.limits.tftp_transfers),
            max_per_client: size(spec.limits.tftp_transfers_per_client),
            transfers: BTreeMap::new(),
            by_client: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            // Numbers of two networks differ.
            next: u64::from(spec.ifindex) << 32,
        })
    }

    /// Goes on with the transfers of the server of the network's earlier definition.
    pub fn inherit(&mut self, old: Self) {
        self.transfers = old.transfers;
        self.by_client = old.by_client;
        self.deadlines = old.deadlines;
        self.next = old.next;
    }

    /// Handles a request or a packet of a transfer.
    pub fn handle(&mut self, now: Now, packet: &Packet<'_>, files: &mut dyn Files, out: &mut Out) {
        match packet.socket {
            Socket::Tftp(local) => self.request(now, packet, local, files, out),
            Socket::TftpTransfer(token) => self.progress(now, token, packet, out),
            _ => out.dropped("tftp-socket"),
        }
    }

    fn request(
        &mut self,
        now: Now,
        packet: &Packet<'_>,
        local: IpAddr,
        files: &mut dyn Files,
        out: &mut Out,
    ) {
        let client = packet.source;
        let refuse = |out: &mut Out, code, text: &str| {
            let to = To::Ip(client);
            out.send(packet.socket, to, packet.destination, failure(code, text));
        };
        let request = match Message::parse(packet.bytes) {
            Some(Message::Read(request)) => request,
            Some(Message::Write) => return refuse(out, error::ACCESS, "access violation"),
            Some(Message::Ack(_) | Message::Error) => return out.dropped("tftp-no-transfer"),
            None if packet.bytes.starts_with(&[0, 1]) => {
                return refuse(out, error::ILLEGAL, "malformed request");
            }
            None => return out.dropped("tftp-malformed"),
        };
        if let Some(token) = self.by_client.get(&client).copied() {
            // The client did not hear of the transfer that it has.
            return self.send(now, token, out);
        }
        let of_client = self.by_client.keys().filter(|other| other.ip() == client.ip()).count();
        if self.transfers.len() >= self.max_transfers || of_client >= self.max_per_client {
            return refuse(out, error::UNDEFINED, "busy");
        }
        let root = self.roots.iter().find(|root| root.address == local);
        let Some((root, path)) = root.and_then(|root| Some((root, below(root, request.file)?)))
        else {
            return refuse(out, error::ACCESS, "access violation");
        };
        match files.open(&root.path, &path) {
            Ok(file) => self.start(now, &request, (client, local), file, out),
            Err(OpenError::NotFound) => refuse(out, error::NOT_FOUND, "file not found"),
            Err(OpenError::Denied) => refuse(out, error::ACCESS, "access violation"),
        }
    }

    fn start(
        &mut self,
        now: Now,
        request: &Request<'_>,
        (client, local): (SocketAddr, IpAddr),
        file: Box<dyn File>,
        out: &mut Out,
    ) {
        let mut transfer = Transfer {
            client,
            local,
            file,
            is_netascii: request.is_netascii,
            block_size: BLOCK_SIZE,
            window: 1,
            pause: PAUSE,
            agreed: None,
            acked: 0,
            places: vec![Place::default()],
            is_last_sent: false,
            is_repeated: false,
            n_tries: 0,
            deadline: now.boot,
        };
        transfer.agree(request, self.mtu);
        let token = self.next;
        self.next = self.next.wrapping_add(1);
        self.by_client.insert(client, token);
        self.deadlines.insert((transfer.deadline, token));
        self.transfers.insert(token, transfer);
        self.send(now, token, out);
    }

    /// Handles a packet that came in by the socket of a transfer.
    fn progress(&mut self, now: Now, token: u64, packet: &Packet<'_>, out: &mut Out) {
        let Some(transfer) = self.transfers.get_mut(&token) else {
            return out.dropped("tftp-no-transfer");
        };
        if packet.source != transfer.client {
            let answer = failure(error::UNKNOWN_TRANSFER, "unknown transfer");
            return out.send(packet.socket, To::Ip(packet.source), Some(transfer.local), answer);
        }
        match Message::parse(packet.bytes) {
            Some(Message::Ack(block)) => match transfer.acknowledge(block) {
                Acked::Nothing => {}
                Acked::All => self.end(token, out),
                Acked::Some => self.send(now, token, out),
            },
            Some(Message::Error) => self.end(token, out),
            _ => out.dropped("tftp-malformed"),
        }
    }

    /// Sends the options or the window of a transfer.
    fn send(&mut self, now: Now, token: u64, out: &mut Out) {
        let Some(transfer) = self.transfers.get_mut(&token) else { return };
        let (socket, to) = (Socket::TftpTransfer(token), To::Ip(transfer.client));
        let local = Some(transfer.local);
        if let Some(agreed) = &transfer.agreed {
            out.send(socket, to, local, oack(agreed));
        } else {
            let Ok(blocks) = transfer.blocks() else {
                out.send(socket, to, local, failure(error::UNDEFINED, "cannot read the file"));
                return self.end(token, out);
            };
            for block in blocks {
                out.send(socket, to, local, block);
            }
        }
        let pause = 1_u32.checked_shl(transfer.n_tries).unwrap_or(u32::MAX);
        let pause = transfer.pause.saturating_mul(pause).min(MAX_PAUSE.max(transfer.pause));
        self.deadlines.remove(&(transfer.deadline, token));
        transfer.deadline = now.boot.saturating_add(pause);
        self.deadlines.insert((transfer.deadline, token));
    }

    fn end(&mut self, token: u64, out: &mut Out) {
        if let Some(transfer) = self.transfers.remove(&token) {
            self.deadlines.remove(&(transfer.deadline, token));
            self.by_client.remove(&transfer.client);
            out.closed.push(Socket::TftpTransfer(token));
        }
    }

    /// Sends again what was not acknowledged in time.
    pub fn tick(&mut self, now: Now, out: &mut Out) {
        while let Some((deadline, token)) = self.deadlines.first().copied()
            && deadline <= now.boot
        {
            let Some(transfer) = self.transfers.get_mut(&token) else {
                self.deadlines.remove(&(deadline, token));
                continue;
            };
            transfer.n_tries = transfer.n_tries.saturating_add(1);
            if transfer.n_tries >= MAX_TRIES {
                out.dropped("tftp-timeout");
                self.end(token, out);
            } else {
                self.send(now, token, out);
            }
        }
    }

    /// When [`Tftp::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The socket of a transfer failed: the client is gone.
    pub fn failed(&mut self, token: u64, out: &mut Out) {
        self.end(token, out);
    }
}

/// What an ACK says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acked {
    /// Nothing new.
    Nothing,
    /// More blocks can be sent.
    Some,
    /// The client has the whole file.
    All,
}

impl Transfer {
    /// Takes the options of a request that can be met.
    fn agree(&mut self, request: &Request<'_>, mtu: usize) {
        let headers = if self.client.is_ipv4() { 32 } else { 52 };
        let longest = mtu.saturating_sub(headers).clamp(BLOCK_SIZE, 65_464);
        let mut agreed = Vec::new();
        for (opt, number) in &request.options {
            let small = usize::try_from(*number).unwrap_or(usize::MAX);
            let answer = match opt {
                Opt::BlockSize if *number >= 8 => {
                    self.block_size = small.min(longest);
                    self.block_size as u64
                }
                Opt::Size if !request.is_netascii => self.file.size(),
                Opt::Timeout if (1..=255).contains(number) => {
                    self.pause = Duration::from_secs(*number);
                    *number
                }
                Opt::WindowSize if *number >= 1 => {
                    self.window = small.min(MAX_WINDOW);
                    self.window as u64
                }
                _ => continue,
            };
            agreed.push((*opt, answer));
        }
        self.agreed = (!agreed.is_empty()).then_some(agreed);
    }

    fn acknowledge(&mut self, block: u16) -> Acked {
        if self.agreed.is_some() {
            if block != 0 {
                return Acked::Nothing;
            }
            self.agreed = None;
            self.n_tries = 0;
            return Acked::Some;
        }
        let n_new = usize::from(block.wrapping_sub(self.acked));
        let n_sent = self.places.len().saturating_sub(usize::from(!self.is_last_sent));
        if n_new > n_sent {
            return Acked::Nothing;
        }
        if n_new == 0 {
            // Repeated ACKs are answered only if the client waits for a lost block of a window,
            // and once: else each packet would be doubled (RFC 1123 §4.2.3.1).
            if self.window == 1 || self.is_repeated {
                return Acked::Nothing;
            }
            self.is_repeated = true;
            return Acked::Some;
        }
        self.acked = block;
        self.n_tries = 0;
        self.is_repeated = false;
        self.places.drain(..n_new);
        if self.places.is_empty() { Acked::All } else { Acked::Some }
    }

    /// The packets of the window behind the last block that the client has.
    fn blocks(&mut self) -> std::io::Result<Vec<Vec<u8>>> {
        let mut packets = Vec::with_capacity(self.window);
        let mut place = self.places.first().copied().unwrap_or_default();
        self.places.clear();
        self.is_last_sent = false;
        for n in 1..=u16::try_from(self.window).unwrap_or(1) {
            self.places.push(place);
            let (bytes, next) = self.block(place)?;
            packets.push(data(self.acked.wrapping_add(n), &bytes));
            if bytes.len() < self.block_size {
                self.is_last_sent = true;
                return Ok(packets);
            }
            place = next;
        }
        self.places.push(place);
        Ok(packets)
    }

    /// The bytes of the block that begins at a place, and where the next one begins.
    fn block(&self, mut place: Place) -> std::io::Result<(Vec<u8>, Place)> {
        let mut raw = vec![0; self.block_size];
        let mut n_read = 0;
        while let Some(rest) = raw.get_mut(n_read..).filter(|rest| !rest.is_empty()) {
            let offset = place.offset.saturating_add(n_read as u64);
            match self.file.read_at(offset, rest)? {
                0 => break,
                n => n_read = n_read.saturating_add(n),
            }
        }
        raw.truncate(n_read);
        if !self.is_netascii {
            place.offset = place.offset.saturating_add(n_read as u64);
            return Ok((raw, place));
        }
        let mut block: Vec<u8> = place.left_over.take().into_iter().collect();
        for byte in raw {
            if block.len() >= self.block_size {
                break;
            }
            place.offset = place.offset.saturating_add(1);
            let (first, second) = match byte {
                b'\n' => (b'\r', Some(b'\n')),
                b'\r' => (b'\r', Some(0)),
                other => (other, None),
            };
            block.push(first);
            if block.len() < self.block_size {
                block.extend(second);
            } else {
                place.left_over = second;
            }
        }
        Ok((block, place))
    }
}

/// The path below a directory that a client means: it may begin with the directory's own path or
/// with `/`, and firmware writes `\` as well. Nothing if it leaves the directory.
fn below(root: &TftpRoot, file: &str) -> Option<String> {
    let file = file.replace('\\', "/");
    let inside = file.strip_prefix(root.path.trim_end_matches('/'));
    let inside = inside.filter(|rest| rest.starts_with('/')).unwrap_or(&file);
    let path = inside.trim_start_matches('/');
    (!path.is_empty() && path.split('/').all(|part| part != "..")).then(|| path.to_owned())
}

#[cfg(test)]
mod tests;
