//! Calls about networks, their ports and events.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x

use oxivirt_rpc::xdr::{List, Text, Uuid16};

use super::{Needs, Procedure, Reply, protocol};
use crate::wire::{
    AllNetworks, AllPorts, Leases, NETWORKS_MAX, Network, PORT_PARAMETERS_MAX, Parameters, Port,
    TypedParam,
};

protocol! {
    #[expect(clippy::too_many_arguments, reason = "parameters are those of the protocol")]
    NetworkCalls NetworkCallsClient NetworkCallsRequest NetworkCallsResponse ServeNetworkCalls;

    36 connect_list_defined_networks(maxnames: i32) -> List<Text, NETWORKS_MAX>:
        "virConnectListDefinedNetworks" Open [Connect "search-networks"];
    38 connect_list_networks(maxnames: i32) -> List<Text, NETWORKS_MAX>:
        "virConnectListNetworks" Open [Connect "search-networks"];
    39 network_create(net: Network) -> ():
        "virNetworkCreate" Change Network [Network "start"];
    40 network_create_xml(xml: Text) -> Network:
        "virNetworkCreateXML" Change NetworkXml [Network "write", Network "start"];
    41 network_define_xml(xml: Text) -> Network:
        "virNetworkDefineXML" Change NetworkXml [Network "write", Network "save"];
    42 network_destroy(net: Network) -> ():
        "virNetworkDestroy" Change Network [Network "stop"];
    43 network_get_xml_desc(net: Network, flags: u32) -> Text:
        "virNetworkGetXMLDesc" Open Network [Network "read"];
    44 network_get_autostart(net: Network) -> i32:
        "virNetworkGetAutostart" Open Network [Network "read"];
    45 network_get_bridge_name(net: Network) -> Text:
        "virNetworkGetBridgeName" Open Network [Network "read"];
    46 network_lookup_by_name(name: Text) -> Network:
        "virNetworkLookupByName" Open NetworkName [Network "getattr"];
    47 network_lookup_by_uuid(uuid: Uuid16) -> Network:
        "virNetworkLookupByUUID" Open NetworkUuid [Network "getattr"];
    48 network_set_autostart(net: Network, autostart: i32) -> ():
        "virNetworkSetAutostart" Change Network [Network "write"];
    49 network_undefine(net: Network) -> ():
        "virNetworkUndefine" Change Network [Network "delete"];
    50 connect_num_of_defined_networks() -> i32:
        "virConnectNumOfDefinedNetworks" Open [Connect "search-networks"];
    52 connect_num_of_networks() -> i32:
        "virConnectNumOfNetworks" Open [Connect "search-networks"];
    152 network_is_active(net: Network) -> i32:
        "virNetworkIsActive" Open Network [Network "read"];
    153 network_is_persistent(net: Network) -> i32:
        "virNetworkIsPersistent" Open Network [Network "read"];
    283 connect_list_all_networks(need_results: i32, flags: u32) -> AllNetworks:
        "virConnectListAllNetworks" Open [Connect "search-networks"];
    291 network_update(net: Network, command: u32, section: u32, parent_index: i32, xml: Text, flags: u32) -> ():
        "virNetworkUpdate" Change Network [Network "write", Network "save"];
    313 connect_network_event_register_any(event_id: i32, net: Option<Network>) -> i32:
        "virConnectNetworkEventRegisterAny" Open [Connect "search-networks"];
    314 connect_network_event_deregister_any(callback_id: i32) -> ():
        "virConnectNetworkEventDeregisterAny" Open [Connect "read"];
    341 network_get_dhcp_leases(net: Network, mac: Option<Text>, need_results: i32, flags: u32) -> Leases:
        "virNetworkGetDHCPLeases" Open Network [Network "read"];
    404 network_list_all_ports(network: Network, need_results: i32, flags: u32) -> AllPorts:
        "virNetworkListAllPorts" Open Network [Network "search-ports"];
    405 network_port_lookup_by_uuid(network: Network, uuid: Uuid16) -> Port:
        "virNetworkPortLookupByUUID" Open PortUuid [Port "getattr"];
    406 network_port_create_xml(network: Network, xml: Text, flags: u32) -> Port:
        "virNetworkPortCreateXML" Change PortXml [Port "create"];
    407 network_port_get_parameters(port: Port, nparams: i32, flags: u32) -> Parameters:
        "virNetworkPortGetParameters" Open Port [Port "read"];
    408 network_port_set_parameters(port: Port, params: List<TypedParam, PORT_PARAMETERS_MAX>, flags: u32) -> ():
        "virNetworkPortSetParameters" Change Port [Port "write"];
    409 network_port_get_xml_desc(port: Port, flags: u32) -> Text:
        "virNetworkPortGetXMLDesc" Open Port [Port "read"];
    410 network_port_delete(port: Port, flags: u32) -> ():
        "virNetworkPortDelete" Change Port [Port "delete"];
    432 network_define_xml_flags(xml: Text, flags: u32) -> Network:
        "virNetworkDefineXMLFlags" Change NetworkXml [Network "write", Network "save"];
    437 network_create_xml_flags(xml: Text, flags: u32) -> Network:
        "virNetworkCreateXMLFlags" Change NetworkXml [Network "write", Network "start"];
    444 network_set_metadata(network: Network, kind: i32, metadata: Option<Text>, key: Option<Text>, uri: Option<Text>, flags: u32) -> ():
        "virNetworkSetMetadata" Change Network [Network "write", Network "save"];
    445 network_get_metadata(network: Network, kind: i32, uri: Option<Text>, flags: u32) -> Text:
        "virNetworkGetMetadata" Open Network [Network "read"];
}
