//! Calls that libvirt does not have: program `0x6F786976` ("oxiv"), version 1.
//!
//! Framing, XDR and status words are those of libvirt's programs. A daemon without the program
//! answers "Cannot find program", one without a call does not list it in [`PROBE`]; the client reports both
//! as [`ErrorCode::NO_SUPPORT`](oxivirt::ErrorCode::NO_SUPPORT). A report is one string of at most
//! 4 MiB with JSON of [`oxivirt::report`]: the wire stays the same when a report gains a key.
//!
//! Numbers 1, 2 and 4 to 14 are reserved for calls that are planned: apply, confirm, diff, forwards,
//! policy, doctor, trace, addresses, events.

use oxivirt_rpc::xdr::{List, Text};

use super::{Needs, Procedure, Reply, protocol};
use crate::wire::{Domain, Network};

/// Number of this program.
pub const PROGRAM: u32 = 0x6f78_6976;
/// Number of the call that lists the numbers of all calls.
pub const PROBE: i32 = 0;
/// Most numbers that a probe answers.
pub const PROBE_MAX: usize = 1024;

protocol! {
    ExtensionCalls ExtensionCallsClient ExtensionCallsRequest ExtensionCallsResponse ServeExtensionCalls;

    0 probe() -> List<i32, PROBE_MAX>:
        "oxivirtProbe" Identity [];
    3 network_plan(net: Network, verb: u32, xml: Option<Text>, flags: u32) -> Text:
        "oxivirtNetworkPlan" Open Network [Network "read"];
    15 network_health(net: Network, flags: u32) -> Text:
        "oxivirtNetworkHealth" Open Network [Network "read"];
    16 domain_plan(dom: Domain, verb: u32, xml: Option<Text>, flags: u32) -> Text:
        "oxivirtDomainPlan" Open Domain [Domain "read"];
}
