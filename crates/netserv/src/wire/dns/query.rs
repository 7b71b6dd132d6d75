//! The question of a client.

use domain::dep::octseq::Parser;

use super::{HEADER, Name, PLAIN_UDP_SIZE, UDP_SIZE, flag, name, num, u16_at};

/// One question, with the bytes that its answer must repeat.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Identifier that the answer repeats.
    pub id: u16,
    /// The flag word.
    pub flags: u16,
    /// The name in lower case.
    pub name: Name,
    /// Type that is asked for.
    pub qtype: u16,
    /// Class that is asked for.
    pub qclass: u16,
    /// The question section as the client spelled it.
    pub question: &'a [u8],
    /// What the client's OPT record says, if it sent one.
    pub edns: Option<Edns>,
}

/// The fixed part of a client's OPT record (RFC 6891 §6.1.3). Its options are not kept: they
/// hold between the client and us only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// Largest UDP answer the client takes, in bytes.
    pub size: u16,
    /// EDNS version.
    pub version: u8,
    /// The client wants DNSSEC records (DO).
    pub dnssec_ok: bool,
}

/// Why a packet is not a question that can be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// No answer may be sent: too short for a header, or itself a response.
    Silent,
    /// Answered with this response code and nothing but the header.
    Rcode(u16),
}

impl<'a> Query<'a> {
    /// Reads the question of `packet`.
    ///
    /// # Errors
    /// [`Flaw::Silent`] for what is no query, `NOTIMP` for an operation other than QUERY,
    /// `FORMERR` for anything that cannot be read, for a number of questions other than one
    /// and for two OPT records (RFC 6891 §6.1.1).
    pub fn parse(packet: &'a [u8]) -> Result<Self, Flaw> {
        let id = u16_at(packet, 0).ok_or(Flaw::Silent)?;
        let flags = u16_at(packet, 2).ok_or(Flaw::Silent)?;
        if packet.len() < HEADER || flags & flag::QR != 0 {
            return Err(Flaw::Silent);
        }
        if flags & flag::OPCODE != 0 {
            return Err(Flaw::Rcode(num::NOTIMP));
        }
        let malformed = Flaw::Rcode(num::FORMERR);
        if u16_at(packet, 4) != Some(1) {
            return Err(malformed);
        }
        Self::parse_question(packet, id, flags).ok_or(malformed)
    }

    fn parse_question(packet: &'a [u8], id: u16, flags: u16) -> Option<Self> {
        let mut parser = Parser::from_ref(packet);
        parser.advance(HEADER).ok()?;
        let parsed = name::parse(&mut parser)?;
        // A pointer in the first name could only lead into the header.
        if parsed.is_compressed() {
            return None;
        }
        let qtype = parser.parse_u16_be().ok()?;
        let qclass = parser.parse_u16_be().ok()?;
        let question = packet.get(HEADER..parser.pos())?;
        let records = usize::from(u16_at(packet, 6)?) + usize::from(u16_at(packet, 8)?);
        for _ in 0..records {
            skip_record(&mut parser)?;
        }
        let mut edns = None;
        for _ in 0..u16_at(packet, 10)? {
            if let Some(found) = skip_record(&mut parser)?
                && edns.replace(found).is_some()
            {
                return None;
            }
        }
        Some(Self {
            id,
            flags,
            name: Name::from_parsed(&parsed).ok()?,
            qtype,
            qclass,
            question,
            edns,
        })
    }

    /// Whether a flag of [`flag`] is set.
    #[must_use]
    pub fn has(&self, bit: u16) -> bool {
        self.flags & bit != 0
    }

    /// Whether the client wants DNSSEC records.
    #[must_use]
    pub fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }

    /// Largest answer over UDP in bytes: what the client takes, between the minimum of the
    /// protocol and [`UDP_SIZE`].
    #[must_use]
    pub fn udp_limit(&self) -> usize {
        let size = self.edns.map_or(PLAIN_UDP_SIZE, |edns| edns.size);
        usize::from(size.clamp(PLAIN_UDP_SIZE, UDP_SIZE))
    }
}

/// Steps over a record; yields the EDNS part if it is an OPT record.
fn skip_record(parser: &mut Parser<'_, [u8]>) -> Option<Option<Edns>> {
    let owner = name::parse(parser)?;
    let rtype = parser.parse_u16_be().ok()?;
    let class = parser.parse_u16_be().ok()?;
    let ttl = parser.parse_u32_be().ok()?;
    let len = parser.parse_u16_be().ok()?;
    parser.advance(usize::from(len)).ok()?;
    if rtype != num::OPT {
        return Some(None);
    }
    let [_, version, flags, _] = ttl.to_be_bytes();
    // The owner of OPT is the root (RFC 6891 §6.1.2); another one makes the message unreadable.
    owner.is_root().then_some(Some(Edns { size: class, version, dnssec_ok: flags & 0x80 != 0 }))
}
