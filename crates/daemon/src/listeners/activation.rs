//! Sockets that the service manager opened for the daemon.
//!
//! The name of a descriptor selects its service. A descriptor with an unknown name stops the daemon: its
//! service is unknown.
//!
//! sd_listen_fds_with_names(3); libvirt 11.3.0: src/util/virsystemd.c

use std::ffi::OsStr;

use listenfd::ListenFd;
use tokio::net::UnixListener;

use crate::profile::{Profile, Role};

/// Why passed sockets cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ActivationError {
    /// A descriptor with an unknown name.
    #[error("Some activation file descriptors are unclaimed: '{0}'")]
    Unclaimed(String),
    /// A descriptor that is not a UNIX socket.
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
fn roles(
    profile: &Profile,
    names: &str,
    n_descriptors: usize,
) -> Result<Vec<(String, Role)>, ActivationError> {
    let mut names: Vec<&str> = names.split(':').collect();
    names.resize(n_descriptors, "");
    let role = |name: &str| {
        let role = Role::ALL.into_iter().find(|role| profile.socket_unit(*role) == name);
        let role = role.ok_or_else(|| ActivationError::Unclaimed(name.to_owned()))?;
        Ok((name.to_owned(), role))
    };
    names.into_iter().map(role).collect()
}

/// The sockets that were passed to this process; none if it was not activated by sockets.
///
/// # Errors
/// [`ActivationError`]
pub(super) fn take(
    profile: &Profile,
    names: Option<&OsStr>,
) -> Result<Vec<(Role, UnixListener)>, ActivationError> {
    let mut descriptors = ListenFd::from_env();
    if descriptors.len() == 0 {
        return Ok(Vec::new());
    }
    let Some(names) = names.and_then(OsStr::to_str) else {
        let n_descriptors = descriptors.len();
        tracing::error!(
            n_descriptors,
            "ignoring sockets of the service manager: LISTEN_FDNAMES is not set"
        );
        return Ok(Vec::new());
    };
    let mut taken = Vec::new();
    for (at, (name, role)) in roles(profile, names, descriptors.len())?.into_iter().enumerate() {
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
        let roles = |names, n| roles(&Profile::NETWORK, names, n);
        let found = roles("virtnetworkd-ro.socket:virtnetworkd.socket", 2).unwrap();
        let found: Vec<Role> = found.into_iter().map(|(_, role)| role).collect();
        assert_eq!(found, [Role::ReadOnly, Role::ReadWrite]);
        for (names, n) in [("virtnetworkd.socket:other", 2), ("virtnetworkd.socket", 2)] {
            assert!(roles(names, n).is_err(), "{names}");
        }
    }
}
