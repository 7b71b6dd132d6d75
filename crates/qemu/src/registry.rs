//! The guests of a driver: what readers see of each.

use std::sync::Arc;

use oxivirt::{Autostart, DomainRef, DomainStatus, Lifetime};
use oxivirt_conf::domain::DomainStatus as Document;
use oxivirt_types::domain::{DomainListFlags, DomainState, ShutoffReason};
use uuid::Uuid;

use crate::guest::Guest;
use crate::live::Live;

/// A guest as it is at one moment.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The definition in effect: of the running guest, or of the next start.
    pub(crate) def: Guest,
    /// While the guest runs, the definition that takes effect when it stops.
    pub(crate) new_def: Option<Guest>,
    /// What there is of it while it runs.
    pub(crate) running: Option<Running>,
    /// Whether the stored definition was replaced while it runs.
    pub(crate) is_updated: bool,
    /// How long it is remembered.
    pub(crate) lifetime: Lifetime,
    /// Whether it starts with the host.
    pub(crate) autostart: Autostart,
    /// Why it does not run.
    pub(crate) shutoff: ShutoffReason,
}

/// A guest that runs.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    /// Its process, its monitor, its state.
    pub(crate) live: Arc<Live>,
    /// What its status file says beside its definition and state.
    pub(crate) base: Arc<Document>,
}

impl Running {
    /// A guest that is being started: it has no status file yet.
    #[must_use]
    pub(crate) fn starting(live: Arc<Live>) -> Self {
        Self { live, base: Arc::default() }
    }
}

impl View {
    /// A guest that does not run.
    #[must_use]
    pub(crate) const fn inactive(def: Guest, lifetime: Lifetime) -> Self {
        Self {
            def,
            new_def: None,
            running: None,
            is_updated: false,
            lifetime,
            autostart: Autostart::Disabled,
            shutoff: ShutoffReason::Unspecified,
        }
    }

    /// Whether it runs.
    #[must_use]
    pub(crate) const fn is_active(&self) -> bool {
        self.running.is_some()
    }

    /// The definition that persists, of a guest that has one.
    #[must_use]
    pub(crate) fn persistent_def(&self) -> &Guest {
        self.new_def.as_ref().unwrap_or(&self.def)
    }

    /// Name, UUID and number.
    #[must_use]
    pub(crate) fn reference(&self) -> DomainRef {
        let id = self.running.as_ref().map(|running| running.live.id());
        DomainRef { name: self.def.name().to_owned(), uuid: self.def.uuid(), id }
    }

    /// State and reason.
    #[must_use]
    pub(crate) fn status(&self) -> DomainStatus {
        match &self.running {
            Some(running) => running.live.status(),
            None => DomainStatus { state: DomainState::Shutoff, reason: self.shutoff.number() },
        }
    }

    /// Whether it has a stored definition.
    #[must_use]
    pub(crate) fn is_persistent(&self) -> bool {
        self.lifetime == Lifetime::Persistent
    }

    /// Whether it passes the filter; `extras` says which of managed save image, snapshots and checkpoints
    /// there are, and is asked only if the filter asks.
    ///
    /// libvirt 11.3.0: `virDomainObjMatchFilter`, src/conf/virdomainobjlist.c
    #[must_use]
    pub(crate) fn matches(
        &self,
        flags: DomainListFlags,
        extras: impl FnOnce(&str) -> Extras,
    ) -> bool {
        use DomainListFlags as Flags;
        let group = |group: Flags, own: Flags| !flags.intersects(group) || flags.intersects(own);
        let either = |is: bool, yes: Flags, no: Flags| group(yes | no, if is { yes } else { no });
        let state = match self.status().state {
            DomainState::Running => Flags::RUNNING,
            DomainState::Paused => Flags::PAUSED,
            DomainState::Shutoff => Flags::SHUTOFF,
            _ => Flags::OTHER,
        };
        let states = Flags::RUNNING | Flags::PAUSED | Flags::SHUTOFF | Flags::OTHER;
        let is_active = self.is_active();
        let is_enabled = self.autostart == Autostart::Enabled;
        let known = either(is_active, Flags::ACTIVE, Flags::INACTIVE)
            && either(self.is_persistent(), Flags::PERSISTENT, Flags::TRANSIENT)
            && group(states, state)
            && either(is_enabled, Flags::AUTOSTART, Flags::NO_AUTOSTART);
        let asked = Flags::MANAGED_SAVE
            | Flags::NO_MANAGED_SAVE
            | Flags::HAS_SNAPSHOT
            | Flags::NO_SNAPSHOT
            | Flags::HAS_CHECKPOINT
            | Flags::NO_CHECKPOINT;
        if !known || !flags.intersects(asked) {
            return known;
        }
        let extras = extras(self.def.name());
        either(extras.has_managed_save, Flags::MANAGED_SAVE, Flags::NO_MANAGED_SAVE)
            && either(extras.n_snapshots > 0, Flags::HAS_SNAPSHOT, Flags::NO_SNAPSHOT)
            && either(extras.n_checkpoints > 0, Flags::HAS_CHECKPOINT, Flags::NO_CHECKPOINT)
    }
}

/// What a guest has beside its definition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extras {
    /// A state that was saved when it was stopped.
    pub(crate) has_managed_save: bool,
    /// Snapshots.
    pub(crate) n_snapshots: usize,
    /// Checkpoints.
    pub(crate) n_checkpoints: usize,
}

/// A guest with the lock of its operations.
pub(crate) type Entry = oxivirt_engine::Entry<View>;

/// All guests by UUID.
pub(crate) type Guests = oxivirt_engine::Registry<View>;

impl oxivirt_engine::registry::View for View {
    fn uuid(&self) -> Uuid {
        self.def.uuid()
    }

    fn name(&self) -> &str {
        self.def.name()
    }
}
