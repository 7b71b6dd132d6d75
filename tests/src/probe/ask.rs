//! The side that asks.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::thread;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};

use super::{CONNECT_TIMEOUT, Outcome, PORT, Protocol, Question, TIMEOUT};

/// Asks all questions at once; returns what became of each, by its number.
pub fn ask(questions: &[Question]) -> BTreeMap<u32, Outcome> {
    ask_port(questions, PORT)
}

pub(super) fn ask_port(questions: &[Question], port: u16) -> BTreeMap<u32, Outcome> {
    thread::scope(|scope| {
        let asked: Vec<_> = questions
            .iter()
            .map(|question| (question.number, scope.spawn(move || one(question, port))))
            .collect();
        asked
            .into_iter()
            .map(|(number, thread)| (number, thread.join().unwrap_or(Outcome::Timeout)))
            .collect()
    })
}

fn one(question: &Question, port: u16) -> Outcome {
    let to = SocketAddr::new(question.to, port);
    let answered = match question.protocol {
        Protocol::Tcp => ask_tcp(question.from, to),
        Protocol::Udp => ask_udp(question, to),
    };
    match answered {
        Ok((seen, sent)) => Outcome::Delivered { seen, sent },
        Err(error) if is_timeout(&error) => Outcome::Timeout,
        // Every other error came from an ICMP message or a reset, or the packet could not leave.
        Err(_) => Outcome::Refused,
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// The addresses that the other side saw and that this side used.
type Addresses = (SocketAddr, SocketAddr);

fn ask_tcp(from: SocketAddr, to: SocketAddr) -> io::Result<Addresses> {
    let descriptor = connecting(from, to)?;
    let mut ready = [PollFd::new(std::os::fd::AsFd::as_fd(&descriptor), PollFlags::POLLOUT)];
    let timeout = PollTimeout::try_from(CONNECT_TIMEOUT).unwrap_or(PollTimeout::MAX);
    if poll(&mut ready, timeout)? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut stream = TcpStream::from(descriptor);
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok((parse(&text)?, stream.local_addr()?))
}

/// A socket whose connection has begun. The standard library cannot choose where from.
fn connecting(from: SocketAddr, to: SocketAddr) -> io::Result<OwnedFd> {
    let family = if to.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = socket(family, SockType::Stream, flags, None)?;
    // Questions to different hosts share a chosen source port.
    setsockopt(&descriptor, sockopt::ReuseAddr, &true)?;
    bind(descriptor.as_raw_fd(), &SockaddrStorage::from(from))?;
    match connect(descriptor.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(descriptor),
        Err(error) => Err(error.into()),
    }
}

fn ask_udp(question: &Question, to: SocketAddr) -> io::Result<Addresses> {
    let socket = UdpSocket::bind(question.from)?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.send(question.number.to_string().as_bytes())?;
    let mut buffer = [0; 64];
    let count = socket.recv(&mut buffer)?;
    Ok((parse(&String::from_utf8_lossy(&buffer[..count]))?, socket.local_addr()?))
}

fn parse(text: &str) -> io::Result<SocketAddr> {
    text.parse().map_err(|_| io::ErrorKind::InvalidData.into())
}
