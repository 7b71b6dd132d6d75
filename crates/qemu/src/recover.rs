//! Opening a driver on a host where guests run, or where a driver was interrupted.
//!
//! libvirt 11.3.0: `qemuProcessReconnectAll`, src/qemu/qemu_process.c

use std::sync::Arc;

use oxivirt::{DomainStatus, Lifetime, Result};
use oxivirt_engine::{Journal, JournalEntry, JournalError, operation};
use oxivirt_qmp::command::{
    QomList, QueryBalloon, QueryChardev, QueryCpusFast, QueryStatus, RunState,
};
use oxivirt_qmp::{Monitor, Options, QmpError};
use oxivirt_sys::chain;
use oxivirt_sys::file::{self, Durability};
use oxivirt_types::domain::{DomainState, PausedReason, RunningReason, ShutoffReason};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::apply::Bench;
use crate::error;
use crate::guest::Guest;
use crate::hooks::HookOperation;
use crate::live::Live;
use crate::plan::start::Activity;
use crate::plan::{Step, Undo};
use crate::process::Process;
use crate::registry::{Entry, Running, View};
use crate::resolve::TAP_PREFIX;
use crate::session;
use crate::shared::Shared;
use crate::status;

impl Shared {
    /// Finishes the operations that a driver before this one was interrupted in.
    pub(crate) async fn recover(&self) {
        for entry in self.journal.all() {
            match entry {
                Ok(entry) => drop(self.finish(&entry).await),
                Err(error) => {
                    let text = chain::text(&error);
                    tracing::error!(error = text, "cannot finish an interrupted operation");
                    if let JournalError::Damaged { path, .. } = &error
                        && let Err(error) = Journal::<Undo>::set_aside(path)
                    {
                        let error = chain::text(&error);
                        tracing::error!(error, "cannot set a damaged journal entry aside");
                    }
                }
            }
        }
    }

    /// Finishes the operation on one guest that was interrupted, if there is one.
    ///
    /// # Errors
    /// If something it left cannot be removed.
    pub(crate) async fn finish_journal(&self, uuid: Uuid) -> Result<()> {
        match self.journal.read(uuid).map_err(|error| error::journal(&error))? {
            Some(entry) => self.finish(&entry).await,
            None => Ok(()),
        }
    }

    async fn finish(&self, entry: &JournalEntry<Undo>) -> Result<()> {
        let has_status = self.layout.status_file(&entry.name).exists();
        let live = Live::starting(0);
        let bench = Bench::new(&self.host, &live);
        let finished = operation::finish::<Step, _>(&bench, &self.journal, entry, has_status).await;
        finished.map_err(|error| error::host(&error))
    }

    /// Reads the status files of guests that run.
    pub(crate) fn load_statuses(&self) {
        for found in status::load(&self.layout) {
            match found {
                Ok((guest, document)) => self.load_status(guest, document),
                Err(error) => {
                    let error = chain::text(&error);
                    tracing::error!(error, "skipping a guest: its status file cannot be read");
                }
            }
        }
    }

    fn load_status(&self, guest: Guest, document: oxivirt_conf::domain::DomainStatus) {
        let id = guest.id.and_then(|id| u32::try_from(id).ok()).unwrap_or_default();
        self.ids_above(id);
        let interfaces = guest.devices.iter().flat_map(|devices| &devices.interfaces);
        for name in interfaces.filter_map(|interface| interface.target.as_ref()?.dev.as_deref()) {
            if let Some(number) = name.strip_prefix(TAP_PREFIX).and_then(|text| text.parse().ok()) {
                self.taps_above(number);
            }
        }
        let displays = guest.devices.iter().flat_map(|devices| &devices.graphics);
        let ports = displays.filter_map(|display| u16::try_from(display.port?).ok());
        self.reserved_ports().insert(guest.uuid(), ports.collect());
        let live = Live::new(id, status::state(&document));
        live.set_fake_reboot(status::is_fake_reboot(&document));
        let running = Some(Running { live: Arc::new(live), base: Arc::new(document) });
        drop(self.guests.insert(View { running, ..View::inactive(guest, Lifetime::Transient) }));
    }

    /// Takes over the guests that run, all at once. One that does not answer keeps no other waiting: until
    /// then its state is that of its status file, and operations on it wait.
    pub(crate) async fn reconnect_all(self: &Arc<Self>) -> Vec<tokio::task::JoinHandle<()>> {
        let mut tasks = Vec::new();
        for entry in self.guests.all().into_iter().filter(|entry| entry.view().is_active()) {
            let (shared, (locked, is_locked)) = (Arc::clone(self), oneshot::channel());
            tasks.push(tokio::spawn(async move {
                Box::pin(shared.reconnect(&entry, locked)).await;
            }));
            // Without a sender the task has ended.
            drop(is_locked.await);
        }
        tasks
    }

    async fn reconnect(self: &Arc<Self>, entry: &Arc<Entry>, locked: oneshot::Sender<()>) {
        let operation = entry.lock().await;
        // The receiver waits for it.
        let _: std::result::Result<(), ()> = locked.send(());
        let view = entry.view();
        let Some(running) = view.running.clone() else { return };
        let (live, name) = (running.live, view.def.name());
        let process = match Process::of_pid_file(&self.layout.pid_file(name)) {
            Ok(process) => process,
            Err(error) => {
                tracing::error!(domain = name, %error, "cannot find the process of a guest");
                None
            }
        };
        let Some(process) = process else {
            drop(operation);
            tracing::warn!(domain = name, "guest has ended while no driver ran");
            let is_shut_down = live.status().state == DomainState::Shutdown;
            let reason =
                if is_shut_down { ShutoffReason::Shutdown } else { ShutoffReason::Crashed };
            return self.stopped_by_itself(entry, &live, reason).await;
        };
        live.set_process(process);
        let Some(socket) = status::monitor(&running.base) else {
            tracing::error!(domain = name, "status file without monitor: guest cannot be managed");
            return session::spawn(self, entry, &live, None);
        };
        match Monitor::connect(&socket, &Options::default()).await {
            Ok((monitor, events)) => {
                live.set_monitor(monitor);
                if let Err(error) = self.ask(entry, &live).await {
                    let error = chain::text(&error);
                    tracing::error!(
                        domain = name,
                        error,
                        "guest does not answer: its state may be stale"
                    );
                }
                session::spawn(self, entry, &live, Some(events));
            }
            Err(error) => {
                let error = chain::text(&error);
                tracing::error!(
                    domain = name,
                    error,
                    "cannot connect to a guest's monitor: it can only be destroyed"
                );
                session::spawn(self, entry, &live, None);
            }
        }
        if self.run_hook(&entry.view().def, HookOperation::Reconnect).await.is_err() {
            tracing::error!(domain = name, "a hook script refuses the guest: ending it");
            self.end(entry, &live);
        }
        drop(operation);
        if live.status().state == DomainState::Shutdown {
            // Its end was seen, but the driver was interrupted before it ended the process.
            live.set_ending(ShutoffReason::Shutdown);
            self.end(entry, &live);
        }
    }

    /// Asks a guest for its state, in one go.
    async fn ask(&self, entry: &Arc<Entry>, live: &Arc<Live>) -> std::result::Result<(), QmpError> {
        let Some(monitor) = live.monitor() else { return Ok(()) };
        let peripheral = QomList { path: "/machine/peripheral".to_owned() };
        let (state, chardevs, cpus, devices, memory) = futures::join!(
            monitor.run(&QueryStatus {}),
            monitor.run(&QueryChardev {}),
            monitor.run(&QueryCpusFast {}),
            monitor.run(&peripheral),
            monitor.run(&QueryBalloon {}),
        );
        let found = crate::live::found(chardevs?, cpus?, devices?, memory.ok());
        live.set_balloon(found.balloon);
        let state = state?;
        let changed = live.change(|now| corrected(now, &state.status, state.running));
        entry.update(|view| {
            let def = view.def.with(|def| {
                let channels = def.devices.iter_mut().flat_map(|devices| &mut devices.channels);
                for channel in channels {
                    let alias = channel.info.alias.as_ref().and_then(|alias| alias.name.as_ref());
                    let is_open =
                        alias.is_some_and(|alias| found.open.contains(&format!("char{alias}")));
                    session::set_channel_state(channel, is_open);
                }
            });
            (def != view.def).then(|| View { def, ..view.clone() })
        });
        if changed {
            self.save(entry, live).await;
        }
        Ok(())
    }

    /// Starts the guests that start with the host, once for each boot.
    pub(crate) async fn start_with_host(self: &Arc<Self>) {
        let mark = self.layout.autostarted();
        if mark.exists() {
            return;
        }
        if let Err(error) = file::replace(&mark, b"", 0o600, Durability::Regenerated) {
            let error = chain::text(&error);
            tracing::error!(
                error,
                "not starting guests with the host: their start cannot be noted"
            );
            return;
        }
        let mut entries = self.guests.all();
        entries.retain(|entry| {
            let view = entry.view();
            view.autostart == oxivirt::Autostart::Enabled && !view.is_active()
        });
        entries.sort_by_key(|entry| entry.view().def.name().to_owned());
        for entry in entries {
            if let Err(error) = Box::pin(self.create(&entry, Activity::Running)).await {
                let name = entry.view().def.name().to_owned();
                tracing::error!("Failed to autostart VM '{name}': {}", error.message());
            }
        }
    }
}

/// The state of a guest by what its emulator says, `None` if it is as known.
fn corrected(now: DomainStatus, state: &RunState, is_running: bool) -> Option<DomainStatus> {
    let to = match state {
        RunState::Shutdown => DomainStatus { state: DomainState::Shutdown, reason: 0 },
        RunState::GuestPanicked if now.state == DomainState::Crashed => now,
        RunState::GuestPanicked => paused(PausedReason::Crashed),
        RunState::IoError => paused(PausedReason::IoError),
        RunState::Watchdog => paused(PausedReason::Watchdog),
        _ if is_running => {
            DomainStatus { state: DomainState::Running, reason: RunningReason::Unpaused.number() }
        }
        _ => paused(PausedReason::Unspecified),
    };
    (to.state != now.state).then_some(to)
}

const fn paused(reason: PausedReason) -> DomainStatus {
    DomainStatus { state: DomainState::Paused, reason: reason.number() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_corrected_only_if_they_differ() {
        let running = DomainStatus { state: DomainState::Running, reason: 1 };
        assert_eq!(corrected(running, &RunState::Running, true), None);
        let found = corrected(running, &RunState::IoError, false).unwrap();
        assert_eq!((found.state, found.reason), (DomainState::Paused, 5));
        let found = corrected(running, &RunState::Shutdown, false).unwrap();
        assert_eq!(found.state, DomainState::Shutdown);
        assert_eq!(corrected(found, &RunState::Running, true).unwrap().reason, 5);
    }
}
