//! Where the bytes of a header come from.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::error::ImageError;

/// Most bytes of one piece of a header.
pub(crate) const PIECE_MAX: usize = 64 * 1024;

/// Bytes that can be read at any offset.
///
/// Implemented for byte slices and for files. Reading is by offset and never opens anything else.
pub trait Source {
    /// Number of bytes.
    ///
    /// # Errors
    /// The system's reason.
    fn size(&self) -> io::Result<u64>;

    /// Reads into `buffer` from `offset` on and returns how many bytes were read: less than asked for
    /// at the end only.
    ///
    /// # Errors
    /// The system's reason.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Source for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let rest = self.get(from..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        if let (Some(target), Some(bytes)) = (buffer.get_mut(..n), rest.get(..n)) {
            target.copy_from_slice(bytes);
        }
        Ok(n)
    }
}

impl Source for File {
    /// Of a block device too, whose metadata has no size.
    fn size(&self) -> io::Result<u64> {
        use std::io::{Seek as _, SeekFrom};

        let size = self.metadata()?.len();
        if size > 0 {
            return Ok(size);
        }
        let mut file = self;
        file.seek(SeekFrom::End(0))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match FileExt::read_at(self, rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

/// Up to `len` bytes from `offset` on.
pub(crate) fn piece<S: Source + ?Sized>(
    source: &S,
    offset: u64,
    len: usize,
) -> Result<Piece, ImageError> {
    let mut bytes = vec![0; len.min(PIECE_MAX)];
    let n = source.read_at(&mut bytes, offset).map_err(ImageError::Read)?;
    bytes.truncate(n);
    Ok(Piece(bytes))
}

/// Bytes of a header, with numbers in them.
#[derive(Debug)]
pub(crate) struct Piece(pub(crate) Vec<u8>);

impl Piece {
    pub(crate) fn bytes(&self, offset: usize, len: usize) -> Result<&[u8], ImageError> {
        let end = offset.checked_add(len).ok_or(ImageError::Truncated)?;
        self.0.get(offset..end).ok_or(ImageError::Truncated)
    }

    fn array<const N: usize>(&self, offset: usize) -> Result<[u8; N], ImageError> {
        self.bytes(offset, N)?.try_into().map_err(|_| ImageError::Truncated)
    }

    pub(crate) fn starts_with(&self, offset: usize, magic: &[u8]) -> bool {
        self.bytes(offset, magic.len()).is_ok_and(|bytes| bytes == magic)
    }

    pub(crate) fn be32(&self, offset: usize) -> Result<u32, ImageError> {
        self.array(offset).map(u32::from_be_bytes)
    }

    pub(crate) fn be64(&self, offset: usize) -> Result<u64, ImageError> {
        self.array(offset).map(u64::from_be_bytes)
    }

    pub(crate) fn le32(&self, offset: usize) -> Result<u32, ImageError> {
        self.array(offset).map(u32::from_le_bytes)
    }

    pub(crate) fn le64(&self, offset: usize) -> Result<u64, ImageError> {
        self.array(offset).map(u64::from_le_bytes)
    }
}

/// Text of a header: UTF-8 without control characters, which no log or document should meet.
pub(crate) fn text(bytes: &[u8]) -> Result<String, ImageError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ImageError::Text)?;
    if text.chars().any(char::is_control) {
        return Err(ImageError::Text);
    }
    Ok(text.to_owned())
}
