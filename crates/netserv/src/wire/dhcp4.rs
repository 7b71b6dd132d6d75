//! DHCPv4 and BOOTP messages: a view of a client's message, and a writer of replies.
//!
//! RFC 2131, RFC 2132, RFC 951

use std::net::Ipv4Addr;

use oxivirt_netserv_api::Mac;

/// Length of the fixed part with the magic cookie.
const FIXED: usize = 240;
/// Offset of the field `sname`, 64 bytes.
const SNAME: usize = 44;
/// Offset of the field `file`, 128 bytes.
const FILE: usize = 108;
/// What the options begin with.
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Shortest reply: what BOOTP had.
const MIN_REPLY: usize = 300;
/// A client takes datagrams of 576 bytes at least; this is left without the headers.
const MIN_MAX: usize = 548;
/// Longest message that is written, whatever a client takes: that of an Ethernet frame.
const MAX_REPLY: usize = 1472;
/// Flag of clients that cannot take unicast yet.
pub const BROADCAST: u16 = 0x8000;

/// Numbers of options.
pub mod option {
    /// Subnet mask.
    pub const NETMASK: u8 = 1;
    /// Routers.
    pub const ROUTER: u8 = 3;
    /// Name servers.
    pub const DNS: u8 = 6;
    /// Name of the client.
    pub const HOSTNAME: u8 = 12;
    /// Domain of the client.
    pub const DOMAIN: u8 = 15;
    /// MTU of the link.
    pub const MTU: u8 = 26;
    /// Broadcast address.
    pub const BROADCAST: u8 = 28;
    /// Requested address.
    pub const REQUESTED: u8 = 50;
    /// Duration of the lease in seconds.
    pub const LEASE_TIME: u8 = 51;
    /// Which of `file` and `sname` hold options.
    pub const OVERLOAD: u8 = 52;
    /// Type of the message.
    pub const MESSAGE_TYPE: u8 = 53;
    /// Address of the server.
    pub const SERVER_ID: u8 = 54;
    /// Numbers of the options that the client wants.
    pub const PARAMETERS: u8 = 55;
    /// Text for people.
    pub const MESSAGE: u8 = 56;
    /// Longest message that the client takes.
    pub const MAX_SIZE: u8 = 57;
    /// When to renew, in seconds.
    pub const T1: u8 = 58;
    /// When to ask any server, in seconds.
    pub const T2: u8 = 59;
    /// Identifier of the client.
    pub const CLIENT_ID: u8 = 61;
    /// Full name of the client.
    pub const FQDN: u8 = 81;
    /// What a relay added.
    pub const RELAY: u8 = 82;
    /// The end of the options.
    pub const END: u8 = 255;
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No type: BOOTP.
    Bootp,
    /// 1.
    Discover,
    /// 3.
    Request,
    /// 4.
    Decline,
    /// 7.
    Release,
    /// 8.
    Inform,
    /// Any other, which is not for a server.
    Other(u8),
}

/// Why a message is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than the fixed part.
    #[error("shorter than a message")]
    Short,
    /// Not from a client.
    #[error("not from a client")]
    Op,
    /// No DHCP options.
    #[error("no DHCP options")]
    Cookie,
    /// Not an Ethernet address.
    #[error("not an Ethernet address")]
    Hardware,
    /// An option is longer than what is left.
    #[error("an option is cut")]
    Options,
}

impl Malformed {
    /// The name of its counter.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Op => "not-a-request",
            Self::Cookie => "cookie",
            Self::Hardware => "hardware-address",
            Self::Options => "option-length",
        }
    }
}

/// A client's message whose lengths have been checked.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    bytes: &'a [u8],
    fixed: &'a [u8; FIXED],
}

impl<'a> View<'a> {
    /// Checks a message of a client with an Ethernet address.
    ///
    /// # Errors
    /// [`Malformed`] says what is wrong.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed = bytes.first_chunk::<FIXED>().ok_or(Malformed::Short)?;
        let view = Self { bytes, fixed };
        if view.byte(0) != 1 {
            return Err(Malformed::Op);
        }
        if view.array::<4>(236) != COOKIE {
            return Err(Malformed::Cookie);
        }
        if view.byte(1) != 1 || view.byte(2) != 6 {
            return Err(Malformed::Hardware);
        }
        let areas = [Some(view.options()), view.overloaded(1), view.overloaded(2)];
        for area in areas.into_iter().flatten() {
            let mut options = Options { rest: area, is_cut: false };
            options.by_ref().for_each(drop);
            if options.is_cut {
                return Err(Malformed::Options);
            }
        }
        Ok(view)
    }

    fn byte(&self, at: usize) -> u8 {
        self.fixed.get(at).copied().unwrap_or_default()
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let field = self.fixed.get(at..).and_then(|rest| rest.first_chunk());
        field.copied().unwrap_or([0; N])
    }

    fn address(&self, at: usize) -> Ipv4Addr {
        self.array::<4>(at).into()
    }

    fn options(&self) -> &'a [u8] {
        self.bytes.get(FIXED..).unwrap_or_default()
    }

    /// The field that option 52 counts as options: bit 0 is `file`, bit 1 is `sname`.
    fn overloaded(&self, bit: u8) -> Option<&'a [u8]> {
        let main = Options { rest: self.options(), is_cut: false };
        let flags = find(main, option::OVERLOAD)?.first()?;
        let (at, length) = if bit == 1 { (FILE, 128) } else { (SNAME, 64) };
        (flags & bit != 0).then(|| self.fixed.get(at..at + length)).flatten()
    }

    /// The first option of a number.
    #[must_use]
    pub fn option(&self, number: u8) -> Option<&'a [u8]> {
        let main = Options { rest: self.options(), is_cut: false };
        let areas = [self.overloaded(1), self.overloaded(2)].into_iter().flatten();
        find(main, number).or_else(|| {
            let mut areas = areas.map(|area| Options { rest: area, is_cut: false });
            areas.find_map(|area| find(area, number))
        })
    }

    /// An option that is an address.
    #[must_use]
    pub fn address_option(&self, number: u8) -> Option<Ipv4Addr> {
        Some((*self.option(number)?.first_chunk::<4>()?).into())
    }

    /// What the message is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.option(option::MESSAGE_TYPE).and_then(<[u8]>::first) {
            None => Kind::Bootp,
            Some(1) => Kind::Discover,
            Some(3) => Kind::Request,
            Some(4) => Kind::Decline,
            Some(7) => Kind::Release,
            Some(8) => Kind::Inform,
            Some(&other) => Kind::Other(other),
        }
    }

    /// The client's Ethernet address.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.array(28)
    }

    /// The address that the client has and answers at.
    #[must_use]
    pub fn ciaddr(&self) -> Ipv4Addr {
        self.address(12)
    }

    /// The relay that the message came through; unspecified if none.
    #[must_use]
    pub fn giaddr(&self) -> Ipv4Addr {
        self.address(24)
    }

    /// Whether the client cannot take unicast yet.
    #[must_use]
    pub fn wants_broadcast(&self) -> bool {
        u16::from_be_bytes(self.array(10)) & BROADCAST != 0
    }

    /// The client's identifier, with its type octet.
    #[must_use]
    pub fn client_id(&self) -> Option<&'a [u8]> {
        self.option(option::CLIENT_ID).filter(|id| !id.is_empty())
    }

    /// The duration that the client asks for, in seconds.
    #[must_use]
    pub fn lease_time(&self) -> Option<u32> {
        let time = self.option(option::LEASE_TIME)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*time))
    }

    /// Whether an option is to be sent: if the client asks for it, or does not say what it wants.
    #[must_use]
    pub fn wants(&self, number: u8) -> bool {
        self.option(option::PARAMETERS).is_none_or(|list| list.contains(&number))
    }

    /// Longest reply that the client takes, without headers.
    fn max_size(&self) -> usize {
        let size = self.option(option::MAX_SIZE).and_then(|size| size.first_chunk::<2>());
        let size = size.map_or(0, |size| usize::from(u16::from_be_bytes(*size)).saturating_sub(28));
        size.clamp(MIN_MAX, MAX_REPLY)
    }
}

fn find<'a>(mut options: Options<'a>, number: u8) -> Option<&'a [u8]> {
    options.find(|(found, _)| *found == number).map(|(_, value)| value)
}

/// Options in their order.
struct Options<'a> {
    rest: &'a [u8],
    is_cut: bool,
}

impl<'a> Iterator for Options<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&number, rest) = self.rest.split_first()?;
            match number {
                0 => self.rest = rest,
                option::END => return None,
                _ => {
                    let value = rest
                        .split_first()
                        .and_then(|(&length, rest)| rest.split_at_checked(usize::from(length)));
                    self.is_cut = value.is_none();
                    let (value, rest) = value?;
                    self.rest = rest;
                    return Some((number, value));
                }
            }
        }
    }
}

/// A reply that grows by options.
///
/// It keeps what a reply repeats of the message: transaction, hops, seconds, flags, addresses of client and relay.
#[derive(Debug)]
pub struct Reply {
    bytes: Vec<u8>,
    relay: Option<Vec<u8>>,
    limit: usize,
}

impl Reply {
    /// A reply to a message, without options.
    #[must_use]
    pub fn to(request: &View<'_>) -> Self {
        let mut bytes = request.fixed.to_vec();
        for (at, byte) in bytes.iter_mut().enumerate() {
            match at {
                0 => *byte = 2,
                // yiaddr, siaddr; sname and file
                16..24 | SNAME..236 => *byte = 0,
                _ => {}
            }
        }
        let relay = request.option(option::RELAY).map(<[u8]>::to_vec);
        Self { bytes, relay, limit: request.max_size() }
    }

    /// Leaves room for as many bytes of options as BOOTP had.
    pub fn limit_to_bootp(&mut self) {
        self.limit = MIN_REPLY;
    }

    fn set(&mut self, at: usize, value: &[u8]) {
        for (byte, value) in self.bytes.iter_mut().skip(at).zip(value) {
            *byte = *value;
        }
    }

    /// Sets the client's address.
    pub fn yiaddr(&mut self, address: Ipv4Addr) {
        self.set(16, &address.octets());
    }

    /// Sets the address of the server to boot from.
    pub fn siaddr(&mut self, address: Ipv4Addr) {
        self.set(20, &address.octets());
    }

    /// Clears the address that the client gave.
    pub fn clear_ciaddr(&mut self) {
        self.set(12, &[0; 4]);
    }

    /// Sets the flag of broadcast.
    pub fn broadcast(&mut self) {
        self.set(10, &BROADCAST.to_be_bytes());
    }

    /// Sets the name of the boot file, of which the first 127 bytes fit.
    pub fn file(&mut self, name: &str) {
        self.set(FILE, name.as_bytes().get(..127).unwrap_or(name.as_bytes()));
    }

    /// Adds an option, if it fits.
    pub fn option(&mut self, number: u8, value: &[u8]) {
        let Ok(length) = u8::try_from(value.len()) else { return };
        let reserved = self.relay.as_ref().map_or(0, |relay| relay.len().saturating_add(2));
        let used = self.bytes.len().saturating_add(reserved).saturating_add(1);
        if used.saturating_add(value.len()).saturating_add(2) <= self.limit {
            self.bytes.extend([number, length]);
            self.bytes.extend(value);
        }
    }

    /// Adds an option that is an address.
    pub fn address(&mut self, number: u8, address: Ipv4Addr) {
        self.option(number, &address.octets());
    }

    /// Adds an option that is a number.
    pub fn number(&mut self, number: u8, value: u32) {
        self.option(number, &value.to_be_bytes());
    }

    /// The message: what a relay added comes last, and short ones are filled up.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        if let Some(relay) = &self.relay
            && let Ok(length) = u8::try_from(relay.len())
        {
            self.bytes.extend([option::RELAY, length]);
            self.bytes.extend(relay);
        }
        self.bytes.push(option::END);
        if self.bytes.len() < MIN_REPLY {
            self.bytes.resize(MIN_REPLY, 0);
        }
        self.bytes
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message with a transaction of 0x01020304 and flags of 0.
    pub(crate) fn message(mac: Mac, options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; FIXED];
        bytes[..3].copy_from_slice(&[1, 1, 6]);
        bytes[4..8].copy_from_slice(&[1, 2, 3, 4]);
        bytes[28..34].copy_from_slice(&mac);
        bytes[236..].copy_from_slice(&COOKIE);
        for (number, value) in options {
            bytes.extend([*number, u8::try_from(value.len()).unwrap()]);
            bytes.extend(*value);
        }
        bytes.push(option::END);
        bytes
    }

    const MAC: Mac = [2, 0, 0, 0, 0, 9];

    #[track_caller]
    fn refuse(bytes: &[u8], expect: Malformed) {
        assert_eq!(View::new(bytes).unwrap_err(), expect);
    }

    #[test]
    fn lengths_are_checked() {
        let good = message(MAC, &[(53, &[1])]);
        let view = View::new(&good).unwrap();
        assert_eq!((view.kind(), view.mac()), (Kind::Discover, MAC));
        refuse(&good[..239], Malformed::Short);
        refuse(&good[..242], Malformed::Options);
        refuse(&good[..241], Malformed::Options);
        let with = |at: usize, value| {
            let mut bad = good.clone();
            bad[at] = value;
            bad
        };
        refuse(&with(0, 2), Malformed::Op);
        refuse(&with(2, 7), Malformed::Hardware);
        refuse(&with(239, 0), Malformed::Cookie);
        refuse(&with(241, 3), Malformed::Options);
    }

    #[test]
    fn options_may_be_in_other_fields() {
        let mut bytes = message(MAC, &[(52, &[3]), (53, &[3])]);
        bytes[FILE..FILE + 6].copy_from_slice(&[50, 4, 192, 0, 2, 7]);
        bytes[FILE + 6] = 255;
        bytes[SNAME..SNAME + 3].copy_from_slice(&[12, 1, b'a']);
        let view = View::new(&bytes).unwrap();
        assert_eq!(view.address_option(50), Some(Ipv4Addr::new(192, 0, 2, 7)));
        assert_eq!(view.option(12), Some(&b"a"[..]));
        bytes[SNAME + 62] = 12;
        bytes[SNAME + 63] = 1;
        refuse(&bytes, Malformed::Options);
    }

    #[test]
    fn a_reply_fits_what_the_client_takes() {
        let relay = vec![7; 200];
        let bytes = message(MAC, &[(53, &[1]), (82, &relay)]);
        let view = View::new(&bytes).unwrap();
        let mut reply = Reply::to(&view);
        reply.option(12, &[b'a'; 60]);
        reply.option(15, &[b'b'; 200]);
        reply.option(1, &[1; 4]);
        let bytes = reply.finish();
        assert!(bytes.len() <= MIN_MAX, "{}", bytes.len());
        // The second text does not fit beside what the relay must get back.
        let tail = &bytes[FIXED..];
        assert_eq!(&tail[..2], &[12, 60]);
        assert_eq!(&tail[62..70], &[1, 4, 1, 1, 1, 1, 82, 200]);
    }

    #[test]
    fn a_short_reply_is_filled_up() {
        let bytes = message(MAC, &[(53, &[1])]);
        let reply = Reply::to(&View::new(&bytes).unwrap()).finish();
        assert_eq!(reply.len(), 300);
        assert_eq!(&reply[..8], &[2, 1, 6, 0, 1, 2, 3, 4]);
    }

    proptest::proptest! {
        #[test]
        fn no_message_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), at in 0_usize..400) {
            let mut bytes = bytes;
            // Most of them shall pass the checks of the fixed part.
            let good = message(MAC, &[]);
            for (byte, good) in bytes.iter_mut().zip(&good).take(at) {
                *byte = *good;
            }
            if let Ok(view) = View::new(&bytes) {
                let _kind = view.kind();
                let reply = Reply::to(&view).finish();
                assert!(reply.len() >= 300);
            }
        }
    }
}
