//! What an emulator does with a macvtap: frames go through its character device.
//!
//! Linux: Documentation/networking/tuntap.rst; RFC 826

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, poll};

use crate::error::{Error, Result};
use crate::process::PATIENCE;

/// Before each frame stands a `virtio_net_hdr`, all zero: nothing is left to the receiver.
const HEADER: usize = 10;
/// Time after which a request is repeated.
const AGAIN_MS: u16 = 200;
const NONBLOCK: i32 = nix::libc::O_NONBLOCK;

/// Asks through the device of a macvtap, as a guest with the given addresses, who has `to`; prints
/// the hardware address that answers.
///
/// # Errors
/// No device, or no answer.
pub fn arp(device: &Path, mac: &[u8], from: Ipv4Addr, to: Ipv4Addr) -> Result<()> {
    let failed = Error::file(device);
    let mut options = OpenOptions::new();
    let mut tap =
        options.read(true).write(true).custom_flags(NONBLOCK).open(device).map_err(failed)?;
    let mut request = vec![0; HEADER];
    request.extend([0xff; 6]);
    request.extend(mac);
    // ARP over Ethernet for IPv4, a request
    request.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    request.extend(mac);
    request.extend(from.octets());
    request.extend([0; 6]);
    request.extend(to.octets());
    let end = Instant::now() + PATIENCE;
    let mut frame = [0; 2048];
    while Instant::now() < end {
        tap.write_all(&request).map_err(Error::file(device))?;
        let mut readable = [PollFd::new(tap.as_fd(), PollFlags::POLLIN)];
        poll(&mut readable, AGAIN_MS).map_err(Error::system("poll"))?;
        while let Ok(count) = tap.read(&mut frame) {
            let answer = frame.get(HEADER..count).unwrap_or_default();
            let is_reply = answer.get(12..14) == Some(&[0x08, 0x06]) && answer.get(21) == Some(&2);
            if is_reply && answer.get(28..32) == Some(&to.octets()) {
                let mac: Vec<_> = answer[22..28].iter().map(|byte| format!("{byte:02x}")).collect();
                println!("{}", mac.join(":"));
                return Ok(());
            }
        }
    }
    Err(Error::Wrong(format!("no answer for {to}")))
}
