//! What a definition lacks before it can run: names, paths, numbers.

use oxivirt_conf::domain::address::Address;
use oxivirt_conf::domain::device::Devices;
use oxivirt_conf::domain::device::chardev::{CharDevice, CharSource, CharType, SocketMode};
use oxivirt_conf::domain::device::disk::Disk;
use oxivirt_conf::domain::device::graphics::{Graphics, GraphicsType, ListenType};
use oxivirt_conf::domain::{DomainDef, MachineKind, Origin};
use oxivirt_conf::emulator::EmulatorCapabilities;

use super::{alias, processor};
use crate::firmware;

use super::error::{PlanError, Result};
use super::facts::Facts;

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
    Ok(Prepared { node_index: number_nodes(devices) })
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
