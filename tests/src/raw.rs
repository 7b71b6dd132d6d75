//! Packets by hand, for clients that misbehave and for those that only count.
//!
//! Knows the frame and a few procedures by itself: what judges must not share a mistake with what is judged.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::error::{Error, Result};
use crate::process::PATIENCE;

/// `auth_list`
pub const AUTH_LIST: u32 = 66;
/// `connect_open`
pub const OPEN: u32 = 1;
/// `connect_list_all_networks`
pub const LIST: u32 = 283;
/// `connect_get_lib_version`
pub const LIB_VERSION: u32 = 157;
/// `network_create`
pub const CREATE: u32 = 39;
/// `network_destroy`
pub const DESTROY: u32 = 42;
/// `connect_network_event_register_any`
pub const REGISTER: u32 = 313;

/// libvirt's program of networks, domains and so on.
const PROGRAM: u32 = 0x2000_8086;
/// The program of administration.
const ADMIN_PROGRAM: u32 = 0x0690_0690;
/// `connect_set_daemon_timeout` of administration.
const SET_DAEMON_TIMEOUT: u32 = 19;
/// `connect_daemon_shutdown` of administration.
const DAEMON_SHUTDOWN: u32 = 20;

/// A call.
pub fn call(procedure: u32, serial: u32, payload: &[u8]) -> Vec<u8> {
    call_of(PROGRAM, procedure, serial, payload)
}

fn call_of(program: u32, procedure: u32, serial: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(28 + payload.len()).unwrap_or(u32::MAX);
    let words = [len, program, 1, procedure, 0, serial, 0];
    let mut packet: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    packet.extend_from_slice(payload);
    packet
}

/// A text with its length and padding.
pub fn text(text: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(text.len()).unwrap_or(0).to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A network by name and UUID.
pub fn network(name: &str, uuid: u128) -> Vec<u8> {
    let mut bytes = text(name);
    bytes.extend_from_slice(&uuid.to_be_bytes());
    bytes
}

/// Has the daemon behind a socket of administration end after so many seconds without clients.
///
/// # Errors
/// The daemon does not answer, or refuses.
pub fn set_daemon_timeout(admin_socket: &Path, seconds: u32) -> Result<()> {
    let mut payload = seconds.to_be_bytes().to_vec();
    payload.extend([0; 4]);
    administer(admin_socket, SET_DAEMON_TIMEOUT, &payload)
}

/// Has the daemon behind a socket of administration end.
///
/// # Errors
/// The daemon ends without an answer, or refuses.
pub fn shut_down(admin_socket: &Path) -> Result<()> {
    administer(admin_socket, DAEMON_SHUTDOWN, &[0; 4])
}

fn administer(admin_socket: &Path, procedure: u32, payload: &[u8]) -> Result<()> {
    let mut raw = Raw::connect(admin_socket)?;
    raw.send(&call_of(ADMIN_PROGRAM, procedure, 0, payload))?;
    match raw.packet()?.get(24..28) {
        Some([0, 0, 0, 0]) => Ok(()),
        _ => Err(Error::Wrong(format!("the daemon refuses procedure {procedure}"))),
    }
}

/// A connection.
#[derive(Debug)]
pub struct Raw {
    /// The socket.
    pub stream: UnixStream,
    path: std::path::PathBuf,
    buffer: Vec<u8>,
}

impl Raw {
    /// Connects and says nothing.
    ///
    /// # Errors
    /// No listener.
    pub fn connect(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path).map_err(Error::file(path))?;
        let patience = Some(PATIENCE);
        stream.set_read_timeout(patience).map_err(Error::file(path))?;
        stream.set_write_timeout(patience).map_err(Error::file(path))?;
        Ok(Self { stream, path: path.to_path_buf(), buffer: Vec::new() })
    }

    /// Connects and opens the networks of the system.
    ///
    /// # Errors
    /// The daemon does not let us.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_uri(path, "network:///system")
    }

    /// Connects and opens `uri`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_uri(path: &Path, uri: &str) -> Result<Self> {
        let mut raw = Self::connect(path)?;
        raw.ask(AUTH_LIST, 0, &[])?;
        let mut payload = 1_u32.to_be_bytes().to_vec();
        payload.extend(text(uri));
        payload.extend([0; 4]);
        let answer = raw.ask(OPEN, 1, &payload)?;
        match answer.get(24..28) {
            Some([0, 0, 0, 0]) => Ok(raw),
            _ => Err(Error::Wrong("the connection is not opened".to_owned())),
        }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The daemon has closed the connection.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).map_err(Error::file(&self.path))
    }

    /// The next packet.
    ///
    /// # Errors
    /// None came.
    pub fn packet(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(word) = self.buffer.first_chunk::<4>() {
                let len = u32::from_be_bytes(*word) as usize;
                if self.buffer.len() >= len {
                    return Ok(self.buffer.drain(..len).collect());
                }
            }
            let mut chunk = [0; 65536];
            let n = self.stream.read(&mut chunk).map_err(Error::file(&self.path))?;
            if n == 0 {
                return Err(Error::Wrong("the connection was closed".to_owned()));
            }
            self.buffer.extend_from_slice(&chunk[..n]);
        }
    }

    /// Calls and waits for the answer; events before it are dropped.
    ///
    /// # Errors
    /// None came.
    pub fn ask(&mut self, procedure: u32, serial: u32, payload: &[u8]) -> Result<Vec<u8>> {
        self.send(&call(procedure, serial, payload))?;
        loop {
            let packet = self.packet()?;
            if packet.get(16..20) == Some(&1_u32.to_be_bytes()) {
                return Ok(packet);
            }
        }
    }
}
