//! Calls that a guest's agent answers.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x

use oxivirt_rpc::xdr::{List, Text};

use super::{Needs, Procedure, Reply, protocol};
use crate::wire::{Domain, FILE_SYSTEMS_MAX, FileSystems, GUEST_INFO_MAX, GuestTime, TypedParam};

protocol! {
    DomainAgentCalls DomainAgentCallsClient DomainAgentCallsRequest DomainAgentCallsResponse ServeDomainAgentCalls;

    277 domain_get_hostname(dom: Domain, flags: u32) -> Text:
        "virDomainGetHostname" Change Domain [Domain "write"];
    294 domain_fstrim(dom: Domain, mount_point: Option<Text>, minimum: u64, flags: u32) -> ():
        "virDomainFSTrim" Change Domain [Domain "fs-trim"];
    335 domain_fsfreeze(dom: Domain, mountpoints: List<Text, FILE_SYSTEMS_MAX>, flags: u32) -> i32:
        "virDomainFSFreeze" Change Domain [Domain "fs-freeze"];
    336 domain_fsthaw(dom: Domain, mountpoints: List<Text, FILE_SYSTEMS_MAX>, flags: u32) -> i32:
        "virDomainFSThaw" Change Domain [Domain "fs-freeze"];
    337 domain_get_time(dom: Domain, flags: u32) -> GuestTime:
        "virDomainGetTime" Change Domain [Domain "write"];
    338 domain_set_time(dom: Domain, seconds: i64, nseconds: u32, flags: u32) -> ():
        "virDomainSetTime" Change Domain [Domain "set-time"];
    349 domain_get_fsinfo(dom: Domain, flags: u32) -> FileSystems:
        "virDomainGetFSInfo" Change Domain [Domain "fs-freeze"];
    357 domain_set_user_password(dom: Domain, user: Option<Text>, password: Option<Text>, flags: u32) -> ():
        "virDomainSetUserPassword" Change Domain [Domain "set-password"];
    418 domain_get_guest_info(dom: Domain, types: u32, flags: u32) -> List<TypedParam, GUEST_INFO_MAX>:
        "virDomainGetGuestInfo" Change Domain [Domain "write"];
    420 domain_agent_set_response_timeout(dom: Domain, timeout: i32, flags: u32) -> i32:
        "virDomainAgentSetResponseTimeout" Change Domain [Domain "write"];
}
