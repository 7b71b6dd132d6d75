//! Numbered datagrams one after the other: how many get lost, and how many bytes get through.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use crate::error::{Error, Result};
use crate::process::PATIENCE;

/// The port that datagrams of a stream go to.
pub const STREAM_PORT: u16 = 7778;

/// Bytes of a datagram of a flood; with its headers it fills a frame.
const FLOOD: usize = 1458;

/// Bytes of Ethernet, IPv4 and UDP headers, which rate limits count too.
const HEADERS: u64 = 14 + 20 + 8;

/// Bytes that may wait for a receiver that does not get the processor.
const BUFFER: usize = 16 << 20;

/// What a rate needs to settle: a bucket of a burst empties.
const SETTLE: Duration = Duration::from_millis(700);

fn failed(what: &str) -> impl FnOnce(std::io::Error) -> Error {
    let command = what.to_owned();
    move |source| Error::Run { command, source }
}

/// Whether standard input has ended, kept up to date by a thread.
fn input_end() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    thread::spawn(move || {
        // An error ends it just as the end of the input does.
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        flag.store(true, Ordering::Release);
    });
    ended
}

fn ready() -> Result<()> {
    println!("ready");
    std::io::stdout().flush().map_err(failed("print"))
}

/// Sends a numbered datagram every millisecond until standard input ends; prints how many.
///
/// # Errors
/// No socket.
pub fn stream(to: IpAddr) -> Result<()> {
    let socket = unbound(to)?;
    let ended = input_end();
    ready()?;
    let mut sent: u32 = 0;
    let mut next = Instant::now();
    while !ended.load(Ordering::Acquire) {
        // Refusals are losses, which the other side counts.
        socket.send(&sent.to_be_bytes()).ok();
        sent += 1;
        next += Duration::from_millis(1);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    println!("{sent}");
    Ok(())
}

fn unbound(to: IpAddr) -> Result<UdpSocket> {
    let any: IpAddr = match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).map_err(failed("bind"))?;
    socket.connect(SocketAddr::new(to, STREAM_PORT)).map_err(failed("connect"))?;
    Ok(socket)
}

/// A socket that holds what arrives while this process does not run.
fn listening(address: IpAddr) -> Result<UdpSocket> {
    let socket =
        UdpSocket::bind(SocketAddr::new(address, STREAM_PORT)).map_err(failed("listen"))?;
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).map_err(Error::system("receive buffer"))?;
    Ok(socket)
}

/// Receives a stream until standard input ends; prints how many of its datagrams arrived, each
/// counted once.
///
/// # Errors
/// The address cannot be bound.
pub fn count(address: IpAddr) -> Result<()> {
    let socket = listening(address)?;
    socket.set_read_timeout(Some(Duration::from_millis(50))).map_err(failed("listen"))?;
    let ended = input_end();
    ready()?;
    let mut seen = BTreeSet::new();
    let mut buffer = [0; 4];
    loop {
        match socket.recv(&mut buffer) {
            Ok(4) => drop(seen.insert(u32::from_be_bytes(buffer))),
            // What was on its way when the input ended has arrived by now.
            Err(_) if ended.load(Ordering::Acquire) => break,
            _ => {}
        }
    }
    println!("{}", seen.len());
    Ok(())
}

/// Sends `rate` kilobytes a second, headers counted, until standard input ends.
///
/// # Errors
/// No socket.
pub fn flood(to: IpAddr, rate: u32) -> Result<()> {
    let socket = unbound(to)?;
    let ended = input_end();
    ready()?;
    let pause = Duration::from_secs_f64((FLOOD as f64 + HEADERS as f64) / f64::from(rate) / 1e3);
    let mut next = Instant::now();
    while !ended.load(Ordering::Acquire) {
        socket.send(&[0; FLOOD]).ok();
        next += pause;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// Measures a flood once it has settled, again and again until standard input ends; prints the
/// bytes a second of each `time`, headers counted.
///
/// # Errors
/// The address cannot be bound, or nothing arrives.
pub fn meter(address: IpAddr, time: Duration) -> Result<()> {
    let socket = listening(address)?;
    socket.set_read_timeout(Some(Duration::from_millis(50))).map_err(failed("listen"))?;
    let mut meter = Meter { socket, ended: input_end(), buffer: [0; FLOOD] };
    ready()?;
    meter.receive()?;
    meter.bytes_within(SETTLE)?;
    while let Some(rate) = meter.bytes_within(time)? {
        println!("{rate:.0}");
    }
    Ok(())
}

/// The receiving end of a flood.
struct Meter {
    socket: UdpSocket,
    ended: Arc<AtomicBool>,
    buffer: [u8; FLOOD],
}

impl Meter {
    /// Waits for a datagram; its bytes with its headers, `None` once standard input has ended.
    fn receive(&mut self) -> Result<Option<u64>> {
        let end = Instant::now() + PATIENCE;
        while !self.ended.load(Ordering::Acquire) {
            match self.socket.recv(&mut self.buffer) {
                Ok(count) => return Ok(Some(count as u64 + HEADERS)),
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {}
                Err(error) => return Err(failed("receive")(error)),
            }
        }
        Ok(None)
    }

    /// Bytes a second over about `time`, `None` once standard input has ended.
    fn bytes_within(&mut self, time: Duration) -> Result<Option<f64>> {
        let begin = Instant::now();
        let mut bytes = 0;
        while begin.elapsed() < time {
            let Some(count) = self.receive()? else { return Ok(None) };
            bytes += count;
        }
        Ok(Some(bytes as f64 / begin.elapsed().as_secs_f64()))
    }
}
