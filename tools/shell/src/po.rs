//! Message catalogues: taking texts out of the sources, reading and writing `.po` files.
//!
//! Uses the standard library only: the build script, the tests and `cargo xtask po` all include this file.
//!
//! The format is gettext's, of which single messages and comments are used:
//! <https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html>

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Texts of a catalogue with their translations; the header is the translation of the empty text.
pub(crate) type Catalogue = BTreeMap<String, String>;

/// Texts that sources mark, with the files they are in.
pub(crate) type Marked = BTreeMap<String, BTreeSet<String>>;

/// Adds the texts that are marked in a source file: the literals behind `tr!(` and `mark!(`.
///
/// # Errors
/// The line of a mark that has no literal.
pub(crate) fn extract(file: &str, source: &str, marked: &mut Marked) -> Result<(), String> {
    for macro_name in ["tr!", "mark!"] {
        let mut rest = source;
        while let Some((before, after)) = rest.split_once(macro_name) {
            rest = after;
            // part of a longer name
            if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let line = source.len() - after.len();
            let line = source.get(..line).unwrap_or_default().lines().count();
            // the definition of the macro itself, or prose about it
            let Some(literal) = after.strip_prefix('(').map(str::trim_start) else { continue };
            if !literal.starts_with('"') {
                continue;
            }
            let Some((text, _)) = literal_at(literal) else {
                return Err(format!("{file}:{line}: unfinished text"));
            };
            marked.entry(text).or_default().insert(file.to_owned());
        }
    }
    Ok(())
}

/// The value of the string literal at the beginning of `text`, and what follows it.
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
                    // the line goes on at its first word
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

/// Reads a `.po` file. Entries that are marked as fuzzy or are not translated have no translation.
///
/// # Errors
/// The line that cannot be read, or the text that is there twice.
pub(crate) fn parse(text: &str) -> Result<Catalogue, String> {
    let mut catalogue = Catalogue::new();
    let mut entry = Entry::default();
    for (index, line) in text.lines().enumerate() {
        let failed = |what: &str| Err(format!("line {}: {what}", index + 1));
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            if entry.id.is_some() && entry.translation.is_some() {
                entry.finish(&mut catalogue)?;
            }
            entry.is_fuzzy |= comment.starts_with(',') && comment.contains("fuzzy");
        } else if let Some(literal) = line.strip_prefix("msgid ") {
            entry.finish(&mut catalogue)?;
            let Some((text, "")) = literal_at(literal) else { return failed("no text") };
            entry.id = Some(text);
        } else if let Some(literal) = line.strip_prefix("msgstr ") {
            let Some((text, "")) = literal_at(literal) else { return failed("no text") };
            entry.translation = Some(text);
        } else if line.starts_with('"') {
            let Some((text, "")) = literal_at(line) else { return failed("no text") };
            match (&mut entry.translation, &mut entry.id) {
                (Some(translation), _) => translation.push_str(&text),
                (None, Some(id)) => id.push_str(&text),
                (None, None) => return failed("a text that belongs to nothing"),
            }
        } else if !line.is_empty() {
            return failed("neither a comment nor a message");
        }
    }
    entry.finish(&mut catalogue)?;
    Ok(catalogue)
}

#[derive(Default)]
struct Entry {
    id: Option<String>,
    translation: Option<String>,
    is_fuzzy: bool,
}

impl Entry {
    fn finish(&mut self, catalogue: &mut Catalogue) -> Result<(), String> {
        let done = std::mem::take(self);
        let (Some(id), translation) = (done.id, done.translation.unwrap_or_default()) else {
            self.is_fuzzy = done.is_fuzzy;
            return Ok(());
        };
        let translation = if done.is_fuzzy { String::new() } else { translation };
        match catalogue.insert(id.clone(), translation) {
            None => Ok(()),
            Some(_) => Err(format!("twice: {id:?}")),
        }
    }
}

/// A `.po` file with every marked text, its translation where `known` has one.
pub(crate) fn format(header: &str, marked: &Marked, known: &Catalogue) -> String {
    let mut out = String::new();
    push_entry(&mut out, "", header);
    for (id, files) in marked {
        out.push('\n');
        for file in files {
            // writing to a String cannot fail
            let _infallible = writeln!(out, "#: {file}");
        }
        push_entry(&mut out, id, known.get(id).map(String::as_str).unwrap_or_default());
    }
    out
}

fn push_entry(out: &mut String, id: &str, translation: &str) {
    push_text(out, "msgid", id);
    push_text(out, "msgstr", translation);
}

/// A line of the file for each line of the text, as gettext's tools write it.
fn push_text(out: &mut String, keyword: &str, text: &str) {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    out.push_str(keyword);
    if lines.len() > 1 {
        out.push_str(" \"\"\n");
    } else {
        out.push(' ');
    }
    if lines.is_empty() {
        out.push_str("\"\"\n");
    }
    for line in lines {
        let line = line.replace('\\', "\\\\").replace('"', "\\\"");
        let line = line.replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r");
        let _infallible = writeln!(out, "\"{line}\"");
    }
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

/// The languages of a `LINGUAS` file.
pub(crate) fn languages(linguas: &str) -> Vec<&str> {
    let lines = linguas.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}
