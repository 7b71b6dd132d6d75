//! Small devices that need no file of their own: hub, lease, NVRAM device, panic notifier, shared memory, IOMMU, vsock, crypto, persistent store.

use super::super::address::DeviceInfo;
use super::super::size::Size;
use super::VirtioDriver;
use crate::element::elements;
use crate::keyword::{OnOff, YesNo, words};

words! {
    /// Panic notifiers.
    pub enum PanicModel {
        Isa = "isa",
        Pseries = "pseries",
        Hyperv = "hyperv",
        S390 = "s390",
        Pvpanic = "pvpanic",
    }

    /// IOMMU models.
    pub enum IommuModel {
        Intel = "intel",
        Smmuv3 = "smmuv3",
        Virtio = "virtio",
        Amd = "amd",
    }

    /// vsock models.
    pub enum VsockModel {
        Virtio = "virtio",
        VirtioTransitional = "virtio-transitional",
        VirtioNonTransitional = "virtio-non-transitional",
    }
}

elements! {
    /// `<hub>`
    pub struct Hub {
        attr kind: Option<String> = "type",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// `<lease>`
    pub struct Lease {
        text lockspace: Option<String> = "lockspace",
        text key: Option<String> = "key",
        child target: Option<LeaseTarget> = "target",
    }

    /// File of a lease.
    pub struct LeaseTarget {
        attr path: Option<String> = "path",
        attr offset: Option<u64> = "offset",
    }

    /// `<nvram>` among the devices
    pub struct NvramDevice {
        flatten info: DeviceInfo = "(the same element)",
    }

    /// `<panic>`
    pub struct Panic {
        attr model: Option<PanicModel> = "model",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// `<shmem>`
    pub struct Shmem {
        attr name: Option<String> = "name",
        attr role: Option<String> = "role",
        child model: Option<ShmemModel> = "model",
        child size: Option<Size> = "size",
        present server: Option<ShmemServer> = "server",
        child msi: Option<ShmemMsi> = "msi",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// `<model>` of shared memory
    pub struct ShmemModel {
        attr kind: Option<String> = "type",
    }

    /// `<server>` of shared memory
    pub struct ShmemServer {
        attr path: Option<String> = "path",
    }

    /// Interrupts of shared memory.
    pub struct ShmemMsi {
        attr enabled: Option<YesNo> = "enabled",
        attr vectors: Option<u32> = "vectors",
        attr ioeventfd: Option<OnOff> = "ioeventfd",
    }

    /// `<iommu>`
    pub struct Iommu {
        attr model: Option<IommuModel> = "model",
        child driver: Option<IommuDriver> = "driver",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// `<driver>` of an IOMMU
    pub struct IommuDriver {
        attr intremap: Option<OnOff> = "intremap",
        attr caching_mode: Option<OnOff> = "caching_mode",
        attr eim: Option<OnOff> = "eim",
        attr iotlb: Option<OnOff> = "iotlb",
        attr aw_bits: Option<u32> = "aw_bits",
        attr dma_translation: Option<OnOff> = "dma_translation",
        attr xtsup: Option<OnOff> = "xtsup",
        attr passthrough: Option<OnOff> = "passthrough",
    }

    /// `<vsock>`
    pub struct Vsock {
        attr model: Option<VsockModel> = "model",
        child cid: Option<VsockCid> = "cid",
        flatten info: DeviceInfo = "(the same element)",
        child driver: Option<VirtioDriver> = "driver",
    }

    /// Number of the guest's end.
    pub struct VsockCid {
        attr auto: Option<YesNo> = "auto",
        attr address: Option<u32> = "address",
    }

    /// `<crypto>`
    pub struct Crypto {
        attr model: Option<String> = "model",
        attr kind: Option<String> = "type",
        child backend: Option<CryptoBackend> = "backend",
        child driver: Option<VirtioDriver> = "driver",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// `<backend>` of a crypto device
    pub struct CryptoBackend {
        attr model: Option<String> = "model",
        attr queues: Option<u32> = "queues",
    }

    /// `<pstore>`
    pub struct Pstore {
        attr backend: Option<String> = "backend",
        text path: Option<String> = "path",
        child size: Option<Size> = "size",
        flatten info: DeviceInfo = "(the same element)",
    }
}
