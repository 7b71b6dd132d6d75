//! `list`: list domains.

use oxivirt::{
    AddressSource, Autostart, Domain, DomainAffectFlags, DomainListFlags, MetadataType, Uuid,
};
use serde::Serialize;

use super::state::state_word;
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::commands::network::yes_no;
use crate::commands::storage::pretty;
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{FORMAT, Format, Record, print_records};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::suggest::valid_values;
use crate::table::{Table, print_table};

pub(crate) const COMMAND: CommandDef = CommandDef::new("list", mark!("list domains"), run)
    .about(mark!("Lists running domains, or those selected by the options."))
    .options(&[
        OptionDef::flag("inactive", mark!("list inactive domains")),
        OptionDef::flag("all", mark!("list active and inactive domains")),
        OptionDef::flag("transient", mark!("list transient domains")),
        OptionDef::flag("persistent", mark!("list persistent domains")),
        OptionDef::flag("with-snapshot", mark!("list domains with snapshots")),
        OptionDef::flag("without-snapshot", mark!("list domains without snapshots")),
        OptionDef::flag("with-checkpoint", mark!("list domains with checkpoints")),
        OptionDef::flag("without-checkpoint", mark!("list domains without checkpoints")),
        OptionDef::flag("state-running", mark!("list running domains")),
        OptionDef::flag("state-paused", mark!("list paused domains")),
        OptionDef::flag("state-shutoff", mark!("list domains that are shut off")),
        OptionDef::flag("state-other", mark!("list domains in other states")),
        OptionDef::flag("autostart", mark!("list domains with autostart")),
        OptionDef::flag("no-autostart", mark!("list domains without autostart")),
        OptionDef::flag("with-managed-save", mark!("list domains with a saved state")),
        OptionDef::flag("without-managed-save", mark!("list domains without a saved state")),
        OptionDef::flag("uuid", mark!("UUIDs only")),
        OptionDef::flag("name", mark!("names only")),
        OptionDef::flag("id", mark!("numbers only")),
        OptionDef::flag("table", mark!("a table (default)")),
        OptionDef::flag("managed-save", mark!("mark domains with a saved state")),
        OptionDef::flag("title", mark!("show the title of each domain")),
        OptionDef::text("columns", mark!("columns of the table, separated by commas"))
            .complete(Completer::Words(COLUMNS))
            .ours(),
        FORMAT,
    ]);

/// What a table can show, beside what virsh does.
const COLUMNS: &[&str] = &[
    "id",
    "name",
    "state",
    "uuid",
    "title",
    "vcpus",
    "memory",
    "persistent",
    "autostart",
    "address",
];

/// Options and the flags they add.
const FILTERS: [(&str, DomainListFlags); 14] = [
    ("transient", DomainListFlags::TRANSIENT),
    ("persistent", DomainListFlags::PERSISTENT),
    ("with-snapshot", DomainListFlags::HAS_SNAPSHOT),
    ("without-snapshot", DomainListFlags::NO_SNAPSHOT),
    ("with-checkpoint", DomainListFlags::HAS_CHECKPOINT),
    ("without-checkpoint", DomainListFlags::NO_CHECKPOINT),
    ("state-running", DomainListFlags::RUNNING),
    ("state-paused", DomainListFlags::PAUSED),
    ("state-shutoff", DomainListFlags::SHUTOFF),
    ("state-other", DomainListFlags::OTHER),
    ("autostart", DomainListFlags::AUTOSTART),
    ("no-autostart", DomainListFlags::NO_AUTOSTART),
    ("with-managed-save", DomainListFlags::MANAGED_SAVE),
    ("without-managed-save", DomainListFlags::NO_MANAGED_SAVE),
];

/// virsh: `cmdList`, tools/virsh-domain-monitor.c
fn filter(args: &Args) -> DomainListFlags {
    let mut flags = if args.flag("all") {
        DomainListFlags::ACTIVE | DomainListFlags::INACTIVE
    } else if args.flag("inactive") {
        DomainListFlags::INACTIVE
    } else {
        DomainListFlags::ACTIVE
    };
    for (option, flag) in FILTERS {
        if args.flag(option) {
            flags |= flag;
        }
    }
    flags
}

/// A domain of the listing.
struct Row {
    domain: Domain,
    state: &'static str,
    title: Option<String>,
}

/// A domain in machine-readable listings.
#[derive(Debug, Serialize)]
struct DomainRecord {
    id: Option<u32>,
    name: String,
    uuid: Uuid,
    state: &'static str,
}

impl Record for DomainRecord {
    const KEYS: &'static [&'static str] = &["id", "name", "uuid", "state"];

    fn name(&self) -> String {
        self.name.clone()
    }
}

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    for other in ["name", "id"] {
        args.exclusive("table", other)?;
    }
    let format = Format::of(args)?;
    let connect = shell.connect()?;
    let mut domains = shell
        .wait(connect.list_all_domains(filter(args)))
        .context(|| tr!("Failed to list domains"))?;
    // running ones by number, then the others by name
    domains.sort_by_key(|domain| {
        (domain.id().is_none(), domain.id(), domain.name().to_ascii_lowercase())
    });
    let columns = ["uuid", "id", "name"].map(|column| args.flag(column));
    if columns.contains(&true) && !args.flag("table") {
        return print_columns(shell, &domains, columns);
    }
    if args.command().option(b"columns").is_some()
        && let Some(words) = args.text("columns")?
    {
        return print_chosen(shell, &domains, &words);
    }
    let rows: Vec<Row> =
        domains.into_iter().filter_map(|domain| row(shell, args, domain)).collect();
    if let Some(format) = format {
        let records: Vec<DomainRecord> = rows.iter().map(record).collect();
        return print_records(shell, format, &records);
    }
    let with_title = args.flag("title");
    let mut header = vec![tr!("Id"), tr!("Name"), tr!("State")];
    header.extend(with_title.then(|| tr!("Title")));
    let with_uuid = args.flag("uuid");
    header.extend(with_uuid.then(|| tr!("UUID")));
    let mut table = Table::new(header);
    for row in rows {
        let mut cells =
            vec![id_text(row.domain.id()), row.domain.name().to_owned(), row.state.to_owned()];
        cells.extend(row.title);
        cells.extend(with_uuid.then(|| row.domain.uuid().to_string()));
        table.push(cells);
    }
    print_table(shell, &table)
}

/// A table of the columns that `words` names.
fn print_chosen(shell: &mut Shell, domains: &[Domain], words: &str) -> Result<(), Failure> {
    let columns: Vec<&str> = words.split(',').collect();
    if let Some(unknown) = columns.iter().find(|word| !COLUMNS.contains(word)) {
        let message = Failure::Message(tr!("unknown column '{word}'", word = unknown));
        return Err(message.hint(valid_values(unknown, COLUMNS)));
    }
    let mut table = Table::new(columns.iter().map(|column| heading(column)));
    for domain in domains {
        let cells = columns.iter().map(|column| cell(shell, domain, column));
        table.push(cells);
    }
    print_table(shell, &table)
}

fn heading(column: &str) -> String {
    match column {
        "id" => tr!("Id"),
        "name" => tr!("Name"),
        "state" => tr!("State"),
        "uuid" => tr!("UUID"),
        "title" => tr!("Title"),
        "vcpus" => tr!("CPU(s)"),
        "memory" => tr!("Memory"),
        "persistent" => tr!("Persistent"),
        "autostart" => tr!("Autostart"),
        _ => tr!("Address"),
    }
}

/// A cell; a hyphen for what cannot be asked, of a domain that is gone for example.
fn cell(shell: &Shell, domain: &Domain, column: &str) -> String {
    let no_flags = DomainAffectFlags::empty();
    let found = match column {
        "id" => Some(id_text(domain.id())),
        "name" => Some(domain.name().to_owned()),
        "uuid" => Some(domain.uuid().to_string()),
        "state" => {
            shell.wait(domain.state()).ok().map(|status| state_word(status.state).to_owned())
        }
        "title" => shell.wait(domain.metadata(MetadataType::Title, None, no_flags)).ok(),
        "vcpus" => shell.wait(domain.info()).ok().map(|info| info.n_vcpus.to_string()),
        "memory" => {
            shell.wait(domain.info()).ok().map(|info| pretty(info.memory_kib.saturating_mul(1024)))
        }
        "persistent" => shell.wait(domain.is_persistent()).ok().map(yes_no),
        "autostart" => {
            let autostart = shell.wait(domain.autostart()).ok();
            autostart.map(|autostart| yes_no(autostart == Autostart::Enabled))
        }
        _ => addresses(shell, domain),
    };
    found.unwrap_or_else(|| "-".to_owned())
}

/// The addresses that a guest's leases have.
fn addresses(shell: &Shell, domain: &Domain) -> Option<String> {
    let interfaces =
        shell.wait(domain.interface_addresses(AddressSource::Lease)).unwrap_or_default();
    let addresses = interfaces.into_iter().flat_map(|interface| interface.addresses);
    let addresses: Vec<String> = addresses.map(|address| address.address).collect();
    (!addresses.is_empty()).then(|| addresses.join(" "))
}

/// The number of a running domain, or a hyphen.
pub(super) fn id_text(id: Option<u32>) -> String {
    id.map_or_else(|| "-".to_owned(), |id| id.to_string())
}

/// What of number, UUID and name is wanted, in the order of virsh.
fn print_columns(
    shell: &mut Shell,
    domains: &[Domain],
    [uuid, id, name]: [bool; 3],
) -> Result<(), Failure> {
    for domain in domains {
        // a list of numbers leaves out those without one
        if !uuid && !name && domain.id().is_none() {
            continue;
        }
        let cells = [
            uuid.then(|| domain.uuid().to_string()),
            id.then(|| id_text(domain.id())),
            name.then(|| domain.name().to_owned()),
        ];
        let cells: Vec<String> = cells.into_iter().flatten().collect();
        shell.ui.print(cells.join(" ") + "\n")?;
    }
    Ok(())
}

/// A row; none for a domain that has gone since it was listed.
fn row(shell: &Shell, args: &Args, domain: Domain) -> Option<Row> {
    let status = shell.wait(domain.state()).ok()?;
    let title = args.flag("title").then(|| {
        let flags = DomainAffectFlags::empty();
        shell.wait(domain.metadata(MetadataType::Title, None, flags)).unwrap_or_default()
    });
    Some(Row { domain, state: state_word(status.state), title })
}

fn record(row: &Row) -> DomainRecord {
    DomainRecord {
        id: row.domain.id(),
        name: row.domain.name().to_owned(),
        uuid: row.domain.uuid(),
        state: row.state,
    }
}
