//! Identity of the peer of a connection.

use std::net::SocketAddr;

use tokio::net::UnixStream;

/// The peer of a connection, by transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A local process.
    Unix(Process),
    /// A host without proof of identity.
    Tcp(SocketAddr),
    /// A holder of a certificate.
    Tls {
        /// Its address.
        address: SocketAddr,
        /// Subject of its certificate, as libvirt writes it; `None` if none was requested.
        subject: Option<String>,
    },
}

/// A local process, as reported by the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Process id; 0 if the kernel does not report it.
    pub pid: i32,
    /// Start time in clock ticks since boot (`/proc/PID/stat`); 0 if the process has ended.
    pub start_time: u64,
}

impl Process {
    /// The process that connected `stream` (`SO_PEERCRED`).
    ///
    /// # Errors
    /// The socket option cannot be read.
    pub fn of_peer(stream: &UnixStream) -> std::io::Result<Self> {
        let peer = stream.peer_cred()?;
        let pid = peer.pid().unwrap_or_default();
        Ok(Self { uid: peer.uid(), gid: peer.gid(), pid, start_time: start_time(pid) })
    }
}

/// Field 22 of `/proc/PID/stat`; the second field is in parentheses and may hold anything.
fn start_time(pid: i32) -> u64 {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    after.split_whitespace().nth(19).and_then(|field| field.parse().ok()).unwrap_or_default()
}

impl Peer {
    /// libvirt's number of the transport (`virClientTransport`).
    #[must_use]
    pub const fn transport(&self) -> u32 {
        match self {
            Self::Unix(_) => 0,
            Self::Tcp(_) => 1,
            Self::Tls { .. } => 2,
        }
    }

    /// Whether the conversation is encrypted or does not leave the host.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }

    /// The process, if it is a local one.
    #[must_use]
    pub const fn process(&self) -> Option<Process> {
        match self {
            Self::Unix(process) => Some(*process),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_reports_the_connected_process() {
        let (near, _far) = UnixStream::pair().unwrap();
        let process = Process::of_peer(&near).unwrap();
        assert_eq!(process.pid, i32::try_from(std::process::id()).unwrap());
        assert!(process.start_time > 0);
        assert_eq!(start_time(0), 0);
    }
}
