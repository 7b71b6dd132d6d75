//! `net-takeover`: what our driver would change of networks that run under another one.

use oxivirt_network::preview::{self, Place, TakeOver};
use serde_json::{Value, json};

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::dry_run;
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{Format, OBJECT_FORMAT, print_value};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-takeover", mark!("show what taking networks over would change"), run)
        .about(mark!(
            "A driver takes networks over when it is opened. This shows beforehand what it would do to those that run now, under libvirt or another version of Oxivirt: links, addresses, rules, processes. Nothing is changed and nobody is asked but the host."
        ))
        .options(&[
            OptionDef::flag("plan", mark!("show what would be done")).ours(),
            OptionDef::text("root", mark!("the directory that all paths are below")).ours(),
            OBJECT_FORMAT,
        ])
        .unconnected();

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let format = Format::of_object(args)?;
    if !args.flag("plan") {
        return Err(Failure::Message(tr!(
            "a driver takes networks over when it is opened; --plan shows what it would change"
        )));
    }
    let root = args.text("root")?.unwrap_or_else(|| "/".to_owned());
    let place = Place::at(root, &shell.surroundings);
    let found = shell
        .wait(preview::take_over(&place))
        .context(|| tr!("Failed to look at running networks"))?;
    match format {
        Some(format) => {
            print_value(shell, format, &found.iter().map(value).collect::<Vec<_>>().into())
        }
        None => print(shell, &found),
    }
}

fn value(network: &TakeOver) -> Value {
    json!({"network": network.network, "steps": dry_run::values(&network.steps)})
}

fn print(shell: &mut Shell, found: &[TakeOver]) -> Result<(), Failure> {
    for TakeOver { network, steps } in found {
        let line = match steps.len() {
            0 => tr!("{network}: stays as it is\n", network = network),
            count => tr!("{network}: {count} steps\n", network = network, count = count),
        };
        shell.ui.print(line)?;
        dry_run::print_steps(shell, steps)?;
    }
    shell.ui.extra(tr!("{count} networks, nothing was changed\n", count = found.len()))?;
    Ok(())
}
