//! UNIX sockets.

use std::io;
use std::path::Path;

use tokio::net::UnixStream;

/// Connects to a UNIX socket; a name that begins with `@` is abstract.
pub(super) async fn unix(path: &Path) -> io::Result<UnixStream> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixStream as Std};
    let Some(name) = path.to_str().and_then(|path| path.strip_prefix('@')) else {
        return UnixStream::connect(path).await;
    };
    let stream = Std::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
