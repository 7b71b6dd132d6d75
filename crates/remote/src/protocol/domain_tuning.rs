//! Calls that change how a domain runs.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x

use oxivirt_rpc::xdr::{List, Text};

use super::{Needs, Procedure, Reply, protocol};
use crate::wire::{Domain, IO_TUNE_MAX, KEYS_MAX, Opaque, PARAMETERS_MAX, TypedParam};

protocol! {
    DomainTuningCalls DomainTuningCallsClient DomainTuningCallsRequest DomainTuningCallsResponse ServeDomainTuningCalls;

    26 domain_pin_vcpu(dom: Domain, vcpu: u32, cpumap: Opaque) -> ():
        "virDomainPinVcpu" Change Domain [Domain "write"];
    30 domain_set_max_memory(dom: Domain, memory: u64) -> ():
        "virDomainSetMaxMemory" Change Domain [Domain "write"];
    31 domain_set_memory(dom: Domain, memory: u64) -> ():
        "virDomainSetMemory" Change Domain [Domain "write"];
    32 domain_set_vcpus(dom: Domain, nvcpus: u32) -> ():
        "virDomainSetVcpus" Change Domain [Domain "write"];
    58 domain_set_scheduler_parameters(dom: Domain, params: List<TypedParam, PARAMETERS_MAX>) -> ():
        "virDomainSetSchedulerParameters" Change Domain [Domain "write"];
    197 domain_set_memory_parameters(dom: Domain, params: List<TypedParam, PARAMETERS_MAX>, flags: u32) -> ():
        "virDomainSetMemoryParameters" Change Domain [Domain "write"];
    199 domain_set_vcpus_flags(dom: Domain, nvcpus: u32, flags: u32) -> ():
        "virDomainSetVcpusFlags" Change Domain [Domain "write"];
    204 domain_set_memory_flags(dom: Domain, memory: u64, flags: u32) -> ():
        "virDomainSetMemoryFlags" Change Domain [Domain "write"];
    205 domain_set_blkio_parameters(dom: Domain, params: List<TypedParam, PARAMETERS_MAX>, flags: u32) -> ():
        "virDomainSetBlkioParameters" Change Domain [Domain "write"];
    210 domain_inject_nmi(dom: Domain, flags: u32) -> ():
        "virDomainInjectNMI" Change Domain [Domain "inject-nmi"];
    211 domain_screenshot(dom: Domain, screen: u32, flags: u32) -> Option<Text>:
        "virDomainScreenshot" Change Domain [Domain "screenshot"];
    219 domain_set_scheduler_parameters_flags(dom: Domain, params: List<TypedParam, PARAMETERS_MAX>, flags: u32) -> ():
        "virDomainSetSchedulerParametersFlags" Change Domain [Domain "write"];
    225 domain_pin_vcpu_flags(dom: Domain, vcpu: u32, cpumap: Opaque, flags: u32) -> ():
        "virDomainPinVcpuFlags" Change Domain [Domain "write"];
    226 domain_send_key(dom: Domain, codeset: u32, holdtime: u32, keycodes: List<u32, KEYS_MAX>, flags: u32) -> ():
        "virDomainSendKey" Change Domain [Domain "send-input"];
    252 domain_set_block_io_tune(dom: Domain, disk: Text, params: List<TypedParam, IO_TUNE_MAX>, flags: u32) -> ():
        "virDomainSetBlockIoTune" Change Domain [Domain "write"];
    254 domain_set_numa_parameters(dom: Domain, params: List<TypedParam, PARAMETERS_MAX>, flags: u32) -> ():
        "virDomainSetNumaParameters" Change Domain [Domain "write"];
    256 domain_set_interface_parameters(dom: Domain, device: Text, params: List<TypedParam, PARAMETERS_MAX>, flags: u32) -> ():
        "virDomainSetInterfaceParameters" Change Domain [Domain "write"];
    279 domain_pin_emulator(dom: Domain, cpumap: Opaque, flags: u32) -> ():
        "virDomainPinEmulator" Change Domain [Domain "write"];
    308 domain_set_memory_stats_period(dom: Domain, period: i32, flags: u32) -> ():
        "virDomainSetMemoryStatsPeriod" Change Domain [Domain "write"];
}
