//! Answers that this server writes itself.

use super::{HEADER, OPT_LEN, Query, UDP_SIZE, flag, num, put_u16};

/// A section that records go into, in the order of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The answer.
    Answer,
    /// The authority: the SOA of a negative answer.
    Authority,
    /// Additional data.
    Additional,
}

/// Owner of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// The name of the question, as the client spelled it.
    Question,
    /// A name in wire form.
    Name(&'a [u8]),
}

/// An answer under construction, written into the caller's buffer.
///
/// Records must come section by section. One that does not fit empties the answer and sets TC:
/// a part of a record set would be worse than none. Additional data are left out instead
/// (RFC 2181 §9).
#[derive(Debug)]
pub struct Reply<'b> {
    out: &'b mut Vec<u8>,
    limit: usize,
    question_end: usize,
    counts: [u16; 3],
    flags: u16,
    edns: Option<bool>,
    full: bool,
}

impl<'b> Reply<'b> {
    /// Begins the answer to `query`, at most `limit` bytes long. `flags` are set besides QR
    /// and RA; RD and CD are the client's.
    pub fn start(out: &'b mut Vec<u8>, query: &Query<'_>, limit: usize, flags: u16) -> Self {
        out.clear();
        out.extend_from_slice(&query.id.to_be_bytes());
        out.extend_from_slice(&[0; HEADER - 2]);
        out.extend_from_slice(query.question);
        put_u16(out, 4, 1);
        let question_end = out.len();
        let edns = query.edns.map(|edns| edns.dnssec_ok);
        Self {
            limit: limit.saturating_sub(if edns.is_some() { OPT_LEN } else { 0 }),
            out,
            question_end,
            counts: [0; 3],
            flags: flag::QR | flag::RA | flags | query.flags & (flag::RD | flag::CD),
            edns,
            full: false,
        }
    }

    /// Adds a record; `data` writes what follows its length.
    pub fn record(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rtype: u16,
        ttl: u32,
        data: impl FnOnce(&mut Vec<u8>),
    ) {
        if self.full {
            return;
        }
        let record_at = self.out.len();
        match owner {
            // The question's name always begins right after the header.
            Owner::Question => self.out.extend_from_slice(&[0xc0, 0x0c]),
            Owner::Name(name) => self.out.extend_from_slice(name),
        }
        self.out.extend_from_slice(&rtype.to_be_bytes());
        self.out.extend_from_slice(&num::IN.to_be_bytes());
        self.out.extend_from_slice(&ttl.to_be_bytes());
        let length_at = self.out.len();
        self.out.extend_from_slice(&[0; 2]);
        data(self.out);
        let length = self.out.len().saturating_sub(length_at + 2);
        let Some(length) = u16::try_from(length).ok().filter(|_| self.out.len() <= self.limit)
        else {
            if section == Section::Additional {
                self.out.truncate(record_at);
            } else {
                self.truncate();
            }
            return;
        };
        put_u16(self.out, length_at, length);
        let [answer, authority, additional] = &mut self.counts;
        *match section {
            Section::Answer => answer,
            Section::Authority => authority,
            Section::Additional => additional,
        } += 1;
    }

    fn truncate(&mut self) {
        self.out.truncate(self.question_end);
        self.counts = [0; 3];
        self.flags |= flag::TC;
        self.full = true;
    }

    /// Number of records in the answer section.
    #[must_use]
    pub fn n_answers(&self) -> u16 {
        let [answers, ..] = self.counts;
        answers
    }

    /// Whether a record did not fit.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.full
    }

    /// Completes the message with its response code, which may be an extended one if the
    /// client speaks EDNS.
    pub fn finish(mut self, rcode: u16) {
        let [answer, authority, mut additional] = self.counts;
        if let Some(dnssec_ok) = self.edns {
            push_opt(self.out, rcode, dnssec_ok);
            additional += 1;
        }
        self.flags |= rcode & flag::RCODE;
        for (at, value) in [(2, self.flags), (6, answer), (8, authority), (10, additional)] {
            put_u16(self.out, at, value);
        }
    }
}

/// Appends our OPT record: payload size, upper bits of the response code, version 0, DO.
pub(crate) fn push_opt(out: &mut Vec<u8>, rcode: u16, dnssec_ok: bool) {
    let [_, extended] = (rcode >> 4).to_be_bytes();
    out.push(0);
    out.extend_from_slice(&num::OPT.to_be_bytes());
    out.extend_from_slice(&UDP_SIZE.to_be_bytes());
    out.extend_from_slice(&[extended, 0, if dnssec_ok { 0x80 } else { 0 }, 0]);
    out.extend_from_slice(&[0; 2]);
}

/// Writes the answer to a packet whose question cannot be repeated: only a header, with the
/// identifier and operation of the packet.
pub fn error_reply(out: &mut Vec<u8>, packet: &[u8], rcode: u16) {
    out.clear();
    out.extend_from_slice(&[0; HEADER]);
    let flags = super::u16_at(packet, 2).unwrap_or(0);
    put_u16(out, 0, super::u16_at(packet, 0).unwrap_or(0));
    let kept = flags & (flag::OPCODE | flag::RD);
    put_u16(out, 2, flag::QR | flag::RA | kept | rcode & flag::RCODE);
}
