//! Environment variables and identity of the process, read once at the start.
//!
//! No other module reads them, so a test can supply its own.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// Whether the process runs as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privilege {
    Root,
    User,
}

/// Environment variables and identity of the process.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    variables: BTreeMap<OsString, OsString>,
    pub(crate) privilege: Privilege,
    /// Home directory of the account, read if `HOME` is not set.
    account_home: Option<PathBuf>,
}

impl Environment {
    /// The environment of this process.
    pub(crate) fn of_process() -> Self {
        let uid = nix::unistd::Uid::effective();
        let variables: BTreeMap<_, _> = std::env::vars_os().collect();
        // the account database may be remote and slow: it is queried only when needed
        let account_home = match variables.get(OsStr::new("HOME")) {
            Some(_) => None,
            None => nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.dir),
        };
        let privilege = if uid.is_root() { Privilege::Root } else { Privilege::User };
        Self { variables, privilege, account_home }
    }

    /// A variable, even if it is empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// A variable as text, `None` if it is not UTF-8.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.variable(name)?.to_str()
    }

    /// A variable as text, `None` if it is empty.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// The directory for files that can be regenerated.
    pub(crate) fn cache_home(&self) -> Option<PathBuf> {
        self.base("XDG_CACHE_HOME", ".cache")
    }

    /// The environment as the client library takes it.
    pub(crate) fn of_client(&self) -> oxivirt_remote::client::Environment {
        let mut variables = self.variables.clone();
        if let Some(home) = self.home() {
            variables.entry("HOME".into()).or_insert_with(|| home.into());
        }
        let is_root = self.privilege == Privilege::Root;
        oxivirt_remote::client::Environment { variables, is_root }
    }

    /// XDG base directory specification: a relative path is ignored.
    fn base(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let named = self.variable(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        named.or_else(|| Some(self.home()?.join(below_home)))
    }

    /// The home directory.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").map(PathBuf::from).or_else(|| self.account_home.clone())
    }
}
