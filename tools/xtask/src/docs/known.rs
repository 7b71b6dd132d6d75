//! What exists: files of the workspace, words of its sources, packages, commands, tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::markdown::Page;
use super::{manual, read, unreadable};
use crate::ui::Failure;

/// Directories that hold nothing of the repository.
const SKIPPED: [&str; 2] = ["target", ".git"];
/// Texts in which words are looked for, by the end of their names.
const SOURCES: [&str; 7] = [".rs", ".toml", ".py", ".pl", ".service", ".socket", ".sh"];
/// The checker's own sources: their tests name what does not exist.
const CHECKER: &str = "tools/xtask/src/docs/";

#[derive(Debug, Default)]
pub(super) struct Known {
    /// Files and directories, relative to the workspace.
    pub(super) paths: BTreeSet<String>,
    /// Sources by path, comments removed.
    pub(super) sources: BTreeMap<String, String>,
    /// Identifiers and words of the sources.
    words: BTreeSet<String>,
    /// Names of the packages of the workspace and the directories they are in.
    pub(super) packages: BTreeMap<String, String>,
    /// Names of all packages in `Cargo.lock`.
    pub(super) dependencies: BTreeSet<String>,
    /// Commands of the shell with their options, those without a dash in front.
    pub(super) commands: BTreeMap<String, BTreeSet<String>>,
    /// Options in front of a command.
    pub(super) global_options: BTreeSet<String>,
    /// Case lists of the conformance data in `../shared/data`; empty where that does not exist.
    pub(super) conformance: String,
    /// Anchors of Markdown pages by path.
    anchors: BTreeMap<String, Vec<String>>,
}

impl Known {
    /// # Errors
    /// A file cannot be read.
    pub(super) fn load(root: &Path) -> Result<Self, Failure> {
        let mut known = Self::default();
        known.walk(root, root)?;
        let lock = read(&root.join("Cargo.lock"))?;
        let names = lock.lines().filter_map(|line| line.strip_prefix("name = "));
        known.dependencies = names.map(|name| name.trim_matches('"').to_owned()).collect();
        let page = read(&root.join("docs/man/oxish.1"))?;
        (known.global_options, known.commands) = manual::commands(&page);
        known.conformance = case_lists(&root.join("../shared/data"));
        Ok(known)
    }

    fn walk(&mut self, root: &Path, directory: &Path) -> Result<(), Failure> {
        let entries = fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
        for entry in entries {
            let path = entry.map_err(|error| unreadable(directory, &error))?.path();
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            if SKIPPED.contains(&name.as_str()) || name.starts_with("tests/fuzz/target") {
                continue;
            }
            if path.is_dir() {
                self.walk(root, &path)?;
            } else {
                self.file(&path, &name)?;
            }
            self.paths.insert(name);
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &str) -> Result<(), Failure> {
        if name.ends_with(".md") {
            self.anchors.insert(name.to_owned(), Page::parse(name, &read(path)?).anchors);
        }
        let is_source = SOURCES.iter().any(|end| name.ends_with(end)) || name.starts_with(".ci/");
        if !is_source || name.starts_with(CHECKER) {
            return Ok(());
        }
        let text = read(path)?;
        if let Some(directory) = name.strip_suffix("/Cargo.toml")
            && let Some(package) = text.lines().find_map(|line| line.strip_prefix("name = "))
        {
            self.packages.insert(package.trim_matches('"').to_owned(), directory.to_owned());
        }
        let text = if name.ends_with(".rs") { without_comments(&text) } else { text };
        let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        self.words.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
        self.sources.insert(name.to_owned(), text);
        Ok(())
    }

    pub(super) fn has_word(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// Whether a word begins with this.
    pub(super) fn has_prefix(&self, prefix: &str) -> bool {
        self.words.range(prefix.to_owned()..).next().is_some_and(|word| word.starts_with(prefix))
    }

    /// Whether a source other than this program's contains the text.
    pub(super) fn has_text(&self, text: &str) -> bool {
        self.sources.values().any(|source| source.contains(text))
    }

    /// Whether a source names the file, or forms its name from a word and an extension.
    pub(super) fn has_file(&self, name: &str) -> bool {
        let is_formed = |(stem, extension): (&str, &str)| {
            self.has_text(&format!("\"{stem}\"")) && self.has_text(&format!("}}.{extension}\""))
        };
        self.has_text(name) || name.rsplit_once('.').is_some_and(is_formed)
    }

    /// Whether a path exists; `*` stands for any part of a name.
    pub(super) fn has_path(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        match path.split_once('*') {
            None => self.paths.contains(path),
            Some((start, end)) => {
                self.paths.iter().any(|known| known.starts_with(start) && known.ends_with(end))
            }
        }
    }

    /// # Errors
    /// The target of a link in `page` does not exist, or has no such heading.
    pub(super) fn link(&self, page: &Page, target: &str) -> Result<(), String> {
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path = if file.is_empty() { page.name.clone() } else { join(&page.name, file) };
        if !self.paths.contains(&path) && path != page.name {
            return Err(format!("link to '{target}': {path} does not exist"));
        }
        let own = (path == page.name).then_some(&page.anchors);
        let anchors = own.or_else(|| self.anchors.get(&path));
        let has_anchor = anchors.is_some_and(|anchors| anchors.iter().any(|known| known == anchor));
        if anchor.is_empty() || has_anchor {
            Ok(())
        } else {
            Err(format!("link to '{target}': {path} has no heading #{anchor}"))
        }
    }
}

/// The texts of all `*.toml` below; what cannot be read is left out.
fn case_lists(directory: &Path) -> String {
    let mut text = String::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
        for path in entries.map(|entry| entry.path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                text.push_str(&fs::read_to_string(path).unwrap_or_default());
            }
        }
    }
    text
}

/// The path of `target` as seen from the directory of `page`.
pub(super) fn join(page: &str, target: &str) -> String {
    let directory = page.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Line comments become empty; a `//` inside a string is rare and only hides words.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let is_comment = line.trim_start().starts_with("//");
        code.push_str(if is_comment { "" } else { line });
        code.push('\n');
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_to_the_page() {
        assert_eq!(join("docs/guide/a.md", "../man/b.1"), "docs/man/b.1");
        assert_eq!(join("README.md", "docs/guide/"), "docs/guide");
        assert_eq!(join("docs/a.md", "./b.md"), "docs/b.md");
    }

    #[test]
    fn names_of_files_are_spelled_or_formed() {
        let mut known = Known::default();
        let code = "const A: &str = \"plain.conf\";\nconst NAME: &str = \"daemon\";\nformat!(\"{NAME}.pid\");\n";
        known.sources.insert("a.rs".to_owned(), code.to_owned());
        assert!(known.has_file("plain.conf") && known.has_file("daemon.pid"));
        assert!(!known.has_file("daemon.conf") && !known.has_file("other.pid"));
    }

    #[test]
    fn comments_are_no_evidence() {
        assert_eq!(without_comments("/// old_name\nfn f() {}\n"), "\nfn f() {}\n");
    }
}
