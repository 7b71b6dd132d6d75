//! The one list of procedures.
//!
//! A row is `number name(parameters) -> result: "public function" checks;`. Parameters in order are the
//! argument structure of libvirt's protocol, the result is its answer. Rows ascend by number: a row's place
//! is the index of its variants in the generated enums, and numbers are found by bisection.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x

use oxivirt_rpc::xdr::{List, Text, Uuid16};

use crate::wire::{
    AllNetworks, AllPorts, CpuMapBytes, Leases, Network, NodeInfo, Parameters, Port, RemoteError,
    SaslData, SaslStep, TypedParam,
};

/// Number of this set of procedures.
pub const PROGRAM: u32 = 0x2000_8086;
/// Its edition.
pub const VERSION: u32 = 1;

/// Event: a network was defined, undefined, started or stopped.
pub const EVENT_LIFECYCLE: i32 = 315;
/// Event: metadata of a network changed.
pub const EVENT_METADATA_CHANGE: i32 = 446;
/// Event: the connection behind the daemon has ended.
pub const EVENT_CONNECTION_CLOSED: i32 = 362;

/// Longest list of networks or ports.
pub const NETWORKS_MAX: usize = 16384;
/// Most parameters of a port.
pub const PORT_PARAMETERS_MAX: usize = 16;
/// Most parts of an identity.
pub const IDENTITY_MAX: usize = 20;

/// What every call answers.
pub type Reply<T> = Result<T, RemoteError>;

/// What is checked before a call is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it is how a client says who it is.
    Nothing,
    /// The client has said who it is.
    Identity,
    /// A connection is open.
    Connection,
    /// As [`Needs::Connection`], for a call about networks.
    Network,
    /// The open connection may change things.
    Change,
}

/// One procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Procedure {
    /// Its number.
    pub number: i32,
    /// Its name.
    pub name: &'static str,
    /// The public function behind it, as messages name it.
    pub api: &'static str,
    /// What is checked before its arguments are read.
    pub needs: Needs,
    /// Permissions of access control, each `object.permission`.
    pub acl: &'static [&'static str],
}

macro_rules! protocol {
    ($(#[$attribute:meta])* $trait:ident $client:ident $request:ident $response:ident $serve:ident; $(
        $number:literal $name:ident($($parameter:ident: $type:ty),*) -> $result:ty:
            $api:literal $needs:ident $acl:tt;
    )*) => {
        /// The procedures in ascending order.
        pub static PROCEDURES: &[Procedure] = &[$(Procedure {
            number: $number,
            name: stringify!($name),
            api: $api,
            needs: Needs::$needs,
            acl: &$acl,
        },)*];

        /// What `tarpc` makes of the list.
        #[expect(missing_docs, reason = "the list says what there is to say")]
        #[expect(missing_debug_implementations, reason = "nobody prints generated services")]
        #[expect(clippy::missing_errors_doc, reason = "errors are those of the protocol")]
        $(#[$attribute])*
        pub mod generated {
            use super::*;

            #[tarpc::service(derive = [serde::Serialize, serde::Deserialize, Clone])]
            pub trait $trait {
                $(async fn $name($($parameter: $type),*) -> Reply<$result>;)*
            }
        }
        pub use generated::{$client, $request, $response, $serve, $trait};

        /// The procedure with this number, and its place in the list.
        #[must_use]
        pub fn find(number: i32) -> Option<(u32, &'static Procedure)> {
            let at = PROCEDURES.binary_search_by_key(&number, |procedure| procedure.number).ok()?;
            Some((u32::try_from(at).ok()?, PROCEDURES.get(at)?))
        }

        #[cfg(test)]
        fn decoders() -> Vec<(i32, &'static str)> {
            vec![$(($number, stringify!($name))),*]
        }
    };
}

pub(crate) use protocol;

protocol! {
    #[expect(clippy::too_many_arguments, reason = "parameters are those of the protocol")]
    Remote RemoteClient RemoteRequest RemoteResponse ServeRemote;

    1 connect_open(name: Option<Text>, flags: u32) -> ():
        "virConnectOpen" Identity ["connect.getattr"];
    2 connect_close() -> ():
        "virConnectClose" Identity [];
    3 connect_get_type() -> Text:
        "virConnectGetType" Connection ["connect.getattr"];
    4 connect_get_version() -> u64:
        "virConnectGetVersion" Connection ["connect.getattr"];
    5 connect_get_max_vcpus(kind: Option<Text>) -> i32:
        "virConnectGetMaxVcpus" Connection ["connect.read"];
    6 node_get_info() -> NodeInfo:
        "virNodeGetInfo" Connection ["connect.read"];
    7 connect_get_capabilities() -> Text:
        "virConnectGetCapabilities" Connection ["connect.read"];
    36 connect_list_defined_networks(maxnames: i32) -> List<Text, NETWORKS_MAX>:
        "virConnectListDefinedNetworks" Network ["connect.search-networks"];
    38 connect_list_networks(maxnames: i32) -> List<Text, NETWORKS_MAX>:
        "virConnectListNetworks" Network ["connect.search-networks"];
    39 network_create(net: Network) -> ():
        "virNetworkCreate" Change ["network.start"];
    40 network_create_xml(xml: Text) -> Network:
        "virNetworkCreateXML" Change ["network.write", "network.start"];
    41 network_define_xml(xml: Text) -> Network:
        "virNetworkDefineXML" Change ["network.write", "network.save"];
    42 network_destroy(net: Network) -> ():
        "virNetworkDestroy" Change ["network.stop"];
    43 network_get_xml_desc(net: Network, flags: u32) -> Text:
        "virNetworkGetXMLDesc" Network ["network.read"];
    44 network_get_autostart(net: Network) -> i32:
        "virNetworkGetAutostart" Network ["network.read"];
    45 network_get_bridge_name(net: Network) -> Text:
        "virNetworkGetBridgeName" Network ["network.read"];
    46 network_lookup_by_name(name: Text) -> Network:
        "virNetworkLookupByName" Network ["network.getattr"];
    47 network_lookup_by_uuid(uuid: Uuid16) -> Network:
        "virNetworkLookupByUUID" Network ["network.getattr"];
    48 network_set_autostart(net: Network, autostart: i32) -> ():
        "virNetworkSetAutostart" Change ["network.write"];
    49 network_undefine(net: Network) -> ():
        "virNetworkUndefine" Change ["network.delete"];
    50 connect_num_of_defined_networks() -> i32:
        "virConnectNumOfDefinedNetworks" Network ["connect.search-networks"];
    52 connect_num_of_networks() -> i32:
        "virConnectNumOfNetworks" Network ["connect.search-networks"];
    59 connect_get_hostname() -> Text:
        "virConnectGetHostname" Connection ["connect.getattr"];
    60 connect_supports_feature(feature: i32) -> i32:
        "virConnectSupportsFeature" Identity ["connect.getattr"];
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
    101 node_get_cells_free_memory(start_cell: i32, maxcells: i32) -> List<u64, 1024>:
        "virNodeGetCellsFreeMemory" Connection ["connect.read"];
    102 node_get_free_memory() -> u64:
        "virNodeGetFreeMemory" Connection ["connect.read"];
    110 connect_get_uri() -> Text:
        "virConnectGetURI" Connection ["connect.getattr"];
    149 connect_is_secure() -> i32:
        "virConnectIsSecure" Connection [];
    152 network_is_active(net: Network) -> i32:
        "virNetworkIsActive" Network ["network.read"];
    153 network_is_persistent(net: Network) -> i32:
        "virNetworkIsPersistent" Network ["network.read"];
    157 connect_get_lib_version() -> u64:
        "virConnectGetLibVersion" Connection ["connect.getattr"];
    203 connect_get_sysinfo(flags: u32) -> Text:
        "virConnectGetSysinfo" Connection ["connect.read"];
    283 connect_list_all_networks(need_results: i32, flags: u32) -> AllNetworks:
        "virConnectListAllNetworks" Network ["connect.search-networks"];
    291 network_update(net: Network, command: u32, section: u32, parent_index: i32, xml: Text, flags: u32) -> ():
        "virNetworkUpdate" Change ["network.write", "network.save"];
    293 node_get_cpu_map(need_map: i32, need_online: i32, flags: u32) -> CpuMapBytes:
        "virNodeGetCPUMap" Connection ["connect.read"];
    313 connect_network_event_register_any(event_id: i32, net: Option<Network>) -> i32:
        "virConnectNetworkEventRegisterAny" Network ["connect.search-networks"];
    314 connect_network_event_deregister_any(callback_id: i32) -> ():
        "virConnectNetworkEventDeregisterAny" Network ["connect.read"];
    341 network_get_dhcp_leases(net: Network, mac: Option<Text>, need_results: i32, flags: u32) -> Leases:
        "virNetworkGetDHCPLeases" Network ["network.read"];
    360 connect_register_close_callback() -> ():
        "virConnectRegisterCloseCallback" Connection ["connect.getattr"];
    361 connect_unregister_close_callback() -> ():
        "virConnectUnregisterCloseCallback" Connection ["connect.getattr"];
    404 network_list_all_ports(network: Network, need_results: i32, flags: u32) -> AllPorts:
        "virNetworkListAllPorts" Network ["network.search-ports"];
    405 network_port_lookup_by_uuid(network: Network, uuid: Uuid16) -> Port:
        "virNetworkPortLookupByUUID" Network ["network-port.getattr"];
    406 network_port_create_xml(network: Network, xml: Text, flags: u32) -> Port:
        "virNetworkPortCreateXML" Change ["network-port.create"];
    407 network_port_get_parameters(port: Port, nparams: i32, flags: u32) -> Parameters:
        "virNetworkPortGetParameters" Network ["network-port.read"];
    408 network_port_set_parameters(port: Port, params: List<TypedParam, PORT_PARAMETERS_MAX>, flags: u32) -> ():
        "virNetworkPortSetParameters" Change ["network-port.write"];
    409 network_port_get_xml_desc(port: Port, flags: u32) -> Text:
        "virNetworkPortGetXMLDesc" Network ["network-port.read"];
    410 network_port_delete(port: Port, flags: u32) -> ():
        "virNetworkPortDelete" Change ["network-port.delete"];
    419 connect_set_identity(params: List<TypedParam, IDENTITY_MAX>, flags: u32) -> ():
        "virConnectSetIdentity" Connection ["connect.write"];
    432 network_define_xml_flags(xml: Text, flags: u32) -> Network:
        "virNetworkDefineXMLFlags" Change ["network.write", "network.save"];
    437 network_create_xml_flags(xml: Text, flags: u32) -> Network:
        "virNetworkCreateXMLFlags" Change ["network.write", "network.start"];
    444 network_set_metadata(network: Network, kind: i32, metadata: Option<Text>, key: Option<Text>, uri: Option<Text>, flags: u32) -> ():
        "virNetworkSetMetadata" Change ["network.write", "network.save"];
    445 network_get_metadata(network: Network, kind: i32, uri: Option<Text>, flags: u32) -> Text:
        "virNetworkGetMetadata" Network ["network.read"];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_and_name_their_place() {
        assert!(PROCEDURES.is_sorted_by(|a, b| a.number < b.number));
        for (place, (number, name)) in decoders().into_iter().enumerate() {
            let (index, procedure) = find(number).unwrap();
            assert_eq!((index as usize, procedure.name), (place, name));
        }
        assert_eq!(find(0), None);
        assert_eq!(find(EVENT_LIFECYCLE), None);
    }

    #[test]
    fn what_changes_something_is_named_by_its_permissions() {
        for procedure in PROCEDURES {
            let changes = ["write", "start", "stop", "save", "delete", "create"];
            let names_change = procedure
                .acl
                .iter()
                .any(|permission| changes.iter().any(|change| permission.ends_with(change)));
            let is_change = procedure.needs == Needs::Change || procedure.number == 419;
            assert_eq!(names_change, is_change, "{}", procedure.name);
        }
    }
}
