use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;
use polib::catalog::Catalog;

use crate::po::{self, MarkedTexts};

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
        assert_eq!(catalogue(tag).unwrap().translation("yes", 0), Some(text), "{tag}");
    }
    assert!(catalogue("xx").is_none());
    assert_eq!(catalogue("de").unwrap().translation("no such text", 0), None);
}

#[test]
fn plural_forms_follow_gettext() {
    let forms = |rule: PluralRule| [0, 1, 2, 5, 11, 21, 22, 112].map(|n| rule.form(n));
    assert_eq!(forms(PluralRule::Single), [0; 8]);
    assert_eq!(forms(PluralRule::NotOne), [1, 0, 1, 1, 1, 1, 1, 1]);
    assert_eq!(forms(PluralRule::AboveOne), [0, 0, 1, 1, 1, 1, 1, 1]);
    assert_eq!(forms(PluralRule::EastSlavic), [2, 0, 1, 2, 2, 0, 1, 2]);
    assert_eq!(counted("{count} a", "{count} b", 1), "{count} a");
    assert_eq!(counted("{count} a", "{count} b", 2), "{count} b");
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn marked() -> MarkedTexts {
    let mut texts = MarkedTexts::new();
    collect(&workspace().join("tools/shell/src"), &mut texts);
    texts
}

fn collect(dir: &Path, texts: &mut MarkedTexts) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, texts);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(workspace()).unwrap().display().to_string();
            po::extract(&name, &std::fs::read_to_string(&path).unwrap(), texts).unwrap();
        }
    }
}

fn read(name: &str) -> Catalog {
    let text = std::fs::read_to_string(workspace().join("po").join(name)).unwrap();
    po::parse(&text).unwrap()
}

fn ids(catalog: &Catalog) -> BTreeSet<&str> {
    catalog.messages().map(|message| message.msgid()).collect()
}

const HINT: &str = "run `cargo xtask po`, then translate what is new";

#[test]
fn the_template_has_every_text_and_no_other() {
    let (texts, template) = (marked(), read("oxivirt.pot"));
    let expected: BTreeSet<&str> = texts.keys().map(String::as_str).collect();
    assert_eq!(ids(&template), expected, "{HINT}");
    assert!(expected.len() > 300, "only {} texts are marked", expected.len());
}

/// Texts that are the same in a language: proper names, and texts without words.
const SAME: &[(&str, &[&str])] = &[
    ("de", &["Name", "Name:"]),
    ("es", &["error: {message}", "no"]),
    ("fr", &["Ports"]),
    ("*", &["Oxivirt", "UUID", "UUID:"]),
];

#[test]
fn every_catalogue_is_complete() {
    let texts = marked();
    let linguas = std::fs::read_to_string(workspace().join("po/LINGUAS")).unwrap();
    let languages = po::languages(&linguas);
    for needed in ["de", "es", "fr", "ja", "pt_BR", "ru", "zh_CN"] {
        assert!(languages.contains(&needed), "{needed}");
    }
    for language in languages {
        let catalog = read(&format!("{language}.po"));
        let n_forms = catalog.metadata.plural_rules.nplurals;
        assert_eq!(ids(&catalog), texts.keys().map(String::as_str).collect(), "{language}: {HINT}");
        for (id, marked) in &texts {
            let forms = po::translations(&catalog, id, marked.plural.as_deref());
            let expected = if marked.plural.is_some() { n_forms } else { 1 };
            assert_eq!(forms.len(), expected, "{language}: {id:?} is not translated");
            for form in &forms {
                check_translation(language, marked.plural.as_deref().unwrap_or(id), form);
            }
        }
    }
}

#[track_caller]
fn check_translation(language: &str, id: &str, translation: &str) {
    assert_eq!(po::placeholders(id), po::placeholders(translation), "{language}: {id:?}");
    let ends = |text: &str| (text.starts_with('\n'), text.ends_with('\n'), text.ends_with(' '));
    assert_eq!(ends(id), ends(translation), "{language}: blanks around {id:?}");
    let may_be_same =
        SAME.iter().any(|(tag, texts)| (*tag == "*" || *tag == language) && texts.contains(&id));
    // the parts outside placeholders
    let has_words = id.split(['{', '}']).step_by(2).any(|part| part.contains(char::is_alphabetic));
    assert!(
        translation != id || may_be_same || !has_words,
        "{language}: the translation of {id:?} equals it"
    );
}

#[test]
fn catalogues_survive_writing_and_reading() {
    let mut texts = MarkedTexts::new();
    let source =
        "tr!(\n \"one {x}\\n two \\\"q\\\"\", x = 1); mark!(\"a \\\n   b\"); str!(\"no\"); `tr!(…)`
        trn!(\"{count} a\", \"{count} b\", count = n)";
    po::extract("a.rs", source, &mut texts).unwrap();
    let ids: Vec<_> = texts.keys().cloned().collect();
    assert_eq!(ids, ["a b", "one {x}\n two \"q\"", "{count} a"]);
    assert_eq!(texts["{count} a"].plural.as_deref(), Some("{count} b"));
    let german = "msgid \"\"\nmsgstr \"\"\n\"Language: de\\n\"\n\"Plural-Forms: nplurals=2; plural=(n != 1);\\n\"\n\n\
        msgid \"a b\"\nmsgstr \"ä\\n\\tß \\\\\"\n\n\
        #, fuzzy\nmsgid \"old\"\nmsgstr \"alt\"\n\n\
        msgid \"{count} a\"\nmsgid_plural \"{count} b\"\nmsgstr[0] \"{count} c\"\nmsgstr[1] \"{count} d\"\n";
    let known = po::parse(german).unwrap();
    assert_eq!(po::translations(&known, "old", None), Vec::<String>::new());
    let text = po::format(&po::merge(&known.metadata, &texts, &known)).unwrap();
    let read = po::parse(&text).unwrap();
    assert_eq!(po::translations(&read, "a b", None), ["ä\n\tß \\"]);
    assert!(po::translations(&read, "one {x}\n two \"q\"", None).is_empty());
    let counted = po::translations(&read, "{count} a", Some("{count} b"));
    assert_eq!(counted, ["{count} c", "{count} d"]);
    assert_eq!(read.metadata.language, "de");
    assert_eq!(po::plural_rule(&read.metadata).unwrap(), "NotOne");
    let header = "msgid \"\"\nmsgstr \"Plural-Forms: nonsense\\n\"\n";
    assert!(po::parse(header).is_err());
    assert_eq!(po::placeholders("{b} {a} {not so} {"), ["a", "b"]);
}
