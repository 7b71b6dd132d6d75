//! Details of devices that QEMU's driver decides.

use super::super::super::address::{Address, Ccid, Dimm, UsbMaster};
use super::super::super::device::Devices;
use super::super::super::device::chardev::{CharSource, CharType};
use super::super::super::device::controller::{ControllerModel, ControllerType};
use super::super::super::device::disk::{BackingStore, Disk};
use super::super::super::device::hostdev::{HostdevMode, HostdevType};
use super::super::super::device::interface::Interface;
use super::super::super::device::memory::MemoryModel;
use super::super::super::device::rng::RngBackendModel;
use super::super::super::device::sound::SoundModel;
use super::super::super::device::source::{Encryption, Source};
use super::super::super::device::tpm::{TpmBackendType, TpmModel, TpmVersion};
use super::super::super::machine::MachineKind;
use crate::keyword::{OnOff, YesNo};

pub(super) fn complete(devices: &mut Devices, machine: MachineKind, arch: &str) {
    devices.disks.iter_mut().for_each(complete_disk);
    devices.interfaces.iter_mut().for_each(complete_interface);
    complete_companions(devices);
    complete_smartcards(devices);
    for sound in &mut devices.sounds {
        if sound.model == Some(SoundModel::Virtio) {
            sound.streams.get_or_insert(2);
        }
    }
    for redirdev in &mut devices.redirdevs {
        if redirdev.kind == Some(CharType::Dbus) {
            if redirdev.sources.is_empty() {
                redirdev.sources.push(CharSource::default());
            }
            for source in &mut redirdev.sources {
                source.channel.get_or_insert_with(|| String::from("org.qemu.usbredir"));
            }
        }
    }
    for rule in devices.redirfilter.iter_mut().flat_map(|filter| &mut filter.devices) {
        complete_usb_version(rule.version.as_mut());
    }
    complete_memory(devices);
    for hostdev in &mut devices.hostdevs {
        if hostdev.mode == Some(HostdevMode::Subsystem) {
            hostdev.managed.get_or_insert(YesNo::No);
        }
        if hostdev.kind == Some(HostdevType::Pci)
            && let Some(address) = hostdev.source.as_mut().and_then(|it| it.address.as_mut())
            && let Some(bus) = address.bus.as_deref().and_then(pci_number)
        {
            address.bus = Some(format!("0x{bus:02x}"));
        }
        let is_mdev = hostdev.kind == Some(HostdevType::Mdev);
        if is_mdev && hostdev.model.as_deref() == Some("vfio-pci") {
            hostdev.display.get_or_insert(OnOff::Off);
        }
        if let Some(source) = &mut hostdev.source
            && source.protocol.as_deref() == Some("iscsi")
        {
            complete_unit(source.name.as_mut());
        }
    }
    for backend in devices.rngs.iter_mut().flat_map(|rng| &mut rng.backends) {
        if backend.model == Some(RngBackendModel::Random) {
            backend.path.get_or_insert_with(|| String::from("/dev/random"));
        }
    }
    for tpm in &mut devices.tpms {
        tpm.model.get_or_insert(if matches!(arch, "ppc64" | "ppc64le") {
            TpmModel::TpmSpapr
        } else {
            TpmModel::TpmTis
        });
        if let Some(backend) = &mut tpm.backend
            && backend.kind == Some(TpmBackendType::Emulator)
        {
            let is_old = machine.is_x86();
            let version = if is_old { TpmVersion::V1_2 } else { TpmVersion::V2_0 };
            backend.version.get_or_insert(version);
        }
    }
    let infos = super::super::super::runtime::infos(devices);
    for boot in infos.into_iter().filter_map(|info| info.boot.as_mut()) {
        if let Some(parameter) = &mut boot.loadparm {
            parameter.make_ascii_uppercase();
        }
    }
}

fn complete_disk(disk: &mut Disk) {
    complete_encryption(&mut disk.encryption);
    if let Some(source) = &mut disk.source {
        complete_source(source);
    }
    let mut store: Option<&mut BackingStore> = disk.backing_store.as_mut();
    while let Some(image) = store {
        if let Some(source) = &mut image.source {
            complete_source(source);
        }
        store = image.backing_store.as_deref_mut();
    }
}

fn complete_source(source: &mut Source) {
    if source.protocol.as_deref() == Some("iscsi") {
        complete_unit(source.name.as_mut());
    }
    let port = source.protocol.as_deref().and_then(default_port);
    for host in &mut source.hosts {
        let is_tcp = matches!(host.transport.as_deref(), None | Some("tcp"));
        if is_tcp && host.port.is_none() {
            host.port = port.map(str::to_owned);
        }
    }
    complete_encryption(&mut source.encryption);
}

/// libvirt 11.3.0: `virStorageSourceNetworkDefaultPort`, src/conf/storage_source_conf.c
fn default_port(protocol: &str) -> Option<&'static str> {
    Some(match protocol {
        "http" => "80",
        "https" => "443",
        "ftp" => "21",
        "ftps" => "990",
        "tftp" => "69",
        "sheepdog" => "7000",
        "nbd" => "10809",
        "ssh" => "22",
        "iscsi" => "3260",
        "gluster" => "24007",
        "vxhs" => "9999",
        "nfs" => "2049",
        _ => return None,
    })
}

/// A number in the base that its prefix says.
fn pci_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Without a number the first unit of an iSCSI target is meant.
fn complete_unit(name: Option<&mut String>) {
    if let Some(name) = name
        && !name.contains('/')
    {
        name.push_str("/0");
    }
}

fn complete_encryption(encryption: &mut Option<Encryption>) {
    if let Some(Encryption { format, engine, .. }) = encryption
        && format.as_deref() == Some("luks")
    {
        engine.get_or_insert_with(|| String::from("qemu"));
    }
}

/// Only virtio has settings of a driver.
fn complete_interface(interface: &mut Interface) {
    let model = interface.model.as_ref().and_then(|model| model.kind.as_deref());
    if model.is_some_and(|model| !model.starts_with("virtio")) {
        interface.driver = None;
        if let Some(backend) = &mut interface.backend {
            backend.vhost = None;
        }
    }
}

/// A USB version is a binary-coded decimal: the second digit behind the point is 0 if it is left out.
///
/// libvirt 11.3.0: `virDomainRedirFilterUSBVersionHelper`, src/conf/domain_conf.c
fn complete_usb_version(version: Option<&mut String>) {
    if let Some(version) = version
        && let Some((_, minor)) = version.split_once('.')
        && minor.len() == 1
    {
        version.push('0');
    }
}

/// Companions of a USB 2 controller serve two of its ports each.
fn complete_companions(devices: &mut Devices) {
    for controller in &mut devices.controllers {
        let first = match controller.model {
            Some(ControllerModel::Ich9Uhci1) => 0,
            Some(ControllerModel::Ich9Uhci2) => 2,
            Some(ControllerModel::Ich9Uhci3) => 4,
            _ => continue,
        };
        if controller.kind == Some(ControllerType::Usb) {
            let start_port = Some(first);
            controller
                .info
                .master
                .get_or_insert_with(|| UsbMaster { start_port, ..UsbMaster::default() });
        }
    }
}

fn complete_smartcards(devices: &mut Devices) {
    let mut slot = 0;
    for card in &mut devices.smartcards {
        if card.info.address.is_none() {
            card.info.address = Some(Address::Ccid(Ccid { controller: 0, slot }));
            slot += 1;
        }
    }
}

/// Memory devices in slots get the first that is free.
fn complete_memory(devices: &mut Devices) {
    let mut taken: Vec<u32> = devices
        .memories
        .iter()
        .filter_map(|memory| match memory.info.address {
            Some(Address::Dimm(dimm)) => Some(dimm.slot),
            _ => None,
        })
        .collect();
    for memory in &mut devices.memories {
        let is_slotted = matches!(memory.model, Some(MemoryModel::Dimm | MemoryModel::Nvdimm));
        if is_slotted && memory.info.address.is_none() {
            let slot = (0..u32::MAX).find(|slot| !taken.contains(slot)).unwrap_or(0);
            taken.push(slot);
            memory.info.address = Some(Address::Dimm(Dimm { slot, base: None }));
        }
    }
}
