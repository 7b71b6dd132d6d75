//! Wrong settings: `oxivirtd` refuses them in the words of a real libvirtd.

use std::path::Path;

use oxivirt_tests::host::program;
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{Netns, TempRoot, apply, scenario};

/// Files that libvirtd refuses before it opens anything.
const WRONG: [&str; 28] = [
    "max_clients = -1",
    "max_clients = 4294967296",
    "max_clients = 9223372036854775807",
    "max_clients = 9223372036854775808",
    "max_clients = \"5\"",
    "max_clients = [5]",
    "keepalive_interval = 2147483648",
    "keepalive_interval = -2147483649",
    "keepalive_interval = \"x\"",
    "admin_keepalive_interval = +2147483648",
    "keepalive_count = -1",
    "listen_tls = 2",
    "listen_tls = -1",
    "listen_tls = \"1\"",
    "listen_tcp = \"x\"\nmax_clients = -1",
    "max_clients = -1\nlisten_tcp = \"x\"",
    "keepalive_count = -1\nmax_workers = -1\nmin_workers = -1",
    "tls_no_sanity_certificate = 7",
    "audit_logging = 2",
    "audit_level = -1",
    "ovs_timeout = -1",
    "host_uuid = 5",
    "log_level = -1",
    "tcp_port = 16509",
    "access_drivers = \"polkit\"",
    "access_drivers = [1]",
    "auth_unix_rw = \"magic\"",
    "max_clients = 1 2",
];

/// Why a daemon does not start, without its name and the frame around the reason.
fn reason(netns: &Netns, words: &[&str], config: &Path) -> String {
    let finished = netns.run(words).output().unwrap();
    assert!(!finished.status.success(), "{words:?}");
    let config = config.display().to_string();
    let line = finished.stderr.lines().find(|line| line.contains(&config));
    let line = line.unwrap_or_else(|| panic!("{words:?}: {}", finished.stderr));
    let line = match line.split_once("Can't load config file: ") {
        Some((_, reason)) => reason.strip_suffix(&format!(": {config}")).unwrap_or(reason),
        None => line.strip_prefix("oxivirtd: ").unwrap_or(line),
    };
    line.replace(&config, "FILE")
}

#[apply(scenario)]
fn wrong_settings_are_refused_as_by_libvirtd() {
    need(&[Need::Netns, Need::Peer]);
    let (netns, root) = (Netns::new().unwrap(), TempRoot::new().unwrap());
    let config = root.join("wrong.conf");
    let (file, pid_file) = (config.display().to_string(), root.join("pid").display().to_string());
    let oxivirtd = program("oxivirtd").unwrap().display().to_string();
    let directory = root.path().display().to_string();
    for text in WRONG {
        #[expect(clippy::disallowed_methods, reason = "nothing reads it yet")]
        std::fs::write(&config, text).unwrap();
        let ours = reason(&netns, &[&oxivirtd, "--root", &directory, "-f", &file], &config);
        let theirs = reason(&netns, &["libvirtd", "-f", &file, "-p", &pid_file], &config);
        assert_eq!(ours, theirs, "{text}");
    }
}
