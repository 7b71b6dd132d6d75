//! The strict walk of a message that an upstream server sent.

use domain::dep::octseq::Parser;

use super::reply::push_opt;
use super::{HEADER, Name, OPT_LEN, Query, flag, name, num, put_u16, u16_at};

/// What the walk found out about a message; the bytes themselves stay with the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// Response code, extended by the OPT record's bits.
    pub rcode: u16,
    /// Flag word.
    pub flags: u16,
    /// Name of the question in lower case.
    pub name: Name,
    /// Type of the question.
    pub qtype: u16,
    /// Class of the question.
    pub qclass: u16,
    /// Where the question section ends.
    pub question_end: usize,
    /// Where the message ends, without the OPT record and what follows it.
    pub end: usize,
    /// Records of each section, without the OPT record and what follows it.
    pub counts: [u16; 3],
    /// Places of the TTL fields.
    pub ttls: Vec<u16>,
    /// Smallest TTL of the answer section, in seconds.
    pub answer_ttl: Option<u32>,
    /// Smallest TTL of all records, in seconds.
    pub least_ttl: Option<u32>,
    /// How long the absence of the data holds, in seconds: the smaller one of the TTL and the
    /// MINIMUM field of the authority section's SOA (RFC 2308 §5).
    pub negative_ttl: Option<u32>,
    /// The answer section has a record of the type that was asked for.
    pub has_answer: bool,
    /// The server speaks EDNS.
    pub has_opt: bool,
}

/// A message does not walk: a name runs forward, in a circle or out of the message, a length
/// or a section count is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed DNS message")]
pub struct Malformed;

impl Walk {
    /// Walks through every record and every name of `message`.
    ///
    /// # Errors
    /// [`Malformed`], also for a message that is no response to exactly one question.
    pub fn of(message: &[u8]) -> Result<Self, Malformed> {
        Self::try_of(message).ok_or(Malformed)
    }

    fn try_of(message: &[u8]) -> Option<Self> {
        let flags = u16_at(message, 2)?;
        if u16_at(message, 4)? != 1 || flags & (flag::QR | flag::OPCODE) != flag::QR {
            return None;
        }
        let mut parser = Parser::from_ref(message);
        parser.advance(HEADER).ok()?;
        let question = name::parse(&mut parser)?;
        if question.is_compressed() {
            return None;
        }
        let mut walk = Self {
            rcode: flags & flag::RCODE,
            flags,
            name: Name::from_parsed(&question).ok()?,
            qtype: parser.parse_u16_be().ok()?,
            qclass: parser.parse_u16_be().ok()?,
            question_end: parser.pos(),
            end: parser.pos(),
            counts: [0; 3],
            ttls: Vec::new(),
            answer_ttl: None,
            least_ttl: None,
            negative_ttl: None,
            has_answer: false,
            has_opt: false,
        };
        for (section, at) in [6, 8, 10].into_iter().enumerate() {
            for _ in 0..u16_at(message, at)? {
                walk.record(&mut parser, section)?;
            }
        }
        // Bytes behind the last record are nothing that was counted.
        (parser.remaining() == 0).then_some(walk)
    }

    fn record(&mut self, parser: &mut Parser<'_, [u8]>, section: usize) -> Option<()> {
        let owner = name::parse(parser)?;
        let rtype = parser.parse_u16_be().ok()?;
        let class = parser.parse_u16_be().ok()?;
        let ttl_at = parser.pos();
        let ttl = parser.parse_u32_be().ok()?;
        let length = usize::from(parser.parse_u16_be().ok()?);
        let data_end = parser.pos().checked_add(length)?;
        let minimum = rdata(parser, rtype, data_end)?;
        if rtype == num::OPT {
            if section != 2 || self.has_opt || !owner.is_root() {
                return None;
            }
            self.has_opt = true;
            let [extended, ..] = ttl.to_be_bytes();
            self.rcode |= u16::from(extended) << 4;
            return Some(());
        }
        if self.has_opt {
            // What follows OPT holds for this hop only (TSIG, SIG(0)).
            return Some(());
        }
        // A TTL with the highest bit set counts as 0 (RFC 2181 §8).
        let ttl = if ttl > i32::MAX.unsigned_abs() { 0 } else { ttl };
        let least = |old: Option<u32>| Some(old.map_or(ttl, |old| old.min(ttl)));
        self.least_ttl = least(self.least_ttl);
        if section == 0 {
            self.answer_ttl = least(self.answer_ttl);
            self.has_answer |=
                class == self.qclass && (rtype == self.qtype || self.qtype == num::ANY);
        } else if let Some(minimum) = minimum.filter(|_| section == 1) {
            self.negative_ttl = Some(minimum.min(ttl));
        }
        self.ttls.push(u16::try_from(ttl_at).ok()?);
        *self.counts.get_mut(section)? += 1;
        self.end = data_end;
        Some(())
    }

    /// Whether the message answers the question of `query`, name compared without case.
    #[must_use]
    pub fn answers(&self, name: &Name, qtype: u16, qclass: u16) -> bool {
        self.name == *name && self.qtype == qtype && self.qclass == qclass
    }

    /// Writes the message for the client that asked `query`: its identifier, its spelling of
    /// the name and its EDNS, TTLs reduced by `age` seconds, `clear` taken out of the flags.
    /// A message longer than `limit` becomes an empty one with TC.
    pub fn write_for(
        &self,
        out: &mut Vec<u8>,
        message: &[u8],
        query: &Query<'_>,
        (age, clear): (u32, u16),
        limit: usize,
    ) {
        out.clear();
        let opt = if query.edns.is_some() { OPT_LEN } else { 0 };
        let fits = self.end.saturating_add(opt) <= limit;
        let end = if fits { self.end } else { self.question_end };
        out.extend_from_slice(message.get(..end).unwrap_or_default());
        put_u16(out, 0, query.id);
        let client = flag::RD | flag::CD;
        let mut flags = self.flags & !(clear | client | flag::RCODE);
        flags |= flag::RA | query.flags & client | self.rcode & flag::RCODE;
        let mut counts = self.counts;
        if !fits {
            flags |= flag::TC;
            counts = [0; 3];
        }
        if let Some(place) = out.get_mut(HEADER..self.question_end)
            && place.len() == query.question.len()
        {
            place.copy_from_slice(query.question);
        }
        if age > 0 && fits {
            self.age(out, age);
        }
        let [answer, authority, mut additional] = counts;
        if let Some(edns) = query.edns {
            push_opt(out, self.rcode, edns.dnssec_ok);
            additional = additional.saturating_add(1);
        }
        for (at, value) in [(2, flags), (6, answer), (8, authority), (10, additional)] {
            put_u16(out, at, value);
        }
    }

    fn age(&self, out: &mut [u8], age: u32) {
        for at in &self.ttls {
            let at = usize::from(*at);
            if let Some(place) = out.get_mut(at..at + 4)
                && let Ok(bytes) = <[u8; 4]>::try_from(&*place)
            {
                let left = u32::from_be_bytes(bytes).saturating_sub(age);
                place.copy_from_slice(&left.to_be_bytes());
            }
        }
    }
}

/// Steps over a record's data and checks the names in it (all types whose names may be
/// compressed, RFC 3597 §4). Yields the MINIMUM field of an SOA.
fn rdata(parser: &mut Parser<'_, [u8]>, rtype: u16, end: usize) -> Option<Option<u32>> {
    let fixed = |parser: &mut Parser<'_, [u8]>, n| parser.advance(n).ok();
    let mut minimum = None;
    match rtype {
        num::NS | num::CNAME | num::PTR | num::DNAME | 3 | 4 | 7 | 8 | 9 => {
            name::parse(parser)?;
        }
        // AFSDB, RT and MX begin with a preference.
        num::MX | 18 | 21 => {
            fixed(parser, 2)?;
            name::parse(parser)?;
        }
        num::SRV => {
            fixed(parser, 6)?;
            name::parse(parser)?;
        }
        // MINFO and RP are two names.
        14 | 17 => {
            name::parse(parser)?;
            name::parse(parser)?;
        }
        num::SOA => {
            name::parse(parser)?;
            name::parse(parser)?;
            fixed(parser, 16)?;
            minimum = Some(parser.parse_u32_be().ok()?);
        }
        _ => fixed(parser, end.checked_sub(parser.pos())?)?,
    }
    (parser.pos() == end).then_some(minimum)
}
