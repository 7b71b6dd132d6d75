//! `pool-list`: list storage pools.

use oxivirt::{
    Autostart, StoragePool, StoragePoolInfo, StoragePoolListFlags, StoragePoolState, Uuid,
};
use serde::Serialize;

use super::pool_info::state_word;
use super::pretty;
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::commands::network::yes_no;
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{FORMAT, Format, Record, print_records};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::{Table, print_table};

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("pool-list", mark!("list storage pools"), run)
        .about(mark!("Lists active pools, or those selected by the options."))
        .options(&[
            OptionDef::flag("inactive", mark!("list inactive pools")),
            OptionDef::flag("all", mark!("list active and inactive pools")),
            OptionDef::flag("transient", mark!("list transient pools")),
            OptionDef::flag("persistent", mark!("list persistent pools")),
            OptionDef::flag("autostart", mark!("list pools with autostart")),
            OptionDef::flag("no-autostart", mark!("list pools without autostart")),
            OptionDef::text("type", mark!("list pools of these types"))
                .accepted()
                .complete(Completer::Words(&TYPES)),
            OptionDef::flag("details", mark!("show persistence and sizes as well")),
            OptionDef::flag("uuid", mark!("UUIDs only")),
            OptionDef::flag("name", mark!("names only")),
            FORMAT,
        ]);

/// Types of pools in the order of libvirt's numbers.
pub(super) const TYPES: [&str; 14] = [
    "dir",
    "fs",
    "netfs",
    "logical",
    "disk",
    "iscsi",
    "iscsi-direct",
    "scsi",
    "mpath",
    "rbd",
    "sheepdog",
    "gluster",
    "zfs",
    "vstorage",
];

/// The flags of [`TYPES`].
const TYPE_FLAGS: [StoragePoolListFlags; 14] = [
    StoragePoolListFlags::DIR,
    StoragePoolListFlags::FS,
    StoragePoolListFlags::NETFS,
    StoragePoolListFlags::LOGICAL,
    StoragePoolListFlags::DISK,
    StoragePoolListFlags::ISCSI,
    StoragePoolListFlags::ISCSI_DIRECT,
    StoragePoolListFlags::SCSI,
    StoragePoolListFlags::MPATH,
    StoragePoolListFlags::RBD,
    StoragePoolListFlags::SHEEPDOG,
    StoragePoolListFlags::GLUSTER,
    StoragePoolListFlags::ZFS,
    StoragePoolListFlags::VSTORAGE,
];

fn filter(args: &Args) -> Result<StoragePoolListFlags, Failure> {
    let mut flags = if args.flag("all") {
        StoragePoolListFlags::ACTIVE | StoragePoolListFlags::INACTIVE
    } else if args.flag("inactive") {
        StoragePoolListFlags::INACTIVE
    } else {
        StoragePoolListFlags::ACTIVE
    };
    for (option, flag) in [
        ("autostart", StoragePoolListFlags::AUTOSTART),
        ("no-autostart", StoragePoolListFlags::NO_AUTOSTART),
        ("persistent", StoragePoolListFlags::PERSISTENT),
        ("transient", StoragePoolListFlags::TRANSIENT),
    ] {
        if args.flag(option) {
            flags |= flag;
        }
    }
    for word in args.text("type")?.iter().flat_map(|types| types.split(',')) {
        let known = TYPES.iter().zip(TYPE_FLAGS).find(|(known, _)| **known == word);
        let Some((_, flag)) = known else {
            return Err(Failure::Message(tr!("Invalid pool type '{word}'", word = word)));
        };
        flags |= flag;
    }
    Ok(flags)
}

/// A pool in machine-readable listings.
#[derive(Debug, Serialize)]
struct PoolRecord {
    name: String,
    uuid: Uuid,
    active: bool,
    persistent: Option<bool>,
    autostart: Option<bool>,
    capacity: Option<u64>,
    allocation: Option<u64>,
    available: Option<u64>,
}

impl Record for PoolRecord {
    const KEYS: &'static [&'static str] = &[
        "name",
        "uuid",
        "active",
        "persistent",
        "autostart",
        "capacity",
        "allocation",
        "available",
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// What a listing shows of a pool; what could not be asked is `None`.
struct Row {
    pool: StoragePool,
    is_active: bool,
    autostart: Option<bool>,
    is_persistent: Option<bool>,
    info: Option<StoragePoolInfo>,
}

/// virsh: `cmdPoolList`, tools/virsh-pool.c
fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    args.exclusive("details", "uuid")?;
    args.exclusive("details", "name")?;
    let format = Format::of(args)?;
    let flags = filter(args)?;
    let connect = shell.connect()?;
    let mut pools = shell
        .wait(connect.list_all_storage_pools(flags))
        .context(|| tr!("Failed to list pools"))?;
    pools.sort_by_key(|pool| pool.name().to_ascii_lowercase());
    if args.flag("uuid") || args.flag("name") {
        return print_columns(shell, args, &pools);
    }
    let details = args.flag("details");
    let with_info = details || format.is_some();
    let rows: Vec<Row> = pools.into_iter().map(|pool| row(shell, pool, with_info)).collect();
    if let Some(format) = format {
        let records: Vec<PoolRecord> = rows.iter().map(record).collect();
        return print_records(shell, format, &records);
    }
    let mut header = vec![tr!("Name"), tr!("State"), tr!("Autostart")];
    if details {
        header.extend([tr!("Persistent"), tr!("Capacity"), tr!("Allocation"), tr!("Available")]);
    }
    let mut table = Table::new(header);
    for row in &rows {
        let autostart = row.autostart.map_or_else(|| tr!("no autostart"), yes_no);
        let mut cells = vec![row.pool.name().to_owned()];
        if details {
            cells.extend([detailed_state(row), autostart]);
            cells.push(row.is_persistent.map_or_else(|| tr!("unknown"), yes_no));
            cells.extend(sizes(row));
        } else {
            let state = if row.is_active { tr!("active") } else { tr!("inactive") };
            cells.extend([state, autostart]);
        }
        table.push(cells);
    }
    print_table(shell, &table)
}

fn print_columns(shell: &mut Shell, args: &Args, pools: &[StoragePool]) -> Result<(), Failure> {
    for pool in pools {
        let uuid = args.flag("uuid").then(|| pool.uuid().to_string());
        let name = args.flag("name").then(|| pool.name().to_owned());
        let cells: Vec<String> = uuid.into_iter().chain(name).collect();
        shell.ui.print(cells.join(" ") + "\n")?;
    }
    Ok(())
}

fn row(shell: &Shell, pool: StoragePool, with_info: bool) -> Row {
    let autostart = shell.wait(pool.autostart()).ok();
    Row {
        is_active: shell.wait(pool.is_active()).unwrap_or(false),
        autostart: autostart.map(|autostart| autostart == Autostart::Enabled),
        is_persistent: with_info.then(|| shell.wait(pool.is_persistent()).ok()).flatten(),
        info: with_info.then(|| shell.wait(pool.info()).ok()).flatten(),
        pool,
    }
}

fn detailed_state(row: &Row) -> String {
    row.info.map_or_else(|| tr!("unknown"), |info| state_word(info.state).to_owned())
}

/// Capacity, allocation and free space; hyphens for a pool that is not started.
fn sizes(row: &Row) -> [String; 3] {
    match row.info {
        None => [tr!("unknown"), tr!("unknown"), tr!("unknown")],
        Some(info) if has_sizes(info.state) => {
            [info.capacity, info.allocation, info.available].map(pretty)
        }
        Some(_) => ["-", "-", "-"].map(str::to_owned),
    }
}

/// Whether the figures of a pool in this state say something.
pub(super) fn has_sizes(state: StoragePoolState) -> bool {
    matches!(state, StoragePoolState::Running | StoragePoolState::Degraded)
}

fn record(row: &Row) -> PoolRecord {
    let info = row.info.filter(|info| has_sizes(info.state));
    PoolRecord {
        name: row.pool.name().to_owned(),
        uuid: row.pool.uuid(),
        active: row.is_active,
        persistent: row.is_persistent,
        autostart: row.autostart,
        capacity: info.map(|info| info.capacity),
        allocation: info.map(|info| info.allocation),
        available: info.map(|info| info.available),
    }
}
