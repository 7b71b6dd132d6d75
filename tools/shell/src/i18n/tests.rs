use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;
use crate::po::{self, Catalogue, Marked};

#[track_caller]
fn check(text: &str, expect: &str) {
    let values: [(&str, &dyn Display); 2] = [("name", &"{n}"), ("count", &7)];
    assert_eq!(fill(text, &values), expect);
}

#[test]
fn values_are_named_and_not_read_again() {
    check("", "");
    check("a", "a");
    check("{name}", "{n}");
    check("{count} of {name}, {count}", "7 of {n}, 7");
    check("{other} {", "{other} {");
    check("}{{name}", "}{{n}");
}

#[track_caller]
fn check_wanted(variables: &[(&str, &'static str)], expect: Option<&str>) {
    let variable =
        |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    assert_eq!(wanted(&variable), expect, "{variables:?}");
}

#[test]
fn languages_are_chosen_as_gettext_does() {
    check_wanted(&[], None);
    check_wanted(&[("LANG", "C.UTF-8")], None);
    check_wanted(&[("LANG", "de_DE.UTF-8")], Some("de_DE.UTF-8"));
    check_wanted(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")], None);
    check_wanted(&[("LANG", "de_DE.UTF-8"), ("LC_MESSAGES", "fr_FR")], Some("fr_FR"));
    check_wanted(&[("LANG", "C"), ("LANGUAGE", "de")], None);
    check_wanted(&[("LANG", "en_US.UTF-8"), ("LANGUAGE", "xx:ja:de")], Some("ja"));
    check_wanted(&[("LANG", "de_DE"), ("LANGUAGE", "en:fr")], None);
    check_wanted(&[("LANG", "C"), ("OXIVIRT_LANG", "es")], Some("es"));
    check_wanted(&[("LANG", "de_DE"), ("OXIVIRT_LANG", "C")], None);
    check_wanted(&[("LANG", "xx_XX")], None);
}

#[test]
fn a_language_is_found_by_its_nearest_tag() {
    for (tag, text) in [
        ("de_AT.UTF-8@euro", "ja"),
        ("pt_PT", "sim"),
        ("zh_SG.UTF-8", "是"),
        ("zh_CN", "是"),
        ("fr", "oui"),
        ("ru_RU", "да"),
        ("ja_JP.eucJP", "はい"),
        ("es_MX", "sí"),
    ] {
        assert_eq!(lookup(catalogue(tag).unwrap(), "yes"), text, "{tag}");
    }
    assert!(catalogue("xx").is_none());
    assert_eq!(lookup(catalogue("de").unwrap(), "no such text"), "no such text");
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn marked() -> Marked {
    let mut marked = Marked::new();
    collect(&workspace().join("tools/shell/src"), &mut marked);
    marked
}

fn collect(dir: &Path, marked: &mut Marked) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, marked);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(workspace()).unwrap().display().to_string();
            po::extract(&name, &std::fs::read_to_string(&path).unwrap(), marked).unwrap();
        }
    }
}

fn read(name: &str) -> Catalogue {
    let text = std::fs::read_to_string(workspace().join("po").join(name)).unwrap();
    po::parse(&text).unwrap()
}

fn ids(catalogue: &Catalogue) -> BTreeSet<&str> {
    catalogue.keys().map(String::as_str).filter(|id| !id.is_empty()).collect()
}

const HINT: &str = "run `cargo xtask po`, then translate what is new";

#[test]
fn the_template_has_every_text_and_no_other() {
    let (marked, template) = (marked(), read("oxivirt.pot"));
    let expected: BTreeSet<&str> = marked.keys().map(String::as_str).collect();
    assert_eq!(ids(&template), expected, "{HINT}");
    assert!(expected.len() > 300, "only {} texts are marked", expected.len());
}

/// Texts which are the same in a language: proper names, and what has no words.
const SAME: &[(&str, &[&str])] = &[
    ("de", &["Name", "Name:"]),
    ("es", &["error: {message}", "no"]),
    ("fr", &["Ports"]),
    ("*", &["Oxivirt", "UUID", "UUID:"]),
];

#[test]
fn every_catalogue_is_complete() {
    let template = read("oxivirt.pot");
    let linguas = std::fs::read_to_string(workspace().join("po/LINGUAS")).unwrap();
    let languages = po::languages(&linguas);
    for needed in ["de", "es", "fr", "ja", "pt_BR", "ru", "zh_CN"] {
        assert!(languages.contains(&needed), "{needed}");
    }
    for language in languages {
        let catalogue = read(&format!("{language}.po"));
        assert_eq!(ids(&catalogue), ids(&template), "{language}: {HINT}");
        for (id, translation) in catalogue.iter().filter(|(id, _)| !id.is_empty()) {
            assert!(!translation.is_empty(), "{language}: {id:?} is not translated");
            assert_eq!(po::placeholders(id), po::placeholders(translation), "{language}: {id:?}");
            let ends =
                |text: &str| (text.starts_with('\n'), text.ends_with('\n'), text.ends_with(' '));
            assert_eq!(ends(id), ends(translation), "{language}: blanks around {id:?}");
            let may_be_same = SAME.iter().any(|(tag, texts)| {
                (*tag == "*" || *tag == language) && texts.contains(&id.as_str())
            });
            // what is left without values and signs is no text
            let has_words =
                id.split(['{', '}']).step_by(2).any(|part| part.contains(char::is_alphabetic));
            assert!(
                translation != id || may_be_same || !has_words,
                "{language}: {id:?} is translated by itself"
            );
        }
    }
}

#[test]
fn catalogues_are_read_as_they_are_written() {
    let mut marked = Marked::new();
    po::extract(
        "a.rs",
        "tr!(\n \"one {x}\\n two \\\"q\\\"\", x = 1); mark!(\"a \\\n   b\"); str!(\"no\"); `tr!(…)`",
        &mut marked,
    )
    .unwrap();
    let ids: Vec<_> = marked.keys().cloned().collect();
    assert_eq!(ids, ["a b", "one {x}\n two \"q\""]);
    let known = Catalogue::from([("a b".to_owned(), "ä\n\tß \\".to_owned())]);
    let text = po::format("Language: de\n", &marked, &known);
    let read = po::parse(&text).unwrap();
    assert_eq!(read["a b"], "ä\n\tß \\");
    assert_eq!(read["one {x}\n two \"q\""], "");
    assert_eq!(read[""], "Language: de\n");
    let fuzzy = po::parse("#, fuzzy\nmsgid \"a\"\nmsgstr \"b\"\n").unwrap();
    assert_eq!(fuzzy["a"], "");
    assert!(po::parse("msgid \"a\"\nmsgstr \"b\"\nmsgid \"a\"\nmsgstr \"c\"\n").is_err());
    assert!(po::parse("nonsense").is_err());
    assert_eq!(po::placeholders("{b} {a} {not so} {"), ["a", "b"]);
}
