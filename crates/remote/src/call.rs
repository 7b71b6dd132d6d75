//! Packets to the generated enums and back.
//!
//! The variant of a request or an answer is known from the procedure's number; on the wire it does not
//! appear. A request is read with its index given. In an answer the status word is the discriminant of its
//! `Result`: it is written from the serial word on, where its index lands, and the serial is put back.

use oxivirt_rpc::frame::{self, Header, Kind, STATUS_OK};
use oxivirt_rpc::xdr::{self, XdrError};
use serde::{Deserialize, Serialize};

use crate::protocol::{
    Family, Found, absent, connect, domain, domain_agent, domain_device, domain_stats,
    domain_tuning, extension, host, network, qemu, storage,
};

/// Offset of the serial word in a packet.
const SERIAL: usize = 20;
/// Offset of the status word in a packet.
const STATUS: usize = 24;

/// Reads the arguments of the procedure at place `index` of its list.
///
/// # Errors
/// [`XdrError`] if they are not its arguments. Bytes behind them are ignored.
pub fn read_request<'de, R: Deserialize<'de>>(
    index: u32,
    payload: &'de [u8],
) -> Result<R, XdrError> {
    R::deserialize(xdr::Indexed::new(index, payload))
}

/// Appends an answer: an enum whose variants hold a `Result`.
///
/// # Errors
/// [`XdrError`] if it has no form or is too large; `out` is then as before.
pub fn append_response<R: Serialize>(
    out: &mut Vec<u8>,
    header: Header,
    response: &R,
) -> Result<(), XdrError> {
    let start = out.len();
    let written = frame::append(out, header.reply(STATUS_OK), |out| {
        out.truncate(start + SERIAL);
        xdr::append(out, response)?;
        overwrite(out, start + SERIAL, header.serial);
        Ok(())
    });
    written.map_err(too_large)
}

/// Reads an answer of the procedure at place `index` of its list.
///
/// # Errors
/// [`XdrError`] if it is not its answer.
pub fn read_response<'de, R: Deserialize<'de>>(
    index: u32,
    status: i32,
    payload: &'de [u8],
) -> Result<R, XdrError> {
    R::deserialize(xdr::Indexed::with_status(index, status.cast_unsigned(), payload))
}

/// Appends a call: an enum whose variants hold arguments.
///
/// # Errors
/// [`XdrError`] if it has no form or is too large; `out` is then as before.
pub fn append_request<R: Serialize>(
    out: &mut Vec<u8>,
    header: Header,
    request: &R,
) -> Result<(), XdrError> {
    let start = out.len();
    let written = frame::append(out, header, |out| {
        out.truncate(start + STATUS);
        xdr::append(out, request)?;
        overwrite(out, start + STATUS, header.status.cast_unsigned());
        Ok(())
    });
    written.map_err(too_large)
}

/// Reads a call or an answer by its list and writes it again, for tests of the lists.
///
/// # Errors
/// [`XdrError`] if the payload is not what the list says.
pub fn recode(found: Found, header: Header, payload: &[u8]) -> Result<Vec<u8>, XdrError> {
    macro_rules! by_list {
        ($request:ty, $response:ty) => {{
            let mut out = Vec::new();
            match header.kind {
                Kind::Reply => {
                    let read: $response = read_response(found.index, header.status, payload)?;
                    append_response(&mut out, header, &read)?;
                }
                _ => {
                    let read: $request = read_request(found.index, payload)?;
                    append_request(&mut out, header, &read)?;
                }
            }
            Ok(out)
        }};
    }
    match found.family {
        Family::Connect => by_list!(connect::ConnectCallsRequest, connect::ConnectCallsResponse),
        Family::Host => by_list!(host::HostCallsRequest, host::HostCallsResponse),
        Family::Network => by_list!(network::NetworkCallsRequest, network::NetworkCallsResponse),
        Family::Domain => by_list!(domain::DomainCallsRequest, domain::DomainCallsResponse),
        Family::DomainStats => {
            by_list!(domain_stats::DomainStatsCallsRequest, domain_stats::DomainStatsCallsResponse)
        }
        Family::DomainAgent => {
            by_list!(domain_agent::DomainAgentCallsRequest, domain_agent::DomainAgentCallsResponse)
        }
        Family::DomainTuning => by_list!(
            domain_tuning::DomainTuningCallsRequest,
            domain_tuning::DomainTuningCallsResponse
        ),
        Family::DomainDevice => by_list!(
            domain_device::DomainDeviceCallsRequest,
            domain_device::DomainDeviceCallsResponse
        ),
        Family::Qemu => by_list!(qemu::QemuCallsRequest, qemu::QemuCallsResponse),
        Family::Storage => by_list!(storage::StorageCallsRequest, storage::StorageCallsResponse),
        Family::Absent => by_list!(absent::AbsentCallsRequest, absent::AbsentCallsResponse),
        Family::Extension => {
            by_list!(extension::ExtensionCallsRequest, extension::ExtensionCallsResponse)
        }
    }
}

fn overwrite(out: &mut [u8], at: usize, word: u32) {
    if let Some(bytes) = out.get_mut(at..at + 4) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
}

fn too_large(error: Option<XdrError>) -> XdrError {
    error.unwrap_or(XdrError::TooLong { len: usize::MAX, max: frame::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol;
    use crate::protocol::network::{NetworkCallsRequest, NetworkCallsResponse, find};
    use crate::wire::RemoteError;
    use oxivirt::Error;

    fn header(procedure: i32) -> Header {
        Header {
            program: protocol::PROGRAM,
            version: 1,
            procedure,
            kind: Kind::Call,
            serial: 0x0a0b_0c0d,
            status: STATUS_OK,
        }
    }

    #[test]
    fn calls_and_answers_round_trip() {
        let (index, _) = find(46).unwrap();
        let request = NetworkCallsRequest::NetworkLookupByName { name: "n".into() };
        let mut bytes = Vec::new();
        append_request(&mut bytes, header(46), &request).unwrap();
        let packet = frame::first(&bytes).unwrap().unwrap();
        assert_eq!((packet.header, packet.payload), (header(46), &b"\0\0\0\x01n\0\0\0"[..]));
        let read: NetworkCallsRequest = read_request(index, packet.payload).unwrap();
        assert_eq!(format!("{read:?}"), format!("{request:?}"));

        for result in [Ok("br0".into()), Err(RemoteError::from(Error::internal("x")))] {
            let (index, _) = find(45).unwrap();
            let response = NetworkCallsResponse::NetworkGetBridgeName(result);
            let mut bytes = b"before".to_vec();
            append_response(&mut bytes, header(45), &response).unwrap();
            let packet = frame::first(&bytes[6..]).unwrap().unwrap();
            assert_eq!(packet.header.serial, 0x0a0b_0c0d);
            assert_eq!(packet.header.kind, Kind::Reply);
            let NetworkCallsResponse::NetworkGetBridgeName(expect) = &response else {
                unreachable!()
            };
            assert_eq!(packet.header.status, i32::from(expect.is_err()));
            let read = read_response(index, packet.header.status, packet.payload).unwrap();
            let NetworkCallsResponse::NetworkGetBridgeName(read) = read else { unreachable!() };
            assert_eq!(&read, expect);
        }
    }
}
