//! `vol-list`: list the volumes of a pool.

use oxivirt::{StoragePoolListFlags, StorageVol, StorageVolInfo, StorageVolInfoFlags};
use serde::Serialize;

use super::volume_info::type_word;
use super::{pool, pool_option, pretty};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{FORMAT, Format, Record, print_records};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::{Table, print_table};

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("vol-list", mark!("list the volumes of a pool"), run).options(&[
        pool_option(StoragePoolListFlags::ACTIVE),
        OptionDef::flag("details", mark!("show type and sizes as well")),
        FORMAT,
    ]);

/// A volume in machine-readable listings.
#[derive(Debug, Serialize)]
struct VolumeRecord {
    name: String,
    path: String,
    #[serde(rename = "type")]
    kind: Option<&'static str>,
    capacity: Option<u64>,
    allocation: Option<u64>,
}

impl Record for VolumeRecord {
    const KEYS: &'static [&'static str] = &["name", "path", "type", "capacity", "allocation"];

    fn name(&self) -> String {
        self.name.clone()
    }
}

struct Row {
    name: String,
    path: String,
    info: Option<StorageVolInfo>,
}

/// virsh: `cmdVolList`, tools/virsh-volume.c
fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let format = Format::of(args)?;
    let pool = pool(shell, args)?;
    let mut volumes =
        shell.wait(pool.list_all_volumes()).context(|| tr!("Failed to list volumes"))?;
    volumes.sort_by_key(|volume| volume.name().to_ascii_lowercase());
    let details = args.flag("details");
    let with_info = details || format.is_some();
    // one that has gone since it was listed is left out
    let rows: Vec<Row> =
        volumes.iter().filter_map(|volume| row(shell, volume, with_info)).collect();
    if let Some(format) = format {
        let records: Vec<VolumeRecord> = rows.into_iter().map(record).collect();
        return print_records(shell, format, &records);
    }
    let mut header = vec![tr!("Name"), tr!("Path")];
    if details {
        header.extend([tr!("Type"), tr!("Capacity"), tr!("Allocation")]);
    }
    let mut table = Table::new(header);
    for row in rows {
        let mut cells = vec![row.name, row.path];
        if details {
            cells.extend(match row.info {
                Some(info) => [
                    type_word(info.kind).to_owned(),
                    pretty(info.capacity),
                    pretty(info.allocation),
                ],
                None => [tr!("unknown"), tr!("unknown"), tr!("unknown")],
            });
        }
        table.push(cells);
    }
    print_table(shell, &table)
}

fn row(shell: &Shell, volume: &StorageVol, with_info: bool) -> Option<Row> {
    let path = shell.wait(volume.path()).ok()?;
    let info =
        with_info.then(|| shell.wait(volume.info(StorageVolInfoFlags::empty())).ok()).flatten();
    Some(Row { name: volume.name().to_owned(), path, info })
}

fn record(row: Row) -> VolumeRecord {
    VolumeRecord {
        name: row.name,
        path: row.path,
        kind: row.info.map(|info| type_word(info.kind)),
        capacity: row.info.map(|info| info.capacity),
        allocation: row.info.map(|info| info.allocation),
    }
}
