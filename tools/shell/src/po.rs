//! Message catalogues: extraction of texts from the sources, and catalogues in gettext's `.po` format.
//!
//! The build script, the tests and `cargo xtask po` all include this file; it uses `polib` and the standard
//! library only.
//!
//! <https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html>

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufWriter;

use polib::catalog::Catalog;
use polib::message::Message;
use polib::metadata::CatalogMetadata;

/// A text that the sources mark for translation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marked {
    /// The English text for other counts than one, `None` if there is no count.
    pub(crate) plural: Option<String>,
    /// The files that use it.
    pub(crate) files: BTreeSet<String>,
}

/// All marked texts by their English text, for counted ones that of one.
pub(crate) type MarkedTexts = BTreeMap<String, Marked>;

/// Adds the texts marked in a source file: the literals after `tr!(` and `mark!(`, and the two after `trn!(`.
///
/// # Errors
/// The line of a mark whose literal is malformed.
pub(crate) fn extract(file: &str, source: &str, texts: &mut MarkedTexts) -> Result<(), String> {
    for macro_name in ["tr!", "trn!", "mark!"] {
        let mut rest = source;
        while let Some((before, after)) = rest.split_once(macro_name) {
            rest = after;
            // part of a longer name
            if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let line = source.len() - after.len();
            let line = source.get(..line).unwrap_or_default().lines().count();
            // the definition of the macro, or prose about it
            let Some(literal) = after.strip_prefix('(').map(str::trim_start) else { continue };
            if !literal.starts_with('"') {
                continue;
            }
            let malformed = || format!("{file}:{line}: malformed text");
            let (text, after) = literal_at(literal).ok_or_else(malformed)?;
            let marked = texts.entry(text).or_default();
            marked.files.insert(file.to_owned());
            if macro_name == "trn!" {
                let literal = after.trim_start().strip_prefix(',').map(str::trim_start);
                let (plural, _) = literal.and_then(literal_at).ok_or_else(malformed)?;
                marked.plural = Some(plural);
            }
        }
    }
    Ok(())
}

/// The value of the string literal at the start of `text`, and the rest.
fn literal_at(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                '\n' => {
                    // the literal continues at the first word of the next line
                    chars = chars.as_str().trim_start().chars();
                }
                'u' => {
                    let rest = chars.as_str().strip_prefix('{')?;
                    let (digits, after) = rest.split_once('}')?;
                    value.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                    chars = after.chars();
                }
                c => value.push(c),
            },
            c => value.push(c),
        }
    }
}

/// Reads a `.po` file.
///
/// # Errors
/// What is malformed.
pub(crate) fn parse(text: &str) -> Result<Catalog, String> {
    polib::po_file::parse_from_reader(text.as_bytes()).map_err(|error| error.to_string())
}

/// The translations of a message, one per plural form; empty if it is untranslated or fuzzy.
pub(crate) fn translations(catalog: &Catalog, id: &str, plural: Option<&str>) -> Vec<String> {
    let found = catalog.find_message(None, id, plural);
    let Some(message) = found.filter(|message| !message.is_fuzzy()) else { return Vec::new() };
    let forms = match message.msgstr_plural() {
        Ok(forms) => forms.clone(),
        Err(_) => message.msgstr().map(|text| vec![text.to_owned()]).unwrap_or_default(),
    };
    if forms.iter().any(String::is_empty) { Vec::new() } else { forms }
}

/// A catalogue of all marked texts, with the translations that `known` has.
pub(crate) fn merge(metadata: &CatalogMetadata, texts: &MarkedTexts, known: &Catalog) -> Catalog {
    let mut merged = Catalog::new(metadata.clone());
    for (id, marked) in texts {
        let files: Vec<&str> = marked.files.iter().map(String::as_str).collect();
        let source = files.join("\n");
        let mut forms = translations(known, id, marked.plural.as_deref());
        let message = match &marked.plural {
            Some(plural) => {
                forms.resize(metadata.plural_rules.nplurals, String::new());
                Message::build_plural()
                    .with_source(source)
                    .with_msgid(id.clone())
                    .with_msgid_plural(plural.clone())
                    .with_msgstr_plural(forms)
                    .done()
            }
            None => Message::build_singular()
                .with_source(source)
                .with_msgid(id.clone())
                .with_msgstr(forms.pop().unwrap_or_default())
                .done(),
        };
        merged.append_or_update(message);
    }
    merged
}

/// The text of a `.po` file.
///
/// # Errors
/// If a text cannot be written.
pub(crate) fn format(catalog: &Catalog) -> std::io::Result<String> {
    let mut writer = BufWriter::new(Vec::new());
    polib::po_file::write(catalog, &mut writer)?;
    let bytes = writer.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    let text = String::from_utf8(bytes).map_err(std::io::Error::other)?;
    // one line end at the end of the file
    Ok(text.trim_end_matches('\n').to_owned() + "\n")
}

/// The names of values in a text, sorted.
pub(crate) fn placeholders(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        rest = after;
        if let Some((name, after)) = after.split_once('}')
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        {
            found.push(name);
            rest = after;
        }
    }
    found.sort_unstable();
    found
}

/// The variant of `i18n::PluralRule` for a catalogue's `Plural-Forms`.
///
/// # Errors
/// If the shell does not implement the rule.
pub(crate) fn plural_rule(metadata: &CatalogMetadata) -> Result<&'static str, String> {
    let rules = &metadata.plural_rules;
    match (rules.nplurals, rules.expr.as_str()) {
        (1, "0") => Ok("Single"),
        (2, "(n != 1)") => Ok("NotOne"),
        (2, "(n > 1)") => Ok("AboveOne"),
        (
            3,
            "(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2)",
        ) => Ok("EastSlavic"),
        _ => Err(format!("unsupported plural rule: {}", rules.dump())),
    }
}

/// The languages of a `LINGUAS` file.
pub(crate) fn languages(linguas: &str) -> Vec<&str> {
    let lines = linguas.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}
