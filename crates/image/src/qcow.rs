//! qcow and qcow2.
//!
//! QEMU: docs/interop/qcow2.rst; block/qcow.c

use crate::error::ImageError;
use crate::source::{Piece, Source, piece, text};
use crate::{Backing, Encryption, Format, Image};

/// Longest name of a backing file.
const NAME_MAX: u32 = 1023;
const BACKING_FORMAT: u32 = 0xe279_2aca;
const DATA_FILE: u32 = 0x4441_5441;
/// Incompatible features: the data is in another file; extended level 2 tables.
const HAS_DATA_FILE: u64 = 1 << 2;
const HAS_EXTENDED_L2: u64 = 1 << 4;
/// Incompatible features that are known: these, dirty, corrupt, compression type.
const KNOWN: u64 = 0x1f;

pub(crate) fn read<S: Source + ?Sized>(
    source: &S,
    head: &Piece,
    image: &mut Image,
) -> Result<(), ImageError> {
    let version = head.be32(4)?;
    let (offset, size) = (head.be64(8)?, head.be32(16)?);
    image.version = Some(version);
    let mut format = None;
    if image.format == Format::Qcow {
        image.virtual_size = Some(head.be64(24)?);
        image.encryption = encryption(head.be32(36)?)?;
        let bits = head.bytes(32, 1)?.first().copied().unwrap_or(0);
        image.cluster_size = Some(cluster_size(u32::from(bits))?);
    } else {
        image.cluster_size = Some(cluster_size(head.be32(20)?)?);
        image.virtual_size = Some(head.be64(24)?);
        image.encryption = encryption(head.be32(32)?)?;
        let mut length = 72;
        let mut incompatible = 0;
        if version >= 3 {
            incompatible = head.be64(72)?;
            if incompatible & !KNOWN != 0 {
                return Err(ImageError::Feature(incompatible & !KNOWN));
            }
            image.lazy_refcounts = head.be64(80)? & 1 != 0;
            image.extended_l2 = incompatible & HAS_EXTENDED_L2 != 0;
            length = head.be32(100)?;
            if length < 104 {
                return Err(ImageError::Value("header length"));
            }
        }
        format = extensions(head, length, incompatible, image)?;
    }
    if offset != 0 {
        image.backing = backing(source, offset, size, format)?;
    }
    Ok(())
}

fn cluster_size(bits: u32) -> Result<u64, ImageError> {
    if (9..=21).contains(&bits) { Ok(1 << bits) } else { Err(ImageError::Value("cluster size")) }
}

fn encryption(method: u32) -> Result<Option<Encryption>, ImageError> {
    match method {
        0 => Ok(None),
        1 => Ok(Some(Encryption::Aes)),
        2 => Ok(Some(Encryption::Luks)),
        _ => Err(ImageError::Value("encryption method")),
    }
}

/// Reads the extensions up to their end and returns the format of the backing file.
fn extensions(
    head: &Piece,
    length: u32,
    incompatible: u64,
    image: &mut Image,
) -> Result<Option<String>, ImageError> {
    let mut at = usize::try_from(length).map_err(|_| ImageError::Truncated)?;
    let mut format = None;
    // A header that is all of the file has no extensions.
    while at.saturating_add(8) <= head.0.len() {
        let kind = head.be32(at)?;
        let size = usize::try_from(head.be32(at + 4)?).map_err(|_| ImageError::Truncated)?;
        match kind {
            0 => break,
            BACKING_FORMAT => format = Some(text(head.bytes(at + 8, size)?)?),
            DATA_FILE if incompatible & HAS_DATA_FILE != 0 => {
                image.data_file = Some(text(head.bytes(at + 8, size)?)?);
            }
            _ => {}
        }
        at = size
            .checked_next_multiple_of(8)
            .and_then(|size| at.checked_add(8)?.checked_add(size))
            .ok_or(ImageError::Truncated)?;
    }
    Ok(format.filter(|format: &String| !format.is_empty()))
}

/// The name of the backing file at `offset`.
pub(crate) fn backing<S: Source + ?Sized>(
    source: &S,
    offset: u64,
    size: u32,
    format: Option<String>,
) -> Result<Option<Backing>, ImageError> {
    if size == 0 {
        return Ok(None);
    }
    if size > NAME_MAX {
        return Err(ImageError::Value("backing file name"));
    }
    let size = usize::try_from(size).map_err(|_| ImageError::Truncated)?;
    let name = piece(source, offset, size)?;
    Ok(Some(Backing { text: text(name.bytes(0, size)?)?, format }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect;

    fn image() -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        bytes[8..16].copy_from_slice(&512_u64.to_be_bytes());
        bytes[16..20].copy_from_slice(&9_u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&16_u32.to_be_bytes());
        bytes[24..32].copy_from_slice(&(1_u64 << 30).to_be_bytes());
        bytes[72..80].copy_from_slice(&HAS_EXTENDED_L2.to_be_bytes());
        bytes[87] = 1;
        bytes[100..104].copy_from_slice(&104_u32.to_be_bytes());
        bytes[104..108].copy_from_slice(&BACKING_FORMAT.to_be_bytes());
        bytes[108..112].copy_from_slice(&5_u32.to_be_bytes());
        bytes[112..117].copy_from_slice(b"qcow2");
        bytes[512..521].copy_from_slice(b"base.qcow");
        bytes
    }

    #[test]
    fn backing_file_and_features_are_read() {
        let image = inspect(&image()[..], Format::Qcow2).unwrap();
        let format = Some(String::from("qcow2"));
        assert_eq!(image.backing, Some(Backing { text: String::from("base.qcow"), format }));
        assert_eq!((image.virtual_size, image.cluster_size), (Some(1 << 30), Some(65536)));
        assert!(image.lazy_refcounts && image.extended_l2);
    }

    #[test]
    fn an_incompatible_feature_that_is_unknown_is_rejected() {
        let mut bytes = image();
        bytes[79] |= 0xf;
        assert!(inspect(&bytes[..], Format::Qcow2).is_ok());
        bytes[79] |= 1 << 5;
        let error = inspect(&bytes[..], Format::Qcow2).unwrap_err();
        assert_eq!(error.to_string(), "image needs unknown features 0x20");
    }

    #[test]
    fn names_that_are_too_long_cut_off_or_no_text_are_rejected() {
        let mut long = image();
        long[16..20].copy_from_slice(&1024_u32.to_be_bytes());
        assert!(matches!(inspect(&long[..], Format::Qcow2), Err(ImageError::Value(_))));
        let cut = &image()[..515];
        assert!(matches!(inspect(cut, Format::Qcow2), Err(ImageError::Truncated)));
        let mut control = image();
        control[513] = b'\n';
        assert!(matches!(inspect(&control[..], Format::Qcow2), Err(ImageError::Text)));
    }
}
