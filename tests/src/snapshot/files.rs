//! Files below a directory.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use crate::error::{Error, Result};

use super::Section;

/// Adds every file below `root`: kind, mode, owner, and size and hash of the contents.
pub(super) fn collect(root: &Path, facts: &mut BTreeMap<(Section, String), String>) -> Result<()> {
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).map_err(Error::file(&directory))? {
            let path = entry.map_err(Error::file(&directory))?.path();
            let Some(fact) = describe(&path)? else {
                continue;
            };
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            if fact.starts_with("directory") {
                directories.push(path);
            }
            facts.insert((Section::File, name), fact);
        }
    }
    Ok(())
}

/// `None` if the file is gone by now.
fn describe(path: &Path) -> Result<Option<String>> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(Error::file(path))?,
    };
    let owner = format!("{:04o} {}:{}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
    let kind = metadata.file_type();
    Ok(Some(if kind.is_dir() {
        format!("directory {owner}")
    } else if kind.is_symlink() {
        let target = fs::read_link(path).map_err(Error::file(path))?;
        format!("link to {}", target.display())
    } else if kind.is_socket() {
        format!("socket {owner}")
    } else if path.extension().is_some_and(|extension| extension == "pid") {
        // Its contents are a number that no other run has.
        format!("pid file {owner}")
    } else {
        let bytes = fs::read(path).map_err(Error::file(path))?;
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        format!("file {owner}, {} bytes, {:016x}", bytes.len(), hasher.finish())
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::TempRoot;

    fn facts(root: &TempRoot) -> Vec<(String, String)> {
        let mut facts = BTreeMap::new();
        collect(root.path(), &mut facts).unwrap();
        facts.into_iter().map(|((_, name), fact)| (name, fact)).collect()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a file for the test itself")]
    fn contents_modes_and_links_show() {
        let root = TempRoot::new().unwrap();
        assert!(facts(&root).is_empty());
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/f"), "one").unwrap();
        symlink("d/f", root.join("l")).unwrap();
        let first = facts(&root);
        let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["d", "d/f", "l"]);
        assert_eq!(first[2].1, "link to d/f");
        assert_eq!(first, facts(&root));
        fs::write(root.join("d/f"), "two").unwrap();
        let second = facts(&root);
        assert_ne!(first, second);
        fs::set_permissions(root.join("d/f"), fs::Permissions::from_mode(0o600)).unwrap();
        assert_ne!(second, facts(&root));
    }
}
