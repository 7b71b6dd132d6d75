//! What the calls and tasks of a driver share.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxivirt::{Callbacks, DomainEvent, DomainRef, Result};
use oxivirt_engine::Journal;
use oxivirt_engine::hooks::Hooks;
use oxivirt_engine::store;
use oxivirt_sys::pidfile::PidFile;
use uuid::Uuid;

use crate::apply::Host;
use crate::config::Config;
use crate::console::Consoles;
use crate::emulators::Emulators;
use crate::error;
use crate::firmware::Firmware;
use crate::host;
use crate::layout::Layout;
use crate::plan::Undo;
use crate::registry::{Entry, Guests};

/// Where firmware is described, the directory of least priority first.
const FIRMWARE_DIRS: [&str; 2] = ["/usr/share/qemu/firmware", "/etc/qemu/firmware"];
/// Size limit of a description, in bytes.
const DESCRIPTOR: u64 = 1 << 20;

/// What the calls and tasks of a driver share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Where files are.
    pub(crate) layout: Layout,
    /// The URI of connections.
    pub(crate) uri: String,
    /// The settings.
    pub(crate) config: Config,
    /// The driver's environment.
    pub(crate) environment: BTreeMap<OsString, OsString>,
    /// The emulators of the host.
    pub(crate) emulators: Arc<dyn Emulators>,
    pub(crate) host: Host,
    /// What calls about the host are answered from.
    pub(crate) node: host::Host,
    pub(crate) journal: Journal<Undo>,
    pub(crate) hooks: Hooks,
    /// The last number of a guest.
    pub(crate) last_id: AtomicU32,
    /// The next number of a tap device.
    pub(crate) tap: AtomicU32,
    /// Ports of displays by guest.
    pub(crate) ports: Mutex<BTreeMap<Uuid, Vec<u16>>>,
    /// Consoles that clients have open.
    pub(crate) consoles: Consoles,
    pub(crate) guests: Guests,
    pub(crate) callbacks: Callbacks<DomainEvent>,
    /// Keeps other drivers out of the directories.
    pub(crate) _lock: PidFile,
}

impl Shared {
    /// The guest a call is about.
    pub(crate) fn entry(&self, domain: &DomainRef) -> Result<Arc<Entry>> {
        self.guests.get(domain.uuid).ok_or_else(|| {
            let DomainRef { name, uuid, .. } = domain;
            error::no_domain(format!("no domain with matching uuid '{uuid}' ({name})"))
        })
    }

    /// A number that no guest has had since the host was booted, as far as files tell.
    pub(crate) fn next_id(&self) -> u32 {
        self.last_id.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// The number that the next guest would have.
    pub(crate) fn foreseen_id(&self) -> u32 {
        self.last_id.load(Ordering::Relaxed).saturating_add(1)
    }

    /// Makes numbers of guests continue above `id`.
    pub(crate) fn ids_above(&self, id: u32) {
        self.last_id.fetch_max(id, Ordering::Relaxed);
    }

    /// The next number of a tap device.
    pub(crate) fn next_tap(&self) -> u32 {
        self.tap.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes numbers of tap devices continue above `number`.
    pub(crate) fn taps_above(&self, number: u32) {
        self.tap.fetch_max(number.saturating_add(1), Ordering::Relaxed);
    }

    /// Ports of displays by guest.
    pub(crate) fn reserved_ports(&self) -> MutexGuard<'_, BTreeMap<Uuid, Vec<u16>>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back the ports of a guest's displays.
    pub(crate) fn release_ports(&self, uuid: Uuid) {
        self.reserved_ports().remove(&uuid);
    }

    /// Firmware that is installed, in the order in which it is tried.
    ///
    /// libvirt 11.3.0: `qemuFirmwareFetchConfigs`, src/qemu/qemu_firmware.c
    pub(crate) fn firmwares(&self) -> Vec<Firmware> {
        let found: Vec<Vec<(String, String)>> =
            FIRMWARE_DIRS.iter().map(|dir| files(dir)).collect();
        let borrowed = found
            .iter()
            .map(|files| files.iter().map(|(name, text)| (name.clone(), text.as_str())).collect());
        Firmware::merge(borrowed)
    }
}

/// The descriptors of a directory with their names.
fn files(dir: &str) -> Vec<(String, String)> {
    let paths = store::files(std::path::Path::new(dir), "json").into_iter();
    let files = paths.filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let text = oxivirt_sys::file::read(&path, DESCRIPTOR).ok()??;
        Some((name, String::from_utf8_lossy(&text).into_owned()))
    });
    files.collect()
}
