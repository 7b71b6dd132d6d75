//! What `cargo metadata` says of the workspace and of the packages it uses.

use serde_json::Value;

use crate::process::Call;
use crate::ui::Failure;

/// The workspace and its dependencies as `Cargo.lock` has them.
#[derive(Debug)]
pub(crate) struct Metadata {
    /// Sorted by name.
    pub(crate) members: Vec<Package>,
    /// Packages of a registry, sorted by name.
    pub(crate) dependencies: Vec<Package>,
}

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// `rust-version`, as major and minor.
    pub(crate) rust: Option<(u32, u32)>,
    /// Names of features, `default` among them.
    pub(crate) features: Vec<String>,
    /// Names of example targets.
    pub(crate) examples: Vec<String>,
    /// Names of integration tests.
    pub(crate) tests: Vec<String>,
    /// The directory of its manifest.
    pub(crate) directory: String,
}

impl Metadata {
    /// # Errors
    /// `cargo metadata` fails, for example because `Cargo.lock` is out of date.
    pub(crate) fn load() -> Result<Self, Failure> {
        let text = Call::cargo(&["metadata", "--format-version", "1", "--locked"]).capture()?;
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| Failure::new(format!("cargo metadata: {error}")))?;
        let packages = value.get("packages").and_then(Value::as_array);
        let (mut members, mut dependencies) = (Vec::new(), Vec::new());
        for package in packages.into_iter().flatten() {
            let list = match package.get("source") {
                Some(Value::String(_)) => &mut dependencies,
                _ => &mut members,
            };
            list.push(Package::read(package));
        }
        members.sort_by(|a: &Package, b| a.name.cmp(&b.name));
        dependencies.sort_by(|a: &Package, b| a.name.cmp(&b.name));
        Ok(Self { members, dependencies })
    }
}

impl Package {
    fn read(value: &Value) -> Self {
        let manifest = text(value, "manifest_path");
        let targets = |kind| {
            let all = value.get("targets").and_then(Value::as_array);
            let chosen = all.into_iter().flatten().filter(move |target| is_kind(target, kind));
            chosen.map(|target| text(target, "name")).collect()
        };
        let features = value.get("features").and_then(Value::as_object);
        Self {
            name: text(value, "name"),
            version: text(value, "version"),
            rust: version(&text(value, "rust_version")),
            features: features.into_iter().flat_map(|map| map.keys().cloned()).collect(),
            examples: targets("example"),
            tests: targets("test"),
            directory: manifest.trim_end_matches("/Cargo.toml").to_owned(),
        }
    }

    /// Whether `name` is its name, that without `oxivirt-`, or its directory's.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name
            || self.name.strip_prefix("oxivirt-") == Some(name)
            || self.directory.rsplit('/').next() == Some(name)
    }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn is_kind(target: &Value, wanted: &str) -> bool {
    let kinds = target.get("kind").and_then(Value::as_array);
    kinds.into_iter().flatten().any(|kind| kind == wanted)
}

/// Major and minor of a version such as `1.88` or `1.88.0`.
pub(crate) fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("1.88"), Some((1, 88)));
        assert_eq!(version("1.88.2"), Some((1, 88)));
        assert_eq!(version("1"), None);
        assert_eq!(version(""), None);
    }

    #[test]
    fn package_is_read() {
        let value = serde_json::json!({
            "name": "oxivirt-nft", "version": "0.1.0", "rust_version": "1.88",
            "manifest_path": "/w/crates/nft/Cargo.toml",
            "features": { "default": [], "json": [] },
            "targets": [{ "name": "text", "kind": ["example"] }, { "name": "x", "kind": ["lib"] },
                        { "name": "rules", "kind": ["test"] }],
        });
        let package = Package::read(&value);
        assert_eq!(package.rust, Some((1, 88)));
        assert_eq!(package.features, ["default", "json"]);
        assert_eq!(package.examples, ["text"]);
        assert_eq!(package.tests, ["rules"]);
        assert!(package.is_called("nft") && package.is_called("oxivirt-nft"));
        assert!(!package.is_called("crates"));
    }
}
