//! Interfaces.

use super::super::DomainError;
use super::super::device::Devices;
use super::super::device::interface::{Interface, InterfaceType};
use super::{Check, contradiction, unsupported};

pub(super) fn check(devices: &Devices) -> Check {
    devices.interfaces.iter().try_for_each(check_one)
}

/// libvirt 11.3.0: `virDomainNetDefParseXML`, src/conf/domain_conf.c
fn check_one(interface: &Interface) -> Check {
    let source = interface.source.as_ref();
    let is_missing = match interface.kind {
        Some(InterfaceType::Network) => source.is_none_or(|source| source.network.is_none()),
        Some(InterfaceType::Bridge) => source.is_none_or(|source| source.bridge.is_none()),
        _ => false,
    };
    if is_missing && interface.actual.is_none() {
        let kind = interface.kind.map_or("", InterfaceType::as_str);
        return contradiction(format!("interface type='{kind}' requires a 'source' element"));
    }
    let backend = interface.backend.as_ref();
    let is_passt = backend.and_then(|backend| backend.kind.as_deref()) == Some("passt");
    if !interface.port_forwards.is_empty() && !is_passt {
        return unsupported(
            "The <portForward> element can only be used with the 'passt' backend of interface \
             type='user' or type='vhostuser'",
        );
    }
    if let Some(mac) = interface.mac.as_ref().and_then(|mac| mac.address)
        && mac.is_multicast()
    {
        return contradiction(format!("expected unicast mac address, found multicast '{mac}'"));
    }
    let model = interface.model.as_ref().and_then(|model| model.kind.as_deref());
    if let Some(model) = model
        && !model.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    {
        return Err(DomainError::DomainArgument(String::from(
            "Model name contains invalid characters",
        )));
    }
    Ok(())
}

/// libvirt 11.3.0: `qemuValidateDomainDeviceDefNetwork`, src/qemu/qemu_validate.c
pub(super) fn check_qemu(devices: &Devices) -> Check {
    for interface in &devices.interfaces {
        let driver = interface.driver.as_ref();
        let sizes = [
            ("rx_queue_size", driver.and_then(|driver| driver.rx_queue_size)),
            ("tx_queue_size", driver.and_then(|driver| driver.tx_queue_size)),
        ];
        for (name, size) in sizes {
            if size.is_some_and(|size| !size.is_power_of_two()) {
                return unsupported(format!("{name} has to be a power of two"));
            }
        }
    }
    Ok(())
}

/// What is accepted in a definition but cannot be started.
pub(super) fn check_start(devices: &Devices) -> Check {
    for interface in &devices.interfaces {
        let backend = interface.backend.as_ref();
        let has_tap = backend.is_some_and(|backend| backend.tap.is_some());
        if has_tap && interface.kind == Some(InterfaceType::VhostUser) {
            let mac = interface.mac.as_ref().and_then(|mac| mac.address);
            let mac = mac.map(|mac| mac.to_string()).unwrap_or_default();
            return unsupported(format!(
                "interface {mac} - custom tap device path is not supported for network interfaces of \
                 type vhostuser"
            ));
        }
    }
    Ok(())
}
