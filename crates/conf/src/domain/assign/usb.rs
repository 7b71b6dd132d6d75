//! Ports of USB controllers and hubs.

use std::collections::{BTreeMap, BTreeSet};

use super::super::address::{Address, DeviceInfo, Usb};
use super::super::device::Devices;
use super::super::device::controller::{Controller, ControllerModel, ControllerType};
use super::super::device::disk::DiskBus;
use super::super::device::hostdev::HostdevType;
use super::super::device::input::InputBus;
use super::super::device::other::Hub;
use super::super::device::sound::SoundModel;
use super::super::{DomainError, Origin};

/// How many ports a hub has.
const HUB_PORTS: u32 = 8;

/// The ports of every controller: how many, and which are taken.
type Ports = BTreeMap<u32, Vec<Level>>;

/// A controller or a hub.
#[derive(Debug)]
struct Level {
    path: Vec<u32>,
    n_ports: u32,
    taken: BTreeSet<u32>,
}

/// Gives USB devices a port; when none is left a hub is added.
///
/// libvirt 11.3.0: `qemuDomainAssignUSBAddresses`, src/qemu/qemu_domain_address.c
pub(super) fn assign(devices: &mut Devices, origin: Origin) -> Result<(), DomainError> {
    // An old definition without ports was started without them: its topology is the emulator's choice.
    if origin == Origin::Stored && infos(devices).into_iter().any(|info| is_open(info)) {
        return Ok(());
    }
    let mut ports = Ports::new();
    for controller in &devices.controllers {
        if controller.kind == Some(ControllerType::Usb)
            && let Some(index) = controller.index
            && let Some(n_ports) = n_ports(controller)
            && controller.info.master.is_none()
        {
            let level = Level { path: Vec::new(), n_ports, taken: BTreeSet::new() };
            ports.entry(index).or_insert_with(|| vec![level]);
        }
    }
    if ports.is_empty() {
        return Ok(());
    }
    for hub in &devices.hubs {
        if let Some(Address::Usb(usb)) = &hub.info.address
            && !usb.port.is_empty()
            && let Some(levels) = ports.get_mut(&usb.bus)
        {
            let path = usb.port.clone();
            levels.push(Level { path, n_ports: HUB_PORTS, taken: BTreeSet::new() });
        }
    }
    for info in infos(devices) {
        if let Some(Address::Usb(usb)) = &info.address {
            reserve(&mut ports, usb)?;
        }
    }
    add_hubs(devices, &mut ports)?;
    for hub in &mut devices.hubs {
        if is_open(&hub.info) {
            let usb = next(&mut ports, wanted(&hub.info)).ok_or_else(no_port)?;
            let path = usb.port.clone();
            if let Some(levels) = ports.get_mut(&usb.bus) {
                levels.push(Level { path, n_ports: HUB_PORTS, taken: BTreeSet::new() });
            }
            hub.info.address = Some(Address::Usb(usb));
        }
    }
    for info in infos(devices) {
        if is_open(info) {
            let usb = next(&mut ports, wanted(info)).ok_or_else(no_port)?;
            info.address = Some(Address::Usb(usb));
        }
    }
    Ok(())
}

fn no_port() -> DomainError {
    DomainError::Internal(String::from("No free USB ports"))
}

fn wanted(info: &DeviceInfo) -> Option<u32> {
    match &info.address {
        Some(Address::Usb(usb)) => Some(usb.bus),
        _ => None,
    }
}

fn is_open(info: &DeviceInfo) -> bool {
    match &info.address {
        None => true,
        Some(Address::Usb(usb)) => usb.port.is_empty(),
        Some(_) => false,
    }
}

/// Adds hubs until there are as many ports as devices without one.
fn add_hubs(devices: &mut Devices, ports: &mut Ports) -> Result<(), DomainError> {
    let given = devices.hubs.iter().filter(|hub| is_open(&hub.info)).count();
    let needed = infos(devices).into_iter().filter(|info| is_open(info)).count();
    let free: u32 = ports
        .values()
        .flatten()
        .map(|level| level.n_ports.saturating_sub(u32::try_from(level.taken.len()).unwrap_or(0)))
        .sum();
    let free =
        usize::try_from(free).unwrap_or(0) + given * usize::try_from(HUB_PORTS - 1).unwrap_or(0);
    // Devices in `needed` include the hubs given.
    let needed = needed.saturating_sub(given);
    if free >= needed {
        return Ok(());
    }
    // A hub takes a port and gives its own; libvirt keeps one in reserve.
    let per_hub = usize::try_from(HUB_PORTS - 1).unwrap_or(1);
    for _ in 0..(needed - free + 1).div_ceil(per_hub) {
        let usb = next(ports, None).ok_or_else(no_port)?;
        let path = usb.port.clone();
        if let Some(levels) = ports.get_mut(&usb.bus) {
            levels.push(Level { path, n_ports: HUB_PORTS, taken: BTreeSet::new() });
        }
        let mut hub = Hub { kind: Some(String::from("usb")), ..Hub::default() };
        hub.info.address = Some(Address::Usb(usb));
        devices.hubs.push(hub);
    }
    Ok(())
}

/// How many ports a controller has of its own; none for a companion.
///
/// libvirt 11.3.0: `virDomainUSBAddressControllerModelToPorts`, src/conf/domain_addr.c
fn n_ports(controller: &Controller) -> Option<u32> {
    match controller.model {
        Some(ControllerModel::None) => None,
        Some(ControllerModel::Ehci | ControllerModel::Ich9Ehci1) => Some(6),
        Some(ControllerModel::PciOhci) => Some(3),
        Some(ControllerModel::NecXhci | ControllerModel::QemuXhci) => {
            Some(controller.ports.unwrap_or(4))
        }
        Some(ControllerModel::Qusb1 | ControllerModel::Qusb2) => {
            Some(controller.ports.unwrap_or(8))
        }
        _ => Some(2),
    }
}

/// Takes the port that a document names.
///
/// libvirt 11.3.0: `virDomainUSBAddressReserve`, src/conf/domain_addr.c
fn reserve(ports: &mut Ports, usb: &Usb) -> Result<(), DomainError> {
    let Some(levels) = ports.get_mut(&usb.bus) else {
        return Err(DomainError::Xml(format!(
            "USB bus {} requested but no controller with that index is present",
            usb.bus
        )));
    };
    let Some((&last, path)) = usb.port.split_last() else { return Ok(()) };
    let Some(level) = levels.iter_mut().find(|level| level.path == path) else {
        let hub = path.last().copied().unwrap_or(0);
        return Err(DomainError::Xml(format!(
            "there is no hub at port {hub} in USB address bus: {} port: {usb}",
            usb.bus
        )));
    };
    if last == 0 || last > level.n_ports {
        return Err(DomainError::Xml(format!(
            "requested USB port {usb} not present on USB bus {}",
            usb.bus
        )));
    }
    level.taken.insert(last);
    Ok(())
}

fn next(ports: &mut Ports, bus: Option<u32>) -> Option<Usb> {
    for (&index, levels) in ports.iter_mut() {
        if bus.is_some_and(|bus| bus != index) {
            continue;
        }
        // A hub's own ports, then those of the hubs on it.
        levels.sort_by(|a, b| a.path.cmp(&b.path));
        for level in levels {
            if let Some(port) = (1..=level.n_ports).find(|port| !level.taken.contains(port)) {
                level.taken.insert(port);
                let mut path = level.path.clone();
                path.push(port);
                return Some(Usb { bus: index, port: path });
            }
        }
    }
    None
}

/// USB devices in the order in which they get ports.
fn infos(devices: &mut Devices) -> Vec<&mut DeviceInfo> {
    let mut infos: Vec<&mut DeviceInfo> = Vec::new();
    infos.extend(devices.hubs.iter_mut().map(|hub| &mut hub.info));
    for filesystem in &mut devices.filesystems {
        let driver = filesystem.driver.as_ref().and_then(|driver| driver.kind.as_deref());
        if driver == Some("mtp") {
            infos.push(&mut filesystem.info);
        }
    }
    for disk in &mut devices.disks {
        if disk.target.as_ref().and_then(|target| target.bus) == Some(DiskBus::Usb) {
            infos.push(&mut disk.info);
        }
    }
    for interface in &mut devices.interfaces {
        let model = interface.model.as_ref().and_then(|model| model.kind.as_deref());
        if model == Some("usb-net") {
            infos.push(&mut interface.info);
        }
    }
    for input in devices.inputs.iter_mut().filter(|input| input.bus == Some(InputBus::Usb)) {
        infos.push(&mut input.info);
    }
    for hostdev in devices.hostdevs.iter_mut() {
        if hostdev.kind == Some(HostdevType::Usb) {
            infos.push(&mut hostdev.info);
        }
    }
    infos.extend(devices.redirdevs.iter_mut().map(|redirdev| &mut redirdev.info));
    for sound in devices.sounds.iter_mut().filter(|sound| sound.model == Some(SoundModel::Usb)) {
        infos.push(&mut sound.info);
    }
    for serial in &mut devices.serials {
        let kind = serial.target.as_ref().and_then(|target| target.kind.as_deref());
        if kind == Some("usb-serial") {
            infos.push(&mut serial.info);
        }
    }
    infos
}
