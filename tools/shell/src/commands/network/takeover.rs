//! `net-takeover`: what a takeover of running networks would change.

use std::collections::BTreeMap;

use oxivirt::report::{NetworkPlan, PartKind};
use oxivirt::{Connect, uri};

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{Format, OBJECT_FORMAT, print_value};
use crate::i18n::{mark, tr, trn};
use crate::plan_output::{self, count};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-takeover", mark!("show what a takeover of running networks would change"), run)
        .about(mark!(
            "A driver takes running networks over when it is opened. This shows beforehand what it would do to those that run under libvirt or another version of Oxivirt: the number of steps per network, with --verbose every step and rule. It reads the host, contacts no daemon and changes nothing."
        ))
        .options(&[
            OptionDef::flag("plan", mark!("print the steps without carrying them out")).ours(),
            OptionDef::flag("verbose", mark!("print every step, with rules and file contents")).ours(),
            OptionDef::text("root", mark!("directory that the driver's paths are relative to")).ours(),
            OBJECT_FORMAT,
        ])
        .without_connection();

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let format = Format::of_object(args)?;
    if !args.flag("plan") {
        return Err(Failure::Message(tr!(
            "a driver takes networks over when it is opened; --plan shows what it would change"
        )));
    }
    let root = args.text("root")?.unwrap_or_else(|| "/".to_owned());
    let uri = format!("network:///embed?root={}", uri::encode(&root));
    let found = shell
        .wait(Connect::plan_open(&uri, &shell.registry))
        .context(|| tr!("Failed to examine running networks"))?;
    if let Some(format) = format {
        return print_value(shell, format, &found);
    }
    for plan in &found {
        let network = &plan.network;
        if plan.steps.is_empty() {
            shell.ui.print(tr!("{network}: no change\n", network = network))?;
            continue;
        }
        let steps = count(&plan.steps);
        let line = if args.flag("verbose") {
            trn!(
                "{network}: {count} step\n",
                "{network}: {count} steps\n",
                count = steps,
                network = network
            )
        } else {
            trn!(
                "{network}: {count} step ({kinds})\n",
                "{network}: {count} steps ({kinds})\n",
                count = steps,
                network = network,
                kinds = kinds(plan)
            )
        };
        shell.ui.print(line)?;
        if args.flag("verbose") {
            plan_output::print_steps(shell, &plan.steps)?;
        }
    }
    let line = trn!(
        "{count} network, nothing was changed\n",
        "{count} networks, nothing was changed\n",
        count = count(&found)
    );
    shell.ui.extra(line)?;
    Ok(())
}

/// The number of steps of each kind, in the order in which the kinds first occur.
fn kinds(plan: &NetworkPlan) -> String {
    let mut order: Vec<&PartKind> = Vec::new();
    let mut counts: BTreeMap<&PartKind, usize> = BTreeMap::new();
    for step in &plan.steps {
        if !order.contains(&&step.kind) {
            order.push(&step.kind);
        }
        *counts.entry(&step.kind).or_default() += 1;
    }
    let words = order.into_iter().map(|kind| {
        let count = counts.get(kind).copied().unwrap_or_default();
        format!("{kind} {count}")
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use oxivirt::report::PlanStep;

    use super::*;

    #[test]
    fn steps_are_counted_by_kind() {
        let step = |kind| PlanStep { kind, text: String::new(), lines: Vec::new(), nft: None };
        let steps = vec![step(PartKind::Rules), step(PartKind::Address), step(PartKind::Rules)];
        let plan = NetworkPlan { network: "lab".to_owned(), steps };
        assert_eq!(kinds(&plan), "rules 2, address 1");
    }
}
