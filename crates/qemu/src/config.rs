//! `qemu.conf`: the driver's own settings.

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use oxivirt::{Error, ErrorCode, ErrorDomain, Result};
use oxivirt_launch::Credentials;
use oxivirt_sys::file;
use oxivirt_sys::keyfile::{KeyFile, KeyFileError};

use crate::error;
use crate::layout::Layout;
use crate::store::StoreError;

/// User and group of guest processes unless the settings name others, as Debian has them.
const USER: &str = "libvirt-qemu";
/// Size limit of the file, in bytes.
const LIMIT: u64 = 1 << 20;

/// What an administrator set, resolved. Keys that are not known are left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// User and groups of guest processes; `None` keeps the driver's.
    pub(crate) credentials: Option<Credentials>,
    /// Whether files that a guest uses belong to its user as long as it runs.
    pub(crate) dynamic_ownership: bool,
    /// Whether a guest process has a `/dev` of its own.
    pub(crate) has_mount_namespace: bool,
    /// Whether the driver is the host's and may do what only root may.
    pub(crate) is_privileged: bool,
    /// Address that VNC displays listen on.
    pub(crate) vnc_listen: String,
    /// Whether QEMU restricts its system calls; `None` leaves it to the driver.
    pub(crate) seccomp_sandbox: Option<bool>,
}

impl Config {
    /// The settings of a driver, which has them from a file that may be missing.
    ///
    /// # Errors
    /// The file breaks the grammar, a setting has the wrong type, or the named user does not exist.
    pub(crate) fn load(layout: &Layout) -> Result<Self> {
        let path = layout.settings();
        let content = file::read(&path, LIMIT).map_err(|e| error::store(&StoreError::from(e)))?;
        let text = String::from_utf8_lossy(content.as_deref().unwrap_or_default()).into_owned();
        let keys =
            KeyFile::parse(&path.to_string_lossy(), &text).map_err(|error| file_error(&error))?;
        let is_privileged = rustix::process::geteuid().is_root() && layout.hooks_dir().is_some();
        let credentials = if is_privileged { credentials(&keys)? } else { None };
        let read = |result: std::result::Result<Option<bool>, _>| {
            result.map_err(|error| file_error(&error))
        };
        let namespaces = keys.string_list("namespaces").map_err(|error| file_error(&error))?;
        let has_mount = namespaces.is_none_or(|names| names.contains(&"mount"));
        let sandbox = keys.int("seccomp_sandbox").map_err(|error| file_error(&error))?;
        let listen = keys.string("vnc_listen").map_err(|error| file_error(&error))?;
        Ok(Self {
            credentials,
            dynamic_ownership: read(keys.boolean("dynamic_ownership"))?.unwrap_or(true),
            has_mount_namespace: is_privileged && has_mount,
            is_privileged,
            vnc_listen: listen.unwrap_or("127.0.0.1").to_owned(),
            seccomp_sandbox: sandbox.filter(|value| *value >= 0).map(|value| value > 0),
        })
    }
}

fn file_error(error: &KeyFileError) -> Error {
    let code = ErrorCode(error.code());
    Error::new(code, ErrorDomain::CONF, error.to_string())
}

/// The user and group that guests run as.
fn credentials(keys: &KeyFile) -> Result<Option<Credentials>> {
    let user = keys.string("user").map_err(|error| file_error(&error))?;
    let group = keys.string("group").map_err(|error| file_error(&error))?;
    let Some((uid, primary, name)) = find_user(user.unwrap_or(USER)) else {
        let Some(user) = user else {
            tracing::warn!(user = USER, "no such user: guests run as the driver's user");
            return Ok(None);
        };
        return Err(unknown("user", user));
    };
    let gid = match group {
        Some(group) => find_group(group).ok_or_else(|| unknown("group", group))?,
        None => find_group(USER).unwrap_or(uid),
    };
    if uid == 0 {
        return Ok(None);
    }
    // The primary group counts too: Debian's is that of `/dev/kvm`.
    let groups = name
        .and_then(|name| std::ffi::CString::new(name).ok())
        .and_then(|name| getgrouplist(&name, Gid::from_raw(primary.unwrap_or(gid))).ok())
        .unwrap_or_default();
    let mut groups: Vec<u32> = groups.into_iter().map(Gid::as_raw).chain([gid]).collect();
    groups.sort_unstable();
    groups.dedup();
    Ok(Some(Credentials { uid, gid, groups }))
}

fn unknown(what: &str, name: &str) -> Error {
    let detail = format!("Failed to look up {what} '{name}'");
    Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::QEMU, detail)
}

/// A user by name, or by number behind a plus sign or alone: number, primary group, name.
fn find_user(word: &str) -> Option<(u32, Option<u32>, Option<String>)> {
    let of = |user: User| (user.uid.as_raw(), Some(user.gid.as_raw()), Some(user.name));
    if let Ok(Some(user)) = User::from_name(word) {
        return Some(of(user));
    }
    let uid = word.strip_prefix('+').unwrap_or(word).parse().ok()?;
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => Some(of(user)),
        _ => Some((uid, None, None)),
    }
}

fn find_group(word: &str) -> Option<u32> {
    match Group::from_name(word) {
        Ok(Some(group)) => Some(group.gid.as_raw()),
        _ => word.strip_prefix('+').unwrap_or(word).parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::below(dir.path());
        let path = layout.settings();
        file::create_dir(path.parent().unwrap()).unwrap();
        let durability = file::Durability::Regenerated;
        file::replace(&path, text.as_bytes(), 0o600, durability).unwrap();
        Config::load(&layout)
    }

    #[test]
    fn settings_and_their_defaults() {
        let config = load("").unwrap();
        assert!(config.dynamic_ownership && config.seccomp_sandbox.is_none());
        assert_eq!(config.vnc_listen, "127.0.0.1");
        let text = "dynamic_ownership = 0\nnamespaces = []\nvnc_listen = \"0.0.0.0\"\n\
                    seccomp_sandbox = 0\nuser = \"+0\"\ngroup = \"+0\"\n";
        let config = load(text).unwrap();
        assert_eq!(
            config,
            Config {
                credentials: None,
                dynamic_ownership: false,
                has_mount_namespace: false,
                is_privileged: rustix::process::geteuid().is_root(),
                vnc_listen: "0.0.0.0".to_owned(),
                seccomp_sandbox: Some(false),
            }
        );
        assert_eq!(load("dynamic_ownership = \"x\"").unwrap_err().code().0, 1);
        assert_eq!(load("user").unwrap_err().code().0, 33);
    }

    #[test]
    fn numbers_are_users() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let config = load("user = \"+12345\"\ngroup = \"23456\"").unwrap();
        let credentials = config.credentials.unwrap();
        assert_eq!((credentials.uid, credentials.gid), (12345, 23456));
        assert_eq!(credentials.groups, [23456]);
        // A user of the system that is not root: its own groups and the chosen one.
        if let Ok(Some(user)) = User::from_name("daemon") {
            let credentials = load("user = \"daemon\"\ngroup = \"+23456\"").unwrap().credentials;
            let groups = credentials.unwrap().groups;
            assert!(groups.contains(&user.gid.as_raw()) && groups.contains(&23456), "{groups:?}");
        }
        assert_eq!(load("user = \"no-such-user\"").unwrap_err().code().0, 1);
    }
}
