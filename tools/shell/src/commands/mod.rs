//! The command table, in the groups and the order of `help`: a folder per family, a file per command.
//!
//! A new command is one file with its `COMMAND` and one line in [`GROUPS`]; parser, help, completion and
//! manual page read the table.

mod domain;
pub(crate) mod events;
mod host;
pub(crate) mod network;
mod notes;
mod shell;
mod storage;

use crate::command::{CommandDef, Dialect, Group, Origin, Visibility};
use crate::grammar::parse::Commands;
use crate::i18n::mark;
use crate::suggest;

/// All commands, in the order of listings.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        title: mark!("Domain Management"),
        keyword: "domain",
        origin: Origin::Virsh,
        commands: &[
            &domain::autostart::COMMAND,
            &domain::console::COMMAND,
            &domain::create::COMMAND,
            &domain::define::COMMAND,
            &domain::desc::COMMAND,
            &domain::destroy::COMMAND,
            &domain::display::COMMAND,
            &domain::id::COMMAND,
            &domain::name::COMMAND,
            &domain::rename::COMMAND,
            &domain::uuid::COMMAND,
            &domain::dumpxml::COMMAND,
            &domain::edit::COMMAND,
            &domain::metadata::COMMAND,
            &domain::power::REBOOT,
            &domain::reset::COMMAND,
            &domain::resume::COMMAND,
            &domain::power::SHUTDOWN,
            &domain::start::COMMAND,
            &domain::suspend::COMMAND,
            &domain::devices::TTYCONSOLE,
            &domain::undefine::COMMAND,
            &domain::devices::VNCDISPLAY,
        ],
    },
    Group {
        title: mark!("Domain Monitoring"),
        keyword: "monitor",
        origin: Origin::Virsh,
        commands: &[
            &domain::devices::DOMBLKLIST,
            &domain::link::COMMAND,
            &domain::ifaddr::COMMAND,
            &domain::devices::DOMIFLIST,
            &domain::info::COMMAND,
            &domain::state::COMMAND,
            &domain::list::COMMAND,
        ],
    },
    Group {
        title: mark!("Domain Events"),
        keyword: "events",
        origin: Origin::Virsh,
        commands: &[&domain::event::COMMAND],
    },
    Group {
        title: mark!("Host and Hypervisor"),
        keyword: "host",
        origin: Origin::Virsh,
        commands: &[
            &host::capabilities::COMMAND,
            &host::domcapabilities::CPU_MODELS,
            &host::domcapabilities::COMMAND,
            &host::freecell::COMMAND,
            &host::hostname::COMMAND,
            &host::maxvcpus::COMMAND,
            &host::nodecpumap::COMMAND,
            &host::stats::CPU,
            &host::nodeinfo::COMMAND,
            &host::stats::MEMORY,
            &host::sysinfo::COMMAND,
            &host::uri::COMMAND,
            &host::version::COMMAND,
        ],
    },
    Group {
        title: mark!("Networking"),
        keyword: "network",
        origin: Origin::Virsh,
        commands: &[
            &network::autostart::COMMAND,
            &network::create::COMMAND,
            &network::define::COMMAND,
            &network::desc::COMMAND,
            &network::destroy::COMMAND,
            &network::dhcp_leases::COMMAND,
            &network::dumpxml::COMMAND,
            &network::edit::COMMAND,
            &network::event::COMMAND,
            &network::info::COMMAND,
            &network::list::COMMAND,
            &network::metadata::COMMAND,
            &network::name::COMMAND,
            &network::start::COMMAND,
            &network::undefine::COMMAND,
            &network::update::COMMAND,
            &network::uuid::COMMAND,
            &network::port_list::COMMAND,
            &network::port_create::COMMAND,
            &network::port_dumpxml::COMMAND,
            &network::port_delete::COMMAND,
        ],
    },
    Group {
        title: mark!("Storage Pool"),
        keyword: "pool",
        origin: Origin::Virsh,
        commands: &[
            &storage::pool_host::SOURCES_AS,
            &storage::pool_host::SOURCES,
            &storage::pool_state::AUTOSTART,
            &storage::pool_state::BUILD,
            &storage::pool_define::CREATE_AS,
            &storage::pool_define::CREATE,
            &storage::pool_define::DEFINE_AS,
            &storage::pool_define::DEFINE,
            &storage::pool_state::DELETE,
            &storage::pool_state::DESTROY,
            &storage::pool_info::DUMPXML,
            &storage::pool_edit::COMMAND,
            &storage::pool_info::INFO,
            &storage::pool_list::COMMAND,
            &storage::pool_info::NAME,
            &storage::pool_state::REFRESH,
            &storage::pool_state::START,
            &storage::pool_state::UNDEFINE,
            &storage::pool_info::UUID,
            &storage::pool_event::COMMAND,
            &storage::pool_host::CAPABILITIES,
        ],
    },
    Group {
        title: mark!("Storage Volume"),
        keyword: "volume",
        origin: Origin::Virsh,
        commands: &[
            &storage::volume_create::CLONE,
            &storage::volume_create::CREATE_AS,
            &storage::volume_create::CREATE,
            &storage::volume_create::CREATE_FROM,
            &storage::volume_change::DELETE,
            &storage::volume_data::DOWNLOAD,
            &storage::volume_info::DUMPXML,
            &storage::volume_info::INFO,
            &storage::volume_info::KEY,
            &storage::volume_list::COMMAND,
            &storage::volume_info::NAME,
            &storage::volume_info::PATH,
            &storage::volume_info::POOL,
            &storage::volume_change::RESIZE,
            &storage::volume_data::UPLOAD,
            &storage::volume_change::WIPE,
        ],
    },
    Group {
        title: mark!("Virsh itself"),
        keyword: "virsh",
        origin: Origin::Virsh,
        commands: &[
            &shell::cd::COMMAND,
            &shell::echo::COMMAND,
            &EXIT,
            &shell::help::COMMAND,
            &shell::pwd::COMMAND,
            &QUIT,
            &shell::connect::COMMAND,
            &shell::self_test::COMMAND,
            &shell::complete::COMMAND,
        ],
    },
    Group {
        title: mark!("Oxivirt"),
        keyword: "oxivirt",
        origin: Origin::Ours,
        commands: &[
            &shell::completion::COMMAND,
            &network::graph::COMMAND,
            &network::lease_wait::COMMAND,
            &network::status::COMMAND,
            &network::takeover::COMMAND,
            &network::watch::COMMAND,
        ],
    },
];

const EXIT: CommandDef = CommandDef::quit("exit", mark!("leave the shell"));
const QUIT: CommandDef = CommandDef::quit("quit", mark!("leave the shell"));

/// The groups of a dialect.
pub(crate) fn groups(dialect: Dialect) -> impl Iterator<Item = &'static Group> {
    GROUPS.iter().filter(move |group| dialect.has(group.origin))
}

/// The commands of a dialect.
pub(crate) fn all(dialect: Dialect) -> impl Iterator<Item = &'static CommandDef> {
    groups(dialect).flat_map(|group| group.commands.iter().copied())
}

/// The commands of a dialect that listings show.
pub(crate) fn shown(dialect: Dialect) -> impl Iterator<Item = &'static CommandDef> {
    all(dialect).filter(|def| def.visibility == Visibility::Shown)
}

/// The command closest to `word`; the prefix `net-` may be missing.
pub(crate) fn suggest(dialect: Dialect, word: &str) -> Option<String> {
    if let Some(name) = suggest::closest(word, shown(dialect).map(|def| def.name)) {
        return Some(name.to_owned());
    }
    let short = shown(dialect).filter_map(|def| def.name.strip_prefix("net-"));
    suggest::closest(word, short).map(|name| format!("net-{name}"))
}

/// The command table of one dialect, for the parser.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    dialect: Dialect,
}

impl Table {
    /// The table of `dialect`.
    pub(crate) fn of(dialect: Dialect) -> Self {
        Self { dialect }
    }
}

impl Commands for Table {
    fn command(&self, name: &[u8]) -> Option<&'static CommandDef> {
        all(self.dialect).find(|command| command.name.as_bytes() == name)
    }

    fn dialect(&self) -> Dialect {
        self.dialect
    }
}
