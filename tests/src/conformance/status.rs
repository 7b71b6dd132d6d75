//! Suite `network-status`.

use oxivirt_conf::network::Counters;
use oxivirt_conf::status::NetworkStatus;
use oxivirt_conf::{EditCommand, wrap_file};

use super::cases::{CasesFile, Compared, Row, RowResult};

/// Loads a document under its name and saves it at once.
pub(super) fn run(file: &CasesFile, row: &Row) -> RowResult {
    let text = file.text(row.input.as_ref())?;
    let filename = row.filename.as_deref().unwrap_or_default();
    let status = NetworkStatus::parse_file(filename, &text)?;
    let uuid = status.def.uuid.map(|uuid| uuid.to_string()).unwrap_or_default();
    let document = status.format(Counters::NONE);
    let found = wrap_file(EditCommand::NetEdit, &status.def.name, &uuid, &document);
    Ok(vec![Compared { what: "file", found, expected: file.text(row.out.as_ref())? }])
}
