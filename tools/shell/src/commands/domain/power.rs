//! `shutdown` and `reboot`: ask a guest to shut down or to reboot.

use oxivirt::{DomainListFlags, DomainShutdownFlags};

use super::{domain, domain_option};
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

const MODES: &[&str] = &["acpi", "agent", "initctl", "signal", "paravirt"];

const MODE: OptionDef = OptionDef::text(
    "mode",
    mark!("modes, separated by commas: acpi, agent, initctl, signal, paravirt"),
)
.positional()
.complete(Completer::Words(MODES));

pub(crate) const SHUTDOWN: CommandDef =
    CommandDef::new("shutdown", mark!("ask a guest to shut down"), shutdown)
        .options(&[domain_option(DomainListFlags::ACTIVE), MODE]);

pub(crate) const REBOOT: CommandDef =
    CommandDef::new("reboot", mark!("ask a guest to reboot"), reboot)
        .options(&[domain_option(DomainListFlags::ACTIVE), MODE]);

/// The ways that option `mode` allows; `last` stands before the last one in the message for another.
fn modes(args: &Args, last: &str) -> Result<DomainShutdownFlags, Failure> {
    let mut flags = DomainShutdownFlags::empty();
    for mode in args.text("mode")?.iter().flat_map(|modes| modes.split(',')) {
        flags |= match mode {
            "acpi" => DomainShutdownFlags::ACPI_POWER_BUTTON,
            "agent" => DomainShutdownFlags::GUEST_AGENT,
            "initctl" => DomainShutdownFlags::INITCTL,
            "signal" => DomainShutdownFlags::SIGNAL,
            "paravirt" => DomainShutdownFlags::PARAVIRT,
            other => {
                let line = format!(
                    "Unknown mode {other} value, expecting 'acpi', 'agent', 'initctl', \
                     'signal'{last} 'paravirt'"
                );
                return Err(Failure::Message(line));
            }
        };
    }
    Ok(flags)
}

fn shutdown(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let flags = modes(args, ", or")?;
    let domain = domain(shell, args)?;
    let name = args.required("domain")?;
    shell
        .wait(domain.shutdown(flags))
        .context(|| tr!("Failed to shutdown domain '{name}'", name = name))?;
    shell.ui.extra(tr!("Domain '{name}' is being shutdown\n", name = name))?;
    Ok(())
}

fn reboot(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let flags = modes(args, " or")?;
    let domain = domain(shell, args)?;
    let name = args.required("domain")?;
    shell
        .wait(domain.reboot(flags))
        .context(|| tr!("Failed to reboot domain '{name}'", name = name))?;
    shell.ui.extra(tr!("Domain '{name}' is being rebooted\n", name = name))?;
    Ok(())
}
