use std::path::Path;

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse("t.conf", text, &Paths::system("virtnetworkd", Path::new("/r")))
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
    assert!(config.unknown.is_empty());
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
                tls_allowed_dn_list = [\"C=GB,*\"]\nunknown_thing = 1\nmdns_adv = -1\nlog_level = 2\n";
    let config = parse(text).unwrap();
    assert_eq!((config.server.clients, config.server.anonymous), (7, 3));
    assert_eq!(config.connection.keepalive_interval, None);
    assert_eq!(config.ports.tcp, Some(77));
    assert_eq!(config.ports.auth_tcp, Some(PortAuthentication::None));
    assert_eq!(config.tls.allowed.as_deref(), Some(&["C=GB,*".to_owned()][..]));
    assert_eq!(config.log.level, Priority::from_number(2));
    assert_eq!(config.unknown, ["unknown_thing"]);
}

#[test]
fn drivers_are_chosen_by_name() {
    let opens = |text: &str| {
        let config = parse(text).unwrap();
        let entries = Profile::HOST.drivers.iter();
        let names = entries.filter(|entry| config.opens(entry)).map(|entry| entry.name);
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(opens(""), "network storage QEMU");
    assert_eq!(opens("drivers = [ \"qemu\", \"network\" ]"), "network QEMU");
    refused("drivers = [ \"lxc\" ]", "t.conf: drivers: there is no driver 'lxc'");
    refused("drivers = []", "t.conf: drivers: no driver is named");
}

#[track_caller]
fn refused(text: &str, expect: &str) {
    let error = parse(text).expect_err(text);
    assert!(error.to_string().contains(expect), "{error}");
}

#[test]
fn wrong_settings_are_refused() {
    refused("max_clients = 5", "t.conf: max_clients: The overall maximum number of clients must");
    refused("max_workers = 0", "max_workers");
    refused("unix_sock_rw_perms = \"9\"", "Failed to parse mode");
    refused("tcp_port = \"70000\"", "t.conf: tcp_port: '70000' is not a port number");
    refused("auth_unix_rw = \"sasl\"", "SASL is not supported");
    refused("cert_file = \"/c\"", "together");
    refused("access_drivers = [\"x\"]", "access driver 'x'");
    refused(
        "auth_unix_rw = \"magic\"",
        "unsupported configuration: t.conf: auth_unix_rw: unsupported auth magic",
    );
    let level = "invalid argument: Failed to set logging priority, argument '9' is invalid";
    refused("log_level = 9", level);
    refused("what is this", "configuration file syntax error: t.conf:1: expecting an assignment");
}

/// The peer says the same: `tests/tests/daemon/config.rs`.
#[test]
fn types_and_ranges_are_those_of_the_table() {
    refused(
        "max_clients = -1",
        "internal error: t.conf: expected an unsigned integer for 'max_clients' parameter",
    );
    refused(
        "max_clients = 4294967296",
        "internal error: t.conf: value for 'max_clients' parameter must be in range 0:4294967295",
    );
    refused(
        "listen_tls = 2",
        "internal error: t.conf: value for 'listen_tls' parameter must be 0 or 1",
    );
    // without an effect here, and checked all the same
    refused("ovs_timeout = -1", "expected an unsigned integer for 'ovs_timeout' parameter");
    // the first in the table, not in the file
    refused("keepalive_count = -1\nmax_clients = -1", "'max_clients'");
    refused(
        "max_clients = 9223372036854775808",
        "numerical overflow: t.conf:1: numeric overflow in conf value",
    );
}
