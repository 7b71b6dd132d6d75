//! Every setting that a program reads has a paragraph of its own with its default, and none is described
//! that no program reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::markdown::Page;
use super::{Found, manual, read};
use crate::ui::Failure;

/// The manual page, and the section for each file.
const PAGE: &str = "docs/man/oxivirtd.8";
const DAEMON_SECTION: &str = "CONFIGURATION";
const DRIVER_SECTION: &str = "DRIVER CONFIGURATION";
/// The page with a table of the driver's settings.
const TABLE: &str = "docs/guide/files.md";
/// Where the daemon reads `virtnetworkd.conf`, and where the driver reads `network.conf`.
const DAEMON: [&str; 2] = ["crates/daemon/src/config.rs", "crates/daemon/src/config/tables.rs"];
const DRIVER: &str = "crates/conf/src/driver_config.rs";
/// What a paragraph says of each setting in its tags: one of these.
const STATEMENTS: [&str; 2] = ["Default: ", "no effect"];

pub(super) fn check(root: &Path, found: &mut Found) -> Result<(), Failure> {
    let page = read(&root.join(PAGE))?;
    let mut settings = BTreeSet::new();
    for source in DAEMON.iter().map(|name| root.join(name)).filter(|path| path.is_file()) {
        settings.extend(names(&read(&source)?));
    }
    section(found, &settings, &paragraphs(&page, DAEMON_SECTION));
    let settings = names(&read(&root.join(DRIVER))?);
    section(found, &settings, &paragraphs(&page, DRIVER_SECTION));

    let page = Page::parse(TABLE, &read(&root.join(TABLE))?);
    let rows = page.rows.iter().filter(|row| row.section == "network.conf");
    let documented = rows.filter_map(|row| row.cells.first()?.code.first().cloned()).collect();
    both(found, TABLE, &settings, &documented);
    Ok(())
}

fn section(
    found: &mut Found,
    settings: &BTreeSet<String>,
    paragraphs: &BTreeMap<String, Paragraph>,
) {
    both(found, PAGE, settings, &paragraphs.keys().cloned().collect());
    for (name, paragraph) in paragraphs {
        let has_statement = STATEMENTS.iter().any(|text| paragraph.text.contains(text));
        let result = match has_statement {
            true => Ok(()),
            false => Err(format!("the paragraph of `{name}` has no default")),
        };
        found.result(PAGE, paragraph.line, result);
    }
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

/// A tagged paragraph of the manual page.
#[derive(Debug, Default)]
struct Paragraph {
    /// Line of its tag.
    line: usize,
    text: String,
}

/// The tagged paragraphs of a section by the settings in their tags.
fn paragraphs(page: &str, section: &str) -> BTreeMap<String, Paragraph> {
    let head = format!(".SH {section}");
    let mut paragraphs = BTreeMap::new();
    let mut tags: Vec<(usize, String)> = Vec::new();
    let mut text = String::new();
    let (mut is_inside, mut is_tag) = (false, false);
    for (index, line) in page.lines().enumerate() {
        let is_new_tag = line == ".TP" || line == ".TQ";
        if line == ".TP" || line.starts_with(".S") {
            close(&mut paragraphs, &mut tags, &mut text);
        }
        if line.starts_with(".SH ") {
            is_inside = line == head;
        } else if is_inside && is_tag {
            let tag = manual::plain(line);
            let words = tag.split([' ', ',', '"', '=']).filter(|word| is_setting(word));
            tags.extend(words.map(|word| (index + 1, word.to_owned())));
        } else if is_inside && !is_new_tag {
            text.push_str(&manual::plain(line));
            text.push(' ');
        }
        is_tag = is_new_tag;
    }
    close(&mut paragraphs, &mut tags, &mut text);
    paragraphs
}

/// Ends a paragraph.
fn close(
    paragraphs: &mut BTreeMap<String, Paragraph>,
    tags: &mut Vec<(usize, String)>,
    text: &mut String,
) {
    for (line, name) in tags.drain(..) {
        paragraphs.insert(name, Paragraph { line, text: text.clone() });
    }
    text.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROFF: &str = ".SH CONFIGURATION\ntext\n.TP\n.BR max_clients \" = NUMBER\"\nof other_word\n.B x\n\
                        Default: 5.\n.SS More\n.TP\n.B no_one\n.TQ\n.B no_two\nThey have no effect.\n\
                        .SH FILES\n.TP\n.B no_file\n";

    #[test]
    fn settings_are_found_in_sources_and_pages() {
        let code = "let a = reader.count(\"max_clients\", 5)?; // \"not_this\"? yes\n\"none\"\n#[cfg(test)]\n\"in_test\"";
        assert!(names(code).contains("max_clients") && !names(code).contains("in_test"));
        let paragraphs = paragraphs(ROFF, "CONFIGURATION");
        assert_eq!(Vec::from_iter(paragraphs.keys()), ["max_clients", "no_one", "no_two"]);
        assert_eq!(paragraphs["max_clients"].line, 4);
        assert!(paragraphs["max_clients"].text.contains("Default: 5."));
        assert_eq!(paragraphs["no_one"].text, paragraphs["no_two"].text);
    }

    #[test]
    fn a_paragraph_without_default_is_a_fault() {
        let mut found = Found::default();
        let page = ROFF.replace("Default: 5.", "Five.");
        let settings = ["max_clients", "no_one", "no_two"].map(str::to_owned);
        section(&mut found, &settings.into(), &paragraphs(&page, "CONFIGURATION"));
        let faults: Vec<String> = found.faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            ["docs/man/oxivirtd.8:4: the paragraph of `max_clients` has no default"]
        );
    }

    #[test]
    fn both_directions_are_faults() {
        let mut found = Found::default();
        let set = |names: &[&str]| names.iter().copied().map(str::to_owned).collect();
        both(&mut found, "p", &set(&["a_b", "c_d"]), &set(&["c_d", "e_f"]));
        assert_eq!((found.checked, found.faults.len()), (1, 2));
    }
}
