//! UNIX sockets that the daemon creates itself.
//!
//! A socket gets its owner and permissions before it gets its name: no client connects in between. It
//! replaces a socket that a killed daemon left behind.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use rustix::net::{self, AddressFamily, SocketType};
use tokio::net::UnixListener;

/// Why a socket could not be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SocketError {
    /// A system call failed.
    #[error("cannot create socket '{path}'")]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Its group does not exist.
    #[error("Failed to look up group '{group}'")]
    Group { group: String },
}

/// A socket file, removed when dropped.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove socket");
        }
    }
}

/// The number of a group.
///
/// # Errors
/// [`SocketError::Group`]
pub(crate) fn group(name: &str) -> Result<u32, SocketError> {
    let found = nix::unistd::Group::from_name(name).ok().flatten();
    let found = found.ok_or_else(|| SocketError::Group { group: name.to_owned() })?;
    Ok(found.gid.as_raw())
}

/// Listens at `path`.
///
/// # Errors
/// [`SocketError::Create`]
pub(crate) fn listen(
    path: &Path,
    mode: u32,
    group: Option<u32>,
    backlog: u32,
) -> Result<(UnixListener, SocketFile), SocketError> {
    let create = || -> io::Result<UnixListener> {
        let temporary = oxivirt_sys::file::temporary(path);
        drop(fs::remove_file(&temporary));
        let address = net::SocketAddrUnix::new(&temporary)?;
        let socket = net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        net::bind(&socket, &address)?;
        fs::set_permissions(&temporary, fs::Permissions::from_mode(mode))?;
        if group.is_some() {
            std::os::unix::fs::chown(&temporary, None, group)?;
        }
        net::listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
        fs::rename(&temporary, path)?;
        let listener = StdListener::from(socket);
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    };
    let failed = |source| SocketError::Create { path: path.to_owned(), source };
    let listener = create().map_err(failed)?;
    Ok((listener, SocketFile(path.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_replaces_a_stale_one_and_goes_with_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        drop(StdListener::bind(&path).unwrap());
        let (listener, file) = listen(&path, 0o640, None, 3).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
        let (connected, accepted) =
            tokio::join!(tokio::net::UnixStream::connect(&path), listener.accept());
        connected.unwrap();
        accepted.unwrap();
        drop(file);
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn groups_have_to_exist() {
        assert_eq!(group("root").unwrap(), 0);
        assert!(group("no-such-group").is_err());
    }
}
