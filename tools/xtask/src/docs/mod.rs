//! Whether the documents are true: what they name exists.
//!
//! Pages are Markdown (`README.md`, `docs/`, …) and the two manual pages. [`spans`] decides by its
//! shape what a piece of code in a page is (a path, a command line, a setting, a Rust name), and
//! [`known`] has what exists, read from the sources. Nothing is built or run here. Pages that must exist
//! are in [`REQUIRED`].
//!
//! The command table of the shell comes from `docs/man/oxish.1`, which a test of the shell compares
//! with the table itself.

mod code_map;
mod crates;
mod deviations;
mod glossary;
mod known;
mod manual;
mod markdown;
mod prose;
mod rust;
mod settings;
mod shell;
mod spans;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::ui::Failure;
use known::Known;
pub(crate) use markdown::{Block, Note, Page};

/// Pages outside `docs/`.
const PAGES: [&str; 6] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "po/README.md",
    "packaging/README.md",
];

/// Pages that have to be there.
const REQUIRED: [&str; 7] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "docs/architecture.md",
    "docs/glossary.md",
    "docs/deviations.md",
];

/// A statement that is not true.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    /// Relative to the workspace.
    file: String,
    line: usize,
    what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Statements that were compared with the sources.
    pub(crate) checked: usize,
    pub(crate) faults: Vec<Fault>,
}

impl Found {
    fn result(&mut self, file: &str, line: usize, result: Result<(), String>) {
        match result {
            Ok(()) => self.checked += 1,
            Err(what) => self.faults.push(Fault { file: file.to_owned(), line, what }),
        }
    }
}

/// Compares every page below `root` with the sources there.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn check(root: &Path) -> Result<Found, Failure> {
    let known = Known::load(root)?;
    let mut found = Found::default();
    for name in REQUIRED {
        let result = match known.paths.contains(name) {
            true => Ok(()),
            false => Err("the page does not exist".to_owned()),
        };
        found.result(name, 1, result);
    }
    for path in pages(root)? {
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let text = read(&path)?;
        let page = Page::parse(&name, &text);
        prose::check(&name, &text, &mut found);
        page_links(&known, &page, &mut found);
        for span in &page.spans {
            found.result(&name, span.line, spans::check(&known, &page, &span.text));
        }
        for block in &page.blocks {
            block_lines(&known, &page, block, &mut found);
        }
        match name.as_str() {
            "docs/architecture.md" => code_map::check(&known, &page, &mut found),
            "docs/deviations.md" => deviations::check(&known, &page, &mut found),
            "docs/glossary.md" => glossary::check(&known, &page, &mut found),
            _ => {}
        }
    }
    manual::check(root, &known, &mut found)?;
    settings::check(root, &mut found)?;
    crates::check(root, &known, &mut found)?;
    found.faults.sort();
    Ok(found)
}

/// The pages with blocks that a reader runs.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn shell_pages(root: &Path) -> Result<Vec<Page>, Failure> {
    let mut found = Vec::new();
    for path in pages(root)? {
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let page = Page::parse(&name, &read(&path)?);
        if page.blocks.iter().any(|block| block.language == "sh") {
            found.push(page);
        }
    }
    Ok(found)
}

fn page_links(known: &Known, page: &Page, found: &mut Found) {
    for link in &page.links {
        if !link.target.contains("://") {
            found.result(&page.name, link.line, known.link(page, &link.target));
        }
    }
}

fn block_lines(known: &Known, page: &Page, block: &Block, found: &mut Found) {
    for (index, line) in block.text.lines().enumerate() {
        let command = match block.language.as_str() {
            "sh" => line,
            "console" => match line.strip_prefix("$ ") {
                Some(command) => command,
                None => continue,
            },
            // Settings: the name in front of `=`.
            "conf" => {
                found.result(&page.name, block.line + index, spans::check(known, page, line));
                continue;
            }
            _ => continue,
        };
        found.result(&page.name, block.line + index, shell::line(known, command));
    }
}

fn pages(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut pages: Vec<PathBuf> =
        PAGES.iter().map(|name| root.join(name)).filter(|path| path.is_file()).collect();
    for directory in ["docs", "docs/guide", "docs/formats"] {
        let directory = root.join(directory);
        if directory.is_dir() {
            let entries =
                fs::read_dir(&directory).map_err(|error| unreadable(&directory, &error))?;
            pages.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
        }
    }
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    Ok(pages)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("'{}': {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;

    /// The faults of a page with this text among the real sources.
    fn faults(known: &Known, text: &str) -> Vec<String> {
        let page = Page::parse("docs/page.md", text);
        let mut found = Found::default();
        page_links(known, &page, &mut found);
        for span in &page.spans {
            found.result(&page.name, span.line, spans::check(known, &page, &span.text));
        }
        for block in &page.blocks {
            block_lines(known, &page, block, &mut found);
        }
        found.faults.iter().map(Fault::to_string).collect()
    }

    #[test]
    fn statements_about_what_exists_pass() {
        let text = "\
# Page

See [below](#second-part) and [the guide](guide/README.md#user-guide). `crates/conf`, `tools/xtask/src/*.rs`,
`oxish net-list --all`, `cargo xtask bench start`, `heal = \"observe\"`, `OXIVIRT_REQUIRE=netns`,
`oxivirtd --root DIR`, `/run/libvirt/virtnetworkd-sock`, `network::driver`, `driver.pid`.

## Second `part`

```sh
oxish 'net-define lab.xml; net-start lab'
```
";
        let known = Known::load(&process::workspace()).unwrap();
        assert_eq!(faults(&known, text), Vec::<String>::new());
    }

    #[track_caller]
    fn check_dead(known: &Known, text: &str) {
        let faults = faults(known, &format!("first line\n\n{text}\n"));
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        assert!(faults[0].starts_with("docs/page.md:3: ") || text.starts_with("```"), "{faults:?}");
    }

    #[test]
    fn statements_about_what_does_not_exist_are_faults() {
        let known = Known::load(&process::workspace()).unwrap();
        for text in [
            "`crates/nowhere`",
            "`tests/tests/no_such_file.rs`",
            "`no_such_file.rs`",
            "[text](guide/nowhere.md)",
            "[text](guide/README.md#no-such-heading)",
            "`cargo xtask frobnicate`",
            "`cargo xtask bench nothing`",
            "`cargo test -p oxivirt-nothing`",
            "`oxish net-frobnicate`",
            "`net-frobnicate --all`",
            "`net-list --frobnicate`",
            "`oxivirtd --frobnicate`",
            "`/run/no-such-daemon.pid`",
            "`no_such_setting = 1`",
            "`OXIVIRT_NO_SUCH_VARIABLE`",
            "`network::no_such_module`",
            "`network::driver::no_such_function`",
            "`NoSuchType`",
            "```sh\noxish 'net-list; net-frobnicate'\n```",
            "```sh\nkill \"$(cat /run/no-such-daemon.pid)\"\n```",
            "```console\n$ oxish net-list --frobnicate\n```",
        ] {
            check_dead(&known, text);
        }
    }
}
