//! `domstate`: show a domain's state.

use oxivirt::{
    DomainListFlags, DomainState, DomainStatus, PausedReason, RunningReason, ShutoffReason,
};

use super::{domain, domain_option};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::Failure;
use crate::i18n::mark;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("domstate", mark!("show a domain's state"), run).options(&[
        domain_option(DomainListFlags::empty()),
        OptionDef::flag("reason", mark!("print the reason as well")),
    ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    let status = shell.wait(domain.state())?;
    let state = state_word(status.state);
    let line = if args.flag("reason") {
        format!("{state} ({})\n", reason_word(status))
    } else {
        format!("{state}\n")
    };
    shell.ui.print(line)?;
    Ok(())
}

/// virsh's word for a state. Scripts compare it, so it is the same in every language.
pub(super) fn state_word(state: DomainState) -> &'static str {
    match state {
        DomainState::Running => "running",
        DomainState::Blocked => "idle",
        DomainState::Paused => "paused",
        DomainState::Shutdown => "in shutdown",
        DomainState::Shutoff => "shut off",
        DomainState::Crashed => "crashed",
        DomainState::PmSuspended => "pmsuspended",
        _ => "no state",
    }
}

/// virsh's word for the reason of a state.
fn reason_word(status: DomainStatus) -> &'static str {
    match status.state {
        DomainState::Running => match RunningReason::from_number(status.reason) {
            RunningReason::Booted => "booted",
            RunningReason::Migrated => "migrated",
            RunningReason::Restored => "restored",
            RunningReason::FromSnapshot => "from snapshot",
            RunningReason::Unpaused => "unpaused",
            RunningReason::MigrationCanceled => "migration canceled",
            RunningReason::SaveCanceled => "save canceled",
            RunningReason::Wakeup => "event wakeup",
            RunningReason::Crashed => "crashed",
            _ => "unknown",
        },
        DomainState::Paused => match PausedReason::from_number(status.reason) {
            PausedReason::User => "user",
            PausedReason::Migration => "migrating",
            PausedReason::Save => "saving",
            PausedReason::Dump => "dumping",
            PausedReason::IoError => "I/O error",
            PausedReason::Watchdog => "watchdog",
            PausedReason::FromSnapshot => "from snapshot",
            PausedReason::ShuttingDown => "shutting down",
            PausedReason::Snapshot => "creating snapshot",
            PausedReason::Crashed => "crashed",
            PausedReason::StartingUp => "starting up",
            _ => "unknown",
        },
        DomainState::Shutoff => match ShutoffReason::from_number(status.reason) {
            ShutoffReason::Shutdown => "shutdown",
            ShutoffReason::Destroyed => "destroyed",
            ShutoffReason::Crashed => "crashed",
            ShutoffReason::Migrated => "migrated",
            ShutoffReason::Saved => "saved",
            ShutoffReason::Failed => "failed",
            ShutoffReason::FromSnapshot => "from snapshot",
            ShutoffReason::Daemon => "daemon",
            _ => "unknown",
        },
        DomainState::Shutdown if status.reason == 1 => "user",
        DomainState::Crashed if status.reason == 1 => "panicked",
        _ => "unknown",
    }
}
