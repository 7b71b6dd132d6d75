//! `net-graph`: draw networks and their guests.

use oxivirt::ListFlags;

use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::format::unknown_format;
use crate::graph;
use crate::i18n::{mark, tr};
use crate::inventory;
use crate::shell::Shell;

const FORMATS: &[&str] = &["text", "dot", "svg", "json"];

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-graph", mark!("draw networks and their guests"), run)
        .about(mark!(
            "Draws networks with their bridges, uplinks, guests, ports and leases, as a text tree, a Graphviz graph or an SVG picture."
        ))
        .options(&[
            OptionDef::text("network", mark!("only this network"))
                .positional()
                .complete(Completer::Network(ListFlags::NONE.bits())),
            OptionDef::flag("all", mark!("include inactive networks")),
            OptionDef::text("format", mark!("output format: text, dot, svg or json"))
                .complete(Completer::Words(FORMATS)),
        ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let format = args.text("format")?.unwrap_or_else(|| "text".to_owned());
    if !FORMATS.contains(&format.as_str()) {
        return Err(unknown_format(&format, FORMATS));
    }
    let networks = if args.has_named("network") {
        vec![shell.network(args)?]
    } else {
        let flags = if args.flag("all") { ListFlags::NONE } else { ListFlags::ACTIVE };
        let connect = shell.connect()?;
        let mut networks = shell
            .wait(connect.list_all_networks(flags))
            .context(|| tr!("Failed to list networks"))?;
        networks.sort_by_key(|network| network.name().to_ascii_lowercase());
        networks
    };
    let mut nodes = Vec::new();
    let plugs = inventory::plugs(shell)?;
    for network in &networks {
        let mut node = inventory::gather(shell, network)?;
        inventory::add_plugs(&mut node, &plugs);
        nodes.push(node);
    }
    match format.as_str() {
        "dot" => shell.ui.data(graph::dot(&nodes))?,
        "svg" => shell.ui.data(graph::svg(&nodes))?,
        "json" => {
            let format = crate::format::Format::Json;
            crate::format::print_value(shell, format, &nodes)?;
        }
        _ => {
            let text = graph::tree(&shell.ui, &nodes);
            shell.ui.print(text)?;
        }
    }
    Ok(())
}
