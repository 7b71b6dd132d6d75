//! The word at the cursor and its completions.

use std::path::Path;

use crate::complete::{CompletionMode, candidates, takes_file};
use crate::shell::Shell;

/// Completions of the word at the end of a line.
#[derive(Debug)]
pub(super) struct Candidates {
    /// Byte offset of the word.
    pub(super) start: usize,
    /// As they would be typed, without a closing quote.
    pub(super) words: Vec<String>,
    /// The quote that is open before the word.
    quote: Option<char>,
}

impl Candidates {
    /// What follows the only candidate: the closing quote and a blank, nothing after a directory.
    pub(super) fn ending(&self) -> String {
        match self.words.as_slice() {
            [word] if word.ends_with('/') => String::new(),
            [_] => self.quote.map(String::from).unwrap_or_default() + " ",
            _ => String::new(),
        }
    }

    /// The candidates as a list shows them, without the open quote.
    pub(super) fn listed(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(|word| match self.quote {
            Some(quote) => word.strip_prefix(quote).unwrap_or(word),
            None => word.as_str(),
        })
    }
}

/// Completes the word at the end of `line`.
pub(super) fn complete(shell: &mut Shell, line: &str) -> Candidates {
    let word = Word::at_end(line);
    let errors = shell.ui.silence_errors();
    let mut found =
        candidates(shell, line.as_bytes(), word.text.as_bytes(), CompletionMode::LineEditor);
    shell.ui.restore_errors(errors);
    if found.is_empty() && takes_file(shell, line.as_bytes(), word.text.as_bytes()) {
        found = files(&word.text);
    }
    let words = found.iter().map(|candidate| word.spell(candidate)).collect();
    Candidates { start: word.start, words, quote: word.quote }
}

/// The longest common prefix.
pub(super) fn common_prefix(words: &[String]) -> &str {
    let Some((first, rest)) = words.split_first() else { return "" };
    let mut length = first.len();
    for word in rest {
        let same = first.bytes().zip(word.bytes()).take_while(|(a, b)| a == b).count();
        length = length.min(same);
    }
    while !first.is_char_boundary(length) {
        length -= 1;
    }
    first.get(..length).unwrap_or_default()
}

#[derive(Debug)]
struct Word {
    start: usize,
    /// Without quotes.
    text: String,
    quote: Option<char>,
}

impl Word {
    /// Splits at readline's word breaks, except inside quotes and after a backslash.
    fn at_end(line: &str) -> Self {
        const BREAKS: &str = " \t\n`@$><=;|&{(";
        let mut word = Self { start: 0, text: String::new(), quote: None };
        let mut chars = line.char_indices();
        while let Some((at, c)) = chars.next() {
            match (c, word.quote) {
                ('\\', None | Some('"')) => {
                    if let Some((_, c)) = chars.next() {
                        word.text.push(c);
                    }
                }
                (c, Some(quote)) if c == quote => word.quote = None,
                ('"' | '\'', None) => word.quote = Some(c),
                (c, None) if BREAKS.contains(c) => {
                    word = Self { start: at + c.len_utf8(), text: String::new(), quote: None };
                }
                (c, _) => word.text.push(c),
            }
        }
        word
    }

    /// A candidate as it would be typed at this place.
    fn spell(&self, candidate: &str) -> String {
        match self.quote {
            Some(quote) => format!("{quote}{candidate}"),
            None => candidate.replace(' ', "\\ "),
        }
    }
}

/// Files whose names begin with `text`, directories with a slash.
fn files(text: &str) -> Vec<String> {
    let (dir, name) = text.rsplit_once('/').map_or(("", text), |(_, name)| {
        (text.get(..text.len() - name.len()).unwrap_or_default(), name)
    });
    let place = if dir.is_empty() { Path::new(".") } else { Path::new(dir) };
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Ok(file) = entry.file_name().into_string() else { continue };
        if !file.starts_with(name) || (file.starts_with('.') && name.is_empty()) {
            continue;
        }
        let slash = if entry.path().is_dir() { "/" } else { "" };
        found.push(format!("{dir}{file}{slash}"));
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, start: usize, text: &str, spelled: &str) {
        let word = Word::at_end(line);
        assert_eq!((word.start, word.text.as_str()), (start, text), "{line}");
        assert_eq!(word.spell("a b"), spelled, "{line}");
    }

    #[test]
    fn words() {
        check("", 0, "", "a\\ b");
        check("net-in", 0, "net-in", "a\\ b");
        check("net-info --network=d", 19, "d", "a\\ b");
        check("net-info 'a b", 9, "a b", "'a b");
        check("net-info a\\ b", 9, "a b", "a\\ b");
        check("uri; net", 5, "net", "a\\ b");
        check("net-info \"x\\\"y", 9, "x\"y", "\"a b");
    }

    #[test]
    fn a_single_candidate_closes_its_quote() {
        let candidates = |words: &[&str], quote| Candidates {
            start: 0,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            quote,
        };
        assert_eq!(candidates(&["'guest lan"], Some('\'')).ending(), "' ");
        assert_eq!(candidates(&["guest\\ lan"], None).ending(), " ");
        assert_eq!(candidates(&["dir/"], None).ending(), "");
        let two = candidates(&["\"a", "\"b"], Some('"'));
        assert_eq!(two.ending(), "");
        assert_eq!(two.listed().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn prefixes() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert_eq!(common_prefix(&words(&["net-define", "net-desc", "net-destroy"])), "net-de");
        assert_eq!(common_prefix(&words(&["é", "è"])), "");
        assert_eq!(common_prefix(&[]), "");
    }

    #[test]
    fn names_of_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("lab")).unwrap();
        drop(std::fs::File::create(dir.path().join("lab.xml")).unwrap());
        let at = |name: &str| format!("{}/{name}", dir.path().display());
        assert_eq!(files(&at("la")), [at("lab.xml"), at("lab/")].map(|f| f).to_vec());
    }
}
