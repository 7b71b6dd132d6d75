//! Controllers.

use oxivirt_conf::domain::MachineKind;
use oxivirt_conf::domain::device::controller::{Controller, ControllerModel, ControllerType};
use serde_json::Value;

use super::Build;
use super::address::{alias, virtio_switches};
use super::error::{PlanError, Result};
use super::props::Props;

/// Kinds in the order in which they are plugged.
const ORDER: [ControllerType; 7] = [
    ControllerType::Pci,
    ControllerType::Usb,
    ControllerType::Scsi,
    ControllerType::Ide,
    ControllerType::Sata,
    ControllerType::VirtioSerial,
    ControllerType::Ccid,
];

impl Build<'_> {
    /// libvirt 11.3.0: `qemuBuildControllersCommandLine`, src/qemu/qemu_command.c
    pub(super) fn controllers(&mut self) -> Result<()> {
        let devices = self.devices;
        for kind in ORDER {
            for controller in &devices.controllers {
                if controller.kind != Some(kind) || self.is_implicit(controller) {
                    continue;
                }
                if let Some(props) = self.controller_props(controller)? {
                    let props = props.with_all(self.address(&controller.info)?);
                    let props = props_after_address(controller, props);
                    self.device(&controller.info, props)?;
                }
            }
        }
        Ok(())
    }

    /// The host bridge's window above 4 GiB and whether root ports accept devices.
    ///
    /// libvirt 11.3.0: `qemuBuildGlobalControllerCommandLine`, src/qemu/qemu_command.c
    pub(super) fn controller_globals(&mut self) {
        let roots = self.devices.controllers.iter().filter(|controller| {
            controller.kind == Some(ControllerType::Pci)
                && matches!(
                    controller.model,
                    Some(ControllerModel::PciRoot | ControllerModel::PcieRoot)
                )
        });
        let mut globals = Vec::new();
        for root in roots {
            let host = match root.model {
                Some(ControllerModel::PcieRoot) => "q35-pcihost",
                _ => "i440FX-pcihost",
            };
            if let Some(size) = root.pci_hole64 {
                globals.push(format!("{host}.pci-hole64-size={}K", size.kib()));
            }
            let hotplug = root.target.as_ref().and_then(|target| target.hotplug);
            if let Some(hotplug) = hotplug.filter(|_| self.machine == MachineKind::I440fx) {
                globals.push(format!("PIIX4_PM.acpi-root-pci-hotplug={hotplug}"));
            }
        }
        for global in globals {
            self.option("-global", global);
        }
    }

    /// Whether the machine has it without being asked.
    ///
    /// libvirt 11.3.0: `qemuBuildSkipController`, src/qemu/qemu_command.c
    pub(super) fn is_implicit(&self, controller: &Controller) -> bool {
        let index = controller.index.unwrap_or(0);
        match controller.kind {
            Some(ControllerType::Pci) => {
                matches!(controller.model, Some(ControllerModel::PcieRoot))
                    || (controller.model == Some(ControllerModel::PciRoot)
                        && (self.machine != MachineKind::Pseries || index == 0))
            }
            Some(ControllerType::Sata) => index == 0 && self.machine == MachineKind::Q35,
            Some(ControllerType::Ide) => index == 0 && self.machine.is_x86(),
            Some(ControllerType::Usb) => controller.model == Some(ControllerModel::None),
            Some(ControllerType::Fdc) => true,
            _ => false,
        }
    }

    fn controller_props(&self, controller: &Controller) -> Result<Option<Props>> {
        let id = alias(&controller.info)?;
        Ok(Some(match controller.kind {
            Some(ControllerType::Pci) => self.pci_controller(controller)?.with("id", id),
            Some(ControllerType::Usb) => match self.usb_controller(controller)? {
                Some(props) => props,
                None => return Ok(None),
            },
            Some(ControllerType::Scsi) => self.scsi_controller(controller)?,
            Some(ControllerType::Sata) => Props::driver("ahci").with("id", id),
            Some(ControllerType::VirtioSerial) => {
                let model = controller.model.map(ControllerModel::as_str);
                let driver = self.virtio("virtio-serial", model, &controller.info);
                virtio_switches!(Props::driver(driver), controller.driver.as_ref())
                    .with("id", id)
                    .with_opt("max_ports", controller.ports)
                    .with_opt("vectors", controller.vectors)
            }
            Some(ControllerType::Ccid) => Props::driver("usb-ccid").with("id", id),
            Some(ControllerType::Ide) => {
                let text = "Only a single IDE controller is supported for this machine type";
                return Err(PlanError::Unsupported(String::from(text)));
            }
            kind => {
                let kind = kind.map_or("", ControllerType::as_str);
                return Err(PlanError::Unsupported(format!("Unsupported controller type: {kind}")));
            }
        }))
    }

    /// libvirt 11.3.0: `qemuBuildControllerPCIDevProps`, src/qemu/qemu_command.c
    fn pci_controller(&self, controller: &Controller) -> Result<Props> {
        let name = controller.pci_model.as_ref().and_then(|model| model.name.as_deref());
        let name = name.ok_or_else(|| PlanError::unprepared("model of a PCI controller"))?;
        let target = controller.target.as_ref();
        let target = |name: &str| {
            target
                .ok_or_else(|| PlanError::Internal(format!("{name} not set for a PCI controller")))
        };
        Ok(match controller.model {
            Some(ControllerModel::PciBridge) => {
                Props::driver(name).with_opt("chassis_nr", target("chassisNr")?.chassis_nr)
            }
            Some(ControllerModel::PciExpanderBus | ControllerModel::PcieExpanderBus) => {
                Props::driver(name).with_opt("bus_nr", target("busNr")?.bus_nr)
            }
            Some(ControllerModel::PcieRootPort | ControllerModel::PcieSwitchDownstreamPort) => {
                let target = target("port")?;
                Props::driver(name)
                    .with_opt("port", target.port.map(|port| port.0))
                    .with_opt("chassis", target.chassis)
                    .with_switch("hotplug", target.hotplug)
            }
            Some(ControllerModel::PciRoot) => {
                Props::driver(name).with_opt("index", target("index")?.index)
            }
            _ => Props::driver(name),
        })
    }

    /// libvirt 11.3.0: `qemuBuildUSBControllerDevProps`, src/qemu/qemu_command.c
    fn usb_controller(&self, controller: &Controller) -> Result<Option<Props>> {
        let Some(model) = controller.model else {
            // There, nothing is behind it.
            if self.machine == MachineKind::S390 {
                return Ok(None);
            }
            let text = "no model provided for USB controller";
            return Err(PlanError::Unsupported(String::from(text)));
        };
        let (driver, flag) = usb_driver(model);
        if flag.is_some_and(|flag| !self.emulator.has(flag)) {
            let text = format!("USB controller model '{model}' not supported in this QEMU binary");
            return Err(PlanError::Unsupported(text));
        }
        let ports = controller
            .ports
            .filter(|_| matches!(model, ControllerModel::NecXhci | ControllerModel::QemuXhci));
        let props = Props::driver(driver).with_opt("p2", ports).with_opt("p3", ports);
        let master = controller.info.master.as_ref();
        Ok(Some(match master {
            Some(master) => {
                let index = controller.index.unwrap_or(0);
                let bus = self.usb_master(index)?;
                let props = Props::driver(driver).with("masterbus", format!("{bus}.0"));
                props.with("firstport", master.start_port.unwrap_or(0))
            }
            None => props.with("id", alias(&controller.info)?),
        }))
    }

    /// The controller that a companion belongs to.
    fn usb_master(&self, index: u32) -> Result<&str> {
        let found = self.devices.controllers.iter().find(|it| {
            it.kind == Some(ControllerType::Usb)
                && it.index.unwrap_or(0) == index
                && it.info.master.is_none()
        });
        let found =
            found.ok_or_else(|| PlanError::Internal(String::from("masterbus not found")))?;
        alias(&found.info)
    }

    /// libvirt 11.3.0: `qemuBuildControllerSCSIDevProps`, src/qemu/qemu_command.c
    fn scsi_controller(&self, controller: &Controller) -> Result<Props> {
        let id = alias(&controller.info)?;
        let driver = controller.driver.as_ref();
        let name = match controller.model {
            Some(
                model @ (ControllerModel::VirtioScsi
                | ControllerModel::VirtioTransitional
                | ControllerModel::VirtioNonTransitional),
            ) => {
                let driver_name =
                    self.virtio("virtio-scsi", Some(model.as_str()), &controller.info);
                let thread = driver.and_then(|driver| driver.iothread);
                return Ok(virtio_switches!(Props::driver(driver_name), driver)
                    .with_opt("iothread", thread.map(|id| format!("iothread{id}")))
                    .with("id", id)
                    .with_nonzero("num_queues", driver.and_then(|driver| driver.queues))
                    .with_nonzero("cmd_per_lun", driver.and_then(|driver| driver.cmd_per_lun))
                    .with_nonzero("max_sectors", driver.and_then(|driver| driver.max_sectors))
                    .with_switch("ioeventfd", driver.and_then(|driver| driver.ioeventfd))
                    .with_opt(
                        "iothread-vq-mapping",
                        driver.and_then(|driver| driver.iothreads.as_ref()).map(thread_map),
                    ));
            }
            Some(ControllerModel::Lsilogic) => "lsi",
            Some(ControllerModel::Ibmvscsi) => "spapr-vscsi",
            Some(ControllerModel::Lsisas1068) => "mptsas1068",
            Some(ControllerModel::Lsisas1078) => "megasas",
            Some(ControllerModel::Vmpvscsi) => "pvscsi",
            Some(ControllerModel::Dc390) => "dc-390",
            Some(ControllerModel::Am53c974) => "am53c974",
            model => {
                let model = model.map_or("auto", ControllerModel::as_str);
                let text = format!("Unsupported controller model: {model}");
                return Err(PlanError::Unsupported(text));
            }
        };
        Ok(Props::driver(name).with("id", id))
    }
}

/// Properties that follow the address.
fn props_after_address(controller: &Controller, props: Props) -> Props {
    let target = controller.target.as_ref();
    match controller.model {
        Some(ControllerModel::PciExpanderBus | ControllerModel::PcieExpanderBus) => {
            props.with_opt("numa_node", target.and_then(|target| target.node))
        }
        _ => props,
    }
}

/// Which thread serves which queues.
pub(super) fn thread_map(map: &oxivirt_conf::domain::device::IoThreadMap) -> Value {
    let threads = map.threads.iter().map(|thread| {
        let props = Props::new().with("iothread", format!("iothread{}", thread.id.unwrap_or(0)));
        let queues: Vec<u32> = thread.queues.iter().filter_map(|queue| queue.id).collect();
        let queues = Some(queues).filter(|queues| !queues.is_empty());
        props.with_opt("vqs", queues).into_value()
    });
    Value::Array(threads.collect())
}

/// The emulator's name of a USB controller, and the feature that has it.
const fn usb_driver(model: ControllerModel) -> (&'static str, Option<&'static str>) {
    match model {
        ControllerModel::Piix3Uhci => ("piix3-usb-uhci", Some("piix3-usb-uhci")),
        ControllerModel::Piix4Uhci => ("piix4-usb-uhci", Some("piix4-usb-uhci")),
        ControllerModel::Ehci => ("usb-ehci", Some("usb-ehci")),
        ControllerModel::Ich9Ehci1 => ("ich9-usb-ehci1", Some("ich9-usb-ehci1")),
        ControllerModel::Ich9Uhci1 => ("ich9-usb-uhci1", Some("ich9-usb-ehci1")),
        ControllerModel::Ich9Uhci2 => ("ich9-usb-uhci2", Some("ich9-usb-ehci1")),
        ControllerModel::Ich9Uhci3 => ("ich9-usb-uhci3", Some("ich9-usb-ehci1")),
        ControllerModel::Vt82c686bUhci => ("vt82c686b-usb-uhci", Some("vt82c686b-usb-uhci")),
        ControllerModel::PciOhci => ("pci-ohci", Some("pci-ohci")),
        ControllerModel::NecXhci => ("nec-usb-xhci", Some("nec-usb-xhci")),
        ControllerModel::QemuXhci => ("qemu-xhci", Some("qemu-xhci")),
        _ => ("usb", None),
    }
}
