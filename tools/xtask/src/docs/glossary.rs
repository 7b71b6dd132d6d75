//! `docs/glossary.md`: each term of ours is one line and occurs in code.

use super::Found;
use super::known::Known;
use super::markdown::Page;

pub(super) fn check(known: &Known, page: &Page, found: &mut Found) {
    let mut last = String::new();
    for row in &page.rows {
        let [term, meaning, code] = row.cells.as_slice() else {
            found.result(&page.name, row.line, Err("a row has term, meaning, code".to_owned()));
            continue;
        };
        let order = term.text.to_lowercase();
        let result = if code.code.is_empty() {
            Err(format!("'{}' names no place in the code", term.text))
        } else if meaning.text.trim().is_empty() {
            Err(format!("'{}' has no meaning", term.text))
        } else if order <= last {
            Err(format!("'{}' is out of order", term.text))
        } else {
            Ok(())
        };
        last = order;
        found.result(&page.name, row.line, result);
        for name in code.code.iter().filter(|name| !name.contains(['/', ':', '-', '.'])) {
            let result = match known.has_word(name) {
                true => Ok(()),
                false => Err(format!("`{name}`: no source has this name")),
            };
            found.result(&page.name, row.line, result);
        }
    }
    if page.rows.is_empty() {
        found.result(&page.name, 1, Err("no table of terms".to_owned()));
    }
}
