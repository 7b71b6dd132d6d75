//! `net-list`: list networks.

use std::collections::BTreeSet;

use oxivirt::{Connect, ListFlags, Network, Uuid};

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{FORMAT, Format, Records};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::{Table, print_table};

pub(crate) const COMMAND: CommandDef = CommandDef::new("net-list", mark!("list networks"), run)
    .about(mark!("Lists running networks, or those that the options choose."))
    .options(&[
        OptionDef::flag("inactive", mark!("networks that do not run")),
        OptionDef::flag("all", mark!("all networks")),
        OptionDef::flag("persistent", mark!("networks with a stored definition")),
        OptionDef::flag("transient", mark!("networks without a stored definition")),
        OptionDef::flag("autostart", mark!("networks that start with the host")),
        OptionDef::flag("no-autostart", mark!("networks that do not start with the host")),
        OptionDef::flag("uuid", mark!("UUIDs only")),
        OptionDef::flag("name", mark!("names only")),
        OptionDef::flag("table", mark!("a table (default)")),
        OptionDef::flag("title", mark!("the title of each network in the table")),
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
        Some(format) => records(rows, with_title).print(shell, format),
        None => print_table(shell, &table(rows, with_title)),
    }
}

/// What a row says of a network.
struct Row {
    network: Network,
    active: bool,
    persistent: bool,
    autostart: bool,
    title: Option<String>,
}

/// Everything a row says, by four lists however many networks there are.
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
    let yes_no = |yes| if yes { tr!("yes") } else { tr!("no") };
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

fn records(rows: Vec<Row>, with_title: bool) -> Records {
    const KEYS: &[&str] = &["name", "uuid", "active", "persistent", "autostart", "title"];
    let keys = if with_title { KEYS } else { KEYS.get(..5).unwrap_or(KEYS) };
    let mut records = Records::new(keys, "name");
    for row in rows {
        records.push([
            row.network.name().into(),
            row.network.uuid().to_string().into(),
            row.active.into(),
            row.persistent.into(),
            row.autostart.into(),
            row.title.into(),
        ]);
    }
    records
}
