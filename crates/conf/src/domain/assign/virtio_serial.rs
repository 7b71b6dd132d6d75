//! Ports of virtio-serial controllers.

use std::collections::{BTreeMap, BTreeSet};

use super::super::DomainError;
use super::super::address::{Address, VirtioSerial};
use super::super::complete::controllers;
use super::super::device::Devices;
use super::super::device::chardev::CharDevice;
use super::super::device::controller::{Controller, ControllerType};

/// How many ports a controller has unless it says so.
const PORTS: u32 = 31;

/// Gives consoles and channels on virtio a port; port 0 is kept for a console.
///
/// libvirt 11.3.0: `virDomainAssignVirtioSerialAddresses`, src/conf/domain_addr.c
pub(super) fn assign(devices: &mut Devices) -> Result<(), DomainError> {
    let mut taken: BTreeMap<u32, BTreeSet<u32>> = devices
        .controllers
        .iter()
        .filter(|controller| controller.kind == Some(ControllerType::VirtioSerial))
        .filter_map(|controller| Some((controller.index?, BTreeSet::new())))
        .collect();
    let limits: BTreeMap<u32, u32> = devices
        .controllers
        .iter()
        .filter(|controller| controller.kind == Some(ControllerType::VirtioSerial))
        .filter_map(|controller| Some((controller.index?, controller.ports.unwrap_or(PORTS))))
        .collect();
    for port in devices.consoles.iter().chain(&devices.channels) {
        if let Some(Address::VirtioSerial(at)) = port.info.address
            && at.port > 0
            && !taken.entry(at.controller).or_default().insert(at.port)
        {
            return Err(DomainError::Xml(format!(
                "virtio serial port {} on controller {} is already occupied",
                at.port, at.controller
            )));
        }
    }
    let mut added = Vec::new();
    for console in &mut devices.consoles {
        // Without a controller named, a console stays where the emulator puts it.
        if let Some(Address::VirtioSerial(at)) = console.info.address
            && is_open(console)
        {
            console.info.address = Some(next(&mut taken, &limits, &mut added, Some(at.controller)));
        }
    }
    for port in &mut devices.channels {
        if is_open(port) {
            let wanted = match port.info.address {
                Some(Address::VirtioSerial(at)) => Some(at.controller),
                _ => None,
            };
            port.info.address = Some(next(&mut taken, &limits, &mut added, wanted));
        }
    }
    for index in added {
        let kind = Some(ControllerType::VirtioSerial);
        let controller = Controller { kind, index: Some(index), ..Controller::default() };
        controllers::insert(&mut devices.controllers, controller);
    }
    Ok(())
}

fn is_open(port: &CharDevice) -> bool {
    let kind = port.target.as_ref().and_then(|target| target.kind.as_deref());
    kind == Some("virtio")
        && match port.info.address {
            None => true,
            Some(Address::VirtioSerial(at)) => at.port == 0,
            Some(_) => false,
        }
}

fn next(
    taken: &mut BTreeMap<u32, BTreeSet<u32>>,
    limits: &BTreeMap<u32, u32>,
    added: &mut Vec<u32>,
    wanted: Option<u32>,
) -> Address {
    for (&controller, ports) in &mut *taken {
        if wanted.is_some_and(|wanted| wanted != controller) {
            continue;
        }
        let limit = limits.get(&controller).copied().unwrap_or(PORTS);
        if let Some(port) = (1..limit).find(|port| !ports.contains(port)) {
            ports.insert(port);
            return Address::VirtioSerial(VirtioSerial { controller, bus: 0, port });
        }
    }
    let controller = taken.keys().next_back().map_or(0, |last| last + 1);
    taken.insert(controller, BTreeSet::from([1]));
    added.push(controller);
    Address::VirtioSerial(VirtioSerial { controller, bus: 0, port: 1 })
}
