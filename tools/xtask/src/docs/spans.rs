//! What a piece of code in running text is, by its shape, and whether it exists.

use super::known::{Known, join};
use super::markdown::Page;
use super::{rust, shell};

/// Directories of a host whose files are named by our programs.
const HOST: [&str; 5] =
    ["/etc/libvirt/", "/run/", "/var/run/", "/var/lib/libvirt/", "/var/lib/oxivirt/"];

/// # Errors
/// The text names something of ours that does not exist.
pub(super) fn check(known: &Known, page: &Page, text: &str) -> Result<(), String> {
    let text = text.trim();
    let first = text.split_whitespace().next().unwrap_or_default();
    if first.is_empty() || text.contains("://") && !shell::is_ours(first) {
        return Ok(());
    }
    if shell::is_ours(first) || text.contains(' ') && text.starts_with(is_upper) {
        return shell::line(known, text);
    }
    if first.starts_with("net-") {
        return shell::line(known, &format!("oxish {text}"));
    }
    if first.starts_with("--") {
        let option = first.trim_start_matches('-').split('=').next().unwrap_or_default();
        return exists(known.has_text(option), first, "no program has this option");
    }
    if let Some((name, _)) = text.split_once(" = ") {
        return setting(known, name);
    }
    if text.contains(' ') {
        return Ok(());
    }
    word(known, page, text)
}

/// A text without blanks.
fn word(known: &Known, page: &Page, text: &str) -> Result<(), String> {
    let name = text.trim_start_matches('$').split(['=', '<', '(', ':']).next().unwrap_or_default();
    if text.contains("::") {
        return rust::path(known, text);
    }
    if text.starts_with('/') {
        return host_path(known, text);
    }
    if text.contains('/') {
        return repository_path(known, page, text);
    }
    if let Some((_, extension)) = text.rsplit_once('.')
        && !extension.is_empty()
        && extension.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        && !text.contains(['<', '('])
    {
        return file_name(known, text);
    }
    if name.starts_with("oxivirt-") {
        let is_known = known.packages.contains_key(name) || known.has_text(name);
        return exists(is_known, name, "no such package or program");
    }
    let is_identifier = !name.is_empty()
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let is_camel = name.starts_with(is_upper) && name.contains(is_lower);
    if is_identifier && (name.contains('_') || is_camel) {
        // `OXIVIRT_` and the like are the beginnings of names.
        let is_known = known.has_word(name) || name.ends_with('_') && known.has_text(name);
        return exists(is_known, name, "no source has this name");
    }
    Ok(())
}

fn setting(known: &Known, name: &str) -> Result<(), String> {
    let is_known = match name.split_once('*') {
        Some((start, _)) => known.has_prefix(start),
        None => known.has_word(name),
    };
    let is_name =
        name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_*".contains(letter));
    exists(is_known || !is_name, name, "no source reads this setting")
}

/// Every path of a host in a line.
///
/// # Errors
/// No source names one of them.
pub(super) fn host_paths(known: &Known, line: &str) -> Result<(), String> {
    let words =
        line.split(|letter: char| letter.is_whitespace() || "\"'()[]{}$`,;|&=<>".contains(letter));
    words.filter(|word| word.starts_with('/')).try_for_each(|path| host_path(known, path))
}

/// A path of a host: the last part of it is a text of some source.
pub(super) fn host_path(known: &Known, path: &str) -> Result<(), String> {
    let path = path.trim_end_matches(['.', ',', ';', ':', '/', '\'', '"', ')']);
    let is_ours = HOST.iter().any(|directory| path.starts_with(directory));
    let last = path.rsplit('/').next().unwrap_or_default();
    // A placeholder such as NAME or BRIDGE is filled in by the program.
    let fixed =
        last.trim_start_matches(|letter: char| letter.is_ascii_uppercase() || letter == '$');
    let is_known = fixed.is_empty() || known.has_file(fixed);
    exists(!is_ours || is_known, path, "no source names this file")
}

/// A path of the repository, or one of a host without the `/` in front.
fn repository_path(known: &Known, page: &Page, path: &str) -> Result<(), String> {
    let (path, test) = path.split_once("::").unwrap_or((path, ""));
    let top = path.split('/').next().unwrap_or_default();
    if matches!(top, "etc" | "run" | "var") {
        return host_path(known, &format!("/{path}"));
    }
    let is_file = [".rs", ".md", ".toml"].iter().any(|end| path.ends_with(end));
    if !is_file && !known.paths.contains(top) || path.starts_with("../shared") {
        return Ok(());
    }
    let is_known = known.has_path(path) || known.has_path(&join(&page.name, path));
    exists(is_known && test.is_empty(), path, "does not exist in the repository")
}

/// A file name alone: of the repository, or one that a source spells.
fn file_name(known: &Known, name: &str) -> Result<(), String> {
    let fixed = name.trim_start_matches(|letter: char| letter.is_ascii_uppercase());
    let end = format!("/{name}");
    let is_file = known.paths.iter().any(|path| path == name || path.ends_with(&end));
    let is_source = name.ends_with(".rs");
    exists(
        is_file || !is_source && known.has_file(fixed),
        name,
        "no file and no source has this name",
    )
}

fn is_upper(letter: char) -> bool {
    letter.is_ascii_uppercase()
}

fn is_lower(letter: char) -> bool {
    letter.is_ascii_lowercase()
}

fn exists(is_known: bool, name: &str, why: &str) -> Result<(), String> {
    if is_known { Ok(()) } else { Err(format!("`{name}`: {why}")) }
}
