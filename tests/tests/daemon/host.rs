//! `oxivirtd` as the only daemon of a host: unmodified clients find it without options, and it leaves the
//! sockets of other daemons alone.

use oxivirt_tests::host::program;
use oxivirt_tests::process::{Run, Running, wait_until};
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{Netns, TempRoot, apply, scenario};

/// Gives a host a private `/etc` and `/var` without anything of libvirt's.
const PRIVATE: &str = r#"
for part in etc var; do
    mkdir -p "$1/$part.upper" "$1/$part.work"
    mount -t overlay -o "lowerdir=/$part,upperdir=$1/$part.upper,workdir=$1/$part.work" overlay /$part
done
rm -rf /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
"#;
/// Takes the emulators away.
const NO_EMULATORS: &str = "for file in $(ls /usr/bin/qemu-system-* /usr/libexec/qemu-kvm 2>/dev/null); do mount --bind /dev/null $file; done";

struct Host {
    netns: Netns,
    _daemon: Running,
    _root: TempRoot,
}

impl Host {
    fn new(set_up: &str) -> Self {
        need(&[Need::Netns, Need::Program("virsh")]);
        program("oxivirt_launch").unwrap();
        let (netns, root) = (Netns::new().unwrap(), TempRoot::new().unwrap());
        let path = root.path().display().to_string();
        netns.run(["sh", "-e", "-c", PRIVATE, "sh", &path]).output().unwrap().ok().unwrap();
        netns.sh(set_up).unwrap();
        let run = netns.run([program("oxivirtd").unwrap()]);
        let daemon = run.start().unwrap();
        let host = Self { netns, _daemon: daemon, _root: root };
        wait_until("the daemon answers", || Ok(host.virsh(&["uri"]).stdout().is_ok())).unwrap();
        host
    }

    fn virsh(&self, words: &[&str]) -> Run {
        self.netns.run(["env", "-u", "LIBVIRT_DEFAULT_URI", "virsh", "-q"]).args(words)
    }

    fn said(&self, words: &[&str]) -> String {
        self.virsh(words).stdout().unwrap().trim().to_owned()
    }
}

#[apply(scenario)]
fn clients_find_guests_networks_and_pools_without_options() {
    let host = Host::new("");
    assert_eq!(host.said(&["uri"]), "qemu:///system");
    for scheme in ["qemu", "network", "storage"] {
        for part in ["", "?mode=direct", "?mode=legacy"] {
            let uri = format!("{scheme}:///system{part}");
            assert_eq!(host.said(&["-c", &uri, "uri"]), uri);
            host.said(&["-r", "-c", &uri, "uri"]);
        }
    }
    for list in ["list", "net-list", "pool-list"] {
        assert_eq!(host.said(&[list, "--all"]), "");
    }
    let refused = host.virsh(&["-r", "define", "/dev/null"]).output().unwrap();
    assert!(!refused.status.success());
    // what systemd or a client looks at is there once
    let sockets = host.netns.run(["ls", "/run/libvirt"]).stdout().unwrap();
    assert_eq!(sockets.lines().filter(|name| name.contains("-sock")).count(), 9, "{sockets}");
}

#[apply(scenario)]
fn a_host_without_qemu_has_networks_and_no_emulator() {
    let host = Host::new(NO_EMULATORS);
    let capabilities = host.said(&["capabilities"]);
    assert!(capabilities.contains("<host>") && !capabilities.contains("<guest>"), "{capabilities}");
    assert_eq!(host.said(&["list", "--all"]), "");
    host.netns.sh("echo '<network><name>lan</name></network>' > /run/lan.xml").unwrap();
    host.said(&["net-create", "/run/lan.xml"]);
    assert_eq!(host.said(&["net-list", "--name"]), "lan");
    host.said(&["net-destroy", "lan"]);
}

/// Listens on a socket until its input ends.
const LISTEN: &str = "
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1); print('listening', flush=True)
sys.stdin.read()
";

#[apply(scenario)]
fn sockets_of_another_daemon_are_left_to_it() {
    need(&[Need::Netns, Need::Program("python3")]);
    let (netns, root) = (Netns::new().unwrap(), TempRoot::new().unwrap());
    let sockets = root.join("run/libvirt");
    std::fs::create_dir_all(&sockets).unwrap();
    std::fs::create_dir_all(root.join("etc/libvirt")).unwrap();
    let held = sockets.join("virtqemud-sock");
    let path = held.display().to_string();
    let mut holder = netns.run(["/usr/bin/python3", "-c", LISTEN, &path]).start().unwrap();
    holder.line().unwrap();
    let daemon = || {
        let words = [program("oxivirtd").unwrap().into_os_string(), "--root".into()];
        netns.run(words).args([root.path()])
    };
    let refused = daemon().output().unwrap();
    assert_eq!(refused.status.code(), Some(6), "{}", refused.stderr);
    let expect =
        format!("socket '{path}' is served by virtqemud, or by systemd for it: stop both (");
    assert!(refused.stderr.contains(&expect), "{}", refused.stderr);
    assert!(!sockets.join("libvirt-sock").exists(), "a socket of a daemon that does not run");

    let config = root.join("etc/libvirt/libvirtd.conf");
    #[expect(clippy::disallowed_methods, reason = "no reader yet")]
    std::fs::write(&config, "drivers = [ \"network\" ]\n").unwrap();
    let running = daemon().start().unwrap();
    let own = sockets.join("virtnetworkd-sock");
    wait_until("the daemon's socket", || Ok(own.exists())).unwrap();
    assert!(!sockets.join("virtstoraged-sock").exists());
    netns.kill_all("oxivirtd").unwrap();
    drop(running);
}

#[apply(scenario)]
fn a_daemon_that_runs_is_named_with_what_to_do() {
    need(&[Need::Netns]);
    let daemon = oxivirt_tests::Daemon::start(oxivirt_tests::daemon::PLAIN, &[]).unwrap();
    let words = [program("oxivirtd").unwrap().into_os_string(), "--root".into()];
    let refused = daemon.netns().run(words).args([daemon.root()]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    for part in [
        "virtnetworkd is running: stop it (systemctl disable --now virtnetworkd.socket",
        "or leave \"network\" out of 'drivers' in '",
        &format!("is held by virtnetworkd (pid {})", daemon.pid()),
    ] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
}
