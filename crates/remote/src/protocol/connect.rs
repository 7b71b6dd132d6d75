//! Calls about the connection itself: opening, authentication, identity.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x

use oxivirt_rpc::xdr::{List, Text};

use super::{Needs, Procedure, Reply, protocol};
use crate::wire::{IDENTITY_MAX, SaslData, SaslStep, TypedParam};

protocol! {
    ConnectCalls ConnectCallsClient ConnectCallsRequest ConnectCallsResponse ServeConnectCalls;

    1 connect_open(name: Option<Text>, flags: u32) -> ():
        "virConnectOpen" Identity [Connect "getattr"];
    2 connect_close() -> ():
        "virConnectClose" Identity [];
    3 connect_get_type() -> Text:
        "virConnectGetType" Connection [Connect "getattr"];
    4 connect_get_version() -> u64:
        "virConnectGetVersion" Connection [Connect "getattr"];
    59 connect_get_hostname() -> Text:
        "virConnectGetHostname" Connection [Connect "getattr"];
    60 connect_supports_feature(feature: i32) -> i32:
        "virConnectSupportsFeature" Identity [Connect "getattr"];
    66 auth_list() -> List<i32, 20>:
        "" Nothing [];
    67 auth_sasl_init() -> Text:
        "" Nothing [];
    68 auth_sasl_start(mech: Text, nil: i32, data: SaslData) -> SaslStep:
        "" Nothing [];
    69 auth_sasl_step(nil: i32, data: SaslData) -> SaslStep:
        "" Nothing [];
    70 auth_polkit() -> i32:
        "" Nothing [];
    110 connect_get_uri() -> Text:
        "virConnectGetURI" Connection [Connect "getattr"];
    149 connect_is_secure() -> i32:
        "virConnectIsSecure" Connection [];
    157 connect_get_lib_version() -> u64:
        "virConnectGetLibVersion" Connection [Connect "getattr"];
    360 connect_register_close_callback() -> ():
        "virConnectRegisterCloseCallback" Connection [Connect "getattr"];
    361 connect_unregister_close_callback() -> ():
        "virConnectUnregisterCloseCallback" Connection [Connect "getattr"];
    419 connect_set_identity(params: List<TypedParam, IDENTITY_MAX>, flags: u32) -> ():
        "virConnectSetIdentity" Connection [Connect "write"];
}
