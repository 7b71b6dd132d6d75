//! Lists of objects whose families have no driver here.
//!
//! A hypervisor's daemon that has no such objects answers empty lists: clients that ask for everything at
//! their start give up at an error. So it is with the snapshots and checkpoints of a domain, which has
//! none, since none can be made. The rows of a family go to a list of their own with its driver; its other
//! calls are in [`unserved`](super::unserved).
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x

use oxivirt_rpc::xdr::{List, Text};

use super::{Needs, Procedure, Reply, protocol};
use crate::wire::{Domain, Empty, OfDomain, OfDomainList, SNAPSHOTS_MAX};

/// Most names of a list that is always empty.
const NONE: usize = 0;

protocol! {
    AbsentCalls AbsentCallsClient AbsentCallsRequest AbsentCallsResponse ServeAbsentCalls;

    111 node_num_of_devices(cap: Option<Text>, flags: u32) -> i32:
        "virNodeNumOfDevices" Open [Connect "search-node-devices"];
    112 node_list_devices(cap: Option<Text>, maxnames: i32, flags: u32) -> List<Text, NONE>:
        "virNodeListDevices" Open [Connect "search-node-devices"];
    113 node_device_lookup_by_name(name: Text) -> Text:
        "virNodeDeviceLookupByName" Open [];
    126 connect_num_of_interfaces() -> i32:
        "virConnectNumOfInterfaces" Open [Connect "search-interfaces"];
    127 connect_list_interfaces(maxnames: i32) -> List<Text, NONE>:
        "virConnectListInterfaces" Open [Connect "search-interfaces"];
    137 connect_num_of_defined_interfaces() -> i32:
        "virConnectNumOfDefinedInterfaces" Open [Connect "search-interfaces"];
    138 connect_list_defined_interfaces(maxnames: i32) -> List<Text, NONE>:
        "virConnectListDefinedInterfaces" Open [Connect "search-interfaces"];
    139 connect_num_of_secrets() -> i32:
        "virConnectNumOfSecrets" Open [Connect "search-secrets"];
    140 connect_list_secrets(maxuuids: i32) -> List<Text, NONE>:
        "virConnectListSecrets" Open [Connect "search-secrets"];
    178 connect_num_of_nwfilters() -> i32:
        "virConnectNumOfNWFilters" Open [Connect "search-nwfilters"];
    179 connect_list_nwfilters(maxnames: i32) -> List<Text, NONE>:
        "virConnectListNWFilters" Open [Connect "search-nwfilters"];
    187 domain_snapshot_num(dom: Domain, flags: u32) -> i32:
        "virDomainSnapshotNum" Connection Domain [Domain "read"];
    188 domain_snapshot_list_names(dom: Domain, maxnames: i32, flags: u32) -> List<Text, SNAPSHOTS_MAX>:
        "virDomainSnapshotListNames" Connection Domain [Domain "read"];
    189 domain_snapshot_lookup_by_name(dom: Domain, name: Text, flags: u32) -> OfDomain:
        "virDomainSnapshotLookupByName" Connection Domain [Domain "read"];
    190 domain_has_current_snapshot(dom: Domain, flags: u32) -> i32:
        "virDomainHasCurrentSnapshot" Connection Domain [Domain "read"];
    191 domain_snapshot_current(dom: Domain, flags: u32) -> OfDomain:
        "virDomainSnapshotCurrent" Connection Domain [Domain "read"];
    274 domain_list_all_snapshots(dom: Domain, need_results: i32, flags: u32) -> OfDomainList:
        "virDomainListAllSnapshots" Connection Domain [Domain "read"];
    284 connect_list_all_interfaces(need_results: i32, flags: u32) -> Empty:
        "virConnectListAllInterfaces" Open [Connect "search-interfaces"];
    285 connect_list_all_node_devices(need_results: i32, flags: u32) -> Empty:
        "virConnectListAllNodeDevices" Open [Connect "search-node-devices"];
    286 connect_list_all_nwfilters(need_results: i32, flags: u32) -> Empty:
        "virConnectListAllNWFilters" Open [Connect "search-nwfilters"];
    287 connect_list_all_secrets(need_results: i32, flags: u32) -> Empty:
        "virConnectListAllSecrets" Open [Connect "search-secrets"];
    401 connect_list_all_nwfilter_bindings(need_results: i32, flags: u32) -> Empty:
        "virConnectListAllNWFilterBindings" Open [Connect "search-nwfilter-bindings"];
    413 domain_list_all_checkpoints(dom: Domain, need_results: i32, flags: u32) -> OfDomainList:
        "virDomainListAllCheckpoints" Connection Domain [Domain "read"];
    415 domain_checkpoint_lookup_by_name(dom: Domain, name: Text, flags: u32) -> OfDomain:
        "virDomainCheckpointLookupByName" Connection Domain [Domain "read"];
}
