//! The code map of `docs/architecture.md`: the names of a row are in the files of the row.

use super::Found;
use super::known::Known;
use super::markdown::{Page, Row};

/// Beginnings of the headings above the tables.
const SECTIONS: [&str; 2] = ["Where to find what", "To add "];

pub(super) fn check(known: &Known, page: &Page, found: &mut Found) {
    for section in SECTIONS {
        let mut rows = page.rows.iter().filter(|row| row.section.starts_with(section)).peekable();
        if rows.peek().is_none() {
            found.result(&page.name, 1, Err(format!("no table below a heading '{section}…'")));
        }
        for row in rows {
            found.result(&page.name, row.line, names(known, row));
        }
    }
}

/// The cell with files, and the names in the cell after it.
fn names(known: &Known, row: &Row) -> Result<(), String> {
    let is_file = |text: &String| text.contains('/');
    let Some(at) = row.cells.iter().position(|cell| cell.code.iter().any(is_file)) else {
        return Err("a row of the code map has no file".to_owned());
    };
    let files = row.cells.iter().skip(at).take(1).flat_map(|cell| &cell.code);
    let files: Vec<&String> = files.filter(|text| is_file(text)).collect();
    let Some(names) = row.cells.get(at + 1) else { return Ok(()) };
    for name in names.code.iter().filter(|name| is_name(name)) {
        let has = |file: &&String| {
            known.sources.get(file.as_str()).is_some_and(|code| has_word(code, name))
        };
        if !files.iter().any(has) {
            let files: Vec<&str> = files.iter().map(|file| file.as_str()).collect();
            return Err(format!("`{name}` is not in {}", files.join(", ")));
        }
    }
    Ok(())
}

/// Whether it is one identifier, and not a path of modules or an element.
fn is_name(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn has_word(code: &str, name: &str) -> bool {
    code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let mut known = Known::default();
        known.sources.insert("crates/a/src/b.rs".to_owned(), "fn start() {}".to_owned());
        let page = Page::parse("docs/architecture.md", text);
        let mut found = Found::default();
        check(&known, &page, &mut found);
        found.faults.iter().map(ToString::to_string).collect()
    }

    const HEAD: &str = "## Where to find what\n\n| q | file | names |\n|---|---|---|\n";
    const TAIL: &str = "\n## To add a call\n\n| file | names | what |\n|---|---|---|\n| `crates/a/src/b.rs` | | x |\n";

    #[test]
    fn names_are_in_the_files() {
        let with = |row: &str| faults(&format!("{HEAD}{row}{TAIL}"));
        assert_eq!(with("| start? | `crates/a/src/b.rs` | `start` |\n"), Vec::<String>::new());
        let wrong = with("| start? | `crates/a/src/b.rs` | `begin` |\n");
        assert_eq!(wrong, ["docs/architecture.md:5: `begin` is not in crates/a/src/b.rs"]);
        assert_eq!(with("| start? | nowhere | `start` |\n").len(), 1);
    }

    #[test]
    fn tables_are_required() {
        assert_eq!(faults("# Architecture\n").len(), 2);
    }
}
