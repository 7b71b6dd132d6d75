//! `cargo xtask po`: takes the marked texts out of the shell's sources and brings the catalogues up to date.
//!
//! `po/oxivirt.pot` is written anew. Each catalogue of `po/LINGUAS` keeps its translations, gets an empty
//! entry for a new text and loses what is not marked any more.

#[path = "../../shell/src/po.rs"]
mod catalogue;

use std::fs;
use std::path::Path;

use crate::process;
use crate::ui::{self, Failure};
use catalogue::{Catalogue, Marked};

const TEMPLATE_HEADER: &str = "Project-Id-Version: oxivirt\nMIME-Version: 1.0\n\
    Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n";

/// Runs the task.
pub(crate) fn run() -> Result<(), Failure> {
    let workspace = process::workspace();
    let mut marked = Marked::new();
    collect(&workspace, &workspace.join("tools/shell/src"), &mut marked)?;
    let dir = workspace.join("po");
    let template = catalogue::format(TEMPLATE_HEADER, &marked, &Catalogue::new());
    write(&dir.join("oxivirt.pot"), &template)?;
    ui::line(format!("oxivirt.pot: {} texts", marked.len()));
    let linguas = read(&dir.join("LINGUAS"))?;
    for language in catalogue::languages(&linguas) {
        let path = dir.join(format!("{language}.po"));
        let known = if path.is_file() {
            let text = read(&path)?;
            catalogue::parse(&text)
                .map_err(|error| Failure::new(format!("{language}.po: {error}")))?
        } else {
            Catalogue::new()
        };
        let fresh = format!("{TEMPLATE_HEADER}Language: {language}\n");
        let header = known.get("").cloned().unwrap_or(fresh);
        write(&path, &catalogue::format(&header, &marked, &known))?;
        let missing =
            marked.keys().filter(|id| known.get(*id).is_none_or(String::is_empty)).count();
        ui::line(format!("{language}.po: {missing} texts to translate"));
        for (id, translation) in known.iter().filter(|(id, _)| marked.contains_key(*id)) {
            if !translation.is_empty()
                && catalogue::placeholders(id) != catalogue::placeholders(translation)
            {
                return Err(Failure::new(format!("{language}.po: other values than in {id:?}")));
            }
        }
    }
    Ok(())
}

fn collect(workspace: &Path, dir: &Path, marked: &mut Marked) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", dir.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(workspace, &path, marked)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(workspace).unwrap_or(&path).display().to_string();
            catalogue::extract(&name, &read(&path)?, marked).map_err(Failure::new)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a file of a checkout, made anew by the next run"
    )]
    fs::write(path, text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}
