//! `net-list`: list networks.

use std::collections::BTreeSet;

use oxivirt::{Connect, ListFlags, Network, Uuid};
use serde::Serialize;

use super::yes_no;
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{FORMAT, Format, Record, print_records};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::{Table, print_table};

pub(crate) const COMMAND: CommandDef = CommandDef::new("net-list", mark!("list networks"), run)
    .about(mark!("Lists active networks, or those selected by the options."))
    .options(&[
        OptionDef::flag("inactive", mark!("list inactive networks")),
        OptionDef::flag("all", mark!("list active and inactive networks")),
        OptionDef::flag("persistent", mark!("list persistent networks")),
        OptionDef::flag("transient", mark!("list transient networks")),
        OptionDef::flag("autostart", mark!("list networks with autostart")),
        OptionDef::flag("no-autostart", mark!("list networks without autostart")),
        OptionDef::flag("uuid", mark!("UUIDs only")),
        OptionDef::flag("name", mark!("names only")),
        OptionDef::flag("table", mark!("a table (default)")),
        OptionDef::flag("title", mark!("show the title of each network")),
        FORMAT,
    ]);

fn filter(args: &Args) -> ListFlags {
    let mut flags = if args.flag("all") {
        ListFlags::ACTIVE | ListFlags::INACTIVE
    } else if args.flag("inactive") {
        ListFlags::INACTIVE
    } else {
        ListFlags::ACTIVE
    };
    for (option, flag) in [
        ("persistent", ListFlags::PERSISTENT),
        ("transient", ListFlags::TRANSIENT),
        ("autostart", ListFlags::AUTOSTART),
        ("no-autostart", ListFlags::NO_AUTOSTART),
    ] {
        if args.flag(option) {
            flags |= flag;
        }
    }
    flags
}

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let forms = ["table", "name", "uuid"].into_iter().filter(|form| args.flag(form)).count();
    if forms > 1 {
        return Err(Failure::Message(tr!(
            "Only one argument from --table, --name and --uuid may be specified."
        )));
    }
    let format = Format::of(args)?;
    let connect = shell.connect()?;
    if args.flag("name") || args.flag("uuid") {
        let mut networks = shell
            .wait(connect.list_all_networks(filter(args)))
            .context(|| tr!("Failed to list networks"))?;
        networks.sort_by_key(|network| network.name().to_ascii_lowercase());
        for network in &networks {
            let line = if args.flag("name") {
                network.name().to_owned()
            } else {
                network.uuid().to_string()
            };
            shell.ui.print(format!("{line}\n"))?;
        }
        return Ok(());
    }
    let mut rows = rows(shell, &connect, args).context(|| tr!("Failed to list networks"))?;
    rows.sort_by_key(|row| row.network.name().to_ascii_lowercase());
    let with_title = args.flag("title");
    match format {
        Some(format) if with_title => {
            let records: Vec<TitledRecord> = rows.into_iter().map(Into::into).collect();
            print_records(shell, format, &records)
        }
        Some(format) => {
            let records: Vec<NetworkRecord> = rows.into_iter().map(Into::into).collect();
            print_records(shell, format, &records)
        }
        None => print_table(shell, &table(rows, with_title)),
    }
}

/// One row of the listing.
struct Row {
    network: Network,
    active: bool,
    persistent: bool,
    autostart: bool,
    title: Option<String>,
}

/// The rows, by four list calls independent of the number of networks.
fn rows(shell: &Shell, connect: &Connect, args: &Args) -> oxivirt::Result<Vec<Row>> {
    let uuids = |flags| -> oxivirt::Result<BTreeSet<Uuid>> {
        let networks = shell.wait(connect.list_all_networks(flags))?;
        Ok(networks.iter().map(Network::uuid).collect())
    };
    let networks = shell.wait(connect.list_all_networks(filter(args)))?;
    let active = uuids(ListFlags::ACTIVE)?;
    let persistent = uuids(ListFlags::PERSISTENT)?;
    let autostart = uuids(ListFlags::AUTOSTART)?;
    let title = |network: &Network| {
        let flags = oxivirt::UpdateFlags::NONE;
        shell.wait(network.metadata(oxivirt::MetadataType::Title, None, flags)).ok()
    };
    let rows = networks.into_iter().map(|network| Row {
        active: active.contains(&network.uuid()),
        persistent: persistent.contains(&network.uuid()),
        autostart: autostart.contains(&network.uuid()),
        title: args.flag("title").then(|| title(&network)).flatten(),
        network,
    });
    Ok(rows.collect())
}

fn table(rows: Vec<Row>, with_title: bool) -> Table {
    let mut header = vec![tr!("Name"), tr!("State"), tr!("Autostart"), tr!("Persistent")];
    header.extend(with_title.then(|| tr!("Title")));
    let mut table = Table::new(header);
    for row in rows {
        let mut cells = vec![
            row.network.name().to_owned(),
            if row.active { tr!("active") } else { tr!("inactive") },
            yes_no(row.autostart),
            yes_no(row.persistent),
        ];
        if with_title {
            cells.push(row.title.unwrap_or_default());
        }
        table.push(cells);
    }
    table
}

/// A network in machine-readable listings.
#[derive(Debug, Serialize)]
struct NetworkRecord {
    name: String,
    uuid: Uuid,
    active: bool,
    persistent: bool,
    autostart: bool,
}

/// The same with `--title`.
#[derive(Debug, Serialize)]
struct TitledRecord {
    name: String,
    uuid: Uuid,
    active: bool,
    persistent: bool,
    autostart: bool,
    title: Option<String>,
}

impl Record for NetworkRecord {
    const KEYS: &'static [&'static str] = &["name", "uuid", "active", "persistent", "autostart"];

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Record for TitledRecord {
    const KEYS: &'static [&'static str] =
        &["name", "uuid", "active", "persistent", "autostart", "title"];

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl From<Row> for NetworkRecord {
    fn from(row: Row) -> Self {
        let Row { network, active, persistent, autostart, title: _ } = row;
        let name = network.name().to_owned();
        Self { name, uuid: network.uuid(), active, persistent, autostart }
    }
}

impl From<Row> for TitledRecord {
    fn from(row: Row) -> Self {
        let Row { network, active, persistent, autostart, title } = row;
        let name = network.name().to_owned();
        Self { name, uuid: network.uuid(), active, persistent, autostart, title }
    }
}
