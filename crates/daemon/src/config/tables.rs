//! Every setting of the file with its type, in the order libvirt reads them: of several wrong settings the
//! first in this table is reported.
//!
//! libvirt 11.3.0: `daemonConfigLoadOptions`, src/remote/remote_daemon_config.c

use oxivirt_sys::keyfile::Type::{Bool, Int, String, StringList, Uint};
use oxivirt_sys::keyfile::{KeyFile, KeyFileError, Line, Type};

/// What a setting changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It is part of [`Config`](super::Config).
    Used,
    /// Nothing here: libvirt checks it, so it is checked.
    Checked,
}
use Effect::{Checked, Used};

/// Settings of earlier releases, which libvirt no longer reads.
const OBSOLETE: [&str; 3] = ["keepalive_required", "admin_keepalive_required", "mdns_adv"];

const SETTINGS: [(&str, Type, Effect); 51] = [
    ("listen_tcp", Bool, Used),
    ("listen_tls", Bool, Used),
    ("tls_port", String, Used),
    ("tcp_port", String, Used),
    ("listen_addr", String, Used),
    ("auth_unix_rw", String, Used),
    ("auth_unix_ro", String, Used),
    ("auth_tcp", String, Used),
    ("auth_tls", String, Used),
    ("access_drivers", StringList, Used),
    ("unix_sock_group", String, Used),
    ("unix_sock_admin_perms", String, Used),
    ("unix_sock_ro_perms", String, Used),
    ("unix_sock_rw_perms", String, Used),
    ("unix_sock_dir", String, Used),
    ("tls_no_sanity_certificate", Bool, Checked),
    ("tls_no_verify_certificate", Bool, Used),
    ("key_file", String, Used),
    ("cert_file", String, Used),
    ("ca_file", String, Used),
    ("crl_file", String, Used),
    ("tls_allowed_dn_list", StringList, Used),
    ("tls_priority", String, Checked),
    ("sasl_allowed_username_list", StringList, Checked),
    ("tcp_min_ssf", Uint, Checked),
    ("min_workers", Uint, Used),
    ("max_workers", Uint, Used),
    ("max_clients", Uint, Used),
    ("max_queued_clients", Uint, Used),
    ("max_anonymous_clients", Uint, Used),
    ("prio_workers", Uint, Used),
    ("max_client_requests", Uint, Used),
    ("admin_min_workers", Uint, Used),
    ("admin_max_workers", Uint, Used),
    ("admin_max_clients", Uint, Used),
    ("admin_max_queued_clients", Uint, Checked),
    ("admin_max_client_requests", Uint, Used),
    ("audit_level", Uint, Checked),
    ("audit_logging", Bool, Checked),
    ("host_uuid", String, Checked),
    ("host_uuid_source", String, Checked),
    ("log_level", Uint, Used),
    ("log_filters", String, Used),
    ("log_outputs", String, Used),
    ("keepalive_interval", Int, Used),
    ("keepalive_count", Uint, Used),
    ("admin_keepalive_interval", Int, Used),
    ("admin_keepalive_count", Uint, Used),
    ("ovs_timeout", Uint, Checked),
    // not in libvirt
    ("metrics_listen", String, Used),
    ("drivers", StringList, Used),
];

/// Checks the type and range of every setting.
///
/// # Errors
/// [`KeyFileError`] for the first setting that is wrong.
pub(super) fn check(file: &KeyFile) -> Result<(), KeyFileError> {
    SETTINGS.iter().try_for_each(|(name, expected, _)| file.check(name, *expected))
}

/// Names of settings in the file that no release of libvirt or Oxivirt reads.
pub(super) fn unknown(file: &KeyFile) -> Vec<std::string::String> {
    let names = file.lines().iter().filter_map(|line| match line {
        Line::Setting { name, .. } => Some(name.as_str()),
        _ => None,
    });
    let is_known =
        |name: &str| OBSOLETE.contains(&name) || SETTINGS.iter().any(|(known, ..)| *known == name);
    names.filter(|name| !is_known(name)).map(str::to_owned).collect()
}

/// Whether the table has a setting of this type that is used: what is read is in the table.
pub(super) fn is_used(name: &str, expected: Type) -> bool {
    SETTINGS.contains(&(name, expected, Used))
}
