//! The daemon under a service manager: sockets passed to it, and its end when it is idle.

use oxivirt_tests::daemon::PLAIN;
use oxivirt_tests::host::program;
use oxivirt_tests::process::wait_until;
use oxivirt_tests::raw::{self, Raw};
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{Daemon, Netns, TempRoot, apply, scenario};

/// Opens sockets and becomes the daemon; the arguments are the names of the sockets, their paths, and the
/// program. A path exists once its socket listens.
const ACTIVATE: &str = r"
import os, socket, sys
names, paths, words = sys.argv[1], sys.argv[2].split(':'), sys.argv[3:]
keep = []
for at, path in enumerate(paths):
    s = socket.socket(socket.AF_UNIX); s.bind(path + '.new'); s.listen(5); os.rename(path + '.new', path)
    os.dup2(s.fileno(), 3 + at, inheritable=True) if s.fileno() != 3 + at else os.set_inheritable(3 + at, True)
    keep.append(s)
env = dict(os.environ, LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(paths)), LISTEN_FDNAMES=names)
os.execve(words[0], words, env)
";

fn activated(netns: &Netns, root: &TempRoot, names: &str) -> oxivirt_tests::process::Run {
    let daemon = program("oxivirtd").unwrap();
    let paths: Vec<String> =
        names.split(':').map(|name| root.join(name).display().to_string()).collect();
    netns.run(["/usr/bin/python3", "-c", ACTIVATE, names, &paths.join(":")]).args([
        daemon.as_os_str(),
        "--root".as_ref(),
        root.path().as_os_str(),
    ])
}

#[apply(scenario)]
fn sockets_of_the_service_manager_are_served_by_their_names() {
    need(&[Need::Netns, Need::Program("python3")]);
    let (netns, root) = (Netns::new().unwrap(), TempRoot::new().unwrap());
    let names = "libvirtd-ro.socket:libvirtd.socket:libvirtd-admin.socket";
    let run = activated(&netns, &root, names);
    let running = std::thread::spawn(move || run.output().unwrap());
    let socket = root.join("libvirtd-ro.socket");
    let admin = root.join("libvirtd-admin.socket");
    wait_until("the last socket", || Ok(admin.exists())).unwrap();
    let xml = raw::text("<network><name>x</name></network>");
    let mut reader = Raw::open(&socket).unwrap();
    let refused = reader.ask(41, 2, &xml).unwrap();
    assert_eq!(refused[24..32], [0, 0, 0, 1, 0, 0, 0, 29], "the socket that only looks");
    let mut writer = Raw::open(&root.join("libvirtd.socket")).unwrap();
    assert_eq!(writer.ask(41, 2, &xml).unwrap()[24..28], [0; 4]);
    assert!(!root.join("run/libvirt/libvirt-sock").exists(), "a socket of its own");
    raw::set_daemon_timeout(&admin, 1).unwrap();
    drop((reader, writer));
    let finished = running.join().unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);

    let root = TempRoot::new().unwrap();
    let finished = activated(&netns, &root, "libvirtd.socket:other").output().unwrap();
    assert_eq!(finished.status.code(), Some(6));
    assert!(finished.stderr.contains("unclaimed"), "{}", finished.stderr);
}

#[apply(scenario)]
fn a_running_network_keeps_the_daemon() {
    need(&[Need::Netns]);
    let daemon = Daemon::start(PLAIN, &[]).unwrap();
    let xml = "<network><name>x</name><bridge name='xbr'/></network>";
    let mut raw = Raw::open(&daemon.socket()).unwrap();
    let created = raw.ask(40, 2, &raw::text(xml)).unwrap();
    let network = created[28..].to_vec();
    raw::set_daemon_timeout(&daemon.admin_socket(), 1).unwrap();
    drop(raw);
    // A daemon that starts later and has no network ends by itself meanwhile.
    let idle = Daemon::start(PLAIN, &["--timeout", "1"]).unwrap();
    wait_until("end of the idle daemon", || Ok(!idle.socket().exists())).unwrap();
    let mut raw = Raw::open(&daemon.socket()).expect("the daemon is still there");
    raw.ask(raw::DESTROY, 2, &network).unwrap();
    drop(raw);
    wait_until("end of the daemon", || Ok(!daemon.socket().exists())).unwrap();
}
