//! Operations on a guest that runs: its processors, its power button.

use std::sync::Arc;
use std::time::Duration;

use oxivirt::{Error, ErrorCode, ErrorDomain, Result};
use oxivirt_engine::lock::Guard;
use oxivirt_qmp::Monitor;
use oxivirt_qmp::command::{Cont, Stop, SystemPowerdown, SystemReset};
use oxivirt_types::domain::{DomainShutdownFlags as Shutdown, DomainState, ShutoffReason};

use crate::error;
use crate::live::Live;
use crate::process::Force;
use crate::registry::Entry;
use crate::shared::Shared;

/// How long an operation waits for another one on the same guest.
const LOCK: Duration = Duration::from_secs(30);

/// A guest that an operation works on.
pub(crate) struct Working<'a> {
    pub(crate) live: Arc<Live>,
    pub(crate) monitor: Monitor,
    _operation: Guard<'a>,
}

impl Shared {
    /// Takes the lock of a guest that runs.
    pub(crate) async fn work<'a>(
        &self,
        entry: &'a Entry,
        domain: ErrorDomain,
    ) -> Result<Working<'a>> {
        let not_running =
            || Error::new(ErrorCode::OPERATION_INVALID, domain, "domain is not running");
        self.check_exists(&entry.view())?;
        if !entry.view().is_active() {
            return Err(not_running());
        }
        let operation = tokio::time::timeout(LOCK, entry.lock()).await.map_err(|_| {
            let detail = "cannot acquire state change lock (held by monitor=unknown)";
            Error::new(ErrorCode::OPERATION_TIMEOUT, ErrorDomain::QEMU, detail)
        })?;
        let running = entry.view().running.clone().ok_or_else(not_running)?;
        let monitor = running.live.monitor().cloned().ok_or_else(|| {
            let detail = "cannot reach the monitor of the domain";
            Error::new(ErrorCode::OPERATION_FAILED, ErrorDomain::QEMU, detail)
        })?;
        Ok(Working { live: running.live, monitor, _operation: operation })
    }

    pub(crate) async fn suspend(&self, entry: &Entry) -> Result<()> {
        let work = self.work(entry, ErrorDomain::DOMAIN).await?;
        match work.live.status().state {
            DomainState::Paused => return Ok(()),
            DomainState::PmSuspended => return Err(error::invalid("domain is pmsuspended")),
            _ => {}
        }
        work.monitor.run(&Stop {}).await.map_err(|error| error::monitor(&error))?;
        work.live.reaches(DomainState::Paused).await;
        Ok(())
    }

    pub(crate) async fn resume(&self, entry: &Entry) -> Result<()> {
        let work = self.work(entry, ErrorDomain::DOMAIN).await?;
        match work.live.status().state {
            DomainState::Running => return Err(error::invalid("domain is already running")),
            DomainState::PmSuspended => return Err(error::invalid("domain is pmsuspended")),
            _ => {}
        }
        work.monitor.run(&Cont {}).await.map_err(|error| error::monitor(&error))?;
        work.live.reaches(DomainState::Running).await;
        Ok(())
    }

    pub(crate) async fn reset(&self, entry: &Entry) -> Result<()> {
        let work = self.work(entry, ErrorDomain::DOMAIN).await?;
        work.monitor.run(&SystemReset {}).await.map_err(|error| error::monitor(&error))?;
        Ok(())
    }

    /// Asks the guest's agent or presses the power button, after which a reboot resets the guest once it has
    /// ended.
    pub(crate) async fn shut_down(
        &self,
        entry: &Arc<Entry>,
        flags: Shutdown,
        is_reboot: bool,
    ) -> Result<()> {
        let domain = if is_reboot { ErrorDomain::DOMAIN } else { ErrorDomain::QEMU };
        let view = entry.view();
        self.check_exists(&view)?;
        if !view.is_active() {
            return Err(Error::new(ErrorCode::OPERATION_INVALID, domain, "domain is not running"));
        }
        if flags.is_empty() || flags.contains(Shutdown::GUEST_AGENT) {
            match self.shut_down_by_agent(&view, is_reboot).await {
                Err(error) if flags == Shutdown::GUEST_AGENT => return Err(error),
                // The button is pressed instead.
                Err(_) => {}
                Ok(()) => return Ok(()),
            }
        }
        let work = self.work(entry, domain).await?;
        work.live.set_fake_reboot(is_reboot);
        self.save(entry, &work.live).await;
        let pressed = work.monitor.run(&SystemPowerdown {}).await;
        pressed.map_err(|error| error::monitor(&error))?;
        Ok(())
    }

    /// Ends the process of a guest that is to end, in a task of its own.
    pub(crate) fn end(self: &Arc<Self>, entry: &Arc<Entry>, live: &Arc<Live>) {
        let (shared, entry, live) = (Arc::clone(self), Arc::clone(entry), Arc::clone(live));
        drop(tokio::spawn(async move {
            if let Some(process) = live.process()
                && let Err(error) = process.end(Force::Kill).await
            {
                tracing::error!(id = live.id(), %error, "cannot end the process of a guest");
                return;
            }
            shared.stopped_by_itself(&entry, &live, ShutoffReason::Crashed).await;
        }));
    }
}
