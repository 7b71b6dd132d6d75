//! Devices in definitions: which one a document means, adding, removing, replacing it. Pure.
//!
//! libvirt 11.3.0: `qemuDomainAttachDeviceConfig` and its like, src/qemu/qemu_driver.c

use oxivirt::{Error, ErrorCode, ErrorDomain, Result};
use oxivirt_conf::domain::address::{Address, DeviceInfo};
use oxivirt_conf::domain::device::Devices;
use oxivirt_conf::domain::device::disk::Disk;
use oxivirt_conf::domain::device::interface::Interface;
use oxivirt_conf::domain::{DomainDef, DomainError};
use oxivirt_xml::{self as xml, Blanks};

use crate::error;

/// Elements that are devices.
const KINDS: [&str; 29] = [
    "disk",
    "lease",
    "filesystem",
    "interface",
    "input",
    "sound",
    "watchdog",
    "video",
    "hostdev",
    "controller",
    "graphics",
    "hub",
    "redirdev",
    "smartcard",
    "serial",
    "parallel",
    "console",
    "channel",
    "memballoon",
    "rng",
    "tpm",
    "panic",
    "memory",
    "iommu",
    "vsock",
    "shmem",
    "crypto",
    "pstore",
    "nvram",
];

/// A device that a client names.
#[derive(Debug, Clone)]
pub(super) struct Device {
    /// Name of its element.
    pub(super) kind: &'static str,
    /// It, alone.
    pub(super) devices: Devices,
}

impl Device {
    /// Reads a device.
    ///
    /// # Errors
    /// Number 67 for an element that is no device, else those of the document.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let name = {
            let root = xml::parse(text, Blanks::Drop);
            let root =
                root.map_err(|error| error::definition(DomainError::NotWellFormed(error)))?;
            root.name.to_string()
        };
        let kind = KINDS.into_iter().find(|kind| *kind == name).ok_or_else(|| {
            let detail = format!("unknown device type '{name}'");
            Error::new(ErrorCode::CONFIG_UNSUPPORTED, ErrorDomain::DOMAIN, detail)
        })?;
        // The text is one well-formed element, perhaps behind a declaration.
        let element = text.find(&format!("<{kind}")).and_then(|at| text.get(at..)).unwrap_or(text);
        let document = format!("<domain type='qemu'><devices>{element}</devices></domain>");
        let def = DomainDef::parse(&document).map_err(|error| error::parse(&error))?;
        Ok(Self { kind, devices: def.devices.unwrap_or_default() })
    }

    /// The only disk of it.
    pub(super) fn disk(&self) -> Option<&Disk> {
        self.devices.disks.first()
    }

    /// The only interface of it.
    pub(super) fn interface(&self) -> Option<&Interface> {
        self.devices.interfaces.first()
    }
}

/// Calls a macro for every list of devices.
macro_rules! for_lists {
    ($do:ident) => {
        $do!(
            disks controllers leases filesystems interfaces smartcards serials parallels consoles
            channels inputs tpms graphics sounds videos hostdevs redirdevs hubs watchdogs
            memballoons rngs panics shmems memories cryptos
        )
    };
}

pub(super) fn target(disk: &Disk) -> &str {
    disk.target.as_ref().and_then(|target| target.dev.as_deref()).unwrap_or_default()
}

fn missing(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::DEVICE_MISSING, ErrorDomain::QEMU, detail)
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::OPERATION_INVALID, ErrorDomain::QEMU, detail)
}

/// Adds a device.
///
/// # Errors
/// Number 55 if the place is taken.
pub(super) fn attach(def: &mut DomainDef, device: &Device) -> Result<()> {
    let to = def.devices.get_or_insert_default();
    if let Some(disk) = device.disk()
        && to.disks.iter().any(|known| target(known) == target(disk))
    {
        return Err(invalid(format!("target {} already exists", target(disk))));
    }
    let from = device.devices.clone();
    macro_rules! extend {
        ($($list:ident)*) => { $(to.$list.extend(from.$list);)* };
    }
    for_lists!(extend);
    macro_rules! fill {
        ($($place:ident)*) => {$(
            if let Some(new) = from.$place {
                if to.$place.is_some() {
                    let kind = device.kind;
                    return Err(invalid(format!("domain already has a {kind} device")));
                }
                to.$place = Some(new);
            }
        )*};
    }
    fill!(iommu vsock pstore nvram);
    Ok(())
}

/// Removes the device that another one identifies.
///
/// # Errors
/// Number 99 if there is none, 9 if there are several.
pub(super) fn detach(def: &mut DomainDef, device: &Device) -> Result<()> {
    let from = def.devices.get_or_insert_default();
    if let Some(disk) = device.disk() {
        let at = from.disks.iter().position(|known| target(known) == target(disk));
        let at = at.ok_or_else(|| missing(format!("no target device {}", target(disk))))?;
        from.disks.remove(at);
        return Ok(());
    }
    if let Some(interface) = device.interface() {
        let at = interface_place(&from.interfaces, interface)?;
        from.interfaces.remove(at);
        return Ok(());
    }
    if let Some(controller) = device.devices.controllers.first() {
        let at = from
            .controllers
            .iter()
            .position(|known| known.kind == controller.kind && known.index == controller.index);
        let detail = "device not present in domain configuration";
        from.controllers.remove(at.ok_or_else(|| missing(detail))?);
        return Ok(());
    }
    macro_rules! remove {
        ($($list:ident)*) => {$(
            if let Some(device) = device.devices.$list.first() {
                let at = from.$list.iter().position(|known| {
                    let is_here = is_place(&device.info, &known.info);
                    let mut bare = known.clone();
                    bare.info = device.info.clone();
                    is_here.unwrap_or_else(|| bare == *device)
                });
                let detail = "device not present in domain configuration";
                from.$list.remove(at.ok_or_else(|| missing(detail))?);
                return Ok(());
            }
        )*};
    }
    remove!(
        filesystems smartcards serials parallels consoles channels inputs tpms sounds videos
        hostdevs redirdevs hubs watchdogs memballoons rngs panics shmems memories cryptos
    );
    let kind = device.kind;
    let detail = format!("persistent detach of device '{kind}' is not supported");
    Err(Error::new(ErrorCode::OPERATION_UNSUPPORTED, ErrorDomain::QEMU, detail))
}

/// Removes the device of an alias.
///
/// # Errors
/// Number 99 if there is none.
pub(super) fn detach_alias(def: &mut DomainDef, alias: &str) -> Result<()> {
    let from = def.devices.get_or_insert_default();
    macro_rules! remove {
        ($($list:ident)*) => {$(
            if let Some(at) = from.$list.iter().position(|known| alias_of(&known.info) == Some(alias)) {
                from.$list.remove(at);
                return Ok(());
            }
        )*};
    }
    remove!(
        disks controllers filesystems interfaces smartcards serials parallels consoles channels
        inputs tpms sounds videos hostdevs redirdevs hubs watchdogs memballoons rngs panics shmems
        memories cryptos
    );
    Err(missing(format!("no device found with alias {alias}")))
}

/// Replaces the device that another one identifies; the place stays unless the other one names one.
///
/// # Errors
/// Number 8 if there is none, 84 for a kind that cannot be replaced.
pub(super) fn update(def: &mut DomainDef, device: &Device) -> Result<()> {
    let to = def.devices.get_or_insert_default();
    if let Some(disk) = device.disk() {
        let known = to.disks.iter_mut().find(|known| target(known) == target(disk));
        let known = known.ok_or_else(|| {
            let detail = format!("target {} doesn't exist.", target(disk));
            Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail)
        })?;
        let mut new = disk.clone();
        keep_place(&mut new.info, &known.info);
        *known = new;
        return Ok(());
    }
    if let Some(interface) = device.interface() {
        let at = interface_place(&to.interfaces, interface)?;
        if let Some(known) = to.interfaces.get_mut(at) {
            let mut new = interface.clone();
            keep_place(&mut new.info, &known.info);
            *known = new;
        }
        return Ok(());
    }
    if let Some(graphics) = device.devices.graphics.first() {
        let known = to.graphics.iter_mut().find(|known| known.kind == graphics.kind);
        let known = known.ok_or_else(|| {
            let kind = graphics.kind.map_or("unknown", |kind| kind.as_str());
            let detail = format!("cannot find existing graphics type '{kind}' device to modify");
            Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail)
        })?;
        *known = graphics.clone();
        return Ok(());
    }
    let detail = format!("persistent update of device '{}' is not supported", device.kind);
    Err(Error::new(ErrorCode::OPERATION_UNSUPPORTED, ErrorDomain::QEMU, detail))
}

/// The interface that another one identifies, by MAC address, and by address and alias if they are there.
///
/// libvirt 11.3.0: `virDomainNetFindIdx`, src/conf/domain_conf.c
pub(super) fn interface_place(known: &[Interface], wanted: &Interface) -> Result<usize> {
    let mac = |interface: &Interface| interface.mac.as_ref().and_then(|mac| mac.address);
    let is_meant = |interface: &Interface| {
        (mac(wanted).is_none() || mac(wanted) == mac(interface))
            && (!has_place(&wanted.info) || wanted.info.address == interface.info.address)
            && (alias_of(&wanted.info).is_none()
                || alias_of(&interface.info).is_none()
                || alias_of(&wanted.info) == alias_of(&interface.info))
    };
    let found = known.iter().enumerate().filter(|(_, interface)| is_meant(interface));
    let mut found = found.map(|(at, _)| at);
    let text = mac(wanted).map_or_else(|| "(<null>)".to_owned(), |mac| mac.to_string());
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(at),
        (Some(_), Some(_)) => {
            let detail = format!("multiple devices matching MAC address {text} found");
            Err(Error::new(ErrorCode::OPERATION_FAILED, ErrorDomain::DOMAIN, detail))
        }
        (None, _) => {
            let alias = alias_of(&wanted.info).unwrap_or("(<null>)");
            let detail = format!(
                "no device found at address '(<null>)' matching MAC address '{text}' and alias \
                 '{alias}'"
            );
            Err(Error::new(ErrorCode::DEVICE_MISSING, ErrorDomain::DOMAIN, detail))
        }
    }
}

pub(super) fn alias_of(info: &DeviceInfo) -> Option<&str> {
    info.alias.as_ref()?.name.as_deref()
}

/// Whether a device has a place on a bus, not only the kind of one.
fn has_place(info: &DeviceInfo) -> bool {
    match &info.address {
        None | Some(Address::Unassigned) => false,
        Some(Address::Pci(pci)) => *pci != oxivirt_conf::domain::address::Pci::default(),
        Some(_) => true,
    }
}

/// Whether two devices are at the same place, if the first one says where it is.
fn is_place(wanted: &DeviceInfo, known: &DeviceInfo) -> Option<bool> {
    if has_place(wanted) {
        return Some(wanted.address == known.address);
    }
    let alias = alias_of(wanted)?;
    Some(alias_of(known)? == alias)
}

/// A device that replaces another one stays where it is.
fn keep_place(new: &mut DeviceInfo, known: &DeviceInfo) {
    if !has_place(new) {
        new.address.clone_from(&known.address);
    }
    if new.alias.is_none() {
        new.alias.clone_from(&known.alias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = "<domain type='qemu'><name>a</name><memory>1</memory><os><type>hvm</type></os>\
        <devices><disk type='file'><source file='/a'/><target dev='vda'/>\
        <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/></disk>\
        <interface type='network'><mac address='52:54:00:00:00:01'/><source network='n'/></interface>\
        <interface type='network'><mac address='52:54:00:00:00:01'/><source network='m'/></interface>\
        <interface type='network'><mac address='52:54:00:00:00:02'/><source network='n'/></interface>\
        <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>\
        </devices></domain>";

    fn def() -> DomainDef {
        DomainDef::parse(XML).unwrap()
    }

    #[track_caller]
    fn refused(result: Result<()>, code: u32, text: &str) {
        let error = result.unwrap_err();
        assert_eq!(error.code().0, i32::try_from(code).unwrap());
        assert!(error.to_string().contains(text), "{error}");
    }

    #[test]
    fn a_device_is_one_element_with_a_known_name() {
        let disk =
            Device::parse("<?xml version='1.0'?>\n<disk><target dev='vdb'/></disk>").unwrap();
        assert_eq!((disk.kind, target(disk.disk().unwrap())), ("disk", "vdb"));
        let error = Device::parse("<frob/>").unwrap_err();
        assert_eq!(error.to_string(), "unsupported configuration: unknown device type 'frob'");
        Device::parse("<disk/></devices><devices>").unwrap_err();
        Device::parse("").unwrap_err();
    }

    #[test]
    fn devices_come_and_go() {
        let mut def = def();
        let disk = Device::parse("<disk type='file'><source file='/b'/><target dev='vdb'/></disk>");
        let disk = disk.unwrap();
        attach(&mut def, &disk).unwrap();
        refused(attach(&mut def, &disk), 55, "target vdb already exists");
        detach(&mut def, &disk).unwrap();
        refused(detach(&mut def, &disk), 99, "no target device vdb");
        let rng = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>";
        detach(&mut def, &Device::parse(rng).unwrap()).unwrap();
        refused(detach(&mut def, &Device::parse(rng).unwrap()), 99, "device not present");
        refused(detach_alias(&mut def, "ua-x"), 99, "no device found with alias ua-x");
    }

    #[test]
    fn an_interface_is_known_by_its_mac_address() {
        let mut def = def();
        let interface = |mac: &str| {
            let text = format!("<interface type='network'><mac address='{mac}'/></interface>");
            Device::parse(&text).unwrap()
        };
        refused(detach(&mut def, &interface("52:54:00:00:00:01")), 9, "multiple devices matching");
        refused(
            detach(&mut def, &interface("52:54:00:00:00:09")),
            99,
            "no device found at address '(<null>)'",
        );
        detach(&mut def, &interface("52:54:00:00:00:02")).unwrap();
    }

    #[test]
    fn a_device_that_is_replaced_keeps_its_place() {
        let mut def = def();
        let disk = "<disk type='file'><source file='/c'/><target dev='vda'/></disk>";
        update(&mut def, &Device::parse(disk).unwrap()).unwrap();
        let disks = &def.devices.as_ref().unwrap().disks;
        let disk = disks.first().unwrap();
        assert_eq!(disk.source.as_ref().unwrap().file.as_deref(), Some("/c"));
        assert!(matches!(&disk.info.address, Some(Address::Pci(pci)) if pci.bus == 4));
        let rng = "<rng model='virtio'><backend model='random'>/dev/random</backend></rng>";
        refused(update(&mut def, &Device::parse(rng).unwrap()), 84, "update of device 'rng'");
    }
}
