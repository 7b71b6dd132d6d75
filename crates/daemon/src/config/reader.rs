//! Settings one by one, and which of them nobody asked for.

use std::collections::BTreeSet;
use std::path::PathBuf;

use oxivirt_remote::serve::Authentication;
use oxivirt_sys::keyfile::{KeyFile, KeyFileError, Line};

use super::{ConfigError, PortAuthentication};

/// Reads the settings of a file.
pub(super) struct Reader<'a> {
    file: &'a KeyFile,
    known: BTreeSet<&'static str>,
}

type Read<T> = Result<T, ConfigError>;

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a KeyFile) -> Self {
        Self { file, known: BTreeSet::new() }
    }

    /// A setting may be there.
    pub(super) fn ignore(&mut self, name: &'static str) {
        self.known.insert(name);
    }

    /// What was found and never asked for.
    pub(super) fn unread(&self) -> Vec<String> {
        let names = self.file.lines().iter().filter_map(|line| match line {
            Line::Setting { name, .. } => Some(name.as_str()),
            _ => None,
        });
        names
            .filter(|name| !self.known.contains(name))
            .map(|name| format!("setting '{name}' is not known and has no effect"))
            .collect()
    }

    pub(super) fn refuse(&self, name: &'static str, reason: &str) -> ConfigError {
        // the file's name is in every error it makes itself
        let file = match self.file.string("\0").err() {
            Some(KeyFileError::Type { file, .. }) => file,
            _ => "configuration".to_owned(),
        };
        ConfigError::Value { file, name, reason: reason.to_owned() }
    }

    pub(super) fn string(&mut self, name: &'static str) -> Read<Option<String>> {
        self.known.insert(name);
        Ok(self.file.string(name)?.map(str::to_owned))
    }

    pub(super) fn path(&mut self, name: &'static str) -> Read<Option<PathBuf>> {
        Ok(self.string(name)?.map(PathBuf::from))
    }

    pub(super) fn strings(&mut self, name: &'static str) -> Read<Option<Vec<String>>> {
        self.known.insert(name);
        let list = self.file.string_list(name)?;
        Ok(list.map(|list| list.into_iter().map(str::to_owned).collect()))
    }

    pub(super) fn number(&mut self, name: &'static str, default: i64) -> Read<i64> {
        self.known.insert(name);
        Ok(self.file.integer(name)?.unwrap_or(default))
    }

    pub(super) fn optional_count(&mut self, name: &'static str) -> Read<Option<u32>> {
        self.known.insert(name);
        let Some(number) = self.file.integer(name)? else { return Ok(None) };
        u32::try_from(number).map(Some).map_err(|_| self.refuse(name, "must not be negative"))
    }

    pub(super) fn count(&mut self, name: &'static str, default: u32) -> Read<u32> {
        Ok(self.optional_count(name)?.unwrap_or(default))
    }

    pub(super) fn flag(&mut self, name: &'static str, default: bool) -> Read<bool> {
        Ok(self.number(name, i64::from(default))? != 0)
    }

    /// Permissions, as a string of octal digits.
    pub(super) fn mode(&mut self, name: &'static str, default: u32) -> Read<u32> {
        let Some(text) = self.string(name)? else { return Ok(default) };
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o7777);
        mode.ok_or_else(|| self.refuse(name, &format!("Failed to parse mode '{text}'")))
    }

    pub(super) fn port(&mut self, name: &'static str, default: u16) -> Read<u16> {
        let Some(text) = self.string(name)? else { return Ok(default) };
        text.parse().map_err(|_| self.refuse(name, &format!("'{text}' is no port")))
    }

    pub(super) fn authentication(&mut self, name: &'static str) -> Read<Option<Authentication>> {
        match self.string(name)?.as_deref() {
            None => Ok(None),
            Some("none") => Ok(Some(Authentication::None)),
            Some("polkit") => Ok(Some(Authentication::Polkit)),
            Some("sasl") => Err(self.refuse(name, "SASL is not supported")),
            Some(other) => Err(self.refuse(name, &format!("unsupported auth {other}"))),
        }
    }

    pub(super) fn port_authentication(
        &mut self,
        name: &'static str,
    ) -> Read<Option<PortAuthentication>> {
        match self.string(name)?.as_deref() {
            None => Ok(None),
            Some("none") => Ok(Some(PortAuthentication::None)),
            Some("sasl") => Ok(Some(PortAuthentication::Sasl)),
            Some(other) => Err(self.refuse(name, &format!("unsupported auth {other}"))),
        }
    }
}
