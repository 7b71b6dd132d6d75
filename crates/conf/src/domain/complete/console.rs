//! The first console and the first serial port, which are one device.

use super::super::DomainDef;
use super::super::device::Devices;
use super::super::device::chardev::{CharDevice, CharTarget};
use super::super::os::OsType;

/// Makes the first console and the first serial port of a fully virtualised guest show the same device.
///
/// libvirt 11.3.0: `virDomainDefAddConsoleCompat`, src/conf/domain_postparse.c
pub(super) fn pair(devices: &mut Devices, def: &DomainDef) {
    let kind = def.os.as_ref().and_then(|os| os.kind.as_ref()?.kind);
    if kind == Some(OsType::Hvm) {
        if let Some(console) = devices.consoles.first()
            && is_serial(console)
        {
            if devices.serials.is_empty() {
                devices.serials.push(as_serial(console));
            }
            if let (Some(serial), Some(console)) =
                (devices.serials.first(), devices.consoles.first_mut())
            {
                *console = as_console(serial);
            }
        } else if let Some(serial) = devices.serials.first()
            && shows_console(serial)
        {
            devices.consoles.insert(0, as_console(serial));
        }
    }
    number(&mut devices.serials);
    number(&mut devices.parallels);
    for (at, console) in (0..).zip(&mut devices.consoles) {
        let target = console.target.get_or_insert_default();
        target.port = Some(at);
    }
}

/// Numbers the ports without a number behind the highest one.
fn number(ports: &mut [CharDevice]) {
    let highest = ports.iter().filter_map(|port| port.target.as_ref()?.port).max();
    let mut next = highest.map_or(0, |port| port.saturating_add(1));
    for port in ports {
        let target = port.target.get_or_insert_default();
        if target.port.is_none() {
            target.port = Some(next);
            next = next.saturating_add(1);
        }
    }
}

fn is_serial(console: &CharDevice) -> bool {
    let kind = console.target.as_ref().and_then(|target| target.kind.as_deref());
    matches!(kind, None | Some("serial"))
}

/// Whether a serial port is one that libvirt shows as a console, too.
fn shows_console(serial: &CharDevice) -> bool {
    let kind = serial.target.as_ref().and_then(|target| target.kind.as_deref());
    !matches!(kind, Some("usb-serial" | "pci-serial"))
}

fn as_serial(console: &CharDevice) -> CharDevice {
    let mut serial = console.clone();
    serial.tty = None;
    serial.target = Some(CharTarget { port: Some(0), ..CharTarget::default() });
    serial
}

fn as_console(serial: &CharDevice) -> CharDevice {
    let mut console = serial.clone();
    console.target = Some(CharTarget {
        kind: Some(String::from("serial")),
        port: Some(0),
        ..CharTarget::default()
    });
    console
}
