//! `<address>`, `<alias>`, `<boot>`, `<acpi>`: what every device can have.

use std::fmt;

use oxivirt_xml::{Element, Presence, Tag, Writer};

use super::DomainError;
use crate::element::{Content, Hex, attr, elements};
use crate::error::Result;
use crate::keyword::{OnOff, YesNo, words};

words! {
    /// Kinds of addresses.
    pub enum AddressType {
        Pci = "pci",
        Drive = "drive",
        VirtioSerial = "virtio-serial",
        Ccid = "ccid",
        Usb = "usb",
        SpaprVio = "spapr-vio",
        VirtioS390 = "virtio-s390",
        Ccw = "ccw",
        VirtioMmio = "virtio-mmio",
        Isa = "isa",
        Dimm = "dimm",
        Unassigned = "unassigned",
    }
}

/// Where a device sits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A function on a PCI bus.
    Pci(Pci),
    /// A place on a disk controller.
    Drive(Drive),
    /// A port of a virtio-serial controller.
    VirtioSerial(VirtioSerial),
    /// A slot of a smartcard controller.
    Ccid(Ccid),
    /// A port of a USB controller.
    Usb(Usb),
    /// A register of a POWER guest.
    SpaprVio(Option<Hex<8>>),
    /// An old virtio device of s390.
    VirtioS390,
    /// A channel device of s390.
    Ccw(Ccw),
    /// A memory-mapped virtio device.
    VirtioMmio,
    /// I/O ports and an interrupt.
    Isa(Isa),
    /// A memory slot.
    Dimm(Dimm),
    /// None, on purpose.
    Unassigned,
}

/// A function on a PCI bus; all zeros is none yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pci {
    /// PCI domain.
    pub domain: u32,
    /// Bus: the index of a controller.
    pub bus: u32,
    /// Slot.
    pub slot: u32,
    /// Function.
    pub function: u32,
    /// Whether the slot holds several functions.
    pub multifunction: Option<OnOff>,
    /// Identity of the function on s390.
    pub zpci: Option<Zpci>,
}

/// Identity of a PCI function on s390.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Zpci {
    /// User-defined number.
    pub uid: Option<Hex<4>>,
    /// Function number.
    pub fid: Option<Hex<8>>,
}

/// A place on a disk controller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Drive {
    /// Index of the controller.
    pub controller: u32,
    /// Its bus.
    pub bus: u32,
    /// Target on the bus.
    pub target: u32,
    /// Unit of the target.
    pub unit: u32,
}

/// A port of a virtio-serial controller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtioSerial {
    /// Index of the controller.
    pub controller: u32,
    /// Its bus.
    pub bus: u32,
    /// The port.
    pub port: u32,
}

/// A slot of a smartcard controller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ccid {
    /// Index of the controller.
    pub controller: u32,
    /// The slot.
    pub slot: u32,
}

/// A port of a USB controller.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usb {
    /// Index of the controller.
    pub bus: u32,
    /// Ports from the controller through hubs; none yet if empty.
    pub port: Vec<u32>,
}

/// A channel device; nothing is none yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ccw {
    /// Subsystem, subchannel set and device number.
    pub id: Option<(u32, u32, u32)>,
}

/// I/O ports and an interrupt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Isa {
    /// First port.
    pub iobase: Option<Hex<1>>,
    /// Interrupt.
    pub irq: Option<Hex<1>>,
}

/// A memory slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dimm {
    /// The slot.
    pub slot: u32,
    /// Guest address.
    pub base: Option<Hex<1>>,
}

elements! {
    /// What every device can have.
    pub struct DeviceInfo {
        child acpi: Option<AcpiIndex> = "acpi",
        child boot: Option<DeviceBoot> = "boot",
        child alias: Option<Alias> = "alias",
        child master: Option<UsbMaster> = "master",
        child rom: Option<Rom> = "rom",
        child address: Option<Address> = "address",
        child private_data: Option<DevicePrivate> = "privateData",
    }

    /// What the driver keeps of a device of a running guest; in status documents only.
    pub struct DevicePrivate {
        child qom: Option<QomName> = "qom",
    }

    /// `<qom>`: what the emulator calls a disk in statistics and events.
    pub struct QomName {
        attr name: Option<String> = "name",
    }

    /// `<alias>`
    pub struct Alias {
        attr name: Option<String> = "name",
    }

    /// `<boot>` of a device
    pub struct DeviceBoot {
        attr order: Option<u32> = "order",
        attr loadparm: Option<String> = "loadparm",
    }

    /// `<master>`: the first port a companion controller has.
    pub struct UsbMaster {
        attr start_port: Option<u32> = "startport",
    }

    /// `<rom>`: the expansion ROM of a PCI device.
    pub struct Rom {
        attr enabled: Option<YesNo> = "enabled",
        attr bar: Option<OnOff> = "bar",
        attr file: Option<String> = "file",
    }

    /// `<acpi>` of a device
    pub struct AcpiIndex {
        attr index: Option<u32> = "index",
    }
}

impl Pci {
    /// Whether it names no function yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.domain == 0 && self.bus == 0 && self.slot == 0 && self.function == 0
    }

    /// A function on a bus.
    #[must_use]
    pub const fn new(bus: u32, slot: u32, function: u32) -> Self {
        Self { domain: 0, bus, slot, function, multifunction: None, zpci: None }
    }

    fn read(node: &Element<'_>) -> Result<Self> {
        let number = |name| {
            Ok::<_, crate::ParseError>(attr::read::<Hex<1>>(node, name)?.map_or(0, |hex| hex.0))
        };
        let limited = |name, value: u64, max: u64| match u32::try_from(value) {
            Ok(small) if value <= max => Ok(small),
            _ => Err(DomainError::pci_range(name, value, max)),
        };
        let zpci = match node.child("zpci") {
            Some(zpci) => {
                Some(Zpci { uid: attr::read(zpci, "uid")?, fid: attr::read(zpci, "fid")? })
            }
            None => None,
        };
        Ok(Self {
            domain: limited("domain", number("domain")?, 0xffff)?,
            bus: limited("bus", number("bus")?, 0xff)?,
            slot: limited("slot", number("slot")?, 0x1f)?,
            function: limited("function", number("function")?, 7)?,
            multifunction: attr::read(node, "multifunction")?,
            zpci,
        })
    }

    fn write<'w>(&self, tag: Tag<'w>) -> Tag<'w> {
        if self.is_empty() {
            return tag.display_opt("multifunction", self.multifunction);
        }
        tag.display("domain", format_args!("0x{:04x}", self.domain))
            .display("bus", format_args!("0x{:02x}", self.bus))
            .display("slot", format_args!("0x{:02x}", self.slot))
            .display("function", format_args!("0x{:x}", self.function))
            .display_opt("multifunction", self.multifunction)
    }
}

impl fmt::Display for Pci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.slot, self.function)
    }
}

impl fmt::Display for Usb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports: Vec<String> = self.port.iter().map(u32::to_string).collect();
        f.write_str(&ports.join("."))
    }
}

impl Address {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> AddressType {
        match self {
            Self::Pci(_) => AddressType::Pci,
            Self::Drive(_) => AddressType::Drive,
            Self::VirtioSerial(_) => AddressType::VirtioSerial,
            Self::Ccid(_) => AddressType::Ccid,
            Self::Usb(_) => AddressType::Usb,
            Self::SpaprVio(_) => AddressType::SpaprVio,
            Self::VirtioS390 => AddressType::VirtioS390,
            Self::Ccw(_) => AddressType::Ccw,
            Self::VirtioMmio => AddressType::VirtioMmio,
            Self::Isa(_) => AddressType::Isa,
            Self::Dimm(_) => AddressType::Dimm,
            Self::Unassigned => AddressType::Unassigned,
        }
    }

    fn write_attributes<'w>(&self, tag: Tag<'w>) -> Tag<'w> {
        let tag = tag.display("type", self.kind());
        match self {
            Self::Pci(pci) => pci.write(tag),
            Self::Drive(drive) => tag
                .display("controller", drive.controller)
                .display("bus", drive.bus)
                .display("target", drive.target)
                .display("unit", drive.unit),
            Self::VirtioSerial(port) => tag
                .display("controller", port.controller)
                .display("bus", port.bus)
                .display("port", port.port),
            Self::Ccid(ccid) => {
                tag.display("controller", ccid.controller).display("slot", ccid.slot)
            }
            Self::Usb(usb) => {
                let tag = tag.display("bus", usb.bus);
                if usb.port.is_empty() { tag } else { tag.display("port", usb) }
            }
            Self::SpaprVio(reg) => tag.display_opt("reg", *reg),
            Self::Ccw(Ccw { id: Some((cssid, ssid, devno)) }) => tag
                .display("cssid", format_args!("0x{cssid:x}"))
                .display("ssid", format_args!("0x{ssid:x}"))
                .display("devno", format_args!("0x{devno:04x}")),
            Self::Isa(isa) => tag.display_opt("iobase", isa.iobase).display_opt("irq", isa.irq),
            Self::Dimm(dimm) => tag.display("slot", dimm.slot).display_opt("base", dimm.base),
            Self::Ccw(Ccw { id: None })
            | Self::VirtioS390
            | Self::VirtioMmio
            | Self::Unassigned => tag,
        }
    }
}

impl Content for Address {
    fn read(node: &Element<'_>) -> Result<Self> {
        let kind: AddressType =
            attr::read(node, "type")?.ok_or_else(|| DomainError::missing("type", "address"))?;
        let number = |name| Ok::<_, crate::ParseError>(attr::read::<u32>(node, name)?.unwrap_or(0));
        Ok(match kind {
            AddressType::Pci => Self::Pci(Pci::read(node)?),
            AddressType::Drive => Self::Drive(Drive {
                controller: number("controller")?,
                bus: number("bus")?,
                target: number("target")?,
                unit: number("unit")?,
            }),
            AddressType::VirtioSerial => Self::VirtioSerial(VirtioSerial {
                controller: number("controller")?,
                bus: number("bus")?,
                port: number("port")?,
            }),
            AddressType::Ccid => {
                Self::Ccid(Ccid { controller: number("controller")?, slot: number("slot")? })
            }
            AddressType::Usb => Self::Usb(Usb {
                bus: number("bus")?,
                port: parse_usb_port(node.attribute("port"))?,
            }),
            AddressType::SpaprVio => Self::SpaprVio(attr::read(node, "reg")?),
            AddressType::VirtioS390 => Self::VirtioS390,
            AddressType::Ccw => Self::Ccw(Ccw { id: parse_ccw(node)? }),
            AddressType::VirtioMmio => Self::VirtioMmio,
            AddressType::Isa => Self::Isa(Isa {
                iobase: attr::read(node, "iobase")?,
                irq: attr::read(node, "irq")?,
            }),
            AddressType::Dimm => {
                Self::Dimm(Dimm { slot: number("slot")?, base: attr::read(node, "base")? })
            }
            AddressType::Unassigned => Self::Unassigned,
        })
    }

    fn write(&self, name: &str, presence: Presence, out: &mut Writer) {
        let zpci = match self {
            Self::Pci(Pci { zpci, .. }) => *zpci,
            _ => None,
        };
        out.element(
            name,
            presence,
            |tag| self.write_attributes(tag),
            |out| {
                if let Some(zpci) = zpci {
                    let tag = out.begin("zpci").display_opt("uid", zpci.uid);
                    tag.display_opt("fid", zpci.fid).empty();
                }
            },
        );
    }
}

fn parse_usb_port(text: Option<&str>) -> Result<Vec<u32>> {
    /// How deep hubs can be chained.
    const DEPTH: usize = 4;
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let ports: Option<Vec<u32>> = text.split('.').map(|port| port.parse().ok()).collect();
    match ports {
        Some(ports) if ports.len() <= DEPTH => Ok(ports),
        _ => {
            Err(DomainError::Device(String::from("Cannot parse <address> 'port' attribute")).into())
        }
    }
}

fn parse_ccw(node: &Element<'_>) -> Result<Option<(u32, u32, u32)>> {
    let part = |name| {
        let hex = attr::read::<Hex<1>>(node, name)?;
        Ok::<_, crate::ParseError>(hex.and_then(|hex| u32::try_from(hex.0).ok()))
    };
    match (part("cssid")?, part("ssid")?, part("devno")?) {
        (Some(cssid), Some(ssid), Some(devno)) => Ok(Some((cssid, ssid, devno))),
        (None, None, None) => Ok(None),
        _ => Err(DomainError::Device(String::from(
            "Invalid partial specification for virtio ccw address",
        ))
        .into()),
    }
}
