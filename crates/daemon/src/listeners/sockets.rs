//! UNIX sockets that the daemon creates itself.
//!
//! A socket gets its owner and permissions before it gets its name: no client connects in between. It
//! replaces a socket that a killed daemon left behind, not one that a program listens on.

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
    /// A program listens on it.
    #[error(
        "socket '{path}' is served by {daemon}, or by systemd for it: stop both (systemctl disable --now \
         {daemon}.socket {daemon}-ro.socket {daemon}-admin.socket {daemon}.service), or leave its driver \
         out of the setting 'drivers'"
    )]
    Served { path: PathBuf, daemon: String },
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

/// Refuses a socket of `daemon` that a program of this network namespace listens on. A connection would be no
/// way to find out: systemd would start the daemon.
///
/// # Errors
/// [`SocketError::Served`]
pub(crate) fn refuse_served(path: &Path, daemon: &str) -> Result<(), SocketError> {
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    if !is_listening(&table, path) {
        return Ok(());
    }
    Err(SocketError::Served { path: path.to_owned(), daemon: daemon.to_owned() })
}

/// Whether a socket with this name listens, by the kernel's table of UNIX sockets (proc(5)).
fn is_listening(table: &str, path: &Path) -> bool {
    /// `__SO_ACCEPTCON`: the socket listens.
    const LISTENS: &str = "00010000";
    let real = |path: &Path| {
        let parent = path.parent().and_then(|parent| fs::canonicalize(parent).ok());
        parent.zip(path.file_name()).map(|(parent, name)| parent.join(name))
    };
    let wanted = real(path);
    let mut rows = table.lines().filter_map(|row| {
        let mut fields = row.split_ascii_whitespace();
        let flags = fields.nth(3)?;
        let name = fields.nth(3)?;
        (flags == LISTENS).then_some(Path::new(name))
    });
    rows.any(|name| name == path || wanted.is_some() && real(name) == wanted)
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
    fn a_socket_that_is_served_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("virtqemud-sock");
        refuse_served(&path, "virtqemud").unwrap();
        let listener = StdListener::bind(&path).unwrap();
        let error = refuse_served(&path, "virtqemud").unwrap_err().to_string();
        assert!(error.contains("virtqemud-sock' is served by virtqemud"), "{error}");
        assert!(error.contains("systemctl disable --now virtqemud.socket"), "{error}");
        // a client has the name of the socket too
        let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        drop(listener);
        refuse_served(&path, "virtqemud").unwrap();
    }

    #[test]
    fn groups_have_to_exist() {
        assert_eq!(group("root").unwrap(), 0);
        assert!(group("no-such-group").is_err());
    }
}
