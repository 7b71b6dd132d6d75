//! Where devices sit, as properties.

use oxivirt_conf::OnOff;
use oxivirt_conf::domain::address::{Address, DeviceInfo, Pci};
use oxivirt_conf::domain::device::controller::{ControllerModel, ControllerType};

use super::Build;
use super::error::{PlanError, Result};
use super::props::Props;

impl Build<'_> {
    /// The alias of a controller.
    pub(super) fn controller(&self, kind: ControllerType, index: u32) -> Result<&str> {
        let found = self.devices.controllers.iter().find(|controller| {
            controller.kind == Some(kind) && controller.index.unwrap_or(0) == index
        });
        // What the machine brings along has a name of its own.
        if let Some(found) = found.filter(|found| self.is_implicit(found)) {
            match (found.kind, found.model) {
                (Some(ControllerType::Pci), Some(ControllerModel::PcieRoot)) => {
                    return Ok("pcie.0");
                }
                (Some(ControllerType::Pci), _) => return Ok("pci.0"),
                (Some(ControllerType::Ide | ControllerType::Sata), _) => return Ok("ide"),
                _ => {}
            }
        }
        let alias = found.and_then(|controller| controller.info.alias.as_ref());
        alias.and_then(|alias| alias.name.as_deref()).ok_or_else(|| {
            let text =
                format!("Could not find {kind} controller with index {index} required for device");
            PlanError::Internal(text)
        })
    }

    /// The properties of a device's address and of what comes with it.
    ///
    /// libvirt 11.3.0: `qemuBuildDeviceAddressProps`, src/qemu/qemu_command.c
    pub(super) fn address(&self, info: &DeviceInfo) -> Result<Props> {
        let props = match &info.address {
            Some(Address::Pci(pci)) => self.pci_address(pci)?,
            Some(Address::Usb(usb)) => {
                let controller = self.controller(ControllerType::Usb, usb.bus)?;
                Props::new().with("bus", format!("{controller}.0")).with("port", usb.to_string())
            }
            Some(Address::SpaprVio(Some(reg))) => Props::new().with("reg", reg.0),
            Some(Address::Ccw(ccw)) => Props::new().with_opt(
                "devno",
                ccw.id.map(|(cssid, ssid, devno)| format!("{cssid:x}.{ssid:x}.{devno:04x}")),
            ),
            Some(Address::Isa(isa)) => Props::new()
                .with_opt("iobase", isa.iobase.map(|port| port.0))
                .with_opt("irq", isa.irq.map(|irq| irq.0)),
            Some(Address::Dimm(dimm)) => {
                Props::new().with("slot", dimm.slot).with_opt("addr", dimm.base.map(|base| base.0))
            }
            _ => Props::new(),
        };
        let index = info.acpi.as_ref().and_then(|acpi| acpi.index);
        Ok(props.with_nonzero("acpi-index", index))
    }

    fn pci_address(&self, pci: &Pci) -> Result<Props> {
        let bus = self.controller(ControllerType::Pci, pci.bus)?;
        let slot = if pci.function == 0 {
            format!("0x{:x}", pci.slot)
        } else {
            format!("0x{:x}.0x{:x}", pci.slot, pci.function)
        };
        Ok(Props::new()
            .with("bus", bus)
            .with_switch("multifunction", pci.multifunction)
            .with("addr", slot))
    }

    /// The driver of a virtio device: the name with the bus it sits on.
    ///
    /// libvirt 11.3.0: `qemuBuildVirtioDevGetConfig`, src/qemu/qemu_command.c
    pub(super) fn virtio(&self, name: &str, model: Option<&str>, info: &DeviceInfo) -> String {
        let bus = match &info.address {
            Some(Address::Ccw(_)) => "-ccw",
            Some(Address::VirtioMmio) => "-device",
            Some(Address::VirtioS390) => "-s390",
            _ => match model {
                Some(model) if model.ends_with("non-transitional") => "-pci-non-transitional",
                Some(model) if model.ends_with("transitional") => "-pci-transitional",
                _ => "-pci",
            },
        };
        format!("{name}{bus}")
    }

    /// The expansion ROM of a device.
    pub(super) fn rom(info: &DeviceInfo) -> Props {
        let Some(rom) = &info.rom else { return Props::new() };
        if rom.enabled.is_some_and(|enabled| enabled == oxivirt_conf::YesNo::No) {
            return Props::new().with("romfile", "");
        }
        Props::new()
            .with_opt("rombar", rom.bar.map(|bar| u32::from(bar == OnOff::On)))
            .with_opt("romfile", rom.file.as_deref())
    }
}

/// The alias of a device.
pub(super) fn alias(info: &DeviceInfo) -> Result<&str> {
    let alias = info.alias.as_ref().and_then(|alias| alias.name.as_deref());
    alias.ok_or_else(|| PlanError::unprepared("alias"))
}

/// The switches that every virtio device has, from its `<driver>`.
macro_rules! virtio_switches {
    ($props:expr, $driver:expr) => {{
        let driver = $driver;
        $props
            .with_switch("iommu_platform", driver.and_then(|driver| driver.iommu))
            .with_switch("ats", driver.and_then(|driver| driver.ats))
            .with_switch("packed", driver.and_then(|driver| driver.packed))
            .with_switch("page-per-vq", driver.and_then(|driver| driver.page_per_vq))
    }};
}

pub(super) use virtio_switches;
