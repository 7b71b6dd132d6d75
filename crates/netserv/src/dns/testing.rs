//! Questions and answers as text, for tests. Answers are read with the `domain` crate, which has
//! no code in common with the writer.

use std::fmt::Write as _;
use std::time::Duration;

use domain::base::iana::Rtype;
use domain::base::{Message, ParsedName};
use domain::rdata::AllRecordData;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use crate::wire::dns::{OPT_LEN, wire_name};
use crate::{HostDns, Now, Out, Turn};

/// A question: name, type, and flags out of `+rd +do +cd +ad +edns=SIZE`.
pub(crate) fn question(name: &str, rtype: &str, options: &str) -> Vec<u8> {
    let rtype: u16 = match rtype.strip_prefix("TYPE") {
        Some(number) => number.parse().unwrap(),
        None => rtype.parse::<Rtype>().unwrap().to_int(),
    };
    let (mut flags, mut edns, mut dnssec) = (0_u16, None, 0);
    for option in options.split_whitespace() {
        match option {
            "+rd" => flags |= 0x100,
            "+cd" => flags |= 0x10,
            "+ad" => flags |= 0x20,
            "+do" => (edns, dnssec) = (edns.or(Some(1232)), 0x80),
            _ => edns = Some(option.strip_prefix("+edns=").unwrap().parse::<u16>().unwrap()),
        }
    }
    let mut bytes = vec![0x12, 0x34];
    bytes.extend(flags.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())]);
    bytes.extend(wire_name(name).unwrap());
    bytes.extend(rtype.to_be_bytes());
    bytes.extend([0, 1]);
    if let Some(size) = edns {
        bytes.extend([0, 0, 41]);
        bytes.extend(size.to_be_bytes());
        bytes.extend([0, 0, dnssec, 0, 0, 0]);
    }
    bytes
}

/// An answer as text: response code, flags, then each record, `;` before a new section.
pub(crate) fn text(bytes: &[u8]) -> String {
    let message = Message::from_slice(bytes).unwrap();
    let header = message.header();
    let mut text = header.rcode().to_string();
    assert!(header.qr());
    for (is_set, flag) in
        [(header.aa(), " aa"), (header.tc(), " tc"), (header.rd(), " rd"), (header.ra(), " ra")]
    {
        text.push_str(if is_set { flag } else { "" });
    }
    if header.ad() {
        text.push_str(" ad");
    }
    let (_, answer, authority, additional) = message.sections().unwrap();
    for section in [answer, authority, additional] {
        text.push(';');
        let mut is_first = true;
        for record in section {
            let record = record.unwrap();
            if record.rtype() == Rtype::OPT {
                text.push_str(" OPT");
                assert!(bytes.len() >= OPT_LEN);
                continue;
            }
            let record = record.into_any_record::<AllRecordData<_, ParsedName<_>>>().unwrap();
            text.push_str(if is_first { " " } else { ", " });
            is_first = false;
            let data = record.data();
            let (owner, ttl) = (record.owner().to_string(), record.ttl().as_secs());
            let owner = if owner.is_empty() { "." } else { &owner };
            write!(text, "{owner} {ttl} {} {data}", record.rtype()).unwrap();
        }
    }
    text
}

/// A time so many milliseconds after the first one.
pub(crate) fn at(millis: u64) -> Now {
    Now::new(Duration::from_millis(1_000_000 + millis), 1_700_000_000 + millis / 1000)
}

/// Runs `step` and yields what is to be done.
pub(crate) fn turn(now: Now, host: &mut HostDns, step: impl FnOnce(&mut Turn<'_>)) -> Out {
    let mut out = Out::default();
    let mut rng = SmallRng::seed_from_u64(now.boot.as_secs());
    step(&mut Turn { now, host, rng: &mut rng, out: &mut out });
    out
}
