//! Suite `network-port`.

use oxivirt_conf::port::NetworkPortDef;

use super::cases::{CasesFile, Compared, Row, RowResult};

pub(super) fn run(file: &CasesFile, row: &Row) -> RowResult {
    let text = file.text(row.input.as_ref())?;
    row.check_schema(NetworkPortDef::parse_validated(&text).err().as_ref())?;
    let port = NetworkPortDef::parse(&text)?;
    // Cases without `out` are their own expectation.
    let expected = if row.out.is_some() { file.text(row.out.as_ref())? } else { text };
    Ok(vec![Compared { what: "document", found: port.format(), expected }])
}
