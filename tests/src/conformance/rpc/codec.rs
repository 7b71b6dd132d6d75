//! Every recorded payload, read and written again.

use std::collections::BTreeMap;
use std::fmt;

use oxivirt::DomainEvent;
use oxivirt_remote::call;
use oxivirt_remote::protocol::{self, EVENT_LIFECYCLE, EVENT_METADATA_CHANGE};
use oxivirt_remote::wire::{
    DomainEventNumber, LifecycleMessage, MetadataMessage, append_domain_event, read_domain_event,
};
use oxivirt_rpc::frame::{self, Kind, Packet};
use oxivirt_rpc::xdr;
use serde_json::Value;

use super::super::{Outcome, Verdict};
use super::{Scenario, unhex};

/// Marks of packets that say the same in another form than ours.
const ODD: [&str; 4] = ["trailing", "nonzero_padding", "optional_word", "undecodable"];

/// How many payloads there were.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Read and written again.
    checked: usize,
    /// Of procedures that the lists do not have, by number.
    unlisted: BTreeMap<i32, usize>,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n: usize = self.unlisted.values().sum();
        let numbers: Vec<String> = self.unlisted.keys().map(ToString::to_string).collect();
        let (checked, numbers) = (self.checked, numbers.join(" "));
        write!(f, "{checked} payloads checked, {n} of procedures that are not served: {numbers}")
    }
}

/// Checks the payloads of one conversation.
pub(super) fn check(scenario: &Scenario, counts: &mut Counts) -> Outcome {
    let mut differences = Vec::new();
    for line in scenario.lines.iter().filter(|line| line["hex"].is_string()) {
        if ODD.iter().any(|mark| !line[mark].is_null()) || is_bare(line) {
            continue;
        }
        // a text ends where a C string does, so what stands behind does not come back
        if line["payload"].to_string().contains("\\u0000") {
            continue;
        }
        let bytes = unhex(line["hex"].as_str().unwrap_or_default());
        let Ok(Some(packet)) = frame::first(&bytes) else { continue };
        match again(packet, &bytes) {
            Again::Same => counts.checked += 1,
            Again::Unlisted => {
                *counts.unlisted.entry(packet.header.procedure).or_default() += 1;
            }
            Again::Different(difference) => {
                differences.push(format!("packet {}: {difference}", number(line)));
            }
        }
    }
    let verdict = match differences.first() {
        None => Verdict::Passed,
        Some(first) => Verdict::Failed {
            difference: format!("{} payloads differ, first: {first}", differences.len()),
        },
    };
    Outcome { name: format!("{} payloads", scenario.id), verdict }
}

/// Whether a packet has no payload of a type: events of the older recordings have no name of theirs.
fn is_bare(line: &Value) -> bool {
    line["payload_type"].is_null() && line["type"] != "message"
}

fn number(line: &Value) -> u64 {
    line["n"].as_u64().unwrap_or_default()
}

/// What came of reading and writing a packet.
enum Again {
    Same,
    /// No list has the procedure.
    Unlisted,
    Different(String),
}

fn again(packet: Packet<'_>, bytes: &[u8]) -> Again {
    let header = packet.header;
    let written = match header.kind {
        Kind::Call | Kind::Reply => match protocol::find(header.program, header.procedure) {
            Some(found) => call::recode(found, header, packet.payload),
            None => return Again::Unlisted,
        },
        Kind::Message if header.program != protocol::PROGRAM => return Again::Same,
        Kind::Message => match header.procedure {
            EVENT_LIFECYCLE => xdr::from_bytes_exact::<LifecycleMessage>(packet.payload)
                .and_then(|message| append(header, &message)),
            EVENT_METADATA_CHANGE => xdr::from_bytes_exact::<MetadataMessage>(packet.payload)
                .and_then(|message| append(header, &message)),
            number => match read_domain_event(number, packet.payload) {
                Some((to, event)) => domain_event(header, to, &event),
                None => return Again::Unlisted,
            },
        },
        _ => return Again::Same,
    };
    match written {
        Err(error) => Again::Different(error.to_string()),
        Ok(out) if out == bytes => Again::Same,
        Ok(out) => Again::Different(format!("{} bytes instead of {}", out.len(), bytes.len())),
    }
}

fn domain_event(
    header: frame::Header,
    to: DomainEventNumber,
    event: &DomainEvent,
) -> Result<Vec<u8>, xdr::XdrError> {
    let mut content = Vec::new();
    let number = append_domain_event(&mut content, to, event)?.unwrap_or_default();
    let header = frame::Header { procedure: number, ..header };
    let mut out = Vec::new();
    frame::append::<()>(&mut out, header, |out| {
        out.extend_from_slice(&content);
        Ok(())
    })
    .map_err(|_| xdr::XdrError::Short)?;
    Ok(out)
}

fn append<T: serde::Serialize>(
    header: frame::Header,
    message: &T,
) -> Result<Vec<u8>, xdr::XdrError> {
    let mut out = Vec::new();
    frame::append(&mut out, header, |out| xdr::append(out, message))
        .map_err(|error| error.unwrap_or(xdr::XdrError::Short))?;
    Ok(out)
}
