//! Registers of paravirtual devices on POWER.

use std::collections::BTreeSet;

use super::super::DomainError;
use super::super::address::{Address, DeviceInfo};
use super::super::device::Devices;
use super::super::device::controller::{ControllerModel, ControllerType};
use super::super::device::tpm::TpmModel;
use crate::element::Hex;

/// How far apart registers are.
const STEP: u64 = 0x1000;

/// Gives devices that wait for one a register.
///
/// libvirt 11.3.0: `qemuDomainAssignSpaprVIOAddresses`, src/qemu/qemu_domain_address.c
pub(super) fn assign(devices: &mut Devices) -> Result<(), DomainError> {
    let mut places = places(devices);
    let mut taken = BTreeSet::new();
    for (info, _) in &places {
        if let Some(Address::SpaprVio(Some(reg))) = &info.address
            && !taken.insert(reg.0)
        {
            return Err(DomainError::Xml(format!("spapr-vio address {:#x} already in use", reg.0)));
        }
    }
    for (info, first) in &mut places {
        if matches!(info.address, None | Some(Address::SpaprVio(None))) {
            let mut reg = *first;
            while taken.contains(&reg) {
                reg += STEP;
            }
            taken.insert(reg);
            info.address = Some(Address::SpaprVio(Some(Hex(reg))));
        }
    }
    Ok(())
}

/// Devices with registers and where the search for one starts.
fn places(devices: &mut Devices) -> Vec<(&mut DeviceInfo, u64)> {
    let mut places = Vec::new();
    for interface in &mut devices.interfaces {
        let model = interface.model.as_ref().and_then(|model| model.kind.as_deref());
        if model == Some("spapr-vlan") {
            places.push((&mut interface.info, 0x1000));
        }
    }
    for controller in &mut devices.controllers {
        if controller.kind == Some(ControllerType::Scsi)
            && controller.model == Some(ControllerModel::Ibmvscsi)
        {
            places.push((&mut controller.info, 0x2000));
        }
    }
    for serial in &mut devices.serials {
        let kind = serial.target.as_ref().and_then(|target| target.kind.as_deref());
        if kind == Some("spapr-vio-serial") {
            places.push((&mut serial.info, 0x3000_0000));
        }
    }
    if let Some(nvram) = &mut devices.nvram {
        places.push((&mut nvram.info, 0x3000));
    }
    for tpm in &mut devices.tpms {
        if tpm.model == Some(TpmModel::TpmSpapr) {
            places.push((&mut tpm.info, 0x4000));
        }
    }
    places
}
