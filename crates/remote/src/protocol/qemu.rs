//! Calls that only QEMU's guests have: program `0x20008087`, version 1.
//!
//! libvirt 11.3.0: src/remote/qemu_protocol.x

use oxivirt_rpc::xdr::Text;

use super::{Needs, Procedure, Reply, protocol};
use crate::wire::Domain;

/// Number of this program.
pub const PROGRAM: u32 = 0x2000_8087;

protocol! {
    QemuCalls QemuCallsClient QemuCallsRequest QemuCallsResponse ServeQemuCalls;

    1 domain_monitor_command(dom: Domain, cmd: Text, flags: u32) -> Text:
        "virDomainQemuMonitorCommand" Change Domain [Domain "write"];
    3 domain_agent_command(dom: Domain, cmd: Text, timeout: i32, flags: u32) -> Option<Text>:
        "virDomainQemuAgentCommand" Change Domain [Domain "write"];
}
