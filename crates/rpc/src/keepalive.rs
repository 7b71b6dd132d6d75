//! When to send a ping to a silent peer, and when to disconnect it.
//!
//! Time is a parameter; nothing here waits.
//!
//! libvirt 11.3.0: src/rpc/virkeepalive.c

use std::time::{Duration, Instant};

use crate::frame::{self, Header, Kind, STATUS_OK};

/// Number of the keepalive program.
pub const PROGRAM: u32 = 0x6b65_6570;
/// Procedure: requests a [`PONG`].
pub const PING: i32 = 1;
/// Procedure: answers a [`PING`].
pub const PONG: i32 = 2;

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing until then.
    Wait(Instant),
    /// Send a [`PING`], then check again.
    Ping,
    /// The peer is not there any more.
    Dead,
}

/// Watches one peer.
#[derive(Debug, Clone)]
pub struct Watch {
    interval: Duration,
    count: u32,
    unanswered: u32,
    due: Instant,
}

impl Watch {
    /// Begins to watch at `now`.
    #[must_use]
    pub fn new(interval: Duration, count: u32, now: Instant) -> Self {
        Self { interval, count, unanswered: 0, due: now + interval }
    }

    /// Records that something has arrived from the peer.
    pub fn received(&mut self, now: Instant) {
        self.unanswered = 0;
        self.due = now + self.interval;
    }

    /// What to do at `now`.
    pub fn check(&mut self, now: Instant) -> Verdict {
        if now < self.due {
            return Verdict::Wait(self.due);
        }
        if self.unanswered >= self.count {
            return Verdict::Dead;
        }
        self.unanswered += 1;
        self.due = now + self.interval;
        Verdict::Ping
    }
}

/// Whether a packet of the keepalive program has to be answered: a ping of version 1.
#[must_use]
pub fn wants_pong(header: &Header) -> bool {
    header.version == 1 && header.kind == Kind::Message && header.procedure == PING
}

/// Appends a ping or pong.
pub fn append(out: &mut Vec<u8>, procedure: i32) {
    let header = Header {
        program: PROGRAM,
        version: 1,
        procedure,
        kind: Kind::Message,
        serial: 0,
        status: STATUS_OK,
    };
    frame::append_empty(out, header);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_is_asked_and_given_up() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watch = Watch::new(Duration::from_secs(5), 5, start);
        assert_eq!(watch.check(at(4)), Verdict::Wait(at(5)));
        for seconds in [5, 10, 15, 20, 25] {
            assert_eq!(watch.check(at(seconds)), Verdict::Ping, "{seconds}");
            assert_eq!(watch.check(at(seconds)), Verdict::Wait(at(seconds + 5)));
        }
        assert_eq!(watch.check(at(30)), Verdict::Dead);
        watch.received(at(30));
        assert_eq!(watch.check(at(34)), Verdict::Wait(at(35)));
        assert_eq!(watch.check(at(35)), Verdict::Ping);
    }

    #[test]
    fn without_a_count_the_first_silence_is_the_last() {
        let start = Instant::now();
        let mut watch = Watch::new(Duration::from_secs(1), 0, start);
        assert_eq!(watch.check(start + Duration::from_secs(1)), Verdict::Dead);
    }
}
