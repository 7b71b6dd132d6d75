//! What exists only while a guest runs, and is no part of its definition.

use super::DomainDef;
use super::address::DeviceInfo;
use super::device::Devices;
use super::device::chardev::{CharDevice, CharType};
use super::device::disk::DiskBus;
use super::device::graphics::{Graphics, GraphicsType, ListenType};
use super::device::source::Source;
use super::security::SeclabelType;
use crate::keyword::YesNo;

/// Prefix of aliases that belong to the definition.
const USER_ALIAS: &str = "ua-";

impl DomainDef {
    /// Takes out what exists only while the guest runs.
    ///
    /// libvirt 11.3.0: flag `VIR_DOMAIN_DEF_FORMAT_INACTIVE`
    pub fn forget_runtime(&mut self) {
        self.id = None;
        self.forget_status();
        for label in &mut self.seclabels {
            if label.kind == Some(SeclabelType::Dynamic) {
                label.label = None;
            }
            label.image_label = None;
        }
        if let Some(devices) = &mut self.devices {
            forget_aliases(devices);
            devices.graphics.iter_mut().for_each(forget_ports);
            for disk in &mut devices.disks {
                disk.mirror = None;
                if let Some(source) = &mut disk.source {
                    source.index = None;
                    source.seclabels.iter_mut().for_each(|label| label.label_skip = None);
                    // Without a label it would change nothing.
                    source
                        .seclabels
                        .retain(|label| label.label.is_some() || label.relabel == Some(YesNo::No));
                }
                let mut store = disk.backing_store.as_mut();
                while let Some(image) = store {
                    image.index = None;
                    store = image.backing_store.as_deref_mut();
                }
            }
            for console in &mut devices.consoles {
                console.tty = None;
            }
            let ports = devices.serials.iter_mut().chain(&mut devices.parallels);
            let ports = ports.chain(&mut devices.consoles).chain(&mut devices.channels);
            ports.for_each(forget_path);
            for interface in &mut devices.interfaces {
                interface.actual = None;
                if let Some(source) = &mut interface.source {
                    source.portid = None;
                }
                if let Some(target) = &mut interface.target
                    && target.dev.as_deref().is_some_and(is_generated)
                {
                    target.dev = None;
                }
            }
        }
    }

    /// Takes out what only status documents have.
    ///
    /// libvirt 11.3.0: flag `VIR_DOMAIN_DEF_FORMAT_STATUS`
    pub fn forget_status(&mut self) {
        let Some(devices) = &mut self.devices else { return };
        for info in infos(devices) {
            info.private_data = None;
        }
        for disk in &mut devices.disks {
            disk.source.iter_mut().for_each(forget_nodes);
            let mut store = disk.backing_store.as_mut();
            while let Some(image) = store {
                image.source.iter_mut().for_each(forget_nodes);
                store = image.backing_store.as_deref_mut();
            }
        }
        for source in devices.hostdevs.iter_mut().filter_map(|device| device.source.as_mut()) {
            source.private_data = None;
            source.origin_states = None;
        }
        for graphics in &mut devices.graphics {
            graphics.websocket_generated = None;
            for listen in &mut graphics.listens {
                listen.from_config = None;
                listen.auto_generated = None;
            }
        }
    }
}

impl DomainDef {
    /// Takes out what a start takes from a document but no document is written with.
    ///
    /// libvirt 11.3.0: `virDomainDiskDefFormat`, src/conf/domain_conf.c
    pub(super) fn forget_unwritten(&mut self) {
        for disk in self.devices.iter_mut().flat_map(|devices| &mut devices.disks) {
            if let Some(target) = &mut disk.target
                && target.bus != Some(DiskBus::Usb)
            {
                target.removable = None;
            }
        }
    }
}

fn forget_nodes(source: &mut Source) {
    source.private_data = None;
    source.tls_from_config = None;
}

/// Whether a tap device's name is one that libvirt gives.
fn is_generated(name: &str) -> bool {
    ["vnet", "macvtap", "macvlan"].iter().any(|prefix| name.starts_with(prefix))
}

fn forget_path(port: &mut CharDevice) {
    if port.kind == Some(CharType::Pty) {
        for source in &mut port.sources {
            source.path = None;
        }
    }
    if let Some(target) = &mut port.target {
        target.state = None;
    }
}

fn forget_ports(graphics: &mut Graphics) {
    if graphics.autoport.is_some_and(|auto| auto == YesNo::Yes)
        && graphics.kind == Some(GraphicsType::Vnc)
    {
        graphics.port = Some(-1);
    }
    for listen in &mut graphics.listens {
        if listen.kind == Some(ListenType::Network) {
            listen.address = None;
        }
    }
}

fn forget_aliases(devices: &mut Devices) {
    for info in infos(devices) {
        if info.alias.as_ref().is_some_and(|alias| {
            !alias.name.as_deref().is_some_and(|name| name.starts_with(USER_ALIAS))
        }) {
            info.alias = None;
        }
    }
}

/// What every device has, device by device.
pub(super) fn infos(devices: &mut Devices) -> Vec<&mut DeviceInfo> {
    let mut infos: Vec<&mut DeviceInfo> = Vec::new();
    macro_rules! add {
        ($($field:ident),+) => {
            $(infos.extend(devices.$field.iter_mut().map(|device| &mut device.info));)+
        };
    }
    add!(
        disks,
        controllers,
        filesystems,
        interfaces,
        smartcards,
        serials,
        parallels,
        consoles,
        channels,
        inputs,
        tpms,
        graphics,
        sounds,
        videos,
        hostdevs,
        redirdevs,
        hubs,
        watchdogs,
        memballoons,
        rngs,
        nvram,
        panics,
        shmems,
        memories,
        iommu,
        vsock,
        cryptos,
        pstore
    );
    infos
}
