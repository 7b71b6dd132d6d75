//! Ports with and without encryption, who is let in, and what is refused before anything opens.

use oxivirt_tests::daemon::{Daemon, PORTS};
use oxivirt_tests::host::program;
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{Netns, TempRoot, apply, pki, scenario};

fn daemon(more: &str) -> Daemon {
    need(&[Need::Netns, Need::Program("virsh"), Need::Program("openssl")]);
    let root = TempRoot::new().unwrap();
    pki::make(root.path()).unwrap();
    let config = format!("{}{more}", pki::config(PORTS));
    Daemon::start_in(Netns::new().unwrap(), root, &config, &["--listen"]).unwrap()
}

/// What virsh says to a URI, `ROOT` standing for the daemon's directory.
fn virsh(daemon: &Daemon, uri: &str, words: &[&str]) -> Result<String, String> {
    let uri = uri.replace("ROOT", &daemon.root().display().to_string());
    let finished = daemon.netns().run(["virsh", "-q", "-c", &uri]).args(words).output().unwrap();
    if finished.status.success() { Ok(finished.stdout) } else { Err(finished.stderr) }
}

const TCP: &str = "network+tcp://localhost/system";
const TLS: &str = "network+tls://localhost/system?pkipath=ROOT/pki";

#[apply(scenario)]
fn clients_come_in_by_every_port() {
    let daemon = daemon("");
    for uri in [TCP, TLS] {
        let xml = concat!(env!("CARGO_MANIFEST_DIR"), "/data/networks/nat.xml");
        virsh(&daemon, uri, &["net-define", xml]).unwrap();
        let name = virsh(&daemon, uri, &["net-list", "--all", "--name"]).unwrap();
        assert_eq!(name.trim(), "nat");
        virsh(&daemon, uri, &["net-undefine", "nat"]).unwrap();
    }
    // our own client, which checks the name in the certificate
    let oxish = program("oxish").unwrap();
    for uri in [TCP, TLS] {
        let uri = uri.replace("ROOT", &daemon.root().display().to_string());
        let run = daemon.netns().run([oxish.as_os_str(), "-c".as_ref(), uri.as_ref()]);
        run.args(["net-list", "--all"]).stdout().unwrap();
    }
}

#[apply(scenario)]
fn a_client_without_a_certificate_stays_outside() {
    let daemon = daemon("");
    let uri = "network+tls://localhost/system?pkipath=ROOT/nobody";
    let complaint = virsh(&daemon, uri, &["net-list"]).unwrap_err();
    assert!(complaint.contains("TLS"), "{complaint}");
    virsh(&daemon, TLS, &["net-list"]).unwrap();
}

#[apply(scenario)]
fn only_listed_subjects_are_let_in() {
    let listed = "tls_allowed_dn_list = [\"C=DE,O=Tests,CN=cl*\"]\n";
    let daemon = daemon(listed);
    virsh(&daemon, TLS, &["net-list"]).unwrap();
    drop(daemon);
    let listed = "tls_allowed_dn_list = [\"C=DE,O=Tests,CN=other\"]\n";
    let daemon = self::daemon(listed);
    virsh(&daemon, TLS, &["net-list"]).unwrap_err();
}

#[apply(scenario)]
fn an_open_port_has_to_be_asked_for() {
    need(&[Need::Netns]);
    for (config, complaint) in [
        ("listen_tls = 0\nlisten_tcp = 1\n", "set auth_tcp to"),
        ("listen_tls = 0\nlisten_tcp = 1\nauth_tcp = \"sasl\"\n", "SASL is not supported"),
        ("listen_tls = 1\n", "cacert.pem"),
        ("access_drivers = [\"other\"]\n", "access driver 'other'"),
        ("max_clients = 1\n", "max_clients"),
    ] {
        let error = Daemon::start(config, &["--listen"]).unwrap_err().chain();
        assert!(error.contains(complaint), "{config}: {error}");
    }
}
