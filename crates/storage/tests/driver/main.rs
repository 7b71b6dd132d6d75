//! The driver on a directory of its own.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod pools;
mod transfers;
mod volumes;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oxivirt::{Access, Connect, Error, Result, StoragePool, StorageVol};
use oxivirt_storage::layout::Layout;
use oxivirt_storage::{Driver, Options, StartWithHost};
use oxivirt_sys::file::{self, Durability};
use oxivirt_types::storage::{StoragePoolCreateFlags, StorageVolCreateFlags};
use tempfile::TempDir;

/// A root directory with a place for a pool and for a program called `qemu-img`.
pub(crate) struct Root {
    dir: TempDir,
}

impl Root {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::below(self.path())
    }

    /// Where the pool is.
    pub(crate) fn pool(&self) -> PathBuf {
        self.path().join("images")
    }

    pub(crate) fn pool_xml(&self) -> String {
        let path = self.pool();
        let path = path.display();
        format!("<pool type='dir'><name>images</name><target><path>{path}</path></target></pool>")
    }

    /// Opens the driver.
    pub(crate) async fn try_open(&self, autostart: StartWithHost) -> Result<Connect> {
        let options = Options {
            layout: self.layout(),
            uri: String::from("storage:///test"),
            search_path: OsString::from(self.path().join("bin")),
            autostart,
        };
        let driver = Driver::open(options).await?;
        Ok(Connect::new(Arc::new(driver), Access::ReadWrite))
    }

    pub(crate) async fn open(&self) -> Connect {
        self.try_open(StartWithHost::Never).await.unwrap()
    }

    /// Opens the driver and starts a pool.
    pub(crate) async fn started(&self) -> (Connect, StoragePool) {
        let connect = self.open().await;
        let flags = StoragePoolCreateFlags::WITH_BUILD;
        let pool = connect.storage_pool_create_xml(&self.pool_xml(), flags).await.unwrap();
        (connect, pool)
    }

    /// Makes `qemu-img` a script; `$image` in it is the path of the image.
    pub(crate) fn qemu_img(&self, script: &str) {
        let text = format!(
            "#!/bin/sh\nPATH=/usr/bin:/bin\nroot={}\necho \"$@\" >> $root/calls\n\
             for word; do case $word in /proc/*) image=$word;; esac; done\n{script}\n",
            self.path().display(),
        );
        let program = self.path().join("bin/qemu-img");
        file::replace(&program, text.as_bytes(), 0o755, Durability::Regenerated).unwrap();
    }

    /// Names of everything in the pool's directory.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.pool()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Number of operations that have begun and not ended.
    pub(crate) fn n_journal(&self) -> usize {
        fs::read_dir(self.layout().journal_dir()).unwrap().count()
    }
}

/// Writes a file as another program would.
pub(crate) fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    let mut file = fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut file, content.as_ref()).unwrap();
}

/// Permissions of a file.
pub(crate) fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The header of a qcow2 image of so many bytes, above another one if `backing` is not empty.
pub(crate) fn qcow2(size: u64, backing: &str) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    if !backing.is_empty() {
        bytes[8..16].copy_from_slice(&512_u64.to_be_bytes());
        bytes[16..20].copy_from_slice(&u32::try_from(backing.len()).unwrap().to_be_bytes());
        bytes[512..512 + backing.len()].copy_from_slice(backing.as_bytes());
    }
    bytes[20..24].copy_from_slice(&16_u32.to_be_bytes());
    bytes[24..32].copy_from_slice(&size.to_be_bytes());
    bytes[100..104].copy_from_slice(&104_u32.to_be_bytes());
    bytes
}

/// A volume's document.
pub(crate) fn volume_xml(name: &str, capacity: u64, rest: &str) -> String {
    format!("<volume><name>{name}</name><capacity>{capacity}</capacity>{rest}</volume>")
}

/// Makes a volume of raw data without allocation.
pub(crate) async fn make(pool: &StoragePool, name: &str, capacity: u64) -> StorageVol {
    let xml = volume_xml(name, capacity, "<allocation>0</allocation>");
    pool.vol_create_xml(&xml, StorageVolCreateFlags::empty()).await.unwrap()
}

/// Compares an error with its number, domain and message.
#[track_caller]
pub(crate) fn check_error<T: std::fmt::Debug>(result: Result<T>, code: i32, message: &str) {
    let error: Error = result.unwrap_err();
    assert_eq!((error.code().0, error.message()), (code, message));
}
