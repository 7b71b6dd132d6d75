//! Reports the daemon's state to the service manager.
//!
//! Of our own because of addresses in the abstract namespace, which the crate `sd-notify` (0.5) takes for
//! paths.
//!
//! sd_notify(3)

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends `state` to the socket of the service manager, `NOTIFY_SOCKET`, if there is one.
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
        tracing::warn!(
            %error,
            state = state.lines().next(),
            "cannot notify the service manager: it may take the daemon for hanging"
        );
    }
}

/// Every socket and port is served.
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
    fn states_arrive_at_paths_and_abstract_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("oxivirt-notify-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (manager, socket) in [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (UnixDatagram::bind_addr(&abstract_name).unwrap(), format!("@{name}").into()),
        ] {
            notify(Some(&socket), READY);
            let mut buffer = [0; 64];
            let n = manager.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..n], READY.as_bytes());
        }
        notify(None, READY);
        notify(Some(OsStr::new("/nowhere/at/all")), READY);
    }
}
