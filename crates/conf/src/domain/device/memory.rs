//! `<memory>` among the devices: memory that can be plugged.

use super::super::address::DeviceInfo;
use super::super::memory::MemoryAccess;
use super::super::size::Size;
use crate::element::Hex;
use crate::element::elements;
use crate::keyword::{YesNo, words};

words! {
    /// Models of memory devices.
    pub enum MemoryModel {
        Dimm = "dimm",
        Nvdimm = "nvdimm",
        VirtioPmem = "virtio-pmem",
        VirtioMem = "virtio-mem",
        SgxEpc = "sgx-epc",
    }
}

elements! {
    /// `<memory>` among the devices
    pub struct MemoryDevice {
        attr model: Option<MemoryModel> = "model",
        attr access: Option<MemoryAccess> = "access",
        attr discard: Option<YesNo> = "discard",
        text uuid: Option<String> = "uuid",
        child source: Option<MemoryDeviceSource> = "source",
        child target: Option<MemoryDeviceTarget> = "target",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// What backs it.
    pub struct MemoryDeviceSource {
        text path: Option<String> = "path",
        text nodemask: Option<String> = "nodemask",
        child page_size: Option<Size> = "pagesize",
        child align_size: Option<Size> = "alignsize",
        flag pmem: bool = "pmem",
    }

    /// How the guest sees it.
    pub struct MemoryDeviceTarget {
        attr dynamic_memslots: Option<YesNo> = "dynamicMemslots",
        child size: Option<Size> = "size",
        text node: Option<u32> = "node",
        child label: Option<MemoryLabel> = "label",
        child block: Option<Size> = "block",
        child requested: Option<Size> = "requested",
        child current: Option<Size> = "current",
        flag readonly: bool = "readonly",
        child address: Option<MemoryBase> = "address",
    }

    /// The label area of an NVDIMM.
    pub struct MemoryLabel {
        child size: Option<Size> = "size",
    }

    /// Guest address.
    pub struct MemoryBase {
        attr base: Option<Hex<1>> = "base",
    }
}
