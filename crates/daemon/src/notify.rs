//! Tells the service manager how the daemon is doing.
//!
//! sd_notify(3)

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends `state` to the service manager that started us, if one did.
pub(crate) fn notify(socket: Option<&OsStr>, state: &str) {
    let Some(socket) = socket.filter(|socket| !socket.is_empty()) else { return };
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(socket),
    };
    let sent = address.and_then(|address| {
        UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
    });
    if let Err(error) = sent {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}

/// The daemon serves.
pub(crate) const READY: &str = "READY=1";
/// The daemon ends.
pub(crate) const STOPPING: &str = "STOPPING=1";

/// The daemon reads its configuration again; `now` in microseconds of the monotonic clock.
pub(crate) fn reloading(now: i128) -> String {
    format!("RELOADING=1\nMONOTONIC_USEC={now}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        notify(Some(path.as_os_str()), READY);
        let mut buffer = [0; 64];
        let n = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], READY.as_bytes());
        notify(None, READY);
        notify(Some(OsStr::new("/nowhere/at/all")), READY);
    }
}
