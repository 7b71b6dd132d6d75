//! Every recorded payload, read and written again.

use oxivirt_remote::call;
use oxivirt_remote::protocol::{self, EVENT_LIFECYCLE, EVENT_METADATA_CHANGE};
use oxivirt_remote::wire::{LifecycleMessage, MetadataMessage};
use oxivirt_rpc::frame::{self, Kind, Packet};
use oxivirt_rpc::xdr;
use serde_json::Value;

use super::super::{Outcome, Verdict};
use super::{Scenario, unhex};

/// Marks of packets that say the same in another form than ours.
const ODD: [&str; 4] = ["trailing", "nonzero_padding", "optional_word", "undecodable"];

/// Checks the payloads of one conversation.
pub(super) fn check(scenario: &Scenario) -> Outcome {
    let mut differences = Vec::new();
    for line in scenario.lines.iter().filter(|line| line["hex"].is_string()) {
        if ODD.iter().any(|mark| !line[mark].is_null()) || line["payload_type"].is_null() {
            continue;
        }
        // a text ends where a C string does, so what stands behind does not come back
        if line["payload"].to_string().contains("\\u0000") {
            continue;
        }
        let bytes = unhex(line["hex"].as_str().unwrap_or_default());
        let Ok(Some(packet)) = frame::first(&bytes) else { continue };
        if let Some(difference) = again(packet, &bytes) {
            differences.push(format!("packet {}: {difference}", number(line)));
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

fn number(line: &Value) -> u64 {
    line["n"].as_u64().unwrap_or_default()
}

/// What is different once a packet has been read and written; nothing for procedures that are not ours.
fn again(packet: Packet<'_>, bytes: &[u8]) -> Option<String> {
    let header = packet.header;
    let written = match header.kind {
        Kind::Call | Kind::Reply => {
            let found = protocol::find(header.program, header.procedure)?;
            call::recode(found, header, packet.payload)
        }
        Kind::Message if header.program != protocol::PROGRAM => return None,
        Kind::Message => match header.procedure {
            EVENT_LIFECYCLE => xdr::from_bytes_exact::<LifecycleMessage>(packet.payload)
                .and_then(|message| append(header, &message)),
            EVENT_METADATA_CHANGE => xdr::from_bytes_exact::<MetadataMessage>(packet.payload)
                .and_then(|message| append(header, &message)),
            _ => return None,
        },
        _ => return None,
    };
    match written {
        Err(error) => Some(error.to_string()),
        Ok(out) if out == bytes => None,
        Ok(out) => Some(format!("{} bytes instead of {}", out.len(), bytes.len())),
    }
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
