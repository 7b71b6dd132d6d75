use std::path::Path;

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse("t.conf", text, &Paths::system(Path::new("/r")))
}

#[test]
fn defaults_are_those_of_libvirt() {
    let config = parse("").unwrap();
    assert_eq!(config.read_write.authentication, Authentication::Polkit);
    assert_eq!((config.read_write.mode, config.read_only.mode), (0o777, 0o777));
    assert_eq!(config.admin_mode, 0o700);
    assert_eq!(config.socket_dir, Path::new("/r/run/libvirt"));
    assert_eq!((config.server.clients, config.server.anonymous), (5000, 20));
    assert_eq!(config.connection.requests, 5);
    assert_eq!(config.ports.tcp, None);
    assert_eq!(config.tls.cert, Path::new("/r/etc/pki/libvirt/servercert.pem"));
    assert!(config.warnings.is_empty());
}

#[test]
fn a_socket_without_a_guard_is_not_open_to_all() {
    assert_eq!(parse("auth_unix_rw = \"none\"").unwrap().read_write.mode, 0o700);
    let both = "auth_unix_rw = \"none\"\nunix_sock_rw_perms = \"0770\"";
    assert_eq!(parse(both).unwrap().read_write.mode, 0o770);
}

#[test]
fn settings_are_read() {
    let text = "max_clients = 7\nmax_anonymous_clients = 3\nkeepalive_interval = -1\n\
                listen_tcp = 1\ntcp_port = \"77\"\nauth_tcp = \"none\"\n\
                tls_allowed_dn_list = [\"C=GB,*\"]\nunknown_thing = 1\nmdns_adv = 1\n";
    let config = parse(text).unwrap();
    assert_eq!((config.server.clients, config.server.anonymous), (7, 3));
    assert_eq!(config.connection.keepalive_interval, None);
    assert_eq!(config.ports.tcp, Some(77));
    assert_eq!(config.ports.auth_tcp, Some(PortAuthentication::None));
    assert_eq!(config.tls.allowed.as_deref(), Some(&["C=GB,*".to_owned()][..]));
    assert_eq!(config.warnings, ["setting 'unknown_thing' is not known and has no effect"]);
}

#[track_caller]
fn refused(text: &str, expect: &str) {
    let error = parse(text).expect_err(text);
    assert!(error.to_string().contains(expect), "{error}");
}

#[test]
fn wrong_settings_are_refused() {
    refused("max_clients = 5", "greater than");
    refused("max_workers = 0", "max_workers");
    refused("max_clients = \"5\"", "expected an integer");
    refused("max_client_requests = -1", "negative");
    refused("unix_sock_rw_perms = \"9\"", "Failed to parse mode");
    refused("auth_unix_rw = \"magic\"", "unsupported auth magic");
    refused("auth_unix_rw = \"sasl\"", "SASL is not supported");
    refused("cert_file = \"/c\"", "together");
    refused("access_drivers = [\"x\"]", "access driver 'x'");
    refused("what is this", "t.conf:1");
}
