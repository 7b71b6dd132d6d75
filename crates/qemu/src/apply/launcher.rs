//! The launcher from the driver's side.

use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use oxivirt_launch::{GO, Plan, Reply, receive_reply, send_plan};

use super::HostError;

/// Time for one answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// A process that waits to become the emulator. It ends if this is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    socket: UnixStream,
    /// Its number.
    pub(super) pid: i32,
}

/// Starts a process and hands it its plan; blocks until it waits.
#[expect(clippy::disallowed_methods, reason = "its standard input is a socket")]
pub(super) fn launch(
    program: &Path,
    plan: &Plan,
    descriptors: &[OwnedFd],
) -> Result<Waiting, HostError> {
    let failed = |source| HostError::Launcher { path: program.to_owned(), source };
    let (mut socket, other) = UnixStream::pair().map_err(failed)?;
    socket.set_read_timeout(Some(DEADLINE)).map_err(failed)?;
    let mut child = Command::new(program)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(other)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    // It starts the process and ends at once.
    let status = child.wait().map_err(failed)?;
    if !status.success() {
        return Err(failed(std::io::Error::other(status.to_string())));
    }
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(|fd| fd.as_fd()).collect();
    send_plan(&mut socket, plan, &borrowed)?;
    match receive_reply(&mut socket)? {
        Some(Reply::Ready { pid }) => Ok(Waiting { socket, pid }),
        Some(Reply::Failed { step, errno }) => Err(HostError::Launch { step, errno }),
        None => Err(failed(std::io::ErrorKind::UnexpectedEof.into())),
    }
}

impl Waiting {
    /// Lets the process become the emulator; blocks until it has.
    pub(super) fn execute(mut self) -> Result<(), HostError> {
        self.socket.write_all(&[GO]).map_err(oxivirt_launch::WireError::from)?;
        match receive_reply(&mut self.socket)? {
            // The socket is closed by `exec`.
            None | Some(Reply::Ready { .. }) => Ok(()),
            Some(Reply::Failed { step, errno }) => Err(HostError::Launch { step, errno }),
        }
    }
}
