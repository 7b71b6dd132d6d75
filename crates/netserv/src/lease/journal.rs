//! The journal of a network's leases: records with lengths and checksums, in memory.
//!
//! A record is a length (of version, kind and body) and a CRC-32C of the same bytes, both little-endian 32-bit
//! words; then a byte of version, a byte of kind and the body in postcard. What follows the first record that is
//! cut or damaged was not acknowledged and is dropped. A checkpoint makes everything before it void.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crc::{CRC_32_ISCSI, Crc};
use oxivirt_netserv_api::message::LeaseInfo;
use serde::{Deserialize, Serialize};

use super::{Record, apply};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
const VERSION: u8 = 1;
/// Longest body; a longer one is damage.
const MAX: u32 = 4096;

/// Numbers of kinds; they are on disk.
mod kind {
    pub(super) const GRANT: u8 = 1;
    pub(super) const RENEW: u8 = 2;
    pub(super) const RELEASE: u8 = 3;
    pub(super) const DECLINE: u8 = 4;
    pub(super) const DUID: u8 = 5;
    pub(super) const CHECKPOINT: u8 = 6;
}

/// What a journal says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The leases, by address.
    pub leases: BTreeMap<IpAddr, LeaseInfo>,
    /// Barred addresses, and the Unix time until which they are not offered.
    pub barred: BTreeMap<IpAddr, u64>,
    /// The server's DUID.
    pub duid: Option<Vec<u8>>,
    /// When ended leases would have ended, since the last checkpoint.
    ended: BTreeMap<IpAddr, Option<u64>>,
}

/// A journal that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// What it says.
    pub state: State,
    /// How many of its bytes are whole records; what follows is to be cut off.
    pub n_valid: usize,
    /// Whether a record has a version of the future: the lease file is to be believed instead.
    pub is_foreign: bool,
}

/// The bytes of a record.
#[must_use]
pub fn encode(record: &Record) -> Vec<u8> {
    match record {
        Record::Grant(lease) => frame(kind::GRANT, lease),
        Record::Renew(address, expiry) => frame(kind::RENEW, &(address, expiry)),
        Record::Release(address) => frame(kind::RELEASE, address),
        Record::Decline(address, until) => frame(kind::DECLINE, &(address, until)),
        Record::Duid(duid) => frame(kind::DUID, duid),
    }
}

/// A journal that says as much as a state.
#[must_use]
pub fn checkpoint(state: &State) -> Vec<u8> {
    let mut bytes = frame(kind::CHECKPOINT, &());
    let leases = state.leases.values().cloned().map(Record::Grant);
    let barred = state.barred.iter().map(|(address, until)| Record::Decline(*address, *until));
    let duid = state.duid.clone().map(Record::Duid);
    for record in leases.chain(barred).chain(duid) {
        bytes.extend(encode(&record));
    }
    bytes
}

fn frame<T: Serialize>(kind: u8, body: &T) -> Vec<u8> {
    let mut content = vec![VERSION, kind];
    // Only types that postcard cannot express fail, and none of ours is one.
    content.extend(postcard::to_allocvec(body).unwrap_or_default());
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(CRC.checksum(&content).to_le_bytes());
    bytes.extend(content);
    bytes
}

/// Reads a journal up to the first record that is cut or damaged.
#[must_use]
pub fn read(bytes: &[u8]) -> Read {
    let mut read = Read::default();
    let mut rest = bytes;
    while let Some((content, behind)) = next(rest) {
        match content {
            [VERSION, kind, body @ ..] => {
                if read.state.take(*kind, body).is_none() {
                    break;
                }
            }
            _ => {
                read.is_foreign = true;
                break;
            }
        }
        rest = behind;
    }
    read.n_valid = bytes.len().saturating_sub(rest.len());
    read
}

/// The content of the first record, and what follows it.
fn next(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    if length > MAX {
        return None;
    }
    let (content, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    (CRC.checksum(content) == u32::from_le_bytes(*sum)).then_some((content, rest))
}

fn body<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

impl State {
    /// A state of leases and barred addresses, each of these with the Unix time of its end.
    #[must_use]
    pub fn new(
        leases: impl IntoIterator<Item = LeaseInfo>,
        barred: impl IntoIterator<Item = (IpAddr, u64)>,
    ) -> Self {
        let leases = leases.into_iter().map(|lease| (lease.address, lease)).collect();
        Self { leases, barred: barred.into_iter().collect(), ..Self::default() }
    }

    /// Does what a record says; a kind that is not known says nothing.
    fn take(&mut self, kind: u8, bytes: &[u8]) -> Option<()> {
        let record = match kind {
            kind::GRANT => Record::Grant(body(bytes)?),
            kind::RENEW => {
                let (address, expiry) = body(bytes)?;
                Record::Renew(address, expiry)
            }
            kind::RELEASE => Record::Release(body(bytes)?),
            kind::DECLINE => {
                let (address, until) = body(bytes)?;
                Record::Decline(address, until)
            }
            kind::DUID => Record::Duid(body(bytes)?),
            kind::CHECKPOINT => {
                *self = Self::default();
                return Some(());
            }
            _ => return Some(()),
        };
        self.apply(record);
        Some(())
    }

    /// Does what a record says.
    pub fn apply(&mut self, record: Record) {
        match &record {
            Record::Grant(info) => {
                self.ended.remove(&info.address);
                self.barred.remove(&info.address);
            }
            Record::Release(address) => {
                if let Some(lease) = self.leases.get(address) {
                    self.ended.insert(*address, lease.expiry);
                }
            }
            Record::Decline(address, until) => {
                self.barred.insert(*address, *until);
            }
            Record::Duid(duid) => self.duid = Some(duid.clone()),
            Record::Renew(..) => {}
        }
        apply(&mut self.leases, record);
    }

    /// Takes what a lease file knows and the journal does not: another server may have written it meanwhile. For
    /// each address the later end counts.
    pub fn merge(&mut self, file: impl IntoIterator<Item = LeaseInfo>, duid: Option<Vec<u8>>) {
        let end = |expiry: Option<u64>| expiry.unwrap_or(u64::MAX);
        for lease in file {
            let known = self.leases.get(&lease.address).map(|lease| lease.expiry);
            let known = known.or_else(|| self.ended.get(&lease.address).copied());
            if known.is_none_or(|known| end(lease.expiry) > end(known)) {
                self.apply(Record::Grant(lease));
            }
        }
        self.duid = self.duid.take().or(duid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(last: u8, expiry: u64) -> LeaseInfo {
        LeaseInfo {
            address: [10, 0, 0, last].into(),
            mac: Some([2, 0, 0, 0, 0, last]),
            client_id: None,
            iaid: None,
            hostname: Some("h".to_owned()),
            resolves: true,
            expiry: Some(expiry),
        }
    }

    fn records() -> Vec<Record> {
        vec![
            Record::Grant(lease(1, 10)),
            Record::Grant(lease(2, 10)),
            Record::Renew(lease(1, 0).address, Some(20)),
            Record::Release(lease(2, 0).address),
            Record::Decline([10, 0, 0, 9].into(), 600),
            Record::Duid(vec![0, 1, 2]),
        ]
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes: Vec<u8> = records().iter().flat_map(encode).collect();
        let read = read(&bytes);
        assert_eq!(read.n_valid, bytes.len());
        assert_eq!(read.state.leases.into_values().collect::<Vec<_>>(), [lease(1, 20)]);
        assert_eq!(
            read.state.barred.into_iter().collect::<Vec<_>>(),
            [([10, 0, 0, 9].into(), 600)]
        );
        assert_eq!(read.state.duid, Some(vec![0, 1, 2]));
    }

    #[test]
    fn a_torn_tail_is_cut_wherever_it_is() {
        let parts: Vec<Vec<u8>> = records().iter().map(encode).collect();
        let bytes = parts.concat();
        let ends: Vec<usize> = parts
            .iter()
            .scan(0, |end, part| {
                *end += part.len();
                Some(*end)
            })
            .collect();
        for cut in 0..bytes.len() {
            let whole = ends.iter().copied().filter(|end| *end <= cut).max().unwrap_or(0);
            assert_eq!(read(&bytes[..cut]).n_valid, whole, "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            let whole = ends.iter().copied().filter(|end| *end <= at).max().unwrap_or(0);
            assert_eq!(read(&bad).n_valid, whole, "damaged at {at}");
        }
    }

    #[test]
    fn a_checkpoint_replaces_what_was_before() {
        let bytes: Vec<u8> = records().iter().flat_map(encode).collect();
        let first = read(&bytes).state;
        let again = read(&[bytes, checkpoint(&first)].concat()).state;
        assert_eq!(
            (again.leases, again.barred, again.duid),
            (first.leases, first.barred, first.duid)
        );
    }

    #[test]
    fn other_kinds_are_skipped_and_other_versions_end() {
        let next = encode(&Record::Grant(lease(1, 10)));
        let unknown = frame(99, &7_u8);
        let both = read(&[unknown, next].concat());
        assert_eq!(both.state.leases.len(), 1);
        let content = [2, 1, 0];
        let sum = CRC.checksum(&content).to_le_bytes();
        let future = [&[3, 0, 0, 0][..], &sum, &content].concat();
        assert!(read(&future).is_foreign);
    }

    #[test]
    fn the_later_end_counts() {
        let mut state = State::default();
        records().into_iter().for_each(|record| state.apply(record));
        // 1 is leased until 20, 2 was released while it had until 10
        state.merge([lease(1, 15), lease(2, 10), lease(3, 5)], Some(vec![9]));
        let ends: Vec<_> =
            state.leases.values().map(|lease| (lease.address, lease.expiry)).collect();
        assert_eq!(ends, [(lease(1, 0).address, Some(20)), (lease(3, 0).address, Some(5))]);
        state.merge([lease(1, 30), lease(2, 11)], None);
        assert_eq!(state.leases.len(), 3);
        assert_eq!(state.duid, Some(vec![0, 1, 2]));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            assert!(read(&bytes).n_valid <= bytes.len());
        }
    }
}
