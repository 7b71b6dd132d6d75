//! Calls about domains and their events.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x

use oxivirt_rpc::xdr::{List, Text, Uuid16};

use super::{Needs, Procedure, Reply, protocol};
use crate::wire::{
    AllDomains, DOMAINS_MAX, Domain, DomainInfo, DomainInterfaces, DomainState, JobInfo,
    SchedulerType, SecurityLabel,
};

protocol! {
    #[expect(clippy::too_many_arguments, reason = "parameters are those of the protocol")]
    DomainCalls DomainCallsClient DomainCallsRequest DomainCallsResponse ServeDomainCalls;

    9 domain_create(dom: Domain) -> ():
        "virDomainCreate" Change Domain [Domain "start"];
    10 domain_create_xml(xml: Text, flags: u32) -> Domain:
        "virDomainCreateXML" Change DomainXml [Domain "write", Domain "start"];
    11 domain_define_xml(xml: Text) -> Domain:
        "virDomainDefineXML" Change DomainXml [Domain "write", Domain "save"];
    12 domain_destroy(dom: Domain) -> ():
        "virDomainDestroy" Change Domain [Domain "stop"];
    14 domain_get_xml_desc(dom: Domain, flags: u32) -> Text:
        "virDomainGetXMLDesc" Connection Domain [Domain "read"];
    15 domain_get_autostart(dom: Domain) -> i32:
        "virDomainGetAutostart" Connection Domain [Domain "read"];
    16 domain_get_info(dom: Domain) -> DomainInfo:
        "virDomainGetInfo" Connection Domain [Domain "read"];
    17 domain_get_max_memory(dom: Domain) -> u64:
        "virDomainGetMaxMemory" Connection Domain [Domain "read"];
    18 domain_get_max_vcpus(dom: Domain) -> i32:
        "virDomainGetMaxVcpus" Connection Domain [Domain "read"];
    19 domain_get_os_type(dom: Domain) -> Text:
        "virDomainGetOSType" Connection Domain [Domain "read"];
    21 connect_list_defined_domains(maxnames: i32) -> List<Text, DOMAINS_MAX>:
        "virConnectListDefinedDomains" Connection [Connect "search-domains"];
    22 domain_lookup_by_id(id: i32) -> Domain:
        "virDomainLookupByID" Connection DomainId [Domain "getattr"];
    23 domain_lookup_by_name(name: Text) -> Domain:
        "virDomainLookupByName" Connection DomainName [Domain "getattr"];
    24 domain_lookup_by_uuid(uuid: Uuid16) -> Domain:
        "virDomainLookupByUUID" Connection DomainUuid [Domain "getattr"];
    25 connect_num_of_defined_domains() -> i32:
        "virConnectNumOfDefinedDomains" Connection [Connect "search-domains"];
    27 domain_reboot(dom: Domain, flags: u32) -> ():
        "virDomainReboot" Change Domain [Domain "init-control"];
    28 domain_resume(dom: Domain) -> ():
        "virDomainResume" Change Domain [Domain "suspend"];
    29 domain_set_autostart(dom: Domain, autostart: i32) -> ():
        "virDomainSetAutostart" Change Domain [Domain "write"];
    33 domain_shutdown(dom: Domain) -> ():
        "virDomainShutdown" Change Domain [Domain "init-control"];
    34 domain_suspend(dom: Domain) -> ():
        "virDomainSuspend" Change Domain [Domain "suspend"];
    35 domain_undefine(dom: Domain) -> ():
        "virDomainUndefine" Change Domain [Domain "delete"];
    37 connect_list_domains(maxids: i32) -> List<i32, DOMAINS_MAX>:
        "virConnectListDomains" Connection [Connect "search-domains"];
    51 connect_num_of_domains() -> i32:
        "virConnectNumOfDomains" Connection [Connect "search-domains"];
    56 domain_get_scheduler_type(dom: Domain) -> SchedulerType:
        "virDomainGetSchedulerType" Connection Domain [Domain "read"];
    105 connect_domain_event_register() -> i32:
        "virConnectDomainEventRegister" Connection [Connect "search-domains"];
    106 connect_domain_event_deregister() -> i32:
        "virConnectDomainEventDeregister" Connection [Connect "read"];
    121 domain_get_security_label(dom: Domain) -> SecurityLabel:
        "virDomainGetSecurityLabel" Connection Domain [Domain "read"];
    150 domain_is_active(dom: Domain) -> i32:
        "virDomainIsActive" Connection Domain [Domain "read"];
    151 domain_is_persistent(dom: Domain) -> i32:
        "virDomainIsPersistent" Connection Domain [Domain "read"];
    163 domain_get_job_info(dom: Domain) -> JobInfo:
        "virDomainGetJobInfo" Connection Domain [Domain "read"];
    167 connect_domain_event_register_any(event_id: i32) -> ():
        "virConnectDomainEventRegisterAny" Connection [Connect "search-domains"];
    168 connect_domain_event_deregister_any(event_id: i32) -> ():
        "virConnectDomainEventDeregisterAny" Connection [Connect "read"];
    183 domain_has_managed_save_image(dom: Domain, flags: u32) -> i32:
        "virDomainHasManagedSaveImage" Connection Domain [Domain "read"];
    196 domain_create_with_flags(dom: Domain, flags: u32) -> Domain:
        "virDomainCreateWithFlags" Change Domain [Domain "start"];
    201 domain_open_console(dom: Domain, dev_name: Option<Text>, flags: u32) -> ():
        "virDomainOpenConsole" Change Domain [Domain "open-device"];
    202 domain_is_updated(dom: Domain) -> i32:
        "virDomainIsUpdated" Connection Domain [Domain "read"];
    212 domain_get_state(dom: Domain, flags: u32) -> DomainState:
        "virDomainGetState" Connection Domain [Domain "read"];
    231 domain_undefine_flags(dom: Domain, flags: u32) -> ():
        "virDomainUndefineFlags" Change Domain [Domain "delete"];
    234 domain_destroy_flags(dom: Domain, flags: u32) -> ():
        "virDomainDestroyFlags" Change Domain [Domain "stop"];
    245 domain_reset(dom: Domain, flags: u32) -> ():
        "virDomainReset" Change Domain [Domain "reset"];
    258 domain_shutdown_flags(dom: Domain, flags: u32) -> ():
        "virDomainShutdownFlags" Change Domain [Domain "init-control"];
    264 domain_set_metadata(dom: Domain, kind: i32, metadata: Option<Text>, key: Option<Text>, uri: Option<Text>, flags: u32) -> ():
        "virDomainSetMetadata" Change Domain [Domain "write"];
    265 domain_get_metadata(dom: Domain, kind: i32, uri: Option<Text>, flags: u32) -> Text:
        "virDomainGetMetadata" Connection Domain [Domain "read"];
    273 connect_list_all_domains(need_results: i32, flags: u32) -> AllDomains:
        "virConnectListAllDomains" Connection [Connect "search-domains"];
    316 connect_domain_event_callback_register_any(event_id: i32, dom: Option<Domain>) -> i32:
        "virConnectDomainEventRegisterAny" Connection [Connect "search-domains"];
    317 connect_domain_event_callback_deregister_any(callback_id: i32) -> ():
        "virConnectDomainEventDeregisterAny" Connection [Connect "read"];
    350 domain_define_xml_flags(xml: Text, flags: u32) -> Domain:
        "virDomainDefineXMLFlags" Change DomainXml [Domain "write", Domain "save"];
    353 domain_interface_addresses(dom: Domain, source: u32, flags: u32) -> DomainInterfaces:
        "virDomainInterfaceAddresses" Connection Domain [Domain "read"];
    358 domain_rename(dom: Domain, new_name: Option<Text>, flags: u32) -> i32:
        "virDomainRename" Change Domain [Domain "write", Domain "save"];
}
