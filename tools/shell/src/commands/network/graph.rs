//! `net-graph`: networks as a picture.

use oxivirt::ListFlags;

use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::graph;
use crate::i18n::{mark, tr};
use crate::inventory;
use crate::shell::Shell;

const FORMATS: &[&str] = &["text", "dot", "svg", "json"];

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-graph", mark!("show networks and their guests as a picture"), run)
        .about(mark!(
            "Shows networks with their bridges, uplinks, ports and leases: as a tree, for Graphviz, or as an SVG picture."
        ))
        .options(&[
            OptionDef::text("network", mark!("only this network"))
                .positional()
                .complete(Completer::Network(ListFlags::NONE.bits())),
            OptionDef::flag("all", mark!("networks that do not run, too")),
            OptionDef::text("format", mark!("text, dot, svg or json"))
                .complete(Completer::Words(FORMATS)),
        ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let format = args.text("format")?.unwrap_or_else(|| "text".to_owned());
    if !FORMATS.contains(&format.as_str()) {
        let known = FORMATS.join(", ");
        return Err(Failure::Message(tr!(
            "unknown format '{format}', there are: {known}",
            format = format,
            known = known
        )));
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
    for network in &networks {
        nodes.push(inventory::gather(shell, network)?);
    }
    match format.as_str() {
        "dot" => shell.ui.data(graph::dot(&nodes))?,
        "svg" => shell.ui.data(graph::svg(&nodes))?,
        "json" => {
            let format = crate::format::Format::Json;
            crate::format::print_value(shell, format, &inventory::value(&nodes))?;
        }
        _ => {
            let text = graph::tree(&shell.ui, &nodes);
            shell.ui.print(text)?;
        }
    }
    Ok(())
}
