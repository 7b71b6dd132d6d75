//! Calls about devices of domains.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x

use oxivirt_rpc::xdr::Text;

use super::{Needs, Procedure, Reply, protocol};
use crate::wire::Domain;

protocol! {
    DomainDeviceCalls DomainDeviceCallsClient DomainDeviceCallsRequest DomainDeviceCallsResponse ServeDomainDeviceCalls;

    8 domain_attach_device(dom: Domain, xml: Text) -> ():
        "virDomainAttachDevice" Change Domain [Domain "write"];
    13 domain_detach_device(dom: Domain, xml: Text) -> ():
        "virDomainDetachDevice" Change Domain [Domain "write"];
    160 domain_attach_device_flags(dom: Domain, xml: Text, flags: u32) -> ():
        "virDomainAttachDeviceFlags" Change Domain [Domain "write"];
    161 domain_detach_device_flags(dom: Domain, xml: Text, flags: u32) -> ():
        "virDomainDetachDeviceFlags" Change Domain [Domain "write"];
    174 domain_update_device_flags(dom: Domain, xml: Text, flags: u32) -> ():
        "virDomainUpdateDeviceFlags" Change Domain [Domain "write"];
    392 domain_detach_device_alias(dom: Domain, alias: Text, flags: u32) -> ():
        "virDomainDetachDeviceAlias" Change Domain [Domain "write"];
}
