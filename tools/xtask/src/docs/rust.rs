//! Names of Rust items: `network::plan::nftables`, `Connect::open`, `oxivirt_remote::client::register`.

use super::known::Known;

/// Words in front of the name of an item.
const KEYWORDS: [&str; 11] = [
    "fn",
    "struct",
    "enum",
    "trait",
    "mod",
    "type",
    "const",
    "static",
    "union",
    "macro_rules!",
    "use",
];

/// # Errors
/// No crate of the workspace has the item.
pub(super) fn path(known: &Known, text: &str) -> Result<(), String> {
    let (plain, _) = text.split_once(['<', '(', ' ']).unwrap_or((text, ""));
    let parts: Vec<&str> = plain.trim_end_matches("::*").split("::").collect();
    let Some((first, rest)) = parts.split_first() else { return Ok(()) };
    if first.contains(['/', '-', '.']) {
        return test(known, text);
    }
    let is_foreign = known.dependencies.contains(*first) || matches!(*first, "std" | "core");
    if is_foreign && !is_ours(known, first) {
        return Ok(());
    }
    let modules = starts(known, first);
    if modules.iter().any(|module| resolve(known, module, rest)) {
        return Ok(());
    }
    let is_type = first.starts_with(|letter: char| letter.is_ascii_uppercase());
    if is_type && known.sources.values().any(|code| defines(code, first) && has_members(code, rest))
    {
        return Ok(());
    }
    Err(format!("`{text}`: no crate has this item"))
}

/// A test named by file and function: `tests/tests/guide.rs::links_resolve`.
pub(super) fn test(known: &Known, text: &str) -> Result<(), String> {
    let (file, item) = text.split_once("::").unwrap_or((text, ""));
    let Some(code) = known.sources.get(file) else {
        return Err(format!("`{text}`: {file} does not exist"));
    };
    let name = item.rsplit("::").next().unwrap_or(item);
    if item.is_empty() || code.contains(&format!("fn {name}(")) {
        Ok(())
    } else {
        Err(format!("`{text}`: {file} has no function {name}"))
    }
}

fn is_ours(known: &Known, crate_name: &str) -> bool {
    known.packages.contains_key(&crate_name.replace('_', "-"))
}

/// Where a path that begins with `first` may begin: files without `.rs`, directories without `/`.
fn starts(known: &Known, first: &str) -> Vec<String> {
    let mut found = Vec::new();
    let package = first.replace('_', "-");
    for (name, directory) in &known.packages {
        let is_called = *name == package || directory.rsplit('/').next() == Some(first);
        if is_called {
            found.push(format!("{directory}/src"));
        }
    }
    let (file, index) = (format!("/{first}.rs"), format!("/{first}/mod.rs"));
    let main = format!("/{first}/main.rs");
    for path in known.sources.keys() {
        let module = path.strip_suffix(&file).or_else(|| path.strip_suffix(&index));
        if let Some(directory) = module.or_else(|| path.strip_suffix(&main)) {
            found.push(format!("{directory}/{first}"));
        }
    }
    found
}

/// Whether the module has the item that the rest of the path names.
fn resolve(known: &Known, module: &str, rest: &[&str]) -> bool {
    let Some((next, after)) = rest.split_first() else { return true };
    let deeper = format!("{module}/{next}");
    let is_module =
        known.sources.contains_key(&format!("{deeper}.rs")) || known.paths.contains(&deeper);
    if is_module {
        return resolve(known, &deeper, after);
    }
    let own = ["", "/lib", "/mod", "/main"].map(|end| format!("{module}{end}.rs"));
    own.iter().filter_map(|path| known.sources.get(path)).any(|code| {
        defines(code, next) && has_members(code, after)
            // An item that is re-exported has its members elsewhere.
            || exports(code, next)
    })
}

/// Whether the code has an item of this name, or an `enum` variant if it is a type's.
fn defines(code: &str, name: &str) -> bool {
    let mut words = code.split(|letter: char| !letter.is_alphanumeric() && !"_!".contains(letter));
    let mut last = "";
    words.any(|word| {
        let is_item = word == name && KEYWORDS.contains(&last);
        if !word.is_empty() {
            last = word;
        }
        is_item
    })
}

/// Whether a re-export has this name, not only a path through it.
fn exports(code: &str, name: &str) -> bool {
    ["pub use ", "pub(crate) use "]
        .iter()
        .flat_map(|keyword| code.split(keyword).skip(1))
        .filter_map(|rest| rest.split(';').next())
        .any(|names| has_word(names, name) && !names.contains(&format!("{name}::")))
}

/// Members, variants and inner items: whether the words occur.
fn has_members(code: &str, names: &[&str]) -> bool {
    names.iter().all(|name| has_word(code, name))
}

fn has_word(code: &str, name: &str) -> bool {
    code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_by_their_keyword() {
        let code = "pub(crate) fn plan(a: u8) {}\nenum Kind { Start }\nlet stop = plan;\n";
        assert!(defines(code, "plan") && defines(code, "Kind"));
        assert!(!defines(code, "stop"), "a variable is no item");
        assert!(exports("pub use crate::a::{B, c};", "c") && !exports("use crate::a::c;", "c"));
    }
}
