//! Every setting that a program reads has its paragraph or row.

use std::collections::BTreeSet;
use std::path::Path;

use super::markdown::Page;
use super::{Found, manual, read};
use crate::ui::Failure;

/// Where the daemon reads `virtnetworkd.conf`, and where the driver reads `network.conf`.
const DAEMON: [&str; 2] = ["crates/daemon/src/config.rs", "crates/daemon/src/config/tables.rs"];
const DRIVER: &str = "crates/conf/src/driver_config.rs";

pub(super) fn check(root: &Path, found: &mut Found) -> Result<(), Failure> {
    const PAGE: &str = "docs/man/oxivirtd.8";
    let page = read(&root.join(PAGE))?;
    let documented = paragraphs(&page);
    let mut settings = BTreeSet::new();
    for source in DAEMON.iter().map(|name| root.join(name)).filter(|path| path.is_file()) {
        settings.extend(names(&read(&source)?));
    }
    both(found, PAGE, &settings, &documented);

    const TABLE: &str = "docs/guide/files.md";
    let page = Page::parse(TABLE, &read(&root.join(TABLE))?);
    let rows = page.rows.iter().filter(|row| row.section == "network.conf");
    let documented =
        rows.filter_map(|row| row.cells.first()?.code.first().cloned()).collect::<BTreeSet<_>>();
    both(found, TABLE, &names(&read(&root.join(DRIVER))?), &documented);
    Ok(())
}

fn both(found: &mut Found, page: &str, settings: &BTreeSet<String>, documented: &BTreeSet<String>) {
    if settings.is_empty() {
        found.result(page, 1, Err("no setting was found in the sources".to_owned()));
    }
    for name in settings {
        let result = match documented.contains(name) {
            true => Ok(()),
            false => Err(format!("setting `{name}` is not described")),
        };
        found.result(page, 1, result);
    }
    for name in documented.difference(settings) {
        found.result(page, 1, Err(format!("setting `{name}` is described, but not read")));
    }
}

/// Texts of a source that look like settings: lower case with `_`, or the argument of a reader.
fn names(code: &str) -> BTreeSet<String> {
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let texts = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
    texts.filter(|text| is_setting(text)).map(str::to_owned).collect()
}

fn is_setting(text: &str) -> bool {
    let is_name = text.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
    text == "heal" || is_name && text.contains('_')
}

/// The first words of the tagged paragraphs of CONFIGURATION.
fn paragraphs(page: &str) -> BTreeSet<String> {
    let section = page.split(".SH CONFIGURATION").nth(1).unwrap_or_default();
    let section = section.split("\n.SH ").next().unwrap_or_default();
    let mut names = BTreeSet::new();
    let mut is_tag = false;
    for line in section.lines() {
        if is_tag {
            let tag = manual::plain(line);
            let words = tag.split([' ', ',', '"', '=']).filter(|word| is_setting(word));
            names.extend(words.map(str::to_owned));
        }
        is_tag = line == ".TP" || line == ".TQ";
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_in_sources_and_pages() {
        let code = "let a = reader.count(\"max_clients\", 5)?; // \"not_this\"? yes\n\"none\"\n#[cfg(test)]\n\"in_test\"";
        assert!(names(code).contains("max_clients") && !names(code).contains("in_test"));
        let page = ".SH CONFIGURATION\ntext\n.TP\n.BR max_clients \", \" max_more\ntext other_word\n.SH FILES\n.TP\n.B no_one\n";
        assert_eq!(Vec::from_iter(paragraphs(page)), ["max_clients", "max_more"]);
    }

    #[test]
    fn both_directions_are_faults() {
        let mut found = Found::default();
        let set = |names: &[&str]| names.iter().copied().map(str::to_owned).collect();
        both(&mut found, "p", &set(&["a_b", "c_d"]), &set(&["c_d", "e_f"]));
        assert_eq!((found.checked, found.faults.len()), (1, 2));
    }
}
