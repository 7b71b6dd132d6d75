//! `net-destroy`: stop a network.

use oxivirt::{ListFlags, PlanVerb};

use super::network_option;
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{Format, OBJECT_FORMAT};
use crate::i18n::{mark, tr};
use crate::plan_output;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef = CommandDef::new("net-destroy", mark!("stop a network"), run)
    .about(mark!("Stops an active network; a persistent one stays defined."))
    .options(&[
        network_option(ListFlags::ACTIVE),
        OptionDef::flag("dry-run", mark!("print the steps without carrying them out")).ours(),
        OBJECT_FORMAT,
    ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let format = Format::of_object(args)?;
    let network = shell.network(args)?;
    let name = args.required("network")?;
    let line = || tr!("Failed to destroy network {name}", name = name);
    if args.flag("dry-run") {
        let plan = shell.plan(&network, PlanVerb::Destroy, line)?;
        return plan_output::print(shell, format, &plan);
    }
    shell.wait(network.destroy()).context(line)?;
    shell.ui.extra(tr!("Network {name} destroyed\n", name = name))?;
    Ok(())
}
