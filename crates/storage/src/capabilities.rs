//! Which pools the driver has, and where they could come from.
//!
//! libvirt 11.3.0: `virStoragePoolCapsFormat`, src/conf/storage_capabilities.c

use oxivirt::{Error, ErrorCode, ErrorDomain, Result};
use oxivirt_conf::storage::PoolType;
use oxivirt_xml::Writer;

use crate::error;
use crate::pool::{Support, number_and_word};

/// In the order of libvirt's numbers.
const TYPES: [PoolType; 14] = [
    PoolType::Dir,
    PoolType::Fs,
    PoolType::Netfs,
    PoolType::Logical,
    PoolType::Disk,
    PoolType::Iscsi,
    PoolType::IscsiDirect,
    PoolType::Scsi,
    PoolType::Mpath,
    PoolType::Rbd,
    PoolType::Sheepdog,
    PoolType::Gluster,
    PoolType::Zfs,
    PoolType::Vstorage,
];

/// Formats of files in a directory.
const FORMATS: [&str; 17] = [
    "none", "raw", "dir", "bochs", "cloop", "dmg", "iso", "vpc", "vdi", "fat", "vhd", "ploop",
    "cow", "qcow", "qcow2", "qed", "vmdk",
];

/// The types as XML: those that are started are supported.
pub(crate) fn document() -> String {
    let mut out = Writer::new();
    out.begin("storagepoolCapabilities").open();
    for kind in TYPES {
        let (_, word) = number_and_word(kind);
        let is_supported = Support::of(kind) == Support::Full;
        let supported = if is_supported { "yes" } else { "no" };
        out.begin("pool").attr("type", word).attr("supported", supported).open();
        if is_supported {
            out.begin("volOptions").open();
            out.begin("defaultFormat").attr("type", "raw").empty();
            out.begin("enum").attr("name", "targetFormatType").open();
            for format in FORMATS {
                out.text("value", format);
            }
            out.end("enum");
            out.end("volOptions");
        }
        out.end("pool");
    }
    out.end("storagepoolCapabilities");
    out.finish()
}

/// The refusal to look for sources of pools of the type `word`.
pub(crate) fn no_sources(word: &str) -> Result<String> {
    let Some(kind) = TYPES.into_iter().find(|kind| number_and_word(*kind).1 == word) else {
        let detail = format!("unknown storage pool type {word}");
        return Err(error::new(ErrorCode::INTERNAL_ERROR, detail));
    };
    if Support::of(kind) == Support::Missing {
        let (number, word) = number_and_word(kind);
        let detail = format!("missing backend for pool type {number} ({word})");
        return Err(error::new(ErrorCode::INTERNAL_ERROR, detail));
    }
    let detail = format!("pool type '{word}' does not support source discovery");
    Err(Error::new(ErrorCode::NO_SUPPORT, ErrorDomain::STORAGE, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, message: &str) {
        assert_eq!(no_sources(word).unwrap_err().message(), message);
    }

    #[test]
    fn sources_are_refused_in_the_words_of_libvirt() {
        let unsupported = "this function is not supported by the connection driver: \
                           pool type 'dir' does not support source discovery";
        check("dir", unsupported);
        check("rbd", "internal error: missing backend for pool type 9 (rbd)");
        check("x", "internal error: unknown storage pool type x");
    }

    #[test]
    fn directories_are_supported() {
        let text = document();
        assert!(text.contains("  <pool type='dir' supported='yes'>\n    <volOptions>\n"), "{text}");
        assert!(text.contains("  <pool type='zfs' supported='no'>\n  </pool>\n"), "{text}");
    }
}
