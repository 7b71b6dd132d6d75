//! Why a header cannot be read.

use std::io;

/// Why a header cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Reading failed.
    #[error("cannot read image header")]
    Read(#[source] io::Error),
    /// The image does not have the format that it is said to have.
    #[error("image is not in {0} format")]
    Format(crate::Format),
    /// The header ends too soon.
    #[error("image header is truncated")]
    Truncated,
    /// The version of the format is unknown.
    #[error("image has unknown format version {0}")]
    Version(u32),
    /// A number of the header is out of its range.
    #[error("image header has an invalid {0}")]
    Value(&'static str),
    /// The image cannot be read without features that are unknown.
    #[error("image needs unknown features {0:#x}")]
    Feature(u64),
    /// A name in the header is not text.
    #[error("image header has a name that is not text")]
    Text,
}
