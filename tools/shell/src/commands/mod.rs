//! The command table: one file per command, grouped as `help` shows them.

mod cd;
mod echo;
mod help;
mod net_autostart;
mod net_create;
mod net_define;
mod net_destroy;
mod net_dhcp_leases;
mod net_dumpxml;
mod net_info;
mod net_list;
mod net_name;
mod net_start;
mod net_undefine;
mod net_update;
mod net_uuid;
mod pwd;
mod uri;
mod version;

use oxivirt::ListFlags;

use crate::command::{CommandDef, Completer, Group, OptionDef};
use crate::grammar::parse::Commands;
use crate::i18n::mark;

/// All commands, in the order of listings.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        title: mark!("Host and Hypervisor"),
        keyword: "host",
        commands: &[&uri::COMMAND, &version::COMMAND],
    },
    Group {
        title: mark!("Networking"),
        keyword: "network",
        commands: &[
            &net_autostart::COMMAND,
            &net_create::COMMAND,
            &net_define::COMMAND,
            &net_destroy::COMMAND,
            &net_dhcp_leases::COMMAND,
            &net_dumpxml::COMMAND,
            &net_info::COMMAND,
            &net_list::COMMAND,
            &net_name::COMMAND,
            &net_start::COMMAND,
            &net_undefine::COMMAND,
            &net_update::COMMAND,
            &net_uuid::COMMAND,
        ],
    },
    Group {
        title: mark!("Virsh itself"),
        keyword: "virsh",
        commands: &[&cd::COMMAND, &echo::COMMAND, &EXIT, &help::COMMAND, &pwd::COMMAND, &QUIT],
    },
];

const EXIT: CommandDef = CommandDef::quit("exit", mark!("leave the shell"));
const QUIT: CommandDef = CommandDef::quit("quit", mark!("leave the shell"));

/// The table as the parser asks it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table;

impl Commands for Table {
    fn command(&self, name: &[u8]) -> Option<&'static CommandDef> {
        let mut all = GROUPS.iter().flat_map(|group| group.commands);
        all.find(|command| command.name.as_bytes() == name).copied()
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
