//! The conversation with a guest that runs: what the emulator reports becomes states and events.
//!
//! libvirt 11.3.0: `qemuProcessHandle…`, src/qemu/qemu_process.c

use std::sync::{Arc, Weak};

use oxivirt::{DomainEvent, DomainStatus};
use oxivirt_conf::domain::clock::{CrashAction, LifecycleAction};
use oxivirt_conf::domain::device::chardev::{ChannelState, CharDevice, CharTarget, CharType};
use oxivirt_qmp::command::{Cont, SystemReset};
use oxivirt_qmp::event::{BlockErrorAction, BlockIoErrorData, EventKind, ShutdownData};
use oxivirt_qmp::{Events, Incoming};
use oxivirt_sys::chain;
use oxivirt_types::domain::{
    DomainLifecycleEvent, DomainState, PausedReason, RunningReason, ShutoffReason,
};

use crate::live::Live;
use crate::registry::{Entry, View};
use crate::shared::Shared;

/// The channel that the guest's agent is behind.
const AGENT: &str = "org.qemu.guest_agent.0";
/// Details of events (`virDomainEventShutdownDetailType` and so on).
const SHUTDOWN_GUEST: i32 = 1;
const SHUTDOWN_HOST: i32 = 2;
const RESUMED_UNPAUSED: i32 = 0;
const CRASHED_PANICKED: i32 = 0;
/// `VIR_DOMAIN_CRASHED_PANICKED`
const PANICKED: i32 = 1;

/// Starts the task that reads a guest's events and notices its end.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    live: &Arc<Live>,
    events: Option<Events>,
) {
    let session = Session {
        shared: Arc::downgrade(shared),
        entry: Arc::clone(entry),
        live: Arc::clone(live),
    };
    let task = tokio::spawn(session.run(events));
    live.set_session(task.abort_handle());
}

struct Session {
    shared: Weak<Shared>,
    entry: Arc<Entry>,
    live: Arc<Live>,
}

impl Session {
    async fn run(self, events: Option<Events>) {
        let process = self.live.process();
        match events {
            // The stream ends with the process, after the last event.
            Some(mut events) => {
                while let Some(event) = events.next().await {
                    let Some(shared) = self.shared.upgrade() else { return };
                    self.handle(&shared, event).await;
                }
            }
            None => {
                if let Some(process) = &process {
                    process.ended().await;
                }
            }
        }
        self.live.set_over();
        let Some(shared) = self.shared.upgrade() else { return };
        let reason = match self.live.status().state {
            DomainState::Shutdown => ShutoffReason::Shutdown,
            _ => ShutoffReason::Crashed,
        };
        // In a task of its own: a stop ends this one.
        let (entry, live) = (self.entry, self.live);
        drop(tokio::spawn(async move {
            shared.stopped_by_itself(&entry, &live, reason).await;
        }));
    }

    async fn handle(&self, shared: &Arc<Shared>, incoming: Incoming) {
        let event = match incoming {
            Incoming::Event(event) => event,
            Incoming::Lost(count) => {
                let domain = self.entry.view().def.name().to_owned();
                tracing::warn!(domain, count, "monitor events were lost: states may be stale");
                return;
            }
            _ => return,
        };
        tracing::debug!(event = event.name, id = self.live.id(), "monitor event");
        match event.kind() {
            Ok(kind) => self.handle_kind(shared, kind).await,
            Err(error) => {
                let error = chain::text(&error);
                tracing::warn!(event = event.name, error, "ignoring a malformed monitor event");
            }
        }
    }

    async fn handle_kind(&self, shared: &Arc<Shared>, kind: EventKind) {
        let domain = self.entry.view().reference();
        let emit = |event: DomainEvent| shared.callbacks.emit(&event);
        match kind {
            EventKind::Stop => self.paused(shared).await,
            EventKind::Resume => self.resumed(shared).await,
            EventKind::Reset(_) => {
                self.live.set_shut_down(false);
                emit(DomainEvent::Reboot { domain });
            }
            EventKind::Shutdown(data) => self.shut_down(shared, &data).await,
            EventKind::GuestPanicked(_) => self.crashed(shared).await,
            EventKind::BalloonChange(bytes) => {
                self.live.set_balloon(Some(bytes));
                emit(DomainEvent::BalloonChange { domain, actual_kib: bytes / 1024 });
            }
            EventKind::RtcChange(offset) => emit(DomainEvent::RtcChange { domain, offset }),
            EventKind::Watchdog(action) => {
                if action == "pause" {
                    self.live.set_pause(PausedReason::Watchdog);
                }
                emit(DomainEvent::Watchdog { domain, action: watchdog_action(&action) });
            }
            EventKind::BlockIoError(data) => self.disk_failed(shared, &data),
            EventKind::DeviceDeleted(data) => {
                if let Some(alias) = data.device {
                    emit(DomainEvent::DeviceRemoved { domain, alias });
                }
            }
            EventKind::DeviceTrayMoved(data) => {
                let (alias, reason) = (data.id, i32::from(!data.tray_open));
                emit(DomainEvent::TrayChange { domain, alias, reason });
            }
            EventKind::VserportChange(port) => {
                self.channel_changed(shared, &port.id, port.open).await;
            }
            _ => {}
        }
    }

    async fn paused(&self, shared: &Arc<Shared>) {
        if self.live.was_shut_down() {
            // The guest has ended; its processors stop for that.
            return;
        }
        let reason = self.live.take_pause();
        let to = DomainStatus { state: DomainState::Paused, reason: reason.number() };
        let is_new = self.live.change(|now| (now.state == DomainState::Running).then_some(to));
        if is_new {
            let detail = match reason {
                PausedReason::IoError => 2,
                PausedReason::Watchdog => 3,
                _ => 0,
            };
            let domain = self.entry.view().reference();
            shared.emit(&domain, DomainLifecycleEvent::Suspended, detail);
            shared.save(&self.entry, &self.live).await;
        }
    }

    async fn resumed(&self, shared: &Arc<Shared>) {
        let starting = PausedReason::StartingUp.number();
        let mut was_starting = false;
        let is_new = self.live.change(|now| {
            was_starting = now.reason == starting;
            let reason = if was_starting { RunningReason::Booted } else { RunningReason::Unpaused };
            let to = DomainStatus { state: DomainState::Running, reason: reason.number() };
            matches!(now.state, DomainState::Paused | DomainState::Crashed).then_some(to)
        });
        if is_new {
            let domain = self.entry.view().reference();
            shared.emit(&domain, DomainLifecycleEvent::Resumed, RESUMED_UNPAUSED);
            if !was_starting {
                shared.save(&self.entry, &self.live).await;
            }
        }
    }

    /// The guest has ended; the emulator has not.
    async fn shut_down(&self, shared: &Arc<Shared>, data: &ShutdownData) {
        let action = self.entry.view().def.on_poweroff;
        self.live.set_shut_down(true);
        let is_restart = action == Some(LifecycleAction::Restart)
            || action == Some(LifecycleAction::RenameRestart);
        if self.live.ending().is_none()
            && (self.live.is_fake_reboot() || (is_restart && data.guest))
        {
            self.live.set_fake_reboot(false);
            return self.reboot(shared).await;
        }
        let to = DomainStatus { state: DomainState::Shutdown, reason: 0 };
        if !self.live.change(|now| (now.state != DomainState::Shutdown).then_some(to)) {
            return;
        }
        let detail = if data.guest { SHUTDOWN_GUEST } else { SHUTDOWN_HOST };
        let domain = self.entry.view().reference();
        shared.emit(&domain, DomainLifecycleEvent::Shutdown, detail);
        shared.save(&self.entry, &self.live).await;
        if self.live.ending().is_some() || action == Some(LifecycleAction::Preserve) {
            return;
        }
        self.live.set_ending(ShutoffReason::Shutdown);
        shared.end(&self.entry, &self.live);
    }

    /// The guest's kernel has given up; the emulator has stopped its processors.
    ///
    /// libvirt 11.3.0: `processGuestPanicEvent`, src/qemu/qemu_driver.c
    async fn crashed(&self, shared: &Arc<Shared>) {
        let to = DomainStatus { state: DomainState::Crashed, reason: PANICKED };
        if !self.live.change(|now| (now.state != DomainState::Crashed).then_some(to)) {
            return;
        }
        let view = self.entry.view();
        let domain = view.reference();
        shared.emit(&domain, DomainLifecycleEvent::Crashed, CRASHED_PANICKED);
        shared.save(&self.entry, &self.live).await;
        let action = view.def.on_crash;
        if matches!(action, Some(CrashAction::CoredumpDestroy | CrashAction::CoredumpRestart)) {
            tracing::warn!(domain = domain.name, "guest has crashed: its memory is not dumped");
        }
        match after_crash(action) {
            AfterCrash::Stay => {}
            AfterCrash::Restart => self.reboot(shared).await,
            AfterCrash::End => {
                self.live.set_ending(ShutoffReason::Crashed);
                shared.end(&self.entry, &self.live);
            }
        }
    }

    /// The second half of a reboot.
    async fn reboot(&self, shared: &Arc<Shared>) {
        let Some(monitor) = self.live.monitor().cloned() else { return };
        let (reset, resumed) = futures::join!(monitor.run(&SystemReset {}), monitor.run(&Cont {}));
        if let Some(error) = reset.err().or_else(|| resumed.err()) {
            let (id, error) = (self.live.id(), chain::text(&error));
            tracing::error!(id, error, "cannot reset a guest that reboots: ending it");
            self.live.set_ending(ShutoffReason::Crashed);
            shared.end(&self.entry, &self.live);
            return;
        }
        self.live.set_shut_down(false);
        shared.save(&self.entry, &self.live).await;
    }

    fn disk_failed(&self, shared: &Arc<Shared>, data: &BlockIoErrorData) {
        let view = self.entry.view();
        let domain = view.reference();
        let action = match data.action {
            BlockErrorAction::Stop => {
                self.live.set_pause(PausedReason::IoError);
                1
            }
            BlockErrorAction::Report => 2,
            _ => 0,
        };
        let disks = view.def.devices.iter().flat_map(|devices| &devices.disks);
        let alias_of = |disk: &&oxivirt_conf::domain::device::disk::Disk| {
            disk.info.alias.as_ref().and_then(|alias| alias.name.clone()).unwrap_or_default()
        };
        let found = disks.into_iter().find(|disk| {
            let alias = alias_of(disk);
            !alias.is_empty()
                && data
                    .qom_path
                    .as_ref()
                    .is_some_and(|path| path.split('/').any(|part| part == alias))
        });
        let alias = found.as_ref().map(alias_of).unwrap_or_default();
        let path = found.and_then(|disk| crate::plan::stop::local(disk.source.as_ref()?));
        let path = path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        let reason = if data.nospace { "enospc" } else { "" }.to_owned();
        shared.callbacks.emit(&DomainEvent::IoError {
            domain: domain.clone(),
            path: path.clone(),
            alias: alias.clone(),
            action,
        });
        shared.callbacks.emit(&DomainEvent::IoErrorReason { domain, path, alias, action, reason });
    }

    async fn channel_changed(&self, shared: &Arc<Shared>, alias: &str, is_open: bool) {
        let mut is_agent = false;
        self.entry.update(|view| {
            let def = view.def.with(|def| {
                let channels = def.devices.iter_mut().flat_map(|devices| &mut devices.channels);
                let is_meant = |channel: &&mut CharDevice| {
                    channel
                        .info
                        .alias
                        .as_ref()
                        .is_some_and(|own| own.name.as_deref() == Some(alias))
                };
                for channel in channels.filter(is_meant) {
                    is_agent = is_agent_channel(channel);
                    set_channel_state(channel, is_open);
                }
            });
            Some(View { def, ..view.clone() })
        });
        if is_agent {
            let domain = self.entry.view().reference();
            let state = if is_open { 1 } else { 2 };
            // The reason is that the guest has opened or closed it.
            shared.callbacks.emit(&DomainEvent::AgentLifecycle { domain, state, reason: 2 });
        }
        shared.save(&self.entry, &self.live).await;
    }
}

/// What becomes of a guest that has crashed.
#[derive(Debug, PartialEq, Eq)]
enum AfterCrash {
    /// It stays as it is, to be looked at.
    Stay,
    /// It starts from its firmware.
    Restart,
    /// Its emulator ends.
    End,
}

fn after_crash(action: Option<CrashAction>) -> AfterCrash {
    match action {
        Some(CrashAction::Preserve) => AfterCrash::Stay,
        Some(CrashAction::Restart | CrashAction::RenameRestart | CrashAction::CoredumpRestart) => {
            AfterCrash::Restart
        }
        Some(CrashAction::Destroy | CrashAction::CoredumpDestroy) | None => AfterCrash::End,
    }
}

/// Whether the guest's agent is behind a channel.
pub(crate) fn is_agent_channel(channel: &CharDevice) -> bool {
    channel.target.as_ref().is_some_and(|target| target.name.as_deref() == Some(AGENT))
}

/// Notes whether the guest has a channel open.
pub(crate) fn set_channel_state(channel: &mut CharDevice, is_open: bool) {
    if channel.kind != Some(CharType::Unix) {
        return;
    }
    let state = if is_open { ChannelState::Connected } else { ChannelState::Disconnected };
    channel.target.get_or_insert_with(CharTarget::default).state = Some(state);
}

/// Numbers of what is done when a watchdog fires (`virDomainEventWatchdogAction`).
fn watchdog_action(word: &str) -> i32 {
    ["none", "pause", "reset", "poweroff", "shutdown", "debug", "inject-nmi"]
        .iter()
        .position(|known| *known == word)
        .and_then(|at| i32::try_from(at).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_has_crashed_ends_unless_its_definition_says_otherwise() {
        assert_eq!(after_crash(None), AfterCrash::End);
        assert_eq!(after_crash(Some(CrashAction::CoredumpDestroy)), AfterCrash::End);
        assert_eq!(after_crash(Some(CrashAction::CoredumpRestart)), AfterCrash::Restart);
        assert_eq!(after_crash(Some(CrashAction::Preserve)), AfterCrash::Stay);
    }
}
