//! Files and kernel settings.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use oxivirt_sys::file;

use super::LinuxHost;
use crate::apply::HostError;
use crate::apply::host::{Files, Settings};
use crate::plan::{FileImage, IfMissing, Sysctl};

impl Files for LinuxHost {
    async fn write_file(&self, file: &FileImage) -> Result<(), HostError> {
        let FileImage { path, mode, content, durability } = file.clone();
        on_thread(move || Ok(file::replace(&path, &content, mode, durability)?)).await
    }

    fn read_file(&self, path: &Path) -> Option<Vec<u8>> {
        file::read(path, u64::MAX).ok().flatten()
    }

    async fn remove_file(&self, path: &Path) -> Result<(), HostError> {
        let path = path.to_owned();
        on_thread(move || {
            file::remove(&file::temporary(&path))?;
            file::remove(&path)?;
            Ok(())
        })
        .await
    }

    async fn remove_dir(&self, path: &Path) -> Result<(), HostError> {
        let path = path.to_owned();
        on_thread(move || Ok(file::remove_dir(&path)?)).await
    }

    async fn remove_if_empty(&self, path: &Path) -> Result<(), HostError> {
        let path = path.to_owned();
        on_thread(move || remove_if_empty(&path)).await
    }
}

/// Runs what may block on a disk away from the threads that serve sockets.
pub(super) async fn on_thread(
    work: impl FnOnce() -> Result<(), HostError> + Send + 'static,
) -> Result<(), HostError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| HostError::Worker)?
}

/// Removes a JSON array without entries, in any of the spellings that lease helpers leave.
fn remove_if_empty(path: &Path) -> Result<(), HostError> {
    const LONGEST_EMPTY: u64 = 16;
    file::remove(&file::temporary(path))?;
    match file::read(path, LONGEST_EMPTY) {
        Ok(Some(content)) if content.iter().all(|byte| b"[]\n ".contains(byte)) => {
            file::remove(path)?;
            Ok(())
        }
        Ok(_) | Err(file::FileError::TooLarge { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Settings for LinuxHost {
    fn setting(&self, key: &str) -> Option<String> {
        read_setting(key)
    }

    fn write_setting(&self, sysctl: &Sysctl) -> Result<(), HostError> {
        let path = Path::new("/proc/sys").join(&sysctl.key);
        // Writing the value that is set already would need privileges and notify other programs for nothing.
        if read_setting(&sysctl.key).as_deref() == Some(sysctl.value) {
            return Ok(());
        }
        let write =
            || fs::OpenOptions::new().write(true).open(path)?.write_all(sysctl.value.as_bytes());
        match write() {
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && sysctl.if_missing == IfMissing::Skip =>
            {
                Ok(())
            }
            other => other.map_err(|source| HostError::Sysctl {
                key: sysctl.key.clone(),
                value: sysctl.value.to_owned(),
                source,
            }),
        }
    }
}

pub(super) fn read_setting(key: &str) -> Option<String> {
    fs::read_to_string(Path::new("/proc/sys").join(key)).ok().map(|text| text.trim().to_owned())
}
