//! virt-admin as Debian ships it, and metrics.

use oxivirt_tests::daemon::PLAIN;
use oxivirt_tests::raw::{self, Raw};
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{Daemon, apply, scenario};

use super::daemon;

/// Whether virt-admin succeeds, and its output.
fn admin(daemon: &Daemon, words: &[&str]) -> (bool, String) {
    let socket = daemon.root().join("run/libvirt/virtnetworkd-admin-sock");
    let uri = format!("virtnetworkd:///system?socket={}", socket.display());
    let finished =
        daemon.netns().run(["virt-admin", "-q", "-c", &uri]).args(words).output().unwrap();
    (finished.status.success(), format!("{}{}", finished.stdout, finished.stderr))
}

#[apply(scenario)]
fn an_administrator_sees_and_changes_the_daemon() {
    need(&[Need::Program("virt-admin")]);
    let daemon = daemon();
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
    let ended = client.packet().unwrap_err().chain();
    assert!(ended.contains("was closed"), "{ended}");
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

/// What the socket of metrics answers until it closes the connection.
fn http(daemon: &Daemon, request: &str) -> String {
    let mut raw = Raw::connect(&daemon.root().join("metrics")).unwrap();
    raw.send(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    match std::io::Read::read_to_end(&mut raw.stream, &mut bytes) {
        Ok(_) => {}
        // what was not read of a request that is too long
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    String::from_utf8(bytes).unwrap()
}

#[apply(scenario)]
fn metrics_are_served() {
    need(&[Need::Netns]);
    let config = format!("{PLAIN}metrics_listen = \"ROOT/metrics\"\n");
    let daemon = Daemon::start(&config, &[]).unwrap();
    let mut raw = Raw::open(&daemon.socket()).unwrap();
    raw.ask(raw::LIB_VERSION, 2, &[]).unwrap();
    let text = http(&daemon, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    for expect in [
        "HTTP/1.1 200 OK\r\n",
        "Content-Type: text/plain; version=0.0.4\r\n",
        "Connection: close\r\n",
        "# TYPE oxivirt_calls_total counter\n",
        "oxivirt_calls_total{procedure=\"connect_get_lib_version\",result=\"ok\"} 1",
        "oxivirt_clients{server=\"virtnetworkd\",known=\"yes\"} 1",
        "oxivirt_networks{state=\"active\"} 0",
    ] {
        assert!(text.contains(expect), "{expect} is not in\n{text}");
    }
    // the end of this one shows that a connection is closed after its answer
    assert!(http(&daemon, "GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 OK\r\n"));
    let head = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(20_000));
    assert!(http(&daemon, &head).starts_with("HTTP/1.1 431 "));
    // nothing is sent: the connection ends all the same
    assert_eq!(http(&daemon, ""), "");
    let error = Daemon::start("metrics_listen = \"0.0.0.0:9\"\n", &[]).unwrap_err().chain();
    assert!(error.contains("neither an absolute path nor a port of this host"), "{error}");
}

#[track_caller]
fn check_rule_counts(backend: &str) {
    need(&[Need::Netns]);
    let root = oxivirt_tests::TempRoot::new().unwrap();
    let settings = root.join("etc/libvirt/network.conf");
    std::fs::create_dir_all(settings.parent().unwrap()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the client has not read it yet")]
    std::fs::write(&settings, format!("firewall_backend = \"{backend}\"\n")).unwrap();
    let config = format!("{PLAIN}metrics_listen = \"ROOT/metrics\"\n");
    let netns = oxivirt_tests::Netns::new().unwrap();
    let daemon = Daemon::start_in(netns, root, &config, &[]).unwrap();
    let oxish = oxivirt_tests::host::program("oxish").unwrap();
    let xml = concat!(env!("CARGO_MANIFEST_DIR"), "/data/networks/nat.xml");
    let uri = daemon.uri();
    let run = daemon.netns().run([oxish.as_os_str(), "-c".as_ref(), uri.as_ref()]);
    run.args(["net-create", xml]).stdout().unwrap();
    let guest = oxivirt_tests::Netns::new().unwrap();
    daemon.netns().attach("virbr0", "port0", &guest).unwrap();
    // Somewhere beyond the host: forwarded, and counted, wherever it ends.
    guest
        .sh("ip address add 192.168.122.9/24 dev eth0; ip link set eth0 up
             ip route add default via 192.168.122.1")
        .unwrap();
    let uplink = "ip link add up0 type veth peer name up1; ip link set up1 up; ip link set up0 up
                  ip address add 203.0.113.2/24 dev up0";
    daemon.netns().sh(uplink).unwrap();
    guest.sh("busybox ping -c 3 -W 1 203.0.113.7 || true").unwrap();
    let text = http(&daemon, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let expect = "oxivirt_rule_packets_total{network=\"nat\",rules=\"out\",action=\"pass\"} 3\n";
    assert!(text.contains(expect), "{text}");
}

#[apply(scenario)]
fn rules_are_counted_with_nftables() {
    check_rule_counts("nftables");
}

#[apply(scenario)]
fn rules_are_counted_with_iptables() {
    check_rule_counts("iptables");
}
