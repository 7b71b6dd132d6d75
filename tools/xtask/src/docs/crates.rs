//! Every library crate: an example that its documentation names, and the metadata of a package.

use std::fs;
use std::path::Path;

use super::known::Known;
use super::{Found, read};
use crate::ui::Failure;

/// Crates without an example, and why.
const WITHOUT_EXAMPLE: [(&str, &str); 1] =
    [("crates/qemu", "its only module changes the owner of files, which needs root")];
/// Keys of a manifest, own or inherited.
const KEYS: [&str; 6] = ["description", "license", "authors", "readme", "keywords", "categories"];

/// # Errors
/// A file cannot be read.
pub(super) fn check(root: &Path, known: &Known, found: &mut Found) -> Result<(), Failure> {
    for directory in known.packages.values().filter(|path| path.starts_with("crates/")) {
        let manifest = format!("{directory}/Cargo.toml");
        let text = known.sources.get(&manifest).map(String::as_str).unwrap_or_default();
        for key in KEYS {
            let result = match has_key(text, key) {
                true => Ok(()),
                false => Err(format!("no `{key}`")),
            };
            found.result(&manifest, 1, result);
        }
        let library = format!("{directory}/src/lib.rs");
        if known.paths.contains(&library) {
            let examples = examples(&root.join(directory));
            let head = module_documentation(&read(&root.join(&library))?);
            found.result(&library, 1, example(directory, &examples, &head));
        }
    }
    Ok(())
}

/// Whether the package table has the key.
fn has_key(manifest: &str, key: &str) -> bool {
    let package = manifest.split("\n[").next().unwrap_or_default();
    package
        .lines()
        .any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '.'])))
}

/// File names of the examples.
fn examples(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory.join("examples")).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".rs")).collect()
}

fn module_documentation(code: &str) -> String {
    code.lines().take_while(|line| line.starts_with("//!")).collect::<Vec<_>>().join("\n")
}

fn example(directory: &str, examples: &[String], head: &str) -> Result<(), String> {
    let exception = WITHOUT_EXAMPLE.iter().find(|(name, _)| *name == directory);
    match (examples, exception) {
        ([], Some(_)) => Ok(()),
        ([], None) => Err("the crate has no example".to_owned()),
        (_, Some((_, reason))) => {
            Err(format!("the crate has an example now; it is excepted because {reason}"))
        }
        (examples, None) => {
            match examples.iter().find(|name| !head.contains(&format!("`examples/{name}`"))) {
                None => Ok(()),
                Some(name) => Err(format!("the documentation does not name `examples/{name}`")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_package() {
        let manifest =
            "[package]\nname = \"x\"\nreadme.workspace = true\n\n[features]\nkeywords = []";
        assert!(has_key(manifest, "readme") && has_key(manifest, "name"));
        assert!(!has_key(manifest, "keywords") && !has_key(manifest, "read"));
    }

    #[test]
    fn every_example_is_named() {
        let names = |names: &[&str]| names.iter().copied().map(str::to_owned).collect::<Vec<_>>();
        let head = module_documentation("//! A crate.\n//!\n//! See `examples/a.rs`.\n\nmod x;");
        assert_eq!(example("crates/x", &names(&["a.rs"]), &head), Ok(()));
        assert!(example("crates/x", &names(&["a.rs", "b.rs"]), &head).is_err());
        assert!(example("crates/x", &[], &head).is_err());
        assert_eq!(example("crates/qemu", &[], &head), Ok(()));
        assert!(example("crates/qemu", &names(&["a.rs"]), &head).is_err());
    }
}
