//! Compiles the message catalogues of `po/` into tables that the shell searches.

#[expect(dead_code, reason = "the tests and `cargo xtask po` use the rest")]
#[path = "src/po.rs"]
mod po;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../po");
    emit("cargo::rerun-if-changed=src/po.rs");
    let linguas = read(&dir.join("LINGUAS"))?;
    let mut out = String::from("&[\n");
    for language in po::languages(&linguas) {
        push_catalogue(&mut out, &dir, language)
            .map_err(|error| format!("{language}.po: {error}"))?;
    }
    out.push_str("]\n");
    let path =
        PathBuf::from(std::env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join("catalogues.rs");
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo reads the file after the script has ended"
    )]
    std::fs::write(path, out)?;
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    emit(&format!("cargo::rerun-if-changed={}", path.display()));
    Ok(std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?)
}

fn push_catalogue(out: &mut String, dir: &Path, language: &str) -> Result<(), Failure> {
    let catalog = po::parse(&read(&dir.join(format!("{language}.po")))?)?;
    let rule = po::plural_rule(&catalog.metadata)?;
    writeln!(out, "    Catalogue {{ language: {language:?}, rule: PluralRule::{rule}, texts: &[")?;
    let mut ids: Vec<_> =
        catalog.messages().map(|message| (message.msgid(), message.msgid_plural().ok())).collect();
    // the shell searches by bisection
    ids.sort_unstable();
    for (id, plural) in ids {
        let forms = po::translations(&catalog, id, plural);
        let expected = po::placeholders(plural.unwrap_or(id));
        if forms.iter().any(|form| po::placeholders(form) != expected) {
            return Err(format!("the placeholders differ from those of {id:?}").into());
        }
        if !forms.is_empty() {
            writeln!(out, "        ({id:?}, &{forms:?}),")?;
        }
    }
    out.push_str("    ] },\n");
    Ok(())
}

/// Prints an instruction for cargo.
fn emit(line: &str) {
    println!("{line}");
}
