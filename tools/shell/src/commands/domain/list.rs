//! `list`: list domains.

use oxivirt::{Domain, DomainAffectFlags, DomainListFlags, MetadataType, Uuid};
use serde::Serialize;

use super::state::state_word;
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{FORMAT, Format, Record, print_records};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
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
        FORMAT,
    ]);

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
    for other in ["uuid", "name", "id"] {
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
    let columns = ["id", "uuid", "name"].map(|column| args.flag(column));
    if columns.contains(&true) {
        return print_columns(shell, &domains, columns);
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
    let mut table = Table::new(header);
    for row in rows {
        let mut cells =
            vec![id_text(row.domain.id()), row.domain.name().to_owned(), row.state.to_owned()];
        cells.extend(row.title);
        table.push(cells);
    }
    print_table(shell, &table)
}

/// The number of a running domain, or a hyphen.
pub(super) fn id_text(id: Option<u32>) -> String {
    id.map_or_else(|| "-".to_owned(), |id| id.to_string())
}

/// What of number, UUID and name is wanted, in the order of virsh.
fn print_columns(
    shell: &mut Shell,
    domains: &[Domain],
    [id, uuid, name]: [bool; 3],
) -> Result<(), Failure> {
    for domain in domains {
        let cells = [
            id.then(|| id_text(domain.id())),
            uuid.then(|| domain.uuid().to_string()),
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
