//! A guest that runs: its process, its monitor, its state.
//!
//! ```text
//!           RESUME                SHUTDOWN
//! paused ◀──────────▶ running ─────────────▶ shutdown ──▶ (the process ends)
//!           STOP
//! ```
//!
//! The state changes by the emulator's events only, in their order; an operation that causes a change waits
//! for its event ([`Live::reaches`]). So readers, events and the status file never contradict each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use oxivirt::{AgentTimeout, DomainStatus};
use oxivirt_qmp::Monitor;
use oxivirt_qmp::agent::Agent;
use oxivirt_qmp::command::{BalloonInfo, ChardevInfo, CpuInfo, Property};
use oxivirt_types::domain::{DomainState, PausedReason, ShutoffReason};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::apply::Found;
use crate::process::Process;

/// How long an event may take that a command has caused: it is in the stream before the reply.
const EVENT: Duration = Duration::from_secs(5);

/// A guest that runs.
#[derive(Debug)]
pub(crate) struct Live {
    id: u32,
    process: OnceLock<Arc<Process>>,
    monitor: OnceLock<Monitor>,
    session: OnceLock<AbortHandle>,
    state: watch::Sender<DomainStatus>,
    /// Whether no event comes any more.
    is_over: watch::Sender<bool>,
    ending: Mutex<Option<ShutoffReason>>,
    /// Why the next event says that the guest is paused.
    pause: Mutex<PausedReason>,
    fake_reboot: AtomicBool,
    /// Between the guest's end and its reset.
    was_shut_down: AtomicBool,
    /// 0 is not known.
    balloon_kib: AtomicU64,
    /// How long the guest agent is waited for (`AgentTimeout`).
    agent_timeout: AtomicI32,
    /// The connection to the guest agent, once there is one.
    pub(crate) agent: tokio::sync::Mutex<Option<Arc<Agent>>>,
    /// Held while its status file is written.
    pub(crate) saving: tokio::sync::Mutex<()>,
}

impl Live {
    /// A guest in this state, without process yet.
    #[must_use]
    pub(crate) fn new(id: u32, status: DomainStatus) -> Self {
        Self {
            id,
            process: OnceLock::new(),
            monitor: OnceLock::new(),
            session: OnceLock::new(),
            state: watch::Sender::new(status),
            is_over: watch::Sender::new(false),
            ending: Mutex::default(),
            pause: Mutex::new(PausedReason::User),
            fake_reboot: AtomicBool::new(false),
            was_shut_down: AtomicBool::new(false),
            balloon_kib: AtomicU64::new(0),
            agent_timeout: AtomicI32::new(AgentTimeout::Block.number()),
            agent: tokio::sync::Mutex::new(None),
            saving: tokio::sync::Mutex::new(()),
        }
    }

    /// A guest that is being started.
    #[must_use]
    pub(crate) fn starting(id: u32) -> Self {
        let reason = PausedReason::StartingUp.number();
        Self::new(id, DomainStatus { state: DomainState::Paused, reason })
    }

    /// Its number.
    #[must_use]
    pub(crate) const fn id(&self) -> u32 {
        self.id
    }

    /// Its process, once there is one.
    #[must_use]
    pub(crate) fn process(&self) -> Option<Arc<Process>> {
        self.process.get().cloned()
    }

    /// Notes its process; once.
    pub(crate) fn set_process(&self, process: Process) {
        drop(self.process.set(Arc::new(process)));
    }

    /// Its monitor, once it is connected.
    #[must_use]
    pub(crate) fn monitor(&self) -> Option<&Monitor> {
        self.monitor.get()
    }

    /// Notes its monitor; once.
    pub(crate) fn set_monitor(&self, monitor: Monitor) {
        drop(self.monitor.set(monitor));
    }

    /// Notes the task that reads its events; once.
    pub(crate) fn set_session(&self, task: AbortHandle) {
        drop(self.session.set(task));
    }

    /// Leaves the guest to the next driver.
    pub(crate) fn leave(&self) {
        if let Some(task) = self.session.get() {
            task.abort();
        }
        if let Some(monitor) = self.monitor.get() {
            monitor.close();
        }
    }

    /// Its state now.
    #[must_use]
    pub(crate) fn status(&self) -> DomainStatus {
        *self.state.borrow()
    }

    /// Changes its state unless `change` returns `None`; returns whether it did.
    pub(crate) fn change(&self, change: impl FnOnce(DomainStatus) -> Option<DomainStatus>) -> bool {
        self.state.send_if_modified(|status| match change(*status) {
            Some(changed) => {
                *status = changed;
                true
            }
            None => false,
        })
    }

    /// Waits for a state that a command has caused; returns whether it is reached.
    pub(crate) async fn reaches(&self, state: DomainState) -> bool {
        let mut receiver = self.state.subscribe();
        let reached = receiver.wait_for(|status| status.state == state);
        matches!(tokio::time::timeout(EVENT, reached).await, Ok(Ok(_)))
    }

    /// Says that no event comes any more.
    pub(crate) fn set_over(&self) {
        self.is_over.send_replace(true);
    }

    /// Waits until all events of a guest whose process has ended are handled.
    pub(crate) async fn over(&self) {
        let mut receiver = self.is_over.subscribe();
        let over = receiver.wait_for(|is_over| *is_over);
        // Without a task that reads them there are none.
        drop(tokio::time::timeout(EVENT, over).await);
    }

    /// Notes why it is being stopped; the first reason counts.
    pub(crate) fn set_ending(&self, reason: ShutoffReason) {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.get_or_insert(reason);
    }

    /// Why it is being stopped, if it is.
    #[must_use]
    pub(crate) fn ending(&self) -> Option<ShutoffReason> {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says why the guest will be paused next.
    pub(crate) fn set_pause(&self, reason: PausedReason) {
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Why the guest is paused; the next pause is a client's again.
    pub(crate) fn take_pause(&self) -> PausedReason {
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *pause, PausedReason::User)
    }

    /// Whether the guest's next end is the first half of a reboot.
    #[must_use]
    pub(crate) fn is_fake_reboot(&self) -> bool {
        self.fake_reboot.load(Ordering::Acquire)
    }

    /// Sets whether the guest's next end is the first half of a reboot.
    pub(crate) fn set_fake_reboot(&self, is_set: bool) {
        self.fake_reboot.store(is_set, Ordering::Release);
    }

    /// Whether the guest has ended and was not reset since.
    #[must_use]
    pub(crate) fn was_shut_down(&self) -> bool {
        self.was_shut_down.load(Ordering::Acquire)
    }

    /// Notes the guest's end or its reset.
    pub(crate) fn set_shut_down(&self, is_set: bool) {
        self.was_shut_down.store(is_set, Ordering::Release);
    }

    /// How long the guest agent is waited for.
    #[must_use]
    pub(crate) fn agent_timeout(&self) -> AgentTimeout {
        AgentTimeout::from_number(self.agent_timeout.load(Ordering::Relaxed))
    }

    /// Sets how long the guest agent is waited for.
    pub(crate) fn set_agent_timeout(&self, timeout: AgentTimeout) {
        self.agent_timeout.store(timeout.number(), Ordering::Relaxed);
    }

    /// Memory that the guest has, in KiB, if its balloon has said it.
    #[must_use]
    pub(crate) fn balloon_kib(&self) -> Option<u64> {
        Some(self.balloon_kib.load(Ordering::Relaxed)).filter(|kib| *kib > 0)
    }

    /// Notes what the balloon says, in bytes.
    pub(crate) fn set_balloon(&self, bytes: Option<u64>) {
        if let Some(bytes) = bytes {
            self.balloon_kib.store(bytes / 1024, Ordering::Relaxed);
        }
    }
}

/// What the answers of an emulator mean.
#[must_use]
pub(crate) fn found(
    chardevs: Vec<ChardevInfo>,
    cpus: Vec<CpuInfo>,
    devices: Vec<Property>,
    memory: Option<BalloonInfo>,
) -> Found {
    let mut terminals = BTreeMap::new();
    let mut open = Vec::new();
    for device in chardevs {
        if let Some(path) = device.pty() {
            terminals.insert(device.label.clone(), path.to_owned());
        }
        if device.frontend_open {
            open.push(device.label);
        }
    }
    let threads = cpus.into_iter().filter_map(|cpu| {
        Some((u32::try_from(cpu.cpu_index).ok()?, i32::try_from(cpu.thread_id).ok()?))
    });
    let devices = devices.into_iter().filter(|property| property.kind.starts_with("child<"));
    Found {
        terminals,
        open,
        threads: threads.collect(),
        devices: devices.map(|property| property.name).collect(),
        balloon: memory.map(|memory| memory.actual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_that_is_waited_for_is_seen() {
        let live = Arc::new(Live::starting(3));
        assert_eq!(live.status().state, DomainState::Paused);
        let waiting = Arc::clone(&live);
        let waiting = tokio::spawn(async move { waiting.reaches(DomainState::Running).await });
        let status = DomainStatus { state: DomainState::Running, reason: 1 };
        assert!(live.change(|_| Some(status)));
        assert!(waiting.await.unwrap());
        assert!(!live.change(|_| None));
        live.set_ending(ShutoffReason::Destroyed);
        live.set_ending(ShutoffReason::Crashed);
        assert_eq!(live.ending(), Some(ShutoffReason::Destroyed));
        live.set_pause(PausedReason::IoError);
        assert_eq!(live.take_pause(), PausedReason::IoError);
        assert_eq!(live.take_pause(), PausedReason::User);
    }
}
