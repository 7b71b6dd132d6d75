//! `net-update`: update part of a network definition.

use oxivirt::{ListFlags, Update, UpdateCommand, UpdateFlags, UpdateSection};

use super::{CONFIG, CURRENT, LIVE, network_option, scope};
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::suggest::valid_values;

const COMMANDS: &[&str] = &["add", "modify", "delete", "add-last", "add-first"];
const SECTIONS: &[&str] = &[
    "bridge",
    "domain",
    "ip",
    "ip-dhcp-host",
    "ip-dhcp-range",
    "forward",
    "forward-interface",
    "forward-pf",
    "portgroup",
    "dns-host",
    "dns-txt",
    "dns-srv",
];

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-update", mark!("update part of a network definition"), run).options(&[
        network_option(ListFlags::NONE),
        OptionDef::text("command", mark!("add-first, add-last (add), delete or modify"))
            .positional()
            .required()
            .complete(Completer::Words(COMMANDS)),
        OptionDef::text("section", mark!("section of the definition"))
            .positional()
            .required()
            .complete(Completer::Words(SECTIONS)),
        OptionDef::text("xml", mark!("the XML element, or a file containing it"))
            .positional()
            .required()
            .complete(Completer::Path),
        OptionDef::number("parent-index", mark!("index of the parent <ip> element, from 0"))
            .accepted(),
        CONFIG,
        LIVE,
        CURRENT,
    ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    args.exclusive("current", "live")?;
    args.exclusive("current", "config")?;
    let network = shell.network(args)?;
    let word = args.required("command")?;
    let name = if word == "add" { "add-last" } else { &word };
    let command = UpdateCommand::from_word(name).ok_or_else(|| {
        let failure = Failure::Message(tr!("unrecognized command name '{name}'", name = word));
        failure.hint(valid_values(&word, COMMANDS))
    })?;
    let word = args.required("section")?;
    let section = UpdateSection::from_word(&word).ok_or_else(|| {
        let failure = Failure::Message(tr!("unrecognized section name '{name}'", name = word));
        failure.hint(valid_values(&word, SECTIONS))
    })?;
    let parent_index = args.number("parent-index")?.unwrap_or(-1);
    let given = args.required("xml")?;
    let xml = if given.starts_with('<') { given } else { shell.read_file(args, "xml")?.1 };
    let flags = scope(args)?;
    let name = network.name().to_owned();
    let update = Update { command, section, parent_index, xml, flags };
    shell
        .wait(network.update(&update))
        .context(|| tr!("Failed to update network {name}", name = name))
        .map_err(|failure| failure.hint_for_document(&update.xml))?;
    let config = flags.contains(UpdateFlags::CONFIG);
    let live = flags.contains(UpdateFlags::LIVE);
    let is_active = || shell.wait(network.is_active()).unwrap_or_default();
    let done = match (config, live) {
        (true, true) => tr!("Updated network {name} persistent config and live state", name = name),
        (true, false) => tr!("Updated network {name} persistent config", name = name),
        (false, false) if !is_active() => {
            tr!("Updated network {name} persistent config", name = name)
        }
        (false, _) => tr!("Updated network {name} live state", name = name),
    };
    shell.ui.extra(done)?;
    Ok(())
}
