//! `<hostdev>` and other devices of the host.

use super::super::address::DeviceInfo;
use super::source::{Auth, Initiator, SourceHost, SourcePrivate};
use crate::element::Hex;
use crate::element::elements;
use crate::keyword::{OnOff, YesNo, words};

words! {
    /// How a device of the host is given to a guest.
    pub enum HostdevMode {
        Subsystem = "subsystem",
        Capabilities = "capabilities",
    }

    /// Kinds of devices.
    pub enum HostdevType {
        Usb = "usb",
        Pci = "pci",
        Scsi = "scsi",
        ScsiHost = "scsi_host",
        Mdev = "mdev",
        Storage = "storage",
        Misc = "misc",
        Net = "net",
    }
}

elements! {
    /// `<hostdev>`
    pub struct Hostdev {
        attr mode: Option<HostdevMode> = "mode",
        attr kind: Option<HostdevType> = "type",
        attr managed: Option<YesNo> = "managed",
        attr sgio: Option<String> = "sgio",
        attr raw_io: Option<YesNo> = "rawio",
        attr model: Option<String> = "model",
        attr display: Option<OnOff> = "display",
        attr ramfb: Option<OnOff> = "ramfb",
        child driver: Option<HostdevDriver> = "driver",
        present source: Option<HostdevSource> = "source",
        child teaming: Option<Teaming> = "teaming",
        flag readonly: bool = "readonly",
        flag shareable: bool = "shareable",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// `<driver>` of a device of the host
    pub struct HostdevDriver {
        attr name: Option<String> = "name",
        attr model: Option<String> = "model",
    }

    /// Which device of the host.
    pub struct HostdevSource {
        attr protocol: Option<String> = "protocol",
        attr name: Option<String> = "name",
        attr wwpn: Option<String> = "wwpn",
        attr startup_policy: Option<String> = "startupPolicy",
        attr guest_reset: Option<String> = "guestReset",
        attr missing: Option<YesNo> = "missing",
        attr write_filtering: Option<YesNo> = "writeFiltering",
        child vendor: Option<UsbId> = "vendor",
        child product: Option<UsbId> = "product",
        child adapter: Option<ScsiAdapter> = "adapter",
        list hosts: Vec<SourceHost> = "host",
        child private_data: Option<SourcePrivate> = "privateData",
        child auth: Option<Auth> = "auth",
        child initiator: Option<Initiator> = "initiator",
        child address: Option<HostAddress> = "address",
        child origin_states: Option<OriginStates> = "origstates",
        text block: Option<String> = "block",
        text char_device: Option<String> = "char",
        text interface: Option<String> = "interface",
    }

    /// Vendor or product of a USB device.
    pub struct UsbId {
        attr id: Option<Hex<4>> = "id",
    }

    /// Adapter of a SCSI device.
    pub struct ScsiAdapter {
        attr name: Option<String> = "name",
    }

    /// Address of a device on the host.
    pub struct HostAddress {
        attr kind: Option<String> = "type",
        attr domain: Option<Hex<4>> = "domain",
        attr bus: Option<String> = "bus",
        attr slot: Option<Hex<2>> = "slot",
        attr function: Option<Hex<1>> = "function",
        attr target: Option<u32> = "target",
        attr unit: Option<u64> = "unit",
        attr port: Option<String> = "port",
        attr device: Option<u32> = "device",
        attr uuid: Option<String> = "uuid",
    }

    /// What was changed on the host when a device was taken.
    pub struct OriginStates {
        flag unbind: bool = "unbind",
        flag removeslot: bool = "removeslot",
        flag reprobe: bool = "reprobe",
    }

    /// Devices of which one stands in for the other.
    pub struct Teaming {
        attr kind: Option<String> = "type",
        attr persistent: Option<String> = "persistent",
    }
}
