//! Guests of an ordinary user.

use oxivirt_tests::host::program;
use oxivirt_tests::process::wait_until;
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{Netns, TempRoot, apply, qemu, scenario};

/// A user that exists nowhere.
const USER: &str = "4242";
const GUEST: &str = "<domain type='qemu'><name>mine</name><memory unit='MiB'>32</memory>\
    <os><type machine='q35'>hvm</type></os><devices><interface type='user'><model type='virtio'/></interface>\
    <serial type='pty'/></devices></domain>";

#[apply(scenario)]
fn a_user_without_rights_has_guests() {
    need(&[Need::Netns, Need::Program("virsh"), qemu::NEED]);
    program("oxivirt_launch").unwrap();
    program("oxivirtd").unwrap();
    let (netns, files) = (Netns::new().unwrap(), TempRoot::new().unwrap());
    let root = files.path().display().to_string();
    let file = files.join("mine.xml");
    #[expect(clippy::disallowed_methods, reason = "no reader yet")]
    std::fs::write(&file, GUEST).unwrap();
    netns.sh(&format!("chown -R {USER} {root}")).unwrap();
    let run = |program: &str, words: &[&str]| {
        let environment = [
            format!("HOME={root}"),
            format!("XDG_RUNTIME_DIR={root}"),
            "PATH=/usr/bin:/bin".to_owned(),
        ];
        let rights = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "env", "-i"];
        let run = netns.run(rights).args(environment);
        run.args([program, "-q", "-c", "qemu:///session"]).args(words).stdout()
    };
    let oxish = program("oxish").unwrap().display().to_string();
    // the first client starts the daemon
    assert_eq!(run(&oxish, &["list", "--all"]).unwrap().trim(), "");
    run("virsh", &["define", &file.display().to_string()]).unwrap();
    run("virsh", &["start", "mine"]).unwrap();
    assert_eq!(run("virsh", &["domstate", "mine", "--reason"]).unwrap().trim(), "running (booted)");
    assert!(run("virsh", &["ttyconsole", "mine"]).unwrap().starts_with("/dev/pts/"));
    let emulators = netns.sh(&format!("pgrep -c -u {USER} qemu-system")).unwrap();
    assert_eq!(emulators.trim(), "1");
    assert!(files.join(".cache/libvirt/qemu/log/mine.log").exists());
    run("virsh", &["destroy", "mine"]).unwrap();
    run("virsh", &["undefine", "mine"]).unwrap();
    wait_until("the emulator is gone", || Ok(netns.processes_of(qemu::SYSTEM)?.is_empty()))
        .unwrap();
}
