//! Definitions: stored, replaced, renamed, removed.

use std::path::Path;
use std::sync::Arc;

use oxivirt::{Autostart, DomainEvent, DomainRef, Error, ErrorCode, ErrorDomain, Lifetime, Result};
use oxivirt_conf::domain::{DomainDef, DomainError, HostAudio, Origin, QemuDefaults};
use oxivirt_conf::emulator::EmulatorCapabilities;
use oxivirt_sys::file;
use oxivirt_types::domain::{DomainLifecycleEvent, DomainUndefineFlags as Undefine, ShutoffReason};
use rand::Rng as _;

use crate::error;
use crate::firmware;
use crate::guest::Guest;
use crate::plan::stop;
use crate::registry::{Entry, View};
use crate::shared::Shared;
use crate::store;

/// Details of the events "defined" and "undefined" (`virDomainEventDefinedDetailType`,
/// `virDomainEventUndefinedDetailType`).
const ADDED: i32 = 0;
const UPDATED: i32 = 1;
const DEFINED_RENAMED: i32 = 2;
const REMOVED: i32 = 0;
const UNDEFINED_RENAMED: i32 = 1;

impl Shared {
    /// Gives a new definition what it lacks and checks it.
    pub(crate) async fn complete(&self, mut def: Box<DomainDef>) -> Result<Guest> {
        let emulator = self.emulator(&def).await?;
        let firmwares = def.os.as_ref().and_then(|os| os.firmware).map(|_| self.firmwares());
        complete(&mut def, &emulator).map_err(error::definition)?;
        if let Some(firmwares) = firmwares {
            let nvram = self.layout.nvram_dir();
            firmware::fill(&mut def, &firmwares, &nvram, Origin::New)
                .map_err(|error| error::plan(&error))?;
        }
        Guest::new(*def).map_err(error::definition)
    }

    /// What the emulator of a definition can do: the one that it names, else the architecture's.
    pub(crate) async fn emulator(&self, def: &DomainDef) -> Result<Arc<EmulatorCapabilities>> {
        let named = def.devices.as_ref().and_then(|devices| devices.emulator.as_deref());
        if let Some(path) = named {
            return self.emulators.capabilities(Path::new(path)).await;
        }
        let kind = def.os.as_ref().and_then(|os| os.kind.as_ref());
        let arch = kind.and_then(|kind| kind.arch.as_deref()).unwrap_or(std::env::consts::ARCH);
        let Some(program) = self.emulators.program(arch) else {
            let detail = format!("No emulator found for arch '{arch}'");
            return Err(Error::new(ErrorCode::CONFIG_UNSUPPORTED, ErrorDomain::QEMU, detail));
        };
        self.emulators.capabilities(&program).await
    }

    /// The guest that a definition is for, if it exists; refuses a clash of name and UUID.
    pub(crate) fn identify(&self, guest: &Guest) -> Result<Option<Arc<Entry>>> {
        let fail =
            |detail| Err(Error::new(ErrorCode::OPERATION_FAILED, ErrorDomain::DOMAIN, detail));
        let uuid = guest.uuid();
        if let Some(entry) = self.guests.get(uuid) {
            let view = entry.view();
            let name = view.def.name();
            if name != guest.name() {
                return fail(format!("domain '{name}' is already defined with uuid {uuid}"));
            }
            return Ok(Some(entry));
        }
        if let Some(entry) = self.guests.by_name(guest.name()) {
            let uuid = entry.view().def.uuid();
            return fail(format!("domain '{}' already exists with uuid {uuid}", guest.name()));
        }
        Ok(None)
    }

    pub(crate) async fn define(&self, def: Box<DomainDef>) -> Result<DomainRef> {
        let guest = self.complete(def).await?;
        let _identities = self.guests.lock_identities().await;
        let known = self.identify(&guest)?;
        let operation = match &known {
            Some(entry) => Some(entry.lock().await),
            None => None,
        };
        store::write_config(&self.layout, &guest).map_err(|error| error::store(&error))?;
        let autostart = store::autostart(&self.layout, guest.name());
        // The operation that held the lock may have removed the guest.
        let old = known.as_ref().filter(|_| self.guests.contains(guest.uuid()));
        let old = old.map(|entry| entry.view());
        let is_update = old.as_ref().is_some_and(|view| view.is_persistent());
        let view = match old {
            Some(old) if old.is_active() => View {
                new_def: Some(guest),
                is_updated: true,
                lifetime: Lifetime::Persistent,
                autostart,
                ..(*old).clone()
            },
            old => {
                let shutoff = old.map_or(ShutoffReason::Unspecified, |view| view.shutoff);
                View { autostart, shutoff, ..View::inactive(guest, Lifetime::Persistent) }
            }
        };
        let domain = view.reference();
        match &known {
            Some(entry) => {
                entry.set(view);
                self.guests.reinsert(entry);
            }
            None => drop(self.guests.insert(view)),
        }
        drop(operation);
        let detail = if is_update { UPDATED } else { ADDED };
        self.emit(&domain, DomainLifecycleEvent::Defined, detail);
        Ok(domain)
    }

    pub(crate) async fn undefine(&self, entry: &Entry, flags: Undefine) -> Result<()> {
        let _identities = self.guests.lock_identities().await;
        let operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        if !view.is_persistent() {
            return Err(error::invalid("cannot undefine transient domain"));
        }
        let name = view.def.name();
        let extras = store::extras(&self.layout, name);
        if extras.has_managed_save && !flags.contains(Undefine::MANAGED_SAVE) {
            let detail = "Refusing to undefine while domain managed save image exists";
            return Err(error::invalid(detail));
        }
        let metadata = [
            (extras.n_snapshots, Undefine::SNAPSHOTS_METADATA, "snapshots"),
            (extras.n_checkpoints, Undefine::CHECKPOINTS_METADATA, "checkpoints"),
        ];
        for (count, flag, what) in metadata {
            if count > 0 && !flags.contains(flag) {
                let detail = format!("cannot delete inactive domain with {count} {what}");
                return Err(error::invalid(detail));
            }
        }
        let nvram = stop::nvram(view.persistent_def()).filter(|path| path.exists());
        if nvram.is_some() && !flags.intersects(Undefine::NVRAM | Undefine::KEEP_NVRAM) {
            return Err(error::invalid("cannot undefine domain with nvram"));
        }
        let failed = |error| error::store(&store::StoreError::from(error));
        file::remove(&self.layout.managed_save(name)).map_err(failed)?;
        for dir in [self.layout.snapshot_dir(name), self.layout.checkpoint_dir(name)] {
            file::remove_dir(&dir).map_err(failed)?;
        }
        if let Some(nvram) = nvram.filter(|_| flags.contains(Undefine::NVRAM)) {
            file::remove(&nvram).map_err(failed)?;
        }
        // The link first: one that leads nowhere would stay.
        store::set_autostart(&self.layout, name, Autostart::Disabled)
            .and_then(|()| store::remove_config(&self.layout, name))
            .map_err(|error| error::store(&error))?;
        if view.is_active() {
            let autostart = Autostart::Disabled;
            entry.update(|view| {
                let lifetime = Lifetime::Transient;
                Some(View { new_def: None, lifetime, autostart, ..view.clone() })
            });
        } else {
            self.guests.remove(view.def.uuid());
        }
        drop(operation);
        self.emit(&view.reference(), DomainLifecycleEvent::Undefined, REMOVED);
        Ok(())
    }

    pub(crate) async fn rename(&self, entry: &Entry, name: &str) -> Result<()> {
        let _identities = self.guests.lock_identities().await;
        let operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        if name.contains('/') {
            let detail = format!("name {name} cannot contain '/'");
            return Err(Error::new(ErrorCode::XML_ERROR, ErrorDomain::QEMU, detail));
        }
        if view.is_active() {
            return Err(error::invalid("cannot rename active domain"));
        }
        if !view.is_persistent() {
            return Err(error::invalid("cannot rename a transient domain"));
        }
        let old = view.def.name();
        let extras = store::extras(&self.layout, old);
        if extras.has_managed_save {
            return Err(error::invalid("domain with a managed saved state can't be renamed"));
        }
        if extras.n_snapshots > 0 || extras.n_checkpoints > 0 {
            let what = if extras.n_snapshots > 0 { "snapshots" } else { "checkpoints" };
            return Err(error::invalid(format!("cannot rename domain with {what}")));
        }
        if self.guests.by_name(name).is_some() {
            let detail = format!("domain with name '{name}' already exists");
            return Err(Error::new(ErrorCode::OPERATION_INVALID, ErrorDomain::DOMAIN, detail));
        }
        let renamed = view.def.renamed(name);
        let failed = |error| error::store(&error);
        store::write_config(&self.layout, &renamed).map_err(failed)?;
        let moved = store::set_autostart(&self.layout, name, view.autostart)
            .and_then(|()| store::set_autostart(&self.layout, old, Autostart::Disabled))
            .and_then(|()| store::remove_config(&self.layout, old));
        if let Err(error) = moved {
            drop(store::set_autostart(&self.layout, name, Autostart::Disabled));
            drop(store::remove_config(&self.layout, name));
            drop(store::set_autostart(&self.layout, old, view.autostart));
            return Err(failed(error));
        }
        entry.set(View { def: renamed, ..(*view).clone() });
        drop(operation);
        let (before, after) = (view.reference(), entry.view().reference());
        self.emit(&before, DomainLifecycleEvent::Undefined, UNDEFINED_RENAMED);
        self.emit(&after, DomainLifecycleEvent::Defined, DEFINED_RENAMED);
        Ok(())
    }

    pub(crate) async fn set_autostart(&self, entry: &Entry, autostart: Autostart) -> Result<()> {
        let _operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        if !view.is_persistent() {
            return Err(error::invalid("cannot set autostart for transient domain"));
        }
        store::set_autostart(&self.layout, view.def.name(), autostart)
            .map_err(|error| error::store(&error))?;
        entry.update(|view| Some(View { autostart, ..view.clone() }));
        Ok(())
    }

    /// Reads the definitions on disk; those that are known already are replaced.
    pub(crate) async fn load_configs(&self) {
        let _identities = self.guests.lock_identities().await;
        for guest in store::load_configs(&self.layout) {
            let guest = match guest {
                Ok(guest) => guest,
                Err(error) => {
                    let error = oxivirt_sys::chain::text(&error);
                    tracing::error!(error, "skipping a guest: its definition cannot be read");
                    continue;
                }
            };
            match self.identify(&guest) {
                Ok(known) => self.load_config(guest, known.as_deref()),
                Err(error) => tracing::error!(%error, "skipping a guest: it clashes with another"),
            }
        }
    }

    fn load_config(&self, guest: Guest, known: Option<&Entry>) {
        let autostart = store::autostart(&self.layout, guest.name());
        let view = View { autostart, ..View::inactive(guest, Lifetime::Persistent) };
        match known {
            Some(entry) => entry.update(|old| {
                let new = view;
                Some(match &old.running {
                    Some(_) => View {
                        new_def: Some(new.def),
                        lifetime: Lifetime::Persistent,
                        autostart,
                        ..old.clone()
                    },
                    None => View { shutoff: old.shutoff, ..new },
                })
            }),
            None => drop(self.guests.insert(view)),
        }
    }

    /// Reports a change of a guest's life.
    pub(crate) fn emit(&self, domain: &DomainRef, event: DomainLifecycleEvent, detail: i32) {
        let domain = domain.clone();
        self.callbacks.emit(&DomainEvent::Lifecycle { domain, event, detail });
    }

    /// An operation that waited for another may find the guest gone.
    pub(crate) fn check_exists(&self, view: &View) -> Result<()> {
        self.entry(&view.reference()).map(drop)
    }
}

/// Fills in what a new definition leaves open, and refuses what cannot be.
fn complete(
    def: &mut DomainDef,
    emulator: &EmulatorCapabilities,
) -> std::result::Result<(), DomainError> {
    let mut rng = rand::rng();
    let mut random = |bytes: &mut [u8]| rng.fill_bytes(bytes);
    def.forget_runtime();
    def.complete_qemu(&mut QemuDefaults {
        emulator,
        origin: Origin::New,
        host_arch: std::env::consts::ARCH,
        host_audio: HostAudio::default(),
        random: &mut random,
    })?;
    def.assign_addresses(emulator, Origin::New)?;
    def.validate_qemu(emulator)
}
