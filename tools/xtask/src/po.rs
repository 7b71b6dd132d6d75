//! `cargo xtask po`: takes the marked texts out of the shell's sources and brings the catalogues up to date.
//!
//! `po/oxivirt.pot` is written anew. Each catalogue of `po/LINGUAS` keeps its translations, gets an empty
//! entry for a new text and loses what is not marked any more.

#[expect(dead_code, reason = "the shell's build script uses the rest")]
#[path = "../../shell/src/po.rs"]
mod catalogue;

use std::fs;
use std::path::Path;

use polib::catalog::Catalog;
use polib::metadata::CatalogMetadata;

use crate::process;
use crate::ui::{self, Failure};
use catalogue::MarkedTexts;

/// Runs the task.
pub(crate) fn run() -> Result<(), Failure> {
    let workspace = process::workspace();
    let mut texts = MarkedTexts::new();
    collect(&workspace, &workspace.join("tools/shell/src"), &mut texts)?;
    let dir = workspace.join("po");
    let none = Catalog::new(metadata(""));
    save(&dir.join("oxivirt.pot"), &catalogue::merge(&none.metadata, &texts, &none))?;
    ui::line(format!("oxivirt.pot: {} texts", texts.len()));
    let linguas = read(&dir.join("LINGUAS"))?;
    for language in catalogue::languages(&linguas) {
        let path = dir.join(format!("{language}.po"));
        let known = if path.is_file() {
            catalogue::parse(&read(&path)?)
                .map_err(|error| Failure::new(format!("{language}.po: {error}")))?
        } else {
            Catalog::new(metadata(language))
        };
        let merged = catalogue::merge(&known.metadata, &texts, &known);
        save(&path, &merged)?;
        let mut missing = 0;
        for (id, marked) in &texts {
            let forms = catalogue::translations(&merged, id, marked.plural.as_deref());
            missing += usize::from(forms.is_empty());
            let expected = catalogue::placeholders(marked.plural.as_deref().unwrap_or(id));
            if forms.iter().any(|form| catalogue::placeholders(form) != expected) {
                let what = format!("{language}.po: the placeholders differ from those of {id:?}");
                return Err(Failure::new(what));
            }
        }
        ui::line(format!("{language}.po: {missing} texts to translate"));
    }
    Ok(())
}

fn metadata(language: &str) -> CatalogMetadata {
    CatalogMetadata {
        project_id_version: "oxivirt".to_owned(),
        mime_version: "1.0".to_owned(),
        content_type: "text/plain; charset=UTF-8".to_owned(),
        content_transfer_encoding: "8bit".to_owned(),
        language: language.to_owned(),
        ..CatalogMetadata::default()
    }
}

fn save(path: &Path, catalog: &Catalog) -> Result<(), Failure> {
    let text = catalogue::format(catalog)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    write(path, &text)
}

fn collect(workspace: &Path, dir: &Path, texts: &mut MarkedTexts) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", dir.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(workspace, &path, texts)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(workspace).unwrap_or(&path).display().to_string();
            catalogue::extract(&name, &read(&path)?, texts).map_err(Failure::new)?;
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
