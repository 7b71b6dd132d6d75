//! Headers of disk images, read without trust.
//!
//! [`probe`] finds the format, [`inspect`] reads the header of an image whose format is known. Neither
//! opens anything but the source it is given: a backing file is returned as the text in the header.
//!
//! A raw image must never be probed to decide how a guest uses it: the guest could write a header that
//! names a file of the host as its backing file. Probing is for listing the volumes of a pool.
//!
//! ```
//! use oxivirt_image::{Format, inspect, probe};
//!
//! let mut header = vec![0; 512];
//! header[..4].copy_from_slice(b"QFI\xfb");
//! header[7] = 2; // version
//! header[23] = 16; // cluster bits
//! header[29] = 1; // virtual size, 64 KiB
//! assert_eq!(probe(&header[..]).unwrap(), Format::Qcow2);
//! let image = inspect(&header[..], Format::Qcow2).unwrap();
//! assert_eq!(image.virtual_size, Some(65536));
//! assert_eq!(image.backing, None);
//! ```
//!
//! `examples/header.rs` prints what the header of a disk image says.

mod error;
mod format;
mod qcow;
mod source;

pub use error::ImageError;
pub use format::{Format, inspect, probe};
pub use source::Source;

/// How the data of an image is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// AES as old versions of qcow and qcow2 had it.
    Aes,
    /// LUKS.
    Luks,
}

/// The image below an overlay, as its header names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    /// A path, relative to the overlay or absolute, a URI, or `json:` and a description.
    pub text: String,
    /// Format of the backing image, if the header names it.
    pub format: Option<String>,
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The format.
    pub format: Format,
    /// Bytes that a guest sees; `None` if the header does not say.
    pub virtual_size: Option<u64>,
    /// Bytes of a cluster.
    pub cluster_size: Option<u64>,
    /// The image below it.
    pub backing: Option<Backing>,
    /// File that holds the data of a qcow2 image instead of the image itself.
    pub data_file: Option<String>,
    /// How the data is encrypted.
    pub encryption: Option<Encryption>,
    /// Version of the format.
    pub version: Option<u32>,
    /// Lazy reference counts of qcow2.
    pub lazy_refcounts: bool,
    /// Extended level 2 tables of qcow2.
    pub extended_l2: bool,
}

impl Image {
    pub(crate) const fn new(format: Format) -> Self {
        Self {
            format,
            virtual_size: None,
            cluster_size: None,
            backing: None,
            data_file: None,
            encryption: None,
            version: None,
            lazy_refcounts: false,
            extended_l2: false,
        }
    }
}
