//! `net-start`: start an inactive network.

use oxivirt::{ListFlags, Network, PlanVerb};
use tokio::task::JoinSet;

use super::network_option;
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{Format, OBJECT_FORMAT};
use crate::i18n::{mark, tr, trn};
use crate::plan_output;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-start", mark!("start an inactive network"), run)
        .about(mark!("Starts an inactive persistent network."))
        .options(&[
            network_option(ListFlags::INACTIVE).waived_by(&["all", "autostarted"]),
            OptionDef::flag("all", mark!("start all inactive networks")).ours(),
            OptionDef::flag("autostarted", mark!("start all inactive networks with autostart"))
                .ours(),
            OptionDef::flag("dry-run", mark!("print the steps without carrying them out")).ours(),
            OBJECT_FORMAT,
        ]);

/// Number of networks started in parallel.
const PARALLEL_STARTS: usize = 8;

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let format = Format::of_object(args)?;
    let mut flags = ListFlags::INACTIVE;
    if args.flag("autostarted") {
        flags |= ListFlags::AUTOSTART;
    }
    let many = args.flag("all") || args.flag("autostarted");
    if args.flag("dry-run") {
        let networks = if many { list(shell, flags)? } else { vec![shell.network(args)?] };
        for network in networks {
            show(shell, format, &network)?;
        }
        return Ok(());
    }
    if many {
        let networks = list(shell, flags)?;
        return start_many(shell, networks);
    }
    let network = shell.network(args)?;
    let name = args.required("network")?;
    shell.wait(network.create()).context(|| tr!("Failed to start network {name}", name = name))?;
    shell.ui.extra(tr!("Network {name} started\n", name = name))?;
    Ok(())
}

fn list(shell: &mut Shell, flags: ListFlags) -> Result<Vec<Network>, Failure> {
    let connect = shell.connect()?;
    let mut networks =
        shell.wait(connect.list_all_networks(flags)).context(|| tr!("Failed to list networks"))?;
    networks.sort_by_key(|network| network.name().to_ascii_lowercase());
    Ok(networks)
}

fn show(shell: &mut Shell, format: Option<Format>, network: &Network) -> Result<(), Failure> {
    let plan = shell.plan(network, PlanVerb::Start, || {
        tr!("Failed to start network {name}", name = network.name())
    })?;
    plan_output::print(shell, format, &plan)
}

/// Starts networks in parallel; a failure does not stop the rest.
fn start_many(shell: &mut Shell, networks: Vec<Network>) -> Result<(), Failure> {
    let total = plan_output::count(&networks);
    let mut waiting = networks.into_iter();
    let mut running = JoinSet::new();
    let mut done: u128 = 0;
    let mut failed = 0;
    loop {
        let next = shell.wait(async {
            while running.len() < PARALLEL_STARTS
                && let Some(network) = waiting.next()
            {
                running.spawn(async move { (network.create().await, network) });
            }
            running.join_next().await
        });
        let Some(finished) = next else { break };
        done += 1;
        shell.ui.clear_progress();
        match finished {
            Ok((Ok(()), network)) => {
                let name = network.name();
                shell.ui.extra(tr!("Network {name} started\n", name = name))?;
            }
            Ok((Err(error), network)) => {
                failed += 1;
                let line = tr!("Failed to start network {name}", name = network.name());
                shell.report(Failure::Context(line, error))?;
            }
            // a cancelled task has started nothing
            Err(_) => failed += 1,
        }
        if done < total {
            let text = trn!(
                "{done} of {count} network",
                "{done} of {count} networks",
                count = total,
                done = done
            );
            shell.ui.progress(&text)?;
        }
    }
    if failed == 0 { Ok(()) } else { Err(Failure::Reported) }
}
