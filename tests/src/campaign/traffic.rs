//! Traffic that reports its losses.
//!
//! `oxivirt-campaign traffic serve ADDRESS:PORT` answers TCP streams with what it gets, until its input ends;
//! `oxivirt-campaign traffic send ADDRESS:PORT` sends an ICMP echo request every 2 ms and a few bytes on a stream
//! as often, until its input ends, and then prints `SENT LOST LONGEST_WAIT_US STREAM`: requests, those without an answer, the
//! longest wait on the stream, `whole` or why not.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

const EVERY: Duration = Duration::from_millis(2);
/// How long the last answers are waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// A stream that stands still for so long is broken.
const BROKEN: Duration = Duration::from_secs(10);

pub(super) fn run(words: &[String]) -> crate::Result<bool> {
    let usage = || Err("usage: oxivirt-campaign traffic serve|send ADDRESS:PORT".into());
    let done = match words {
        [verb, address] => match (verb.as_str(), address.parse::<SocketAddrV4>()) {
            ("serve", Ok(address)) => serve(address),
            ("send", Ok(address)) => send(address),
            _ => usage(),
        },
        _ => usage(),
    };
    done.map(|()| true).map_err(|error| crate::Error::Wrong(error.to_string()))
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn serve(address: SocketAddrV4) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("ready");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                drop(stream.set_nodelay(true));
                let mut bytes = [0; 64];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    if bytes.get(..count).is_none_or(|read| stream.write_all(read).is_err()) {
                        return;
                    }
                }
            });
        }
    });
    // The program ends with its input.
    drop(std::io::stdin().read_to_end(&mut Vec::new()));
    Ok(())
}

fn send(address: SocketAddrV4) -> Result<()> {
    let stop = AtomicBool::new(false);
    let stream = TcpStream::connect_timeout(&SocketAddr::V4(address), BROKEN)?;
    let echo =
        socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp)?;
    setsockopt(&echo, sockopt::ReceiveTimeout, &TimeVal::milliseconds(50))?;
    setsockopt(&echo, sockopt::RcvBuf, &(4 << 20))?;
    println!("ready");
    let (pings, answers, wait) = thread::scope(|scope| {
        let answers = scope.spawn(|| answers(&echo, &stop));
        let pings = scope.spawn(|| pings(&echo, address, &stop));
        let wait = scope.spawn(|| exchange(stream, &stop));
        let mut input = Vec::new();
        drop(std::io::stdin().read_to_end(&mut input));
        stop.store(true, Ordering::SeqCst);
        (pings.join(), answers.join(), wait.join())
    });
    let gone = |_| "a thread ended";
    let (sent, answered) = (pings.map_err(gone)?, answers.map_err(gone)?);
    let (longest, whole) = wait.map_err(gone)?;
    let lost = sent.saturating_sub(u32::try_from(answered)?);
    println!("{sent} {lost} {} {whole}", longest.as_micros());
    Ok(())
}

/// An echo request: type, code, checksum, identifier, number.
fn request(number: u32) -> [u8; 12] {
    let mut packet = [0; 12];
    let [a, b, c, d] = number.to_be_bytes();
    packet[0] = 8;
    packet[4..8].copy_from_slice(&[b'o', b'x', c, d]);
    packet[8..12].copy_from_slice(&[a, b, c, d]);
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    let check = !u16::try_from(folded).unwrap_or_default();
    packet[2..4].copy_from_slice(&check.to_be_bytes());
    packet
}

fn pings(socket: &OwnedFd, to: SocketAddrV4, stop: &AtomicBool) -> u32 {
    let to = SockaddrIn::from(SocketAddrV4::new(*to.ip(), 0));
    let begin = Instant::now();
    let mut sent = 0;
    while !stop.load(Ordering::SeqCst) {
        // What cannot be sent is lost, too.
        let _sent = sendto(socket.as_raw_fd(), &request(sent), &to, MsgFlags::empty());
        sent += 1;
        thread::sleep((begin + EVERY * sent).saturating_duration_since(Instant::now()));
    }
    sent
}

fn answers(socket: &OwnedFd, stop: &AtomicBool) -> usize {
    let mut received = BTreeSet::new();
    let mut end = None;
    let mut bytes = [0; 256];
    loop {
        match recv(socket.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
            Ok(count) => {
                // Behind the IP header: an echo reply of ours.
                if let Some(&[0, _, _, _, b'o', b'x', _, _, a, b, c, d]) = bytes.get(20..32)
                    && count >= 32
                {
                    received.insert(u32::from_be_bytes([a, b, c, d]));
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => return received.len(),
        }
        if stop.load(Ordering::SeqCst) {
            let end = *end.get_or_insert_with(|| Instant::now() + PATIENCE);
            if Instant::now() > end {
                return received.len();
            }
        }
    }
}

/// Sends and receives until stopped; returns the longest round trip and whether every packet came back.
fn exchange(mut stream: TcpStream, stop: &AtomicBool) -> (Duration, String) {
    let mut longest = Duration::ZERO;
    let mut number: u64 = 0;
    drop(stream.set_nodelay(true));
    drop(stream.set_read_timeout(Some(BROKEN)));
    while !stop.load(Ordering::SeqCst) {
        let begin = Instant::now();
        let mut back = [0; 8];
        let exchanged =
            stream.write_all(&number.to_be_bytes()).and_then(|()| stream.read_exact(&mut back));
        longest = longest.max(begin.elapsed());
        if let Err(error) = exchanged {
            return (longest, format!("broken: {error}"));
        }
        if back != number.to_be_bytes() {
            return (longest, "broken: other bytes came back".to_owned());
        }
        number += 1;
        thread::sleep(EVERY);
    }
    (longest, "whole".to_owned())
}
