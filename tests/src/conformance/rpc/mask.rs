//! What differs from run to run without being different.
//!
//! Reads just enough of a packet to know its parts, by means of its own: what is compared must not be
//! read by what is tested.

use std::collections::BTreeMap;

const REMOTE: u32 = 0x2000_8086;
const KEEPALIVE: u32 = 0x6b65_6570;
const REPLY: u32 = 1;
const MESSAGE: u32 = 2;

/// Words of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) program: u32,
    pub(super) procedure: u32,
    pub(super) kind: u32,
    pub(super) serial: u32,
    pub(super) status: u32,
}

impl Words {
    pub(super) fn of(packet: &[u8]) -> Self {
        Self {
            program: word(packet, 4),
            procedure: word(packet, 12),
            kind: word(packet, 16),
            serial: word(packet, 20),
            status: word(packet, 24),
        }
    }

    pub(super) fn is_reply(&self) -> bool {
        self.kind == REPLY
    }

    pub(super) fn is_ping(&self) -> bool {
        self.program == KEEPALIVE && self.kind == MESSAGE && self.procedure == 1
    }

    fn is_event(&self) -> bool {
        self.program == REMOTE && self.kind == MESSAGE && [315, 446].contains(&self.procedure)
    }

    fn is_ok(&self, procedures: &[u32]) -> bool {
        self.program == REMOTE
            && self.is_reply()
            && self.status == 0
            && procedures.contains(&self.procedure)
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map_or(0, u32::from_be_bytes)
}

fn put(bytes: &mut [u8], at: usize, word: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

/// Numbers of registrations: as recorded, and as they are now.
#[derive(Debug, Default)]
pub(super) struct Numbers(BTreeMap<u32, u32>);

impl Numbers {
    /// A recorded call as it has to be sent now.
    pub(super) fn sent(&self, recorded: &[u8]) -> Vec<u8> {
        let mut packet = recorded.to_vec();
        let words = Words::of(recorded);
        if words.program == REMOTE
            && words.procedure == 314
            && let Some(now) = self.0.get(&word(recorded, 28))
        {
            put(&mut packet, 28, *now);
        }
        packet
    }

    /// Compares what was recorded with what came.
    pub(super) fn compare(&mut self, recorded: &[u8], found: &[u8]) -> Result<(), String> {
        let words = Words::of(recorded);
        let (mut expect, mut found) = (recorded.to_vec(), found.to_vec());
        if words.is_ok(&[313]) {
            self.0.insert(word(recorded, 28), word(&found, 28));
            put(&mut found, 28, word(recorded, 28));
        } else if words.is_event() {
            match self.0.get(&word(recorded, 28)) {
                Some(now) if *now == word(&found, 28) => put(&mut found, 28, word(recorded, 28)),
                _ => return Err("an event of another registration".to_owned()),
            }
        } else if words.is_ok(&[283, 36, 38, 404]) {
            let parts =
                if words.procedure == 404 { 2 } else { usize::from(words.procedure == 283) };
            (expect, found) = (sorted(&expect, parts), sorted(&found, parts));
        } else if words.is_reply() && words.status == 1 && word(recorded, 28) == 35 {
            // the words are those of the XML library
            (expect, found) = (numbers_of(&expect), numbers_of(&found));
        }
        if expect == found { Ok(()) } else { Err(difference(&expect, &found)) }
    }
}

/// A list in order: elements are a text and `uuids` times sixteen bytes.
fn sorted(packet: &[u8], uuids: usize) -> Vec<u8> {
    let count = word(packet, 28);
    let mut at = 32;
    let mut elements = Vec::new();
    for _ in 0..count {
        let len = 4 + (word(packet, at) as usize).next_multiple_of(4) + 16 * uuids;
        elements.push(packet.get(at..at + len).unwrap_or_default());
        at += len;
    }
    elements.sort_unstable();
    let rest = packet.get(at..).unwrap_or_default();
    [packet.get(..32).unwrap_or_default(), &elements.concat(), rest].concat()
}

/// Code and domain of an error.
fn numbers_of(packet: &[u8]) -> Vec<u8> {
    packet.get(4..36).unwrap_or_default().to_vec()
}

fn difference(expect: &[u8], found: &[u8]) -> String {
    let at = expect.iter().zip(found).take_while(|(a, b)| a == b).count();
    let shown = |bytes: &[u8]| {
        let part = bytes.get(at.saturating_sub(40).max(28)..).unwrap_or_default();
        let part = part.get(..160).unwrap_or(part);
        String::from_utf8_lossy(part).replace(|letter: char| letter.is_control(), ".")
    };
    format!("byte {at}:\n  recorded {}\n  found    {}", shown(expect), shown(found))
}
