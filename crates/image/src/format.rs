//! Which format an image has, and the formats whose header is a few numbers.
//!
//! QEMU: block/*.c, `bdrv_probe`; libvirt 11.3.0: `virStorageFileProbeFormatFromBuf`

use std::fmt;

use crate::error::ImageError;
use crate::source::{Piece, Source, piece, text};
use crate::{Backing, Encryption, Image, qcow};

/// Bytes at the beginning in which every magic number lies; ISO 9660 has the last one.
const HEAD: usize = 0x8200;

/// A format of disk images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Format {
    /// No format: the bytes are the disk.
    Raw,
    /// Version 1 of QEMU's format.
    Qcow,
    /// Versions 2 and 3 of QEMU's format.
    Qcow2,
    /// QEMU enhanced disk.
    Qed,
    /// VMware's sparse format.
    Vmdk,
    /// VirtualBox's format.
    Vdi,
    /// Virtual PC's format.
    Vpc,
    /// Hyper-V's format.
    Vhdx,
    /// LUKS over raw data.
    Luks,
    /// ISO 9660.
    Iso,
    /// Parallels' format.
    Parallels,
    /// Growing images of Bochs.
    Bochs,
    /// Compressed loop images.
    Cloop,
}

impl Format {
    /// Its name in QEMU, and in libvirt where libvirt knows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow => "qcow",
            Self::Qcow2 => "qcow2",
            Self::Qed => "qed",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
            Self::Vpc => "vpc",
            Self::Vhdx => "vhdx",
            Self::Luks => "luks",
            Self::Iso => "iso",
            Self::Parallels => "parallels",
            Self::Bochs => "bochs",
            Self::Cloop => "cloop",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The format that the header has; [`Format::Raw`] if it has none that is known.
///
/// # Errors
/// [`ImageError::Read`]
pub fn probe<S: Source + ?Sized>(source: &S) -> Result<Format, ImageError> {
    Ok(detect(&piece(source, 0, HEAD)?))
}

fn detect(head: &Piece) -> Format {
    let le32 = |offset| head.le32(offset).unwrap_or(0);
    let be32 = |offset| head.be32(offset).unwrap_or(0);
    let at = |offset, magic: &[u8]| head.starts_with(offset, magic);
    if at(0, b"QFI\xfb") {
        return match be32(4) {
            1 => Format::Qcow,
            2 | 3 => Format::Qcow2,
            _ => Format::Raw,
        };
    }
    let found = [
        (at(0, b"QED\0"), Format::Qed),
        (at(0, b"KDMV") && (1..=3).contains(&le32(4)), Format::Vmdk),
        (at(64, b"\x7f\x10\xda\xbe") && le32(68) == 0x0001_0001, Format::Vdi),
        (at(0, b"conectix") && be32(12) == 0x1_0000, Format::Vpc),
        (at(0, b"vhdxfile"), Format::Vhdx),
        (at(0, b"LUKS\xba\xbe"), Format::Luks),
        (at(0, b"WithoutFreeSpace") || at(0, b"WithouFreSpacExt"), Format::Parallels),
        (at(0, b"Bochs Virtual HD Image"), Format::Bochs),
        (at(0, b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop"), Format::Cloop),
        (at(32769, b"CD001"), Format::Iso),
    ];
    found.iter().find(|(is, _)| *is).map_or(Format::Raw, |(_, format)| *format)
}

/// Reads the header of an image whose format is known from its definition.
///
/// A raw image has no header: its size is the size of the source, whatever it contains.
///
/// # Errors
/// [`ImageError::Format`] if the header is of another format; otherwise what is wrong with it.
pub fn inspect<S: Source + ?Sized>(source: &S, format: Format) -> Result<Image, ImageError> {
    let mut image = Image::new(format);
    if format == Format::Raw {
        image.virtual_size = Some(source.size().map_err(ImageError::Read)?);
        return Ok(image);
    }
    let head = piece(source, 0, HEAD)?;
    if format == Format::Vpc && detect(&head) == Format::Raw {
        image.virtual_size = Some(read_fixed_vpc(source)?);
        return Ok(image);
    }
    if detect(&head) != format {
        return Err(ImageError::Format(format));
    }
    match format {
        Format::Qcow | Format::Qcow2 => qcow::read(source, &head, &mut image)?,
        Format::Qed => read_qed(source, &head, &mut image)?,
        Format::Vmdk => read_vmdk(source, &head, &mut image)?,
        Format::Vdi => image.virtual_size = Some(head.le64(368)?),
        Format::Vpc => image.virtual_size = Some(head.be64(40)?),
        Format::Parallels => image.virtual_size = Some(sectors(head.le64(36)?)?),
        Format::Bochs => image.virtual_size = Some(head.le64(84)?),
        Format::Luks => {
            image.encryption = Some(Encryption::Luks);
            image.virtual_size = luks_payload(source, &head)?;
        }
        Format::Iso => image.virtual_size = Some(source.size().map_err(ImageError::Read)?),
        _ => {}
    }
    Ok(image)
}

fn sectors(count: u64) -> Result<u64, ImageError> {
    count.checked_mul(512).ok_or(ImageError::Value("size"))
}

/// QEMU: docs/interop/qed_spec.rst
fn read_qed<S: Source + ?Sized>(
    source: &S,
    head: &Piece,
    image: &mut Image,
) -> Result<(), ImageError> {
    image.cluster_size = Some(u64::from(head.le32(4)?));
    image.virtual_size = Some(head.le64(48)?);
    let features = head.le64(16)?;
    if features & 1 != 0 {
        let (offset, size) = (head.le32(56)?, head.le32(60)?);
        // Without probing the backing file is raw.
        let format = (features & 4 != 0).then(|| String::from("raw"));
        image.backing = qcow::backing(source, u64::from(offset), size, format)?;
    }
    Ok(())
}

/// Size of the data of version 1; version 2 has a description in place of an offset.
///
/// LUKS On-Disk Format Specification 1.2.3, figure 1
fn luks_payload<S: Source + ?Sized>(source: &S, head: &Piece) -> Result<Option<u64>, ImageError> {
    if !head.starts_with(6, &[0, 1]) {
        return Ok(None);
    }
    let size = source.size().map_err(ImageError::Read)?;
    Ok(size.checked_sub(sectors(u64::from(head.be32(104)?))?))
}

/// Size of a fixed disk, whose footer is its only header.
///
/// Such an image is never found by probing, neither here nor by QEMU: a guest can write to the end of its
/// disk.
fn read_fixed_vpc<S: Source + ?Sized>(source: &S) -> Result<u64, ImageError> {
    let size = source.size().map_err(ImageError::Read)?;
    let at = size.checked_sub(512).ok_or(ImageError::Format(Format::Vpc))?;
    let footer = piece(source, at, 512)?;
    if !footer.starts_with(0, b"conectix") || footer.be32(60)? != 2 {
        return Err(ImageError::Format(Format::Vpc));
    }
    footer.be64(48)
}

/// A sparse extent with its descriptor.
///
/// QEMU: block/vmdk.c, `vmdk_parent_open`
fn read_vmdk<S: Source + ?Sized>(
    source: &S,
    head: &Piece,
    image: &mut Image,
) -> Result<(), ImageError> {
    /// Longest descriptor that is read, QEMU's.
    const DESCRIPTOR_MAX: usize = 20 * 512;
    const NO_PARENT: &[u8] = b"ffffffff";

    image.virtual_size = Some(sectors(head.le64(12)?)?);
    let offset = sectors(head.le64(28)?)?;
    if offset == 0 {
        return Ok(());
    }
    let descriptor = piece(source, offset, DESCRIPTOR_MAX)?;
    let mut parent = None;
    let mut has_parent = false;
    let lines = descriptor.0.split(|byte| matches!(byte, b'\n' | 0));
    for line in lines {
        if let Some(id) = line.strip_prefix(b"parentCID=") {
            has_parent = !id.trim_ascii().eq_ignore_ascii_case(NO_PARENT);
        } else if let Some(name) = line.strip_prefix(b"parentFileNameHint=\"") {
            let name = name.split(|byte| *byte == b'"').next().unwrap_or_default();
            parent = Some(text(name)?);
        }
    }
    if has_parent && let Some(text) = parent.filter(|name| !name.is_empty()) {
        image.backing = Some(Backing { text, format: Some(Format::Vmdk.to_string()) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_raw_image_is_never_probed() {
        let mut bytes = vec![0; 1024];
        bytes[..4].copy_from_slice(b"QFI\xfb");
        bytes[7] = 3;
        let image = inspect(&bytes[..], Format::Raw).unwrap();
        assert_eq!((image.virtual_size, image.backing), (Some(1024), None));
    }

    #[test]
    fn another_format_than_declared_is_an_error() {
        let error = inspect(&[0; 512][..], Format::Qcow2).unwrap_err();
        assert_eq!(error.to_string(), "image is not in qcow2 format");
    }

    #[test]
    fn sizes_that_do_not_fit_are_rejected() {
        let mut bytes = vec![0; 512];
        bytes[..5].copy_from_slice(b"KDMV\x01");
        bytes[12..20].fill(0xff);
        let error = inspect(&bytes[..], Format::Vmdk).unwrap_err();
        assert!(matches!(error, ImageError::Value("size")));
    }

    #[test]
    fn the_parent_of_a_vmdk_overlay_is_in_its_descriptor() {
        let overlay = |parent: &str| {
            let mut bytes = vec![0; 2048];
            bytes[..5].copy_from_slice(b"KDMV\x01");
            bytes[12] = 4;
            bytes[28] = 1;
            let text = format!("version=1\nparentCID={parent}\nparentFileNameHint=\"b.vmdk\"\n");
            bytes[512..512 + text.len()].copy_from_slice(text.as_bytes());
            inspect(&bytes[..], Format::Vmdk).unwrap()
        };
        let format = Some(String::from("vmdk"));
        let backing = Some(Backing { text: String::from("b.vmdk"), format });
        assert_eq!((overlay("2bdc600a").backing, overlay("FFFFFFFF").backing), (backing, None));
        assert_eq!(overlay("0").virtual_size, Some(2048));
    }

    #[test]
    fn a_fixed_vpc_disk_is_read_if_declared_and_never_probed() {
        let mut bytes = vec![0; 1536];
        bytes[1024..1032].copy_from_slice(b"conectix");
        bytes[1024 + 60 + 3] = 2;
        bytes[1024 + 48 + 6] = 4;
        assert_eq!(probe(&bytes[..]).unwrap(), Format::Raw);
        assert_eq!(inspect(&bytes[..], Format::Vpc).unwrap().virtual_size, Some(1024));
        assert!(inspect(&bytes[..1024], Format::Vpc).is_err());
        assert!(inspect(&bytes[..100], Format::Vpc).is_err());
    }

    #[test]
    fn a_luks_disk_is_smaller_than_its_file() {
        let mut bytes = vec![0; 1536];
        bytes[..8].copy_from_slice(b"LUKS\xba\xbe\0\x01");
        bytes[107] = 1;
        assert_eq!(inspect(&bytes[..], Format::Luks).unwrap().virtual_size, Some(1024));
        bytes[107] = 4;
        assert_eq!(inspect(&bytes[..], Format::Luks).unwrap().virtual_size, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_rejected(
            magic in prop::sample::select(vec![
                &b"QFI\xfb\0\0\0\x01"[..], b"QFI\xfb\0\0\0\x02", b"QFI\xfb\0\0\0\x03", b"QED\0",
                b"KDMV\x01\0\0\0", b"conectix", b"LUKS\xba\xbe", b"WithoutFreeSpace", b"",
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let bytes = [magic, &rest].concat();
            let format = probe(&bytes[..]).unwrap();
            drop(inspect(&bytes[..], format));
        }
    }
}
