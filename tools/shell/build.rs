//! Compiles the message catalogues of `po/` into tables that the shell searches.

#[expect(dead_code, reason = "the tests and `cargo xtask po` use the rest")]
#[path = "src/po.rs"]
mod po;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../po");
    let read = |name: &str| -> Result<String, Failure> {
        let path = dir.join(name);
        // cargo reads its instructions from standard output
        emit(&format!("cargo::rerun-if-changed={}", path.display()));
        Ok(std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?)
    };
    emit("cargo::rerun-if-changed=src/po.rs");
    let linguas = read("LINGUAS")?;
    let mut out = String::from("&[\n");
    for language in po::languages(&linguas) {
        let text = read(&format!("{language}.po"))?;
        let catalogue = po::parse(&text).map_err(|error| format!("{language}.po: {error}"))?;
        writeln!(out, "    ({language:?}, &[")?;
        // a map is sorted, as the search needs it
        for (id, translation) in catalogue {
            let fits = po::placeholders(&id) == po::placeholders(&translation);
            if !id.is_empty() && !translation.is_empty() {
                if !fits {
                    return Err(format!("{language}.po: other values than in {id:?}").into());
                }
                writeln!(out, "        ({id:?}, {translation:?}),")?;
            }
        }
        out.push_str("    ]),\n");
    }
    out.push_str("]\n");
    let path =
        PathBuf::from(std::env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join("catalogues.rs");
    #[expect(clippy::disallowed_methods, reason = "nobody reads it before the script has ended")]
    std::fs::write(path, out)?;
    Ok(())
}

fn emit(line: &str) {
    println!("{line}");
}
