//! The client's configuration file, `libvirt.conf`: names for URIs and the default one.
//!
//! libvirt: `virConnectOpenFindURIAliasMatch`, `virConnectGetDefaultURI`, src/libvirt.c

use std::io::ErrorKind;
use std::path::PathBuf;

use oxivirt::{Error, ErrorCode, ErrorDomain, Result};
use oxivirt_util::keyfile::{KeyFile, Value};

use crate::environment::{Environment, Privilege};

/// The file's settings; none if there is no file.
#[derive(Debug, Default)]
pub(crate) struct ClientConfig {
    path: String,
    file: KeyFile,
}

fn syntax(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::CONF_SYNTAX, ErrorDomain::NONE, detail.into())
}

impl ClientConfig {
    /// Reads the file of the user who runs the shell.
    ///
    /// # Errors
    /// Number 33 with the place of a mistake; 38 for a file that cannot be read.
    pub(crate) fn of_user(environment: &Environment) -> Result<Self> {
        match path(environment) {
            Some(path) => Self::read(&path),
            None => Ok(Self::default()),
        }
    }

    fn read(path: &std::path::Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = match std::fs::read(path) {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(Self::default());
            }
            Err(error) => {
                let reason = crate::shell::errno_text(&error);
                let message = format!("Failed to open file '{name}': {reason}");
                return Err(Error::plain(ErrorCode::SYSTEM_ERROR, ErrorDomain::NONE, message));
            }
        };
        Self::parse(&name, &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let file = KeyFile::parse(name, text).map_err(|error| syntax(error.to_string()))?;
        Ok(Self { path: name.to_owned(), file })
    }

    /// The URI for users who name none.
    ///
    /// # Errors
    /// Number 1 if the setting is no text.
    pub(crate) fn uri_default(&self) -> Result<Option<String>> {
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

    /// What `name` stands for; itself if no alias has that name.
    ///
    /// # Errors
    /// Number 33 for a mistake in any alias before the one that fits.
    pub(crate) fn resolve(&self, name: &str) -> Result<String> {
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

fn path(environment: &Environment) -> Option<PathBuf> {
    if environment.privilege == Privilege::Root {
        return Some(PathBuf::from("/etc/libvirt/libvirt.conf"));
    }
    environment.config_home().map(|dir| dir.join("libvirt/libvirt.conf"))
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
