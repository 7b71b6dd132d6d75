//! The side that answers.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::error::{Error, Result};

use super::PORT;

/// Answers on the given addresses until the end of the process.
#[derive(Debug)]
pub(super) struct Server {
    received: Arc<Mutex<BTreeSet<u32>>>,
    port: u16,
}

impl Server {
    /// Begins to answer; with port 0 on a free port, the same for both protocols.
    ///
    /// Addresses are bound one by one, so that answers leave from the address that was asked.
    pub(super) fn start(addresses: &[IpAddr], port: u16) -> Result<Self> {
        let received = Arc::new(Mutex::new(BTreeSet::new()));
        let mut port = port;
        for address in addresses {
            let bound = |source| Error::Run { command: format!("listen on {address}"), source };
            let listener = TcpListener::bind(SocketAddr::new(*address, port)).map_err(bound)?;
            port = listener.local_addr().map_err(bound)?.port();
            let socket = UdpSocket::bind(SocketAddr::new(*address, port)).map_err(bound)?;
            thread::spawn(move || answer_connections(&listener));
            let received = Arc::clone(&received);
            thread::spawn(move || answer_datagrams(&socket, &received));
        }
        Ok(Self { received, port })
    }

    #[cfg(test)]
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Numbers of the datagrams that arrived so far.
    pub(super) fn received(&self) -> Vec<u32> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

/// Answers until standard input ends, then prints which datagrams arrived.
///
/// Prints `ready` once it answers.
///
/// # Errors
/// An address cannot be bound.
pub fn serve(addresses: &[IpAddr]) -> Result<()> {
    let server = Server::start(addresses, PORT)?;
    println!("ready");
    let mut rest = Vec::new();
    // An error ends it just as the end of the input does.
    std::io::stdin().read_to_end(&mut rest).ok();
    for number in server.received() {
        println!("{number}");
    }
    debug_assert_eq!(server.port, PORT);
    Ok(())
}

fn answer_connections(listener: &TcpListener) {
    for stream in listener.incoming() {
        // A connection that is gone again needs no answer.
        let Ok(mut stream) = stream else { continue };
        if let Ok(peer) = stream.peer_addr() {
            stream.write_all(peer.to_string().as_bytes()).ok();
        }
    }
}

fn answer_datagrams(socket: &UdpSocket, received: &Mutex<BTreeSet<u32>>) {
    let mut buffer = [0; 64];
    loop {
        // A refused answer is reported by the next call: it says nothing about that one.
        let Ok((count, peer)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let number = std::str::from_utf8(&buffer[..count]).ok().and_then(|text| text.parse().ok());
        if let Some(number) = number {
            received.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
        }
        socket.send_to(peer.to_string().as_bytes(), peer).ok();
    }
}
