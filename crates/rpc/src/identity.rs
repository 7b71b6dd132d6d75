//! Who is at the other end of a connection.

use std::net::SocketAddr;

use tokio::net::UnixStream;

/// What carries a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A local process.
    Unix(Process),
    /// Anybody who can reach the port.
    Tcp(SocketAddr),
    /// A holder of a certificate.
    Tls {
        /// Where it comes from.
        address: SocketAddr,
        /// Subject of its certificate, as libvirt writes it; `None` if none was asked for.
        subject: Option<String>,
    },
}

/// A local process, as the kernel vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its number; 0 if the kernel does not tell.
    pub pid: i32,
    /// When it was started, in clock ticks since the host was (`/proc/PID/stat`); 0 if it is gone.
    pub start_time: u64,
}

impl Process {
    /// The process that connected `stream` (`SO_PEERCRED`).
    ///
    /// # Errors
    /// What the kernel says.
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

    /// Whether nobody else can read the conversation.
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
    async fn the_kernel_tells_who_connected() {
        let (near, _far) = UnixStream::pair().unwrap();
        let process = Process::of_peer(&near).unwrap();
        assert_eq!(process.pid, i32::try_from(std::process::id()).unwrap());
        assert!(process.start_time > 0);
        assert_eq!(start_time(0), 0);
    }
}
