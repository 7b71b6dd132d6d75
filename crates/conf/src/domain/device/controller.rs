//! `<controller>`

use super::super::address::DeviceInfo;
use super::super::size::Size;
use super::IoThreadMap;
use crate::element::Hex;
use crate::element::elements;
use crate::keyword::{OnOff, words};

words! {
    /// Kinds of controllers.
    pub enum ControllerType {
        Ide = "ide",
        Fdc = "fdc",
        Scsi = "scsi",
        Sata = "sata",
        VirtioSerial = "virtio-serial",
        Ccid = "ccid",
        Usb = "usb",
        Pci = "pci",
        Xenbus = "xenbus",
        Isa = "isa",
        Nvme = "nvme",
    }

    /// Models of controllers, all kinds together.
    pub enum ControllerModel {
        PciRoot = "pci-root",
        PcieRoot = "pcie-root",
        PciBridge = "pci-bridge",
        DmiToPciBridge = "dmi-to-pci-bridge",
        PcieToPciBridge = "pcie-to-pci-bridge",
        PcieRootPort = "pcie-root-port",
        PcieSwitchUpstreamPort = "pcie-switch-upstream-port",
        PcieSwitchDownstreamPort = "pcie-switch-downstream-port",
        PciExpanderBus = "pci-expander-bus",
        PcieExpanderBus = "pcie-expander-bus",
        Auto = "auto",
        Buslogic = "buslogic",
        Lsilogic = "lsilogic",
        Lsisas1068 = "lsisas1068",
        Lsisas1078 = "lsisas1078",
        Vmpvscsi = "vmpvscsi",
        Ibmvscsi = "ibmvscsi",
        VirtioScsi = "virtio-scsi",
        Ncr53c90 = "ncr53c90",
        Dc390 = "dc390",
        Am53c974 = "am53c974",
        Virtio = "virtio",
        VirtioTransitional = "virtio-transitional",
        VirtioNonTransitional = "virtio-non-transitional",
        Piix3Uhci = "piix3-uhci",
        Piix4Uhci = "piix4-uhci",
        Ehci = "ehci",
        Ich9Ehci1 = "ich9-ehci1",
        Ich9Uhci1 = "ich9-uhci1",
        Ich9Uhci2 = "ich9-uhci2",
        Ich9Uhci3 = "ich9-uhci3",
        Vt82c686bUhci = "vt82c686b-uhci",
        PciOhci = "pci-ohci",
        NecXhci = "nec-xhci",
        Qusb1 = "qusb1",
        Qusb2 = "qusb2",
        QemuXhci = "qemu-xhci",
        Piix3 = "piix3",
        Piix4 = "piix4",
        Ich6 = "ich6",
        None = "none",
    }
}

elements! {
    /// `<controller>`
    pub struct Controller {
        attr kind: Option<ControllerType> = "type",
        attr index: Option<u32> = "index",
        attr model: Option<ControllerModel> = "model",
        attr ports: Option<u32> = "ports",
        attr vectors: Option<u32> = "vectors",
        attr max_grant_frames: Option<u32> = "maxGrantFrames",
        attr max_event_channels: Option<u32> = "maxEventChannels",
        attr serial: Option<String> = "serial",
        child pci_model: Option<ControllerPciModel> = "model",
        child target: Option<ControllerTarget> = "target",
        child driver: Option<ControllerDriver> = "driver",
        child pci_hole64: Option<Size> = "pcihole64",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// The device behind a PCI controller.
    pub struct ControllerPciModel {
        attr name: Option<String> = "name",
    }

    /// `<target>` of a PCI controller
    pub struct ControllerTarget {
        attr chassis_nr: Option<u32> = "chassisNr",
        attr chassis: Option<u32> = "chassis",
        attr port: Option<Hex<1>> = "port",
        attr bus_nr: Option<u32> = "busNr",
        attr index: Option<u32> = "index",
        attr hotplug: Option<OnOff> = "hotplug",
        attr memory_reserve: Option<u64> = "memReserve",
        text node: Option<u32> = "node",
    }

    /// `<driver>` of a controller
    pub struct ControllerDriver {
        attr queues: Option<u32> = "queues",
        attr cmd_per_lun: Option<u32> = "cmd_per_lun",
        attr max_sectors: Option<u32> = "max_sectors",
        attr ioeventfd: Option<OnOff> = "ioeventfd",
        attr iothread: Option<u32> = "iothread",
        attr iommu: Option<OnOff> = "iommu",
        attr ats: Option<OnOff> = "ats",
        attr packed: Option<OnOff> = "packed",
        attr page_per_vq: Option<OnOff> = "page_per_vq",
        child iothreads: Option<IoThreadMap> = "iothreads",
    }
}
