//! The target about streams: packets of a client for a stream that is open.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};
use oxivirt::{
    Connection, ConsoleFlags, DomainDriver, DomainRef, DomainStream, Result, StorageDriver,
    StorageVolRef, StorageVolTransferFlags, VolumeRange, VolumeStream,
};
use oxivirt_remote::protocol::{PROGRAM, VERSION, storage};
use oxivirt_remote::serve::Profile;
use oxivirt_rpc::frame::{self, Header, Kind, STATUS_OK};
use oxivirt_rpc::xdr;
use serde::Serialize;

use super::converse;

const CONNECT_OPEN: i32 = 1;
const AUTH_LIST: i32 = 66;
const OPEN_CONSOLE: i32 = 201;
/// The serial of the call that opens the stream.
const SERIAL: u32 = 2;
/// Most bytes that a stream has for its client.
const DATA_MAX: usize = 64;

/// Packets for a console, an upload or a download, which the first byte chooses, with or without holes.
///
/// What follows are packets: a byte for the kind and the status, one for how the header differs from that of the
/// stream, one for the length, and the payload.
pub fn streams(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else { return };
    let flags = u32::from(choice >> 4 & 1);
    let volume = ("pool", "vol", "key", 0_u64, 0_u64, flags);
    let (procedure, opening) = match choice & 3 {
        0 => (storage::UPLOAD, packet(storage::UPLOAD, SERIAL, &volume)),
        1 => (storage::DOWNLOAD, packet(storage::DOWNLOAD, SERIAL, &volume)),
        _ => {
            let console = ("guest", (7_u64, 7_u64), 1, 0_u32, 0_u32);
            (OPEN_CONSOLE, packet(OPEN_CONSOLE, SERIAL, &console))
        }
    };
    let mut bytes = packet(AUTH_LIST, 0, &());
    bytes.extend(packet(CONNECT_OPEN, 1, &(1_u32, "qemu:///system", 0_u32)));
    bytes.extend(opening);
    for (header, payload) in packets(procedure, rest) {
        let written = frame::append::<()>(&mut bytes, header, |out| {
            out.extend_from_slice(payload);
            Ok(())
        });
        written.expect("a short packet");
    }
    let answers = converse(Profile::QEMU, Arc::new(Sources), &bytes);
    let mut rest = &answers[..];
    for serial in [0, 1, SERIAL] {
        let answer = frame::first(rest).expect("a packet").expect("a whole packet");
        let what = String::from_utf8_lossy(answer.payload);
        assert_eq!((answer.header.serial, answer.header.status), (serial, STATUS_OK), "{what}");
        rest = rest.get(answer.len..).unwrap_or_default();
    }
}

fn packet(procedure: i32, serial: u32, arguments: &impl Serialize) -> Vec<u8> {
    let (kind, status) = (Kind::Call, STATUS_OK);
    let header = Header { program: PROGRAM, version: VERSION, procedure, kind, serial, status };
    let mut bytes = Vec::new();
    frame::append(&mut bytes, header, |out| xdr::append(out, arguments)).expect("a call");
    bytes
}

/// The packets that the input describes.
fn packets(procedure: i32, mut rest: &[u8]) -> Vec<(Header, &[u8])> {
    let mut packets = Vec::new();
    while let Some((&[what, change, length], behind)) = rest.split_first_chunk() {
        let (payload, behind) = behind.split_at(behind.len().min(usize::from(length)));
        let kind = match what & 7 {
            0..4 => Kind::Stream,
            4..6 => Kind::StreamHole,
            6 => Kind::Message,
            _ => Kind::Unknown(7),
        };
        let status = match what >> 4 & 7 {
            0..4 => frame::STATUS_CONTINUE,
            4 => STATUS_OK,
            5 => frame::STATUS_ERROR,
            other => i32::from(other),
        };
        let header = Header {
            program: PROGRAM,
            version: VERSION,
            procedure: procedure + i32::from(change == 1),
            kind,
            serial: SERIAL + u32::from(change == 2),
            status,
        };
        packets.push((header, payload));
        rest = behind;
    }
    packets
}

/// A connection whose every guest has a console, and whose every volume has data.
#[derive(Debug)]
struct Sources;

#[async_trait::async_trait]
impl Connection for Sources {
    async fn uri(&self) -> Result<String> {
        Ok(String::from("qemu:///system"))
    }

    fn domains(&self) -> Option<&dyn DomainDriver> {
        Some(self)
    }

    fn storage(&self) -> Option<&dyn StorageDriver> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl DomainDriver for Sources {
    async fn domain_open_console(
        &self,
        _: &DomainRef,
        _: Option<&str>,
        _: ConsoleFlags,
    ) -> Result<Box<dyn DomainStream>> {
        Ok(Box::new(Data::default()))
    }
}

#[async_trait::async_trait]
impl StorageDriver for Sources {
    async fn storage_vol_upload(
        &self,
        _: &StorageVolRef,
        _: VolumeRange,
        _: StorageVolTransferFlags,
    ) -> Result<Box<dyn VolumeStream>> {
        Ok(Box::new(Data::default()))
    }

    async fn storage_vol_download(
        &self,
        _: &StorageVolRef,
        _: VolumeRange,
        _: StorageVolTransferFlags,
    ) -> Result<Box<dyn VolumeStream>> {
        Ok(Box::new(Data::default()))
    }
}

/// Takes everything; has a few bytes with holes between.
#[derive(Debug, Default)]
struct Data {
    /// Bytes that have been read.
    read: usize,
    /// Whether a hole has been taken since.
    is_behind_hole: bool,
}

impl AsyncRead for Data {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let n = buffer.len().min(16).min(DATA_MAX - self.read);
        buffer[..n].fill(7);
        self.read += n;
        self.is_behind_hole = false;
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for Data {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl VolumeStream for Data {
    fn poll_hole(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let length = if self.is_behind_hole || self.read == DATA_MAX { 0 } else { 4096 };
        self.is_behind_hole = true;
        Poll::Ready(Ok(length))
    }

    fn poll_write_hole(self: Pin<&mut Self>, _: &mut Context<'_>, _: u64) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
