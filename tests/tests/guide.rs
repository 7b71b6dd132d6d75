//! The user guide: what it shows is what comes out.
//!
//! In a block marked `console`, a line that begins with `$ ` is run, and what follows up to the next one has to
//! be its output, both streams together. `…` at the end of a line stands for any rest of it, alone in a line for
//! any number of lines. A block behind `<!-- file: NAME -->` is a file of that name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use oxivirt_tests::host::program;
use oxivirt_tests::process::Run;
use oxivirt_tests::require::workspace;

/// A command of a page, and what the page says comes out.
struct Example {
    line: usize,
    command: String,
    output: Vec<String>,
}

#[derive(Default)]
struct Page {
    files: Vec<(String, String)>,
    examples: Vec<Example>,
}

fn read(path: &Path) -> Page {
    let text = std::fs::read_to_string(path).unwrap();
    let mut page = Page::default();
    let mut block: Option<String> = None;
    let mut file: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        if let Some(kind) = line.strip_prefix("```") {
            block = match block {
                Some(_) => {
                    file = None;
                    None
                }
                None => {
                    if let Some(name) = &file {
                        page.files.push((name.clone(), String::new()));
                    }
                    Some(kind.to_owned())
                }
            };
            continue;
        }
        match block.as_deref() {
            None => {
                let name =
                    line.strip_prefix("<!-- file: ").and_then(|rest| rest.strip_suffix(" -->"));
                file = name.map(str::to_owned).or(file);
            }
            Some("console") => match line.strip_prefix("$ ") {
                Some(command) => page.examples.push(Example {
                    line: index + 1,
                    command: command.to_owned(),
                    output: Vec::new(),
                }),
                None => page.examples.last_mut().unwrap().output.push(line.to_owned()),
            },
            Some(_) => {
                if let (Some(_), Some((_, content))) = (&file, page.files.last_mut()) {
                    content.push_str(line);
                    content.push('\n');
                }
            }
        }
    }
    page
}

fn pages() -> Vec<PathBuf> {
    let dir = workspace().join("docs/guide");
    let mut pages: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.push(workspace().join("README.md"));
    pages.sort();
    pages
}

/// Runs a line of a page in `dir`; both streams together.
fn run(dir: &Path, command: &str) -> String {
    let bin = dir.join(".bin");
    let link = bin.join("oxish");
    if !link.exists() {
        std::fs::create_dir_all(&bin).unwrap();
        std::os::unix::fs::symlink(program("oxish").unwrap(), &link).unwrap();
    }
    let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display());
    let home = format!("HOME={}", dir.display());
    let words = ["env", "-i", "-C", &dir.display().to_string(), &path, &home]
        .map(str::to_owned)
        .into_iter()
        .chain(["LANG=C.UTF-8", "TZ=UTC", "LIBVIRT_DEFAULT_URI=test:///default"].map(str::to_owned))
        .chain(["sh", "-c"].map(str::to_owned))
        .chain([format!("exec 2>&1; {command}")]);
    Run::new(words).output().unwrap().stdout
}

/// Whether lines are as the page has them.
fn fits(page: &[String], found: &[&str]) -> bool {
    match (page.split_first(), found.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first.trim() == "…" => {
            (0..=found.len()).any(|skipped| fits(rest, &found[skipped..]))
        }
        (Some((first, rest)), Some((line, found))) => {
            let same = match first.strip_suffix('…') {
                Some(start) => line.starts_with(start),
                None => first == line,
            };
            same && fits(rest, found)
        }
        _ => false,
    }
}

/// The empty line that ends every command is not worth showing.
fn without_end<S: AsRef<str>>(lines: &[S]) -> &[S] {
    match lines.split_last() {
        Some((last, rest)) if last.as_ref().trim().is_empty() => without_end(rest),
        _ => lines,
    }
}

#[test]
fn examples_are_what_comes_out() {
    let mut count = 0;
    for path in pages() {
        let page = read(&path);
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in &page.files {
            let mut file = std::fs::File::create(dir.path().join(name)).unwrap();
            std::io::Write::write_all(&mut file, content.as_bytes()).unwrap();
        }
        for Example { line, command, output } in &page.examples {
            let found = run(dir.path(), command);
            let lines: Vec<&str> = found.lines().collect();
            assert!(
                fits(without_end(output), without_end(&lines)),
                "{}:{line}: {command}\n{found}",
                path.display()
            );
            count += 1;
        }
    }
    assert!(count > 40, "only {count} examples");
}

#[test]
fn every_command_has_an_example() {
    let page = read(&workspace().join("docs/guide/commands.md"));
    let shown: BTreeSet<&str> = page
        .examples
        .iter()
        .flat_map(|example| example.command.split([' ', ';', '\'', '"', '(', ')']))
        .collect();
    let help = Run::new([program("oxish").unwrap().as_os_str().to_owned(), "help".into()])
        .stdout()
        .unwrap();
    let commands = help.lines().filter_map(|line| line.strip_prefix("    "));
    let names: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 40, "{names:?}");
    for name in names {
        assert!(shown.contains(name), "{name} has no example in docs/guide/commands.md");
    }
}

#[test]
fn links_lead_somewhere() {
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let there = path.parent().unwrap().join(target);
            assert!(there.exists(), "{}: {target} is not there", path.display());
        }
    }
}
