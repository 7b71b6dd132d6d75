//! What a definition lacks before it can run: names, paths, numbers.

use oxivirt_conf::domain::address::{Address, DevicePrivate, QomName};
use oxivirt_conf::domain::device::Devices;
use oxivirt_conf::domain::device::chardev::{CharDevice, CharSource, CharType, SocketMode};
use oxivirt_conf::domain::device::disk::{Disk, DiskBus};
use oxivirt_conf::domain::device::graphics::{Graphics, GraphicsType, ListenType};
use oxivirt_conf::domain::device::source::{BlockNode, BlockNodes, SourcePrivate};
use oxivirt_conf::domain::{DomainDef, MachineKind, Origin};
use oxivirt_conf::emulator::EmulatorCapabilities;

use super::{alias, processor};
use crate::firmware;

use super::error::{PlanError, Result};
use super::facts::Facts;
use super::storage::{NodeNames, RawLayer, has_medium};

/// What was handed out while a definition was prepared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The last number of a block node: `<nodename index=…/>` of the status document.
    pub node_index: u32,
}

/// Completes the live copy of a definition: addresses, aliases, paths of channels, numbers of block nodes, addresses
/// of displays.
///
/// What only the host can answer is already in `def`: ports of displays, names of tap devices, backing
/// chains, the connections of networks.
///
/// # Errors
/// [`PlanError`]: no place for a device, no firmware that fits.
///
/// libvirt 11.3.0: `qemuProcessPrepareDomain`, src/qemu/qemu_process.c
pub fn prepare(
    def: &mut DomainDef,
    emulator: &EmulatorCapabilities,
    facts: &Facts,
) -> Result<Prepared> {
    let machine = MachineKind::of(def);
    processor::update(def, emulator, &facts.processor)?;
    firmware::fill(def, &facts.firmwares, &facts.directories.nvram, Origin::Stored)?;
    def.assign_addresses(emulator, Origin::New)?;
    def.id = Some(facts.id);
    let devices = def.devices.as_mut().ok_or_else(|| PlanError::unprepared("devices"))?;
    alias::assign(devices, machine);
    for channel in &mut devices.channels {
        give_path(channel, facts);
    }
    for graphics in &mut devices.graphics {
        give_listen_address(graphics, facts);
    }
    let node_index = number_nodes(devices);
    for disk in &mut devices.disks {
        note_names(disk, RawLayer::of(emulator));
    }
    Ok(Prepared { node_index })
}

/// libvirt 11.3.0: `qemuDomainPrepareChannel`, src/qemu/qemu_domain.c
fn give_path(channel: &mut CharDevice, facts: &Facts) {
    let target = channel.target.as_ref();
    let is_virtio = target.and_then(|target| target.kind.as_deref()) == Some("virtio");
    if channel.kind != Some(CharType::Unix) || !is_virtio {
        return;
    }
    if channel.sources.iter().any(|source| source.path.is_some()) {
        return;
    }
    let name = match (target.and_then(|target| target.name.clone()), &channel.info.address) {
        (Some(name), _) => name,
        (None, Some(Address::VirtioSerial(port))) => {
            format!("vioser-{:02}-{:02}-{:02}.sock", port.controller, port.bus, port.port)
        }
        (None, _) => String::from("vioser-00-00-00.sock"),
    };
    if channel.sources.is_empty() {
        channel.sources.push(CharSource::default());
    }
    if let Some(source) = channel.sources.first_mut() {
        source.mode = Some(SocketMode::Bind);
        source.path = Some(facts.directories.channel.join(name).to_string_lossy().into_owned());
    }
}

/// libvirt 11.3.0: `qemuProcessGraphicsSetupListen`, src/qemu/qemu_process.c
fn give_listen_address(graphics: &mut Graphics, facts: &Facts) {
    let config = &facts.config;
    let (address, is_socket) = match graphics.kind {
        Some(GraphicsType::Vnc) => (&config.vnc_listen, config.vnc_auto_unix_socket),
        Some(GraphicsType::Spice) => (&config.spice_listen, config.spice_auto_unix_socket),
        _ => return,
    };
    let kind = graphics.kind.map_or("", GraphicsType::as_str);
    let socket = facts.directories.library.join(format!("{kind}.sock"));
    let socket = socket.to_string_lossy().into_owned();
    for listen in &mut graphics.listens {
        match listen.kind {
            Some(ListenType::Address) if listen.address.is_none() && is_socket => {
                listen.kind = Some(ListenType::Socket);
                listen.socket = Some(socket.clone());
                listen.from_config = Some(1);
            }
            Some(ListenType::Address) if listen.address.is_none() => {
                listen.address = Some(address.clone());
            }
            Some(ListenType::Socket) if listen.socket.is_none() => {
                listen.socket = Some(socket.clone());
            }
            _ => {}
        }
    }
    let first = graphics.listens.first();
    if let Some(address) = first.and_then(|listen| listen.address.clone()) {
        graphics.listen = Some(address);
    }
}

/// Gives every image a number, disks from the last to the first, each chain from its top.
fn number_nodes(devices: &mut Devices) -> u32 {
    let mut last = 0_u32;
    let mut next = || {
        last = last.saturating_add(1);
        last
    };
    for disk in devices.disks.iter_mut().rev() {
        number_chain(disk, &mut next);
    }
    last
}

fn number_chain(disk: &mut Disk, next: &mut impl FnMut() -> u32) {
    let top = next();
    if let Some(source) = &mut disk.source {
        source.index = Some(top);
    }
    let mut store = disk.backing_store.as_mut();
    while let Some(image) = store {
        if image.source.is_some() {
            image.index = Some(next());
        }
        store = image.backing_store.as_deref_mut();
    }
    for _ in disk.throttle_filters.iter().flat_map(|it| &it.filters) {
        next();
    }
}

/// Notes what the emulator will call a disk and its images: a later driver asks it for statistics by these
/// names, and gives it another medium.
///
/// libvirt 11.3.0: `qemuDomainDiskPrivateFormat`, `qemuStorageSourcePrivateDataFormat`, src/qemu/qemu_domain.c
fn note_names(disk: &mut Disk, raw: RawLayer) {
    let is_empty = !disk.source.as_ref().is_some_and(|source| has_medium(disk, source));
    if is_empty && let Some(driver) = &mut disk.driver {
        // What has no medium has no format.
        driver.format = None;
    }
    let alias = disk.info.alias.as_ref().and_then(|alias| alias.name.clone());
    let is_virtio = disk.target.as_ref().and_then(|target| target.bus) == Some(DiskBus::Virtio);
    let name = alias.map(|alias| match is_virtio {
        true => format!("/machine/peripheral/{alias}/virtio-backend"),
        false => alias,
    });
    let qom = Some(QomName { name, ..QomName::default() });
    disk.info.private_data = Some(DevicePrivate { qom, ..DevicePrivate::default() });
    if is_empty {
        return;
    }
    let format = disk.driver.as_ref().and_then(|driver| driver.format.clone());
    if let Some(source) = &mut disk.source {
        let index = source.index;
        source.private_data = nodes(index, format.as_deref(), raw);
    }
    let mut store = disk.backing_store.as_mut();
    while let Some(image) = store {
        let format = image.format.as_ref().and_then(|format| format.kind.clone());
        if let Some(source) = &mut image.source {
            source.private_data = nodes(image.index, format.as_deref(), raw);
        }
        store = image.backing_store.as_deref_mut();
    }
}

fn nodes(index: Option<u32>, format: Option<&str>, raw: RawLayer) -> Option<SourcePrivate> {
    let names = NodeNames::numbered(index?, format.unwrap_or("raw"), raw);
    let node = |kind: &str, name| BlockNode {
        kind: Some(kind.to_owned()),
        name: Some(name),
        ..BlockNode::default()
    };
    let storage = node("storage", names.storage);
    let format = names.format.map(|name| node("format", name));
    let nodes = std::iter::once(storage).chain(format).collect();
    let nodenames = Some(BlockNodes { nodes, ..BlockNodes::default() });
    Some(SourcePrivate { nodenames, ..SourcePrivate::default() })
}
