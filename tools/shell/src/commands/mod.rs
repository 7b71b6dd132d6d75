//! The command table: one file per command, grouped as `help` shows them.

mod capabilities;
mod cd;
mod complete;
mod completion;
mod connect;
pub(crate) mod echo;
mod freecell;
mod help;
mod hostname;
mod maxvcpus;
mod net_autostart;
mod net_create;
mod net_define;
mod net_desc;
mod net_destroy;
mod net_dhcp_leases;
mod net_dumpxml;
mod net_edit;
mod net_event;
mod net_graph;
mod net_info;
mod net_lease_wait;
mod net_list;
mod net_metadata;
mod net_name;
mod net_port_create;
mod net_port_delete;
mod net_port_dumpxml;
mod net_port_list;
mod net_start;
mod net_status;
mod net_takeover;
mod net_undefine;
mod net_update;
mod net_uuid;
mod net_watch;
mod nodecpumap;
mod nodeinfo;
mod pwd;
mod self_test;
mod sysinfo;
mod uri;
mod version;

use oxivirt::{ListFlags, Network, Port, UpdateFlags};
use unicode_width::UnicodeWidthChar as _;

use crate::args::Args;
use crate::command::{CommandDef, Completer, Group, OptionDef, Origin, Persona};
use crate::failure::{Failure, OrElse as _};
use crate::format::{FORMATS, OBJECT_FORMATS};
use crate::grammar::parse::Commands;
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table;
use crate::xpath::{self, Form, XPathError};

/// All commands, in the order of listings.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        title: mark!("Host and Hypervisor"),
        keyword: "host",
        origin: Origin::Virsh,
        commands: &[
            &capabilities::COMMAND,
            &freecell::COMMAND,
            &hostname::COMMAND,
            &maxvcpus::COMMAND,
            &nodecpumap::COMMAND,
            &nodeinfo::COMMAND,
            &sysinfo::COMMAND,
            &uri::COMMAND,
            &version::COMMAND,
        ],
    },
    Group {
        title: mark!("Networking"),
        keyword: "network",
        origin: Origin::Virsh,
        commands: &[
            &net_autostart::COMMAND,
            &net_create::COMMAND,
            &net_define::COMMAND,
            &net_desc::COMMAND,
            &net_destroy::COMMAND,
            &net_dhcp_leases::COMMAND,
            &net_dumpxml::COMMAND,
            &net_edit::COMMAND,
            &net_event::COMMAND,
            &net_info::COMMAND,
            &net_list::COMMAND,
            &net_metadata::COMMAND,
            &net_name::COMMAND,
            &net_start::COMMAND,
            &net_undefine::COMMAND,
            &net_update::COMMAND,
            &net_uuid::COMMAND,
            &net_port_list::COMMAND,
            &net_port_create::COMMAND,
            &net_port_dumpxml::COMMAND,
            &net_port_delete::COMMAND,
        ],
    },
    Group {
        title: mark!("Virsh itself"),
        keyword: "virsh",
        origin: Origin::Virsh,
        commands: &[
            &cd::COMMAND,
            &echo::COMMAND,
            &EXIT,
            &help::COMMAND,
            &pwd::COMMAND,
            &QUIT,
            &connect::COMMAND,
            &self_test::COMMAND,
            &complete::COMMAND,
        ],
    },
    Group {
        title: mark!("Oxivirt"),
        keyword: "oxivirt",
        origin: Origin::Ours,
        commands: &[
            &completion::COMMAND,
            &net_graph::COMMAND,
            &net_lease_wait::COMMAND,
            &net_status::COMMAND,
            &net_takeover::COMMAND,
            &net_watch::COMMAND,
        ],
    },
];

const EXIT: CommandDef = CommandDef::quit("exit", mark!("leave the shell"));
const QUIT: CommandDef = CommandDef::quit("quit", mark!("leave the shell"));

/// The groups that a persona has.
pub(crate) fn groups(persona: Persona) -> impl Iterator<Item = &'static Group> {
    GROUPS.iter().filter(move |group| persona.has(group.origin))
}

/// The commands that a persona has.
pub(crate) fn all(persona: Persona) -> impl Iterator<Item = &'static CommandDef> {
    groups(persona).flat_map(|group| group.commands.iter().copied())
}

/// The table as the parser asks it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    persona: Persona,
}

impl Table {
    /// The table of a persona.
    pub(crate) fn of(persona: Persona) -> Self {
        Self { persona }
    }
}

impl Commands for Table {
    fn command(&self, name: &[u8]) -> Option<&'static CommandDef> {
        all(self.persona).find(|command| command.name.as_bytes() == name)
    }

    fn persona(&self) -> Persona {
        self.persona
    }
}

/// The network a command works on.
const fn network_option(filter: ListFlags) -> OptionDef {
    OptionDef::text("network", mark!("network name or uuid"))
        .positional()
        .required()
        .complete(Completer::Network(filter.bits()))
}

/// The file a command reads.
const fn file_option() -> OptionDef {
    OptionDef::text("file", mark!("file containing an XML network description"))
        .positional()
        .required()
        .complete(Completer::Path)
}

const VALIDATE: OptionDef = OptionDef::flag("validate", mark!("check the XML against the schema"));

const XPATH: OptionDef =
    OptionDef::text("xpath", mark!("only the nodes that this expression selects"));
const WRAP: OptionDef = OptionDef::flag("wrap", mark!("all nodes inside one element"));

const FORMAT: OptionDef = OptionDef::text("format", mark!("table, json, yaml, csv or name"))
    .complete(Completer::Words(FORMATS))
    .ours();

const OBJECT_FORMAT: OptionDef = OptionDef::text("format", mark!("json or yaml"))
    .complete(Completer::Words(OBJECT_FORMATS))
    .ours();

/// `--live`, `--config` and `--current`, in this order.
const fn scope_options() -> (OptionDef, OptionDef, OptionDef) {
    (
        OptionDef::flag("live", mark!("the running network")),
        OptionDef::flag("config", mark!("the stored definition")),
        OptionDef::flag("current", mark!("whatever is in effect")),
    )
}

/// What the scope options choose.
fn scope(args: &Args) -> UpdateFlags {
    let mut flags = UpdateFlags::NONE;
    if args.flag("live") {
        flags |= UpdateFlags::LIVE;
    }
    if args.flag("config") {
        flags |= UpdateFlags::CONFIG;
    }
    flags
}

/// The network that option `network` names, for commands whose option is not required.
fn network_lookup(shell: &mut Shell, args: &Args) -> Result<Network, Failure> {
    shell.network(args)
}

const fn port_option() -> OptionDef {
    OptionDef::text("port", mark!("UUID of the port"))
        .positional()
        .required()
        .complete(Completer::Port)
}

/// The port that the options `network` and `port` name.
fn port_lookup(shell: &mut Shell, args: &Args) -> Result<Port, Failure> {
    let network = shell.network(args)?;
    let text = args.required("port")?;
    shell
        .wait(network.port_lookup_by_uuid_string(&text))
        .or_else_say(|| tr!("failed to get network port '{text}'", text = text))
}

/// Prints a document, or what `--xpath` selects in it.
fn print_xml(shell: &mut Shell, args: &Args, xml: &str) -> Result<(), Failure> {
    let Some(expression) = args.text("xpath")? else {
        shell.ui.print(xml)?;
        return Ok(());
    };
    let form = if args.flag("wrap") { Form::Wrapped } else { Form::Lines };
    let selected = xpath::select(xml, &expression, form)
        .map_err(|error| Failure::Own(tr!("cannot read the XML: {error}", error = error)))?;
    match selected {
        Ok(text) => {
            shell.ui.print(text)?;
            Ok(())
        }
        Err(error) => Err(Failure::Own(xpath_message(&expression, &error))),
    }
}

fn xpath_message(expression: &str, error: &XPathError) -> String {
    match error {
        XPathError::NotNodes => format!("internal error: Incorrect xpath '{expression}'"),
        XPathError::Syntax { what: _, at } => tr!(
            "XPath expression '{expression}' is malformed at character {at}",
            expression = expression,
            at = at + 1
        ),
        XPathError::Unknown { what: _, name } => tr!(
            "XPath expression '{expression}' uses '{name}', which is not known",
            expression = expression,
            name = name
        ),
        XPathError::Arguments { function } => tr!(
            "XPath expression '{expression}' calls '{function}' with the wrong arguments",
            expression = expression,
            function = function
        ),
        XPathError::TooDeep => {
            tr!("XPath expression is too long or too deep")
        }
    }
}

/// Prints a table, without its header if only results are wanted.
fn print_table(shell: &mut Shell, table: &table::Table) -> Result<(), Failure> {
    let text = if shell.ui.is_quiet() { table.render_quiet() } else { table.render() };
    shell.ui.print(text)?;
    Ok(())
}

/// Prints labels, padded to `width`, with their values.
fn print_fields(
    shell: &mut Shell,
    width: usize,
    fields: &[(String, String)],
) -> Result<(), Failure> {
    let shown = |text: &str| text.chars().map(|c| c.width().unwrap_or(0)).sum::<usize>();
    let width = fields.iter().map(|(label, _)| shown(label)).max().unwrap_or(0).max(width);
    for (label, value) in fields {
        let padding = " ".repeat(width - shown(label));
        shell.ui.print(format!("{label}{padding} {value}\n"))?;
    }
    Ok(())
}
