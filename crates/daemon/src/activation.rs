//! Sockets that the service manager opened for us.
//!
//! They are told apart by their names; one with another name is a mistake that must not be served.
//!
//! sd_listen_fds_with_names(3); libvirt 11.3.0: src/util/virsystemd.c

use std::ffi::OsStr;

use listenfd::ListenFd;
use tokio::net::UnixListener;

/// Which socket of the daemon one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Changes things.
    ReadWrite,
    /// Looks only.
    ReadOnly,
    /// Administration.
    Admin,
}

impl Role {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "virtnetworkd.socket" => Some(Self::ReadWrite),
            "virtnetworkd-ro.socket" => Some(Self::ReadOnly),
            "virtnetworkd-admin.socket" => Some(Self::Admin),
            _ => None,
        }
    }
}

/// Why sockets cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ActivationError {
    /// A socket whose name nobody knows.
    #[error("Some activation file descriptors are unclaimed: '{0}'")]
    Unclaimed(String),
    /// A descriptor that is no UNIX socket.
    #[error("activation file descriptor '{name}' cannot be used")]
    Descriptor {
        name: String,
        #[source]
        source: std::io::Error,
    },
}

/// The roles of descriptors with these names.
///
/// # Errors
/// [`ActivationError::Unclaimed`]
fn roles(names: &str, n_descriptors: usize) -> Result<Vec<(String, Role)>, ActivationError> {
    let mut names: Vec<&str> = names.split(':').collect();
    names.resize(n_descriptors, "");
    let role = |name: &str| {
        let role = Role::from_name(name);
        let role = role.ok_or_else(|| ActivationError::Unclaimed(name.to_owned()))?;
        Ok((name.to_owned(), role))
    };
    names.into_iter().map(role).collect()
}

/// The sockets that were opened for this process; none if it was not started so.
///
/// # Errors
/// [`ActivationError`]
pub(crate) fn take(names: Option<&OsStr>) -> Result<Vec<(Role, UnixListener)>, ActivationError> {
    let mut descriptors = ListenFd::from_env();
    if descriptors.len() == 0 {
        return Ok(Vec::new());
    }
    let Some(names) = names.and_then(OsStr::to_str) else {
        tracing::error!("LISTEN_FDS without LISTEN_FDNAMES: the descriptors are not used");
        return Ok(Vec::new());
    };
    let mut taken = Vec::new();
    for (at, (name, role)) in roles(names, descriptors.len())?.into_iter().enumerate() {
        let failed = |source| ActivationError::Descriptor { name: name.clone(), source };
        let missing = || failed(std::io::ErrorKind::NotFound.into());
        let listener = descriptors.take_unix_listener(at).map_err(failed)?.ok_or_else(missing)?;
        listener.set_nonblocking(true).map_err(failed)?;
        taken.push((role, UnixListener::from_std(listener).map_err(failed)?));
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_socket_is() {
        let found = roles("virtnetworkd-ro.socket:virtnetworkd.socket", 2).unwrap();
        let found: Vec<Role> = found.into_iter().map(|(_, role)| role).collect();
        assert_eq!(found, [Role::ReadOnly, Role::ReadWrite]);
        for (names, n) in [("virtnetworkd.socket:other", 2), ("virtnetworkd.socket", 2)] {
            assert!(roles(names, n).is_err(), "{names}");
        }
    }
}
