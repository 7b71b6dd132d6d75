//! `vol-upload`, `vol-download`: the data of a volume from and to a file.

use std::fs::{File, OpenOptions};
use std::future::poll_fn;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::pin::Pin;

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use oxivirt::{Error, ErrorCode, ErrorDomain, StorageVolTransferFlags, VolumeRange, VolumeStream};

use super::{IN_POOL, OF_POOL, VOLUME, volume};
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::{Shell, errno_text};

pub(crate) const UPLOAD: CommandDef =
    CommandDef::new("vol-upload", mark!("copy a file into a volume"), upload)
        .options(&[VOLUME, FILE, OF_POOL, OFFSET, LENGTH, SPARSE]);

pub(crate) const DOWNLOAD: CommandDef =
    CommandDef::new("vol-download", mark!("copy a volume into a file"), download)
        .options(&[VOLUME, FILE, OF_POOL, OFFSET, LENGTH, SPARSE]);

const FILE: OptionDef = OptionDef::text("file", mark!("name of the file"))
    .positional()
    .required()
    .complete(Completer::Path);
const OFFSET: OptionDef = OptionDef::number("offset", mark!("first byte in the volume")).accepted();
const LENGTH: OptionDef = OptionDef::number("length", mark!("number of bytes")).accepted();
const SPARSE: OptionDef = OptionDef::flag("sparse", mark!("keep holes"));

/// Bytes of one read.
const CHUNK: usize = 256 * 1024;

/// Which part of a volume, and how.
fn range(args: &Args) -> Result<(VolumeRange, StorageVolTransferFlags), Failure> {
    let offset = args.number::<u64>("offset")?.unwrap_or(0);
    let length = args.number::<u64>("length")?.unwrap_or(0);
    let flags = if args.flag("sparse") {
        StorageVolTransferFlags::SPARSE_STREAM
    } else {
        StorageVolTransferFlags::empty()
    };
    Ok((VolumeRange { offset, length }, flags))
}

/// virsh: `cmdVolUpload`, tools/virsh-volume.c
fn upload(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let (range, flags) = range(args)?;
    let volume = volume(shell, args, IN_POOL)?;
    let (name, path) = (args.required("vol")?, args.required("file")?);
    let unreadable = |_| Failure::Message(tr!("cannot read {path}", path = path));
    let file = File::open(Path::new(&path)).map_err(unreadable)?;
    let stream = shell
        .wait(volume.upload(range, flags))
        .context(|| tr!("cannot upload to volume {name}", name = name))?;
    let mut stream = Box::into_pin(stream);
    let sent = shell.wait(send(&mut stream, file, range.length, args.flag("sparse")));
    sent.map_err(|error| reason(&error))
        .context(|| tr!("cannot send data to volume {name}", name = name))?;
    shell
        .wait(stream.close())
        .map_err(|error| reason(&error))
        .context(|| tr!("cannot close volume {name}", name = name))?;
    Ok(())
}

/// virsh: `cmdVolDownload`, tools/virsh-volume.c
fn download(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let (range, flags) = range(args)?;
    let volume = volume(shell, args, IN_POOL)?;
    let (name, path) = (args.required("vol")?, args.required("file")?);
    let target = Target::open(Path::new(&path))
        .map_err(|_| Failure::Message(tr!("cannot create {path}", path = path)))?;
    let stream = shell
        .wait(volume.download(range, flags))
        .context(|| tr!("cannot download from volume {name}", name = name))?;
    let mut stream = Box::into_pin(stream);
    let received = shell.wait(receive(&mut stream, &target.file, args.flag("sparse")));
    received
        .map_err(|error| reason(&error))
        .context(|| tr!("cannot receive data from volume {name}", name = name))?;
    target.keep();
    Ok(())
}

/// The file of a download: removed again if it is new and the download fails.
#[derive(Debug)]
struct Target<'p> {
    file: File,
    path: &'p Path,
    is_new: bool,
}

impl<'p> Target<'p> {
    fn open(path: &'p Path) -> io::Result<Self> {
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => Ok(Self { file, path, is_new: true }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = OpenOptions::new().write(true).truncate(true).open(path)?;
                Ok(Self { file, path, is_new: false })
            }
            Err(error) => Err(error),
        }
    }

    fn keep(mut self) {
        self.is_new = false;
    }
}

impl Drop for Target<'_> {
    fn drop(&mut self) {
        if self.is_new {
            // the failure of the download is reported, not this one
            let _kept = std::fs::remove_file(self.path);
        }
    }
}

/// The error that a stream carries, or one of the system.
fn reason(error: &io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => error.clone(),
        None => Error::plain(ErrorCode::SYSTEM_ERROR, ErrorDomain::STREAMS, errno_text(error)),
    }
}

/// Sends the file, or its first `length` bytes; 0 is all.
async fn send(
    stream: &mut Pin<Box<dyn VolumeStream>>,
    mut file: File,
    length: u64,
    is_sparse: bool,
) -> io::Result<()> {
    let mut left = if length == 0 { u64::MAX } else { length };
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let (hole, data) = if is_sparse { extent(&mut file)? } else { (0, u64::MAX) };
        let hole = hole.min(left);
        if hole > 0 {
            poll_fn(|cx| stream.as_mut().poll_write_hole(cx, hole)).await?;
            left -= hole;
        }
        let mut data = data.min(left);
        if data == 0 && hole == 0 {
            break;
        }
        while data > 0 {
            let most = usize::try_from(data).unwrap_or(CHUNK).min(CHUNK);
            let read = file.read(buffer.get_mut(..most).unwrap_or_default())?;
            let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
                return stream.flush().await;
            };
            stream.write_all(chunk).await?;
            let read = u64::try_from(read).unwrap_or(0);
            data -= read;
            left -= read;
        }
    }
    stream.flush().await
}

/// The bytes of the hole at the file's position, and of the data behind it, where the position is put.
fn extent(file: &mut File) -> io::Result<(u64, u64)> {
    let at = file.stream_position()?;
    let signed =
        |at: u64| i64::try_from(at).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let unsigned = |at: i64| u64::try_from(at).unwrap_or(0);
    let data = match lseek(file.as_fd(), signed(at)?, Whence::SeekData) {
        Ok(data) => unsigned(data),
        // there is no data behind this place
        Err(Errno::ENXIO) => {
            let end = file.seek(SeekFrom::End(0))?;
            return Ok((end.saturating_sub(at), 0));
        }
        Err(error) => return Err(error.into()),
    };
    let end = lseek(file.as_fd(), signed(data)?, Whence::SeekHole).map(unsigned)?;
    file.seek(SeekFrom::Start(data))?;
    Ok((data - at, end - data))
}

/// Receives all data; with `is_sparse` the file has holes where the volume has them.
async fn receive(
    stream: &mut Pin<Box<dyn VolumeStream>>,
    mut file: &File,
    is_sparse: bool,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        if is_sparse {
            let hole = poll_fn(|cx| stream.as_mut().poll_hole(cx)).await?;
            if hole > 0 {
                let skip =
                    i64::try_from(hole).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                let at = file.seek(SeekFrom::Current(skip))?;
                file.set_len(at)?;
                continue;
            }
        }
        let read = stream.read(&mut buffer).await?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
            return Ok(());
        };
        file.write_all(chunk)?;
    }
}
