//! Character devices.

use serde::Deserialize;

use super::commands;

commands! {
    /// Character devices: `filename` of a pty is `pty:/dev/pts/N`.
    QueryChardev = "query-chardev" -> Vec<ChardevInfo> {}
}

/// A character device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChardevInfo {
    /// Its id.
    pub label: String,
    /// What it is connected to.
    pub filename: String,
    /// Whether the guest's side is open.
    #[serde(default)]
    pub frontend_open: bool,
}

impl ChardevInfo {
    /// The terminal, if it is one.
    ///
    /// ```
    /// # use oxivirt_qmp::command::ChardevInfo;
    /// let label = String::from("charserial0");
    /// let filename = String::from("pty:/dev/pts/3");
    /// let serial = ChardevInfo { label, filename, frontend_open: true };
    /// assert_eq!(serial.pty(), Some("/dev/pts/3"));
    /// ```
    #[must_use]
    pub fn pty(&self) -> Option<&str> {
        self.filename.strip_prefix("pty:")
    }
}
