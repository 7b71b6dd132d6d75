//! Typed access to the settings of a file whose types have been checked.

use std::path::PathBuf;

use oxivirt_remote::serve::Authentication;
use oxivirt_sys::keyfile::{KeyFile, Type};

use super::{ConfigError, PortAuthentication, tables};

/// Reads the settings of a file.
pub(super) struct Reader<'a> {
    file: &'a KeyFile,
}

type Read<T> = Result<T, ConfigError>;

impl<'a> Reader<'a> {
    /// Checks the types of all settings first.
    ///
    /// # Errors
    /// [`ConfigError::KeyFile`]
    pub(super) fn new(file: &'a KeyFile) -> Read<Self> {
        tables::check(file)?;
        Ok(Self { file })
    }

    pub(super) fn refuse(&self, name: &'static str, reason: impl Into<String>) -> ConfigError {
        ConfigError::Value { file: self.file.name().to_owned(), name, reason: reason.into() }
    }

    pub(super) fn string(&self, name: &'static str) -> Read<Option<String>> {
        debug_assert!(tables::is_used(name, Type::String), "{name}");
        Ok(self.file.string(name)?.map(str::to_owned))
    }

    pub(super) fn path(&self, name: &'static str) -> Read<Option<PathBuf>> {
        Ok(self.string(name)?.map(PathBuf::from))
    }

    pub(super) fn strings(&self, name: &'static str) -> Read<Option<Vec<String>>> {
        debug_assert!(tables::is_used(name, Type::StringList), "{name}");
        let list = self.file.string_list(name)?;
        Ok(list.map(|list| list.into_iter().map(str::to_owned).collect()))
    }

    pub(super) fn int(&self, name: &'static str, default: i32) -> Read<i32> {
        debug_assert!(tables::is_used(name, Type::Int), "{name}");
        Ok(self.file.int(name)?.unwrap_or(default))
    }

    pub(super) fn uint(&self, name: &'static str, default: u32) -> Read<u32> {
        debug_assert!(tables::is_used(name, Type::Uint), "{name}");
        Ok(self.file.uint(name)?.unwrap_or(default))
    }

    pub(super) fn boolean(&self, name: &'static str, default: bool) -> Read<bool> {
        debug_assert!(tables::is_used(name, Type::Bool), "{name}");
        Ok(self.file.boolean(name)?.unwrap_or(default))
    }

    /// Permissions, as a string of octal digits.
    pub(super) fn mode(&self, name: &'static str, default: u32) -> Read<u32> {
        let Some(text) = self.string(name)? else { return Ok(default) };
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o7777);
        mode.ok_or_else(|| self.refuse(name, format!("Failed to parse mode '{text}'")))
    }

    /// A port number, as a string.
    pub(super) fn port(&self, name: &'static str, default: u16) -> Read<u16> {
        let Some(text) = self.string(name)? else { return Ok(default) };
        text.parse().map_err(|_| self.refuse(name, format!("'{text}' is not a port number")))
    }

    pub(super) fn authentication(&self, name: &'static str) -> Read<Option<Authentication>> {
        match self.string(name)?.as_deref() {
            None => Ok(None),
            Some("none") => Ok(Some(Authentication::None)),
            Some("polkit") => Ok(Some(Authentication::Polkit)),
            Some("sasl") => Err(self.refuse(name, "SASL is not supported")),
            Some(other) => Err(self.unsupported_auth(name, other)),
        }
    }

    pub(super) fn port_authentication(
        &self,
        name: &'static str,
    ) -> Read<Option<PortAuthentication>> {
        match self.string(name)?.as_deref() {
            None => Ok(None),
            Some("none") => Ok(Some(PortAuthentication::None)),
            Some("sasl") => Ok(Some(PortAuthentication::Sasl)),
            Some(other) => Err(self.unsupported_auth(name, other)),
        }
    }

    fn unsupported_auth(&self, name: &'static str, value: &str) -> ConfigError {
        let (file, value) = (self.file.name().to_owned(), value.to_owned());
        ConfigError::Authentication { file, name, value }
    }
}
