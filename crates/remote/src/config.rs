//! The client's configuration file, `libvirt.conf`: names for URIs and the default one.
//!
//! libvirt: `virConnectOpenFindURIAliasMatch`, `virConnectGetDefaultURI`, src/libvirt.c

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use oxivirt::{Error, ErrorCode, ErrorDomain, Result};
use oxivirt_sys::keyfile::{KeyFile, Value};

use crate::client::Environment;

/// The file's settings; none if there is no file.
#[derive(Debug, Default)]
pub struct ClientConfig {
    path: String,
    file: KeyFile,
}

fn syntax(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::CONF_SYNTAX, ErrorDomain::NONE, detail.into())
}

impl ClientConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ErrorCode::CONF_SYNTAX`] with the position of a mistake, [`ErrorCode::SYSTEM_ERROR`] if the file
    /// cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = match std::fs::read(path) {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(Self::default());
            }
            Err(error) => {
                let what = format!("Failed to open file '{name}'");
                return Err(Error::io(ErrorDomain::NONE, &error, what));
            }
        };
        Self::parse(&name, &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let file = KeyFile::parse(name, text).map_err(|error| syntax(error.to_string()))?;
        Ok(Self { path: name.to_owned(), file })
    }

    /// The URI to open if the user gives none (`uri_default`).
    ///
    /// # Errors
    /// [`ErrorCode::INTERNAL_ERROR`] if the setting is not a string.
    pub fn uri_default(&self) -> Result<Option<String>> {
        match self.file.value("uri_default") {
            None => Ok(None),
            Some(Value::String(uri)) => Ok(Some(uri.clone()).filter(|uri| !uri.is_empty())),
            Some(_) => {
                let path = &self.path;
                let detail = format!("{path}: expected a string for 'uri_default' parameter");
                Err(Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::CONF, detail))
            }
        }
    }

    /// The URI with the alias `name`, or `name` itself if there is no such alias (`uri_aliases`).
    ///
    /// # Errors
    /// [`ErrorCode::CONF_SYNTAX`] for a malformed alias before the one that matches,
    /// [`ErrorCode::INTERNAL_ERROR`] if the setting is not a list of strings.
    pub fn resolve(&self, name: &str) -> Result<String> {
        let aliases: &[Value] = match self.file.value("uri_aliases") {
            None => &[],
            Some(Value::List(aliases)) => aliases,
            Some(single @ Value::String(_)) => std::slice::from_ref(single),
            Some(_) => {
                let path = &self.path;
                let detail = format!("{path}: expected a string list for 'uri_aliases' parameter");
                return Err(Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::CONF, detail));
            }
        };
        for alias in aliases {
            let Value::String(entry) = alias else { continue };
            let malformed = |what: &str| {
                Err(syntax(format!("Malformed 'uri_aliases' config entry '{entry}', {what}")))
            };
            let Some((alias, uri)) = entry.split_once('=') else {
                return malformed("expected 'alias=uri://host/path'");
            };
            if !alias.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
                return malformed("aliases may only contain 'a-Z, 0-9, _, -'");
            }
            if alias == name {
                return Ok(uri.to_owned());
            }
        }
        Ok(name.to_owned())
    }
}

/// The URI that `name` means to the user of a program: an alias or itself; without a name, and with an empty
/// one, what `LIBVIRT_DEFAULT_URI` or `uri_default` says, else this host's networks, or the user's own
/// without privileges.
///
/// # Errors
/// Those of [`ClientConfig`].
///
/// libvirt 11.3.0: `virConnectGetDefaultURI`, `virConnectOpenInternal`, src/libvirt.c
pub fn uri(name: Option<&str>, environment: &Environment) -> Result<String> {
    let config = match path(environment) {
        Some(path) => ClientConfig::read(&path)?,
        None => ClientConfig::default(),
    };
    let filled = |uri: &&str| !uri.is_empty();
    let named = name.filter(filled).map(str::to_owned);
    let named = named.or_else(|| environment.text("LIBVIRT_DEFAULT_URI"));
    let named = match named {
        Some(uri) => Some(uri),
        None => config.uri_default()?,
    };
    let scope = if environment.is_root { "system" } else { "session" };
    config.resolve(&named.unwrap_or_else(|| format!("network:///{scope}")))
}

/// Where the file is: the system's for root, else in the user's configuration.
fn path(environment: &Environment) -> Option<PathBuf> {
    if environment.is_root {
        return Some(PathBuf::from("/etc/libvirt/libvirt.conf"));
    }
    let named = environment.text("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(environment.text("HOME")?).join(".config"));
    let home = named.filter(|path| path.is_absolute()).or_else(home)?;
    Some(home.join("libvirt/libvirt.conf"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, name: &str, expect: std::result::Result<&str, &str>) {
        let found = ClientConfig::parse("f.conf", text).and_then(|config| config.resolve(name));
        let found = found.map_err(|error| error.message().to_owned());
        assert_eq!(found, expect.map(str::to_owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn aliases() {
        check("", "lab", Ok("lab"));
        let lab = "uri_aliases = [ \"lab=network+ssh://lab/system\", \"m=test:///default\" ]";
        check(lab, "lab", Ok("network+ssh://lab/system"));
        check(lab, "m", Ok("test:///default"));
        check(lab, "x", Ok("x"));
        let broken = "uri_aliases = [ \"a=b\", \"lab\", \"c d=e\" ]";
        check(broken, "a", Ok("b"));
        let syntax = "configuration file syntax error: Malformed 'uri_aliases' config entry ";
        let no_sign = format!("{syntax}'lab', expected 'alias=uri://host/path'");
        check(broken, "test:///default", Err(&no_sign));
        let letters = format!("{syntax}'c d=e', aliases may only contain 'a-Z, 0-9, _, -'");
        check("uri_aliases = [ \"c d=e\" ]", "a", Err(&letters));
        check(
            "uri_aliases = [",
            "a",
            Err("configuration file syntax error: f.conf:1: list is not closed with ]"),
        );
    }

    #[test]
    fn what_a_name_means() {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("libvirt/libvirt.conf");
        std::fs::create_dir(conf.parent().unwrap()).unwrap();
        let text = "uri_default = \"lab\"\nuri_aliases = [ \"lab=network+tcp://lab/system\" ]";
        oxivirt_sys::file::replace(
            &conf,
            text.as_bytes(),
            0o600,
            oxivirt_sys::file::Durability::Regenerated,
        )
        .unwrap();
        let environment = |config_home: &str, default: &str| Environment {
            variables: [("XDG_CONFIG_HOME", config_home), ("LIBVIRT_DEFAULT_URI", default)]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            is_root: false,
        };
        let home = dir.path().to_str().unwrap();
        let with_file = environment(home, "");
        assert_eq!(uri(Some("lab"), &with_file).unwrap(), "network+tcp://lab/system");
        assert_eq!(uri(None, &with_file).unwrap(), "network+tcp://lab/system");
        assert_eq!(uri(Some("test:///x"), &with_file).unwrap(), "test:///x");
        assert_eq!(uri(None, &environment(home, "test:///y")).unwrap(), "test:///y");
        assert_eq!(uri(Some(""), &environment("/none", "")).unwrap(), "network:///session");
    }

    #[test]
    fn default() {
        let config = ClientConfig::parse("f.conf", "uri_default = \"lab\"").unwrap();
        assert_eq!(config.uri_default().unwrap().as_deref(), Some("lab"));
        let config = ClientConfig::parse("f.conf", "uri_default = 3").unwrap();
        assert_eq!(
            config.uri_default().unwrap_err().message(),
            "internal error: f.conf: expected a string for 'uri_default' parameter"
        );
    }
}
