//! The administrator's program as Debian ships it, and the numbers for whoever watches.

use oxivirt_tests::Daemon;
use oxivirt_tests::daemon::PLAIN;
use oxivirt_tests::process::find;
use oxivirt_tests::raw::{self, Raw};
use oxivirt_tests::require::{Need, available, report};

use super::daemon;

/// What virt-admin says; whether it succeeded comes first.
fn admin(daemon: &Daemon, words: &[&str]) -> (bool, String) {
    let socket = daemon.root().join("run/libvirt/virtnetworkd-admin-sock");
    let uri = format!("virtnetworkd:///system?socket={}", socket.display());
    let finished =
        daemon.netns().run(["virt-admin", "-q", "-c", &uri]).args(words).output().unwrap();
    (finished.status.success(), format!("{}{}", finished.stdout, finished.stderr))
}

#[test]
fn an_administrator_sees_and_changes_the_daemon() {
    let test = "an_administrator_sees_and_changes_the_daemon";
    if find("virt-admin").is_none() {
        report(test, "virt-admin is not installed").unwrap();
        return;
    }
    let Some(daemon) = daemon(test) else { return };
    let say = |words: &[&str]| {
        let (is_ok, text) = admin(&daemon, words);
        assert!(is_ok, "{words:?}: {text}");
        text
    };
    let refuse = |words: &[&str]| {
        let (is_ok, text) = admin(&daemon, words);
        assert!(!is_ok, "{words:?}: {text}");
        text
    };
    let servers = say(&["srv-list"]);
    assert!(servers.contains("admin") && servers.contains("virtnetworkd"), "{servers}");
    let mut client = Raw::open(&daemon.socket()).unwrap();
    let list = say(&["client-list", "virtnetworkd"]);
    let id = list.lines().last().unwrap().split_whitespace().next().unwrap().to_owned();
    let info = say(&["client-info", "virtnetworkd", &id]);
    assert!(info.contains("unix_user_name : root"), "{info}");
    say(&["client-disconnect", "virtnetworkd", &id]);
    assert!(client.ask(raw::LIB_VERSION, 2, &[]).is_err(), "the client is still connected");
    say(&[
        "srv-clients-set",
        "virtnetworkd",
        "--max-clients",
        "4000",
        "--max-unauth-clients",
        "21",
    ]);
    let limits = say(&["srv-clients-info", "virtnetworkd"]);
    assert!(limits.contains("4000") && limits.contains("21"), "{limits}");
    say(&["srv-threadpool-set", "virtnetworkd", "--max-workers", "30"]);
    assert!(say(&["srv-threadpool-info", "virtnetworkd"]).contains("30"));
    say(&["daemon-log-filters", "--filters", "3:util 4:object"]);
    assert!(say(&["daemon-log-filters"]).contains("3:*util* 4:*object*"));
    assert!(refuse(&["daemon-log-outputs", "--outputs", "bogus"]).contains("Malformed format"));
    assert!(refuse(&["srv-list", "nosuch"]).contains("unexpected data"));
    assert!(refuse(&["srv-threadpool-info", "nosuch"]).contains("No server named 'nosuch'"));
    assert!(
        refuse(&["client-info", "virtnetworkd", "99999"]).contains("No client with matching ID")
    );
    assert!(refuse(&["srv-update-tls", "virtnetworkd"]).contains("no tls service found"));
}

#[test]
fn numbers_are_told_to_whoever_watches() {
    let test = "numbers_are_told_to_whoever_watches";
    if !available(test, &[Need::Netns]) {
        return;
    }
    let config = format!("{PLAIN}metrics_listen = \"ROOT/metrics\"\n");
    let daemon = Daemon::start(&config, &[]).unwrap();
    let mut raw = Raw::open(&daemon.socket()).unwrap();
    raw.ask(raw::LIB_VERSION, 2, &[]).unwrap();
    let mut watcher = Raw::connect(&daemon.root().join("metrics")).unwrap();
    watcher.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut watcher.stream, &mut text).unwrap();
    for expect in [
        "HTTP/1.1 200 OK",
        "oxivirt_calls_total{procedure=\"connect_get_lib_version\",result=\"ok\"} 1",
        "oxivirt_clients{server=\"virtnetworkd\",known=\"yes\"} 1",
        "oxivirt_networks{state=\"active\"} 0",
    ] {
        assert!(text.contains(expect), "{expect} is not in\n{text}");
    }
    let error = Daemon::start("metrics_listen = \"0.0.0.0:9\"\n", &[]).unwrap_err().chain();
    assert!(error.contains("neither an absolute path nor a port of this host"), "{error}");
}
