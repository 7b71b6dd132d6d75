//! `docs/deviations.md`: unique numbers, and a test for each difference.

use std::collections::BTreeSet;

use super::known::Known;
use super::markdown::{Page, Row};
use super::{Found, rust};

/// Place of the cell that names the test, counted from the left.
const TEST: usize = 4;

pub(super) fn check(known: &Known, page: &Page, found: &mut Found) {
    let mut numbers = BTreeSet::new();
    for row in page.rows.iter().filter(|row| row.cells.len() > TEST) {
        let number = row.cells.first().map(|cell| cell.text.trim()).unwrap_or_default();
        let result = if number.is_empty() {
            Err("deviation without a number".to_owned())
        } else if numbers.insert(number) {
            Ok(())
        } else {
            Err(format!("the number {number} is given twice"))
        };
        found.result(&page.name, row.line, result);
        found.result(&page.name, row.line, test(known, row, number));
    }
    if numbers.is_empty() {
        found.result(&page.name, 1, Err("no table of deviations".to_owned()));
    }
}

/// The last cell has `file::function`, a task that shows the difference, a row of the shared data,
/// or says `none:` and why.
fn test(known: &Known, row: &Row, number: &str) -> Result<(), String> {
    let Some(cell) = row.cells.get(TEST) else { return Ok(()) };
    if cell.text.starts_with("none: ") {
        return Ok(());
    }
    let mut count = 0;
    for text in &cell.code {
        if text.contains("::") {
            rust::test(known, text)?;
            count += 1;
        } else if text.starts_with("cargo xtask ") {
            count += 1;
        } else if cell.text.starts_with("conformance") {
            // The data lies beside the workspace, where it is present at all.
            if !known.conformance.is_empty() && !known.conformance.contains(text.as_str()) {
                return Err(format!("{number}: no conformance data has `{text}`"));
            }
            count += 1;
        }
    }
    if count > 0 { Ok(()) } else { Err(format!("{number} names no test (`file::function`)")) }
}
