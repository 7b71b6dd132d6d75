//! Disks.

use super::super::DomainError;
use super::super::address::Address;
use super::super::device::Devices;
use super::super::device::disk::{Disk, DiskBus, DiskDevice, DiskType};
use super::{Check, contradiction, unsupported};

pub(super) fn check(devices: &Devices) -> Check {
    for disk in &devices.disks {
        check_one(disk)?;
    }
    for (at, disk) in devices.disks.iter().enumerate() {
        let target = target_of(disk);
        let others = devices.disks.iter().take(at);
        if let Some(other) = others.into_iter().find(|other| target_of(other) == target) {
            return contradiction(format!(
                "target '{target}' duplicated for disk sources '{}' and '{}'",
                source_of(other).unwrap_or("(null)"),
                source_of(disk).unwrap_or("(null)")
            ));
        }
    }
    Ok(())
}

fn target_of(disk: &Disk) -> &str {
    disk.target.as_ref().and_then(|target| target.dev.as_deref()).unwrap_or_default()
}

/// What a disk's data are called.
pub(crate) fn source_of(disk: &Disk) -> Option<&str> {
    let source = disk.source.as_ref()?;
    let source = [&source.file, &source.dev, &source.dir, &source.name, &source.volume];
    source.into_iter().find_map(|name| name.as_deref())
}

/// libvirt 11.3.0: `virDomainDiskDefValidate`, src/conf/domain_validate.c
fn check_one(disk: &Disk) -> Check {
    let bus = disk.target.as_ref().and_then(|target| target.bus);
    let name = target_of(disk);
    let is_lun = disk.device == Some(DiskDevice::Lun);
    if !is_lun && disk.sgio.is_some() {
        return contradiction("sgio is only supported for scsi host device");
    }
    if let (Some(bus), Some(address)) = (bus, &disk.info.address) {
        let fits = match bus {
            DiskBus::Ide | DiskBus::Fdc | DiskBus::Scsi | DiskBus::Sata => {
                matches!(address, Address::Drive(_))
            }
            _ => true,
        };
        if !fits {
            let kind = address.kind();
            return unsupported(format!(
                "Invalid address type '{kind}' for the disk '{name}' with the bus type '{bus}'"
            ));
        }
    }
    if disk.throttle_filters.is_some() && disk.iotune.is_some() {
        return Err(DomainError::OperationUnsupported(format!(
            "block 'throttlefilters' can't be used together with 'iotune' for disk '{name}'"
        )));
    }
    let encrypts = disk.source.as_ref().is_some_and(|source| source.encryption.is_some());
    if disk.encryption.is_some() && encrypts {
        return unsupported("an <encryption> definition already found for disk source");
    }
    if is_lun && !matches!(disk.kind, Some(DiskType::Block | DiskType::Network | DiskType::Volume))
    {
        return unsupported("disk device='lun' is only valid for block type disk source");
    }
    if let Some(bus) = bus {
        match (disk.device == Some(DiskDevice::Floppy), bus) {
            (true, DiskBus::Fdc) => {}
            (true, bus) => {
                let text = format!("Invalid bus type '{bus}' for floppy disk");
                return Err(DomainError::Internal(text));
            }
            (false, DiskBus::Fdc) => {
                let text = format!("Invalid bus type '{bus}' for disk");
                return Err(DomainError::Internal(text));
            }
            _ => {}
        }
    }
    check_secret(disk)?;
    let is_empty = source_of(disk).is_none() && disk.source.is_none();
    if is_empty && matches!(disk.device, Some(DiskDevice::Disk | DiskDevice::Lun)) {
        return Err(DomainError::NoSource(name.to_owned()));
    }
    Ok(())
}

/// libvirt 11.3.0: `qemuValidateDomainDeviceDefDisk`, src/qemu/qemu_validate.c
pub(super) fn check_qemu(devices: &Devices) -> Check {
    for disk in &devices.disks {
        let bus = disk.target.as_ref().and_then(|target| target.bus);
        if disk.vendor.is_some() && bus != Some(DiskBus::Scsi) {
            return unsupported("Only scsi disk supports 'vendor'");
        }
        check_partition(target_of(disk))?;
        let format = disk.driver.as_ref().and_then(|driver| driver.format.as_deref());
        match format {
            Some("dir") if disk.kind != Some(DiskType::Dir) => {
                return unsupported(
                    "'directory' storage format is not directly supported by QEMU, use 'dir' disk type \
                     instead",
                );
            }
            Some("iso") => {
                return unsupported(
                    "storage format 'iso' is not directly supported by QEMU, use 'raw' instead",
                );
            }
            _ => {}
        }
        if bus == Some(DiskBus::Usb) {
            if matches!(disk.info.address, Some(Address::Pci(_) | Address::Drive(_))) {
                return Err(DomainError::Internal(String::from(
                    "unexpected address type for usb disk",
                )));
            }
            if source_of(disk).is_none() && disk.kind != Some(DiskType::Network) {
                return unsupported("'usb' disk must not be empty");
            }
        }
        let is_removable = matches!(disk.device, Some(DiskDevice::Cdrom | DiskDevice::Floppy));
        if is_removable && bus == Some(DiskBus::Virtio) {
            return Err(DomainError::QemuUnsupported(format!(
                "disk type of '{}' does not support ejectable media",
                target_of(disk)
            )));
        }
    }
    Ok(())
}

/// What is accepted in a definition but cannot be started.
pub(super) fn check_start(devices: &Devices) -> Check {
    for source in devices.disks.iter().filter_map(|disk| disk.source.as_ref()) {
        if source.protocol.as_deref() == Some("iscsi") && source.hosts.len() != 1 {
            return Err(DomainError::Internal(String::from(
                "iSCSI protocol accepts only one host",
            )));
        }
    }
    Ok(())
}

/// A guest sees whole disks.
fn check_partition(name: &str) -> Check {
    if name.ends_with(|c: char| c.is_ascii_digit())
        && ["hd", "sd", "vd", "xvd", "ubd"].iter().any(|prefix| name.starts_with(prefix))
    {
        return unsupported(format!(
            "invalid disk target '{name}', partitions can't appear in disk targets"
        ));
    }
    Ok(())
}

fn check_secret(disk: &Disk) -> Check {
    let Some(source) = &disk.source else { return Ok(()) };
    let auth = source.auth.as_ref().or(disk.auth.as_ref());
    let secret = auth.and_then(|auth| auth.secret.as_ref()?.kind.as_deref());
    let expected = match source.protocol.as_deref() {
        Some("iscsi") => Some("iscsi"),
        Some("rbd") => Some("ceph"),
        _ => None,
    };
    match (secret, expected) {
        (Some(found), Some(expected)) if found != expected => {
            unsupported(format!("invalid secret type '{found}'"))
        }
        _ => Ok(()),
    }
}
