//! When the administrator's scripts run for guests: `/etc/libvirt/hooks/qemu`.

use oxivirt::{Error, ErrorCode, ErrorDomain, Result};
use oxivirt_conf::domain::Form;
use oxivirt_engine::hooks::HookCall;
use oxivirt_types::domain::ShutoffReason;

use crate::guest::{Guest, Secrets};
use crate::shared::Shared;
use crate::status;

/// What is about to happen or has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookOperation {
    /// Nothing has been done yet.
    Prepare,
    /// The process is about to be started.
    Start,
    /// The guest runs.
    Started,
    /// The process has ended.
    Stopped(ShutoffReason),
    /// Everything is gone.
    Release(ShutoffReason),
    /// A driver has found the guest running.
    Reconnect,
}

impl HookOperation {
    /// Operation and sub-operation.
    const fn words(self) -> [&'static str; 2] {
        match self {
            Self::Prepare => ["prepare", "begin"],
            Self::Start => ["start", "begin"],
            Self::Started => ["started", "begin"],
            Self::Stopped(_) => ["stopped", "end"],
            Self::Release(_) => ["release", "end"],
            Self::Reconnect => ["reconnect", "begin"],
        }
    }

    const fn extra(self) -> Option<&'static str> {
        match self {
            Self::Stopped(reason) | Self::Release(reason) => Some(reason_word(reason)),
            _ => None,
        }
    }
}

/// The word for the reason of a stop, in logs and for scripts.
#[must_use]
pub(crate) const fn reason_word(reason: ShutoffReason) -> &'static str {
    match reason {
        ShutoffReason::Shutdown => "shutdown",
        ShutoffReason::Destroyed => "destroyed",
        ShutoffReason::Crashed => "crashed",
        ShutoffReason::Migrated => "migrated",
        ShutoffReason::Saved => "saved",
        ShutoffReason::Failed => "failed",
        ShutoffReason::FromSnapshot => "from snapshot",
        ShutoffReason::Daemon => "daemon",
        _ => "unknown",
    }
}

impl Shared {
    /// Runs the hook scripts for a guest, if there are any.
    ///
    /// # Errors
    /// Number 70 if one fails.
    pub(crate) async fn run_hook(&self, guest: &Guest, operation: HookOperation) -> Result<()> {
        if !self.hooks.exist() {
            return Ok(());
        }
        let document = status::shown(guest, None).format(Form::Live, Secrets::Shown);
        let call = HookCall {
            object: guest.name(),
            operation: operation.words(),
            extra: operation.extra(),
            document: &document,
        };
        self.hooks.run(call).await.map_err(|error| {
            Error::new(ErrorCode::HOOK_SCRIPT_FAILED, ErrorDomain::HOOK, error.to_string())
        })
    }
}
