//! `net-list`: list networks.

use oxivirt::{Autostart, ListFlags, Network};

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{Failure, OrElse as _};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::Table;

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
        return Err(Failure::Own(tr!(
            "Only one argument from --table, --name and --uuid may be specified."
        )));
    }
    let connect = shell.connect()?;
    let mut networks = shell
        .wait(connect.list_all_networks(filter(args)))
        .or_else_say(|| tr!("Failed to list networks"))?;
    networks.sort_by_key(|network| network.name().to_ascii_lowercase());
    if args.flag("name") || args.flag("uuid") {
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
    let table = table(shell, &networks, args.flag("title"));
    let text = if shell.ui.is_quiet() { table.render_quiet() } else { table.render() };
    shell.ui.print(text)?;
    Ok(())
}

fn table(shell: &Shell, networks: &[Network], with_title: bool) -> Table {
    let mut header = vec![tr!("Name"), tr!("State"), tr!("Autostart"), tr!("Persistent")];
    header.extend(with_title.then(|| tr!("Title")));
    let mut table = Table::new(header);
    for network in networks {
        let active = shell.wait(network.is_active()).unwrap_or_default();
        let autostart = match shell.wait(network.autostart()) {
            Ok(Autostart::Enabled) => tr!("yes"),
            Ok(Autostart::Disabled) => tr!("no"),
            Err(_) => tr!("no autostart"),
        };
        let persistent = shell.wait(network.is_persistent()).unwrap_or_default();
        let mut cells = vec![
            network.name().to_owned(),
            if active { tr!("active") } else { tr!("inactive") },
            autostart,
            if persistent { tr!("yes") } else { tr!("no") },
        ];
        if with_title {
            let flags = oxivirt::UpdateFlags::NONE;
            let title = network.metadata(oxivirt::MetadataType::Title, None, flags);
            cells.push(shell.wait(title).unwrap_or_default());
        }
        table.push(cells);
    }
    table
}
