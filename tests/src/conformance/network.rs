//! Suite `network-xml`.

use oxivirt_conf::network::update::{Change, Request, UpdateError, update};
use oxivirt_conf::network::{Counters, NetworkDef};
use oxivirt_conf::{Classified as _, ParseError};

use super::cases::{CasesFile, Compared, Refused, Row, RowResult};

impl From<ParseError> for Refused {
    fn from(error: ParseError) -> Self {
        let (code, domain) = (error.code().0, error.domain().0);
        Self { code, domain, message: error.to_string() }
    }
}

impl From<UpdateError> for Refused {
    fn from(error: UpdateError) -> Self {
        let (code, domain) = (error.code().0, error.domain().0);
        Self { code, domain, message: error.to_string() }
    }
}

pub(super) fn run(file: &CasesFile, row: &Row) -> RowResult {
    if row.kind == "update" { run_update(file, row) } else { run_round_trip(file, row) }
}

fn run_round_trip(file: &CasesFile, row: &Row) -> RowResult {
    let text = file.text(row.input.as_ref())?;
    row.check_schema(NetworkDef::parse_validated(&text).err().as_ref())?;
    let def = NetworkDef::parse(&text)?;
    let expected = file.text(row.out.as_ref())?;
    Ok(vec![Compared { what: "document", found: def.format(row.form()), expected }])
}

/// The section alone as recorded, then the whole as the row's `recheck` keys say.
fn run_update(file: &CasesFile, row: &Row) -> RowResult {
    let base = NetworkDef::parse(&file.text(row.base.as_ref())?)?;
    let payload = match &row.payload_xml {
        Some(payload) => payload.clone(),
        None => file.text(row.payload.as_ref())?,
    };
    let request = Request {
        section: row.section_id,
        command: row.command_id,
        parent_index: row.parent_index,
        payload: &payload,
    };
    let change = Change::parse(&base, &request)?;
    let section = change.apply(&base, Counters::NONE)?.format(row.form());
    let expected = file.text(row.out.as_ref())?;
    let whole = match update(&base, &change, row.form()) {
        Ok(def) => def.format(row.form()),
        Err(error) => format!("error {}", error.code().0),
    };
    let whole_expected = match row.recheck_error_code {
        Some(code) => format!("error {code}"),
        // What the result reads as is not recorded, only that it is something else.
        None if row.reparse_differs && whole != expected => whole.clone(),
        None => expected.clone(),
    };
    Ok(vec![
        Compared { what: "section result", found: section, expected },
        Compared { what: "whole result", found: whole, expected: whole_expected },
    ])
}
