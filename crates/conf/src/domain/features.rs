//! `<features>`: switches of the hypervisor and the machine.

use crate::element::elements;
use crate::keyword::{OnOff, YesNo, words};

use super::{PrettySize, Size};

words! {
    /// Which enlightenments of Hyper-V are on.
    pub enum HypervMode {
        Custom = "custom",
        Passthrough = "passthrough",
        HostModel = "host-model",
    }

    /// Who emulates the I/O APIC.
    pub enum IoapicDriver {
        Qemu = "qemu",
        Kvm = "kvm",
    }
}

elements! {
    /// `<features>`
    pub struct Features {
        flag acpi: bool = "acpi",
        present apic: Option<Apic> = "apic",
        flag pae: bool = "pae",
        present hap: Option<State> = "hap",
        flag viridian: bool = "viridian",
        flag privnet: bool = "privnet",
        child hyperv: Option<Hyperv> = "hyperv",
        child kvm: Option<Kvm> = "kvm",
        child xen: Option<Xen> = "xen",
        present pv_spinlock: Option<State> = "pvspinlock",
        present pmu: Option<State> = "pmu",
        present vmport: Option<State> = "vmport",
        present gic: Option<Gic> = "gic",
        present smm: Option<Smm> = "smm",
        child ioapic: Option<Ioapic> = "ioapic",
        child hpt: Option<Hpt> = "hpt",
        present vmcoreinfo: Option<State> = "vmcoreinfo",
        child htm: Option<State> = "htm",
        child nested_hv: Option<State> = "nested-hv",
        child capabilities: Option<ContainerCapabilities> = "capabilities",
        child msrs: Option<Msrs> = "msrs",
        child ccf_assist: Option<State> = "ccf-assist",
        child cfpc: Option<FeatureValue> = "cfpc",
        child sbbc: Option<FeatureValue> = "sbbc",
        child ibs: Option<FeatureValue> = "ibs",
        child tcg: Option<Tcg> = "tcg",
        child async_teardown: Option<Enabled> = "async-teardown",
        child ras: Option<State> = "ras",
        child ps2: Option<State> = "ps2",
        child aia: Option<FeatureValue> = "aia",
    }

    /// A feature that is on or off.
    pub struct State {
        attr state: Option<OnOff> = "state",
    }

    /// A feature that is on or off, in other words.
    pub struct Enabled {
        attr enabled: Option<YesNo> = "enabled",
    }

    /// A feature with a value.
    pub struct FeatureValue {
        attr value: Option<String> = "value",
    }

    /// `<apic>`
    pub struct Apic {
        attr eoi: Option<OnOff> = "eoi",
    }

    /// `<hyperv>`
    pub struct Hyperv {
        attr mode: Option<HypervMode> = "mode",
        child relaxed: Option<State> = "relaxed",
        child vapic: Option<State> = "vapic",
        child spinlocks: Option<HypervSpinlocks> = "spinlocks",
        child vpindex: Option<State> = "vpindex",
        child runtime: Option<State> = "runtime",
        child synic: Option<State> = "synic",
        child stimer: Option<HypervStimer> = "stimer",
        child reset: Option<State> = "reset",
        child vendor_id: Option<HypervVendor> = "vendor_id",
        child frequencies: Option<State> = "frequencies",
        child reenlightenment: Option<State> = "reenlightenment",
        child tlbflush: Option<HypervTlbflush> = "tlbflush",
        child ipi: Option<State> = "ipi",
        child evmcs: Option<State> = "evmcs",
        child avic: Option<State> = "avic",
        child emsr_bitmap: Option<State> = "emsr_bitmap",
        child xmm_input: Option<State> = "xmm_input",
    }

    /// `<spinlocks>`
    pub struct HypervSpinlocks {
        attr state: Option<OnOff> = "state",
        attr retries: Option<u32> = "retries",
    }

    /// `<stimer>`
    pub struct HypervStimer {
        attr state: Option<OnOff> = "state",
        child direct: Option<State> = "direct",
    }

    /// `<vendor_id>`
    pub struct HypervVendor {
        attr state: Option<OnOff> = "state",
        attr value: Option<String> = "value",
    }

    /// `<tlbflush>`
    pub struct HypervTlbflush {
        attr state: Option<OnOff> = "state",
        child direct: Option<State> = "direct",
        child extended: Option<State> = "extended",
    }

    /// `<kvm>`
    pub struct Kvm {
        child hidden: Option<State> = "hidden",
        child hint_dedicated: Option<State> = "hint-dedicated",
        child poll_control: Option<State> = "poll-control",
        child pv_ipi: Option<State> = "pv-ipi",
        child dirty_ring: Option<DirtyRing> = "dirty-ring",
    }

    /// `<dirty-ring>`
    pub struct DirtyRing {
        attr state: Option<OnOff> = "state",
        attr size: Option<u32> = "size",
    }

    /// `<xen>` of `<features>`
    pub struct Xen {
        child e820_host: Option<State> = "e820_host",
        child passthrough: Option<XenPassthrough> = "passthrough",
    }

    /// `<passthrough>`
    pub struct XenPassthrough {
        attr state: Option<OnOff> = "state",
        attr mode: Option<String> = "mode",
    }

    /// `<gic>`
    pub struct Gic {
        attr version: Option<String> = "version",
    }

    /// `<smm>`
    pub struct Smm {
        attr state: Option<OnOff> = "state",
        child tseg: Option<PrettySize> = "tseg",
    }

    /// `<ioapic>`
    pub struct Ioapic {
        attr driver: Option<IoapicDriver> = "driver",
    }

    /// `<hpt>`
    pub struct Hpt {
        attr resizing: Option<String> = "resizing",
        child max_page_size: Option<Size> = "maxpagesize",
    }

    /// `<capabilities>` of a container
    pub struct ContainerCapabilities {
        attr policy: Option<String> = "policy",
    }

    /// `<msrs>`
    pub struct Msrs {
        attr unknown: Option<String> = "unknown",
    }

    /// `<tcg>`
    pub struct Tcg {
        child tb_cache: Option<Size> = "tb-cache",
    }
}
