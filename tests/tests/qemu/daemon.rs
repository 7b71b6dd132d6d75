//! virsh, unmodified, and `oxivirtd` called `virtqemud`.

use oxivirt_tests::process::{Running, wait_until};
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{Netns, Result, TempRoot, apply, host, qemu, scenario};

const NAT: &str = include_str!("../../data/networks/nat.xml");
const BARE: &str = "<domain type='qemu'><name>bare</name><memory unit='MiB'>32</memory>\
    <os><type machine='q35'>hvm</type></os><features><acpi/></features><devices>\
    <interface type='network'><source network='nat'/><model type='virtio'/></interface>\
    <serial type='pty'/><graphics type='vnc'/></devices></domain>";
/// Runs the daemon until standard input ends.
const RUN: &str = r#"
"$1/virtqemud" --root "$1" >"$1/log" 2>&1 &
cat >/dev/null
kill $! 2>/dev/null
wait $!
"#;

struct Daemon {
    running: Option<Running>,
    root: TempRoot,
    netns: Netns,
}

impl Daemon {
    fn new() -> Self {
        let (netns, root) = (Netns::new().unwrap(), TempRoot::new().unwrap());
        let program = host::program("oxivirtd").unwrap();
        host::program("oxivirt_launch").unwrap();
        std::os::unix::fs::symlink(program, root.join("virtqemud")).unwrap();
        for (name, text) in [("nat.xml", NAT), ("bare.xml", BARE)] {
            #[expect(clippy::disallowed_methods, reason = "no reader yet")]
            std::fs::write(root.join(name), text).unwrap();
        }
        let mut daemon = Self { running: None, root, netns };
        daemon.start();
        daemon
    }

    fn start(&mut self) {
        let root = self.root.path().as_os_str();
        let run = self.netns.run(["sh", "-c", RUN, "sh"]).args([root]);
        self.running = Some(run.start().unwrap());
        wait_until("the daemon answers", || Ok(self.virsh("uri").is_ok())).unwrap();
    }

    /// Kills the daemon, not what it has started.
    fn kill(&mut self) {
        self.netns.kill_all("virtqemud").unwrap();
        self.running = None;
    }

    /// What a command prints.
    fn virsh(&self, command: &str) -> Result<String> {
        let root = self.root.path().display();
        let uri = format!("qemu:///system?socket={root}/run/libvirt/virtqemud-sock");
        let command = command.replace("ROOT", &root.to_string());
        let words = ["virsh", "-q", "-c", &uri].into_iter().chain(command.split(' '));
        self.netns.run(words).stdout()
    }
}

#[apply(scenario)]
fn virsh_has_guests_and_their_networks_on_one_connection() {
    need(&[Need::Netns, Need::Program("virsh"), qemu::NEED]);
    let mut daemon = Daemon::new();
    assert!(daemon.virsh("version").unwrap().contains("Running hypervisor: QEMU "));
    for command in
        ["net-define ROOT/nat.xml", "net-start nat", "define ROOT/bare.xml", "start bare"]
    {
        daemon.virsh(command).unwrap();
    }
    assert_eq!(daemon.virsh("domstate bare --reason").unwrap().trim(), "running (booted)");
    let info = daemon.virsh("dominfo bare").unwrap();
    assert!(info.contains("\nSecurity DOI:   0\n") && !info.contains("Security label"), "{info}");
    assert_eq!(daemon.virsh("vncdisplay bare").unwrap().trim(), "127.0.0.1:0");
    assert!(daemon.virsh("ttyconsole bare").unwrap().starts_with("/dev/pts/"));
    let xml = daemon.virsh("dumpxml bare").unwrap();

    daemon.kill();
    daemon.start();
    assert_eq!(daemon.virsh("domid bare").unwrap().trim(), "1");
    assert_eq!(daemon.virsh("dumpxml bare").unwrap(), xml);
    daemon.virsh("suspend bare").unwrap();
    assert_eq!(daemon.virsh("domstate bare").unwrap().trim(), "paused");
    daemon.virsh("destroy bare").unwrap();
    assert_eq!(daemon.virsh("domstate bare --reason").unwrap().trim(), "shut off (destroyed)");
    assert_eq!(daemon.virsh("net-port-list nat").unwrap().trim(), "");
    daemon.virsh("undefine bare").unwrap();
    assert_eq!(daemon.virsh("list --all").unwrap().trim(), "");
}

#[apply(scenario)]
fn virsh_has_pools_and_their_volumes_on_the_connection_of_guests() {
    need(&[Need::Netns, Need::Program("virsh"), Need::Program("qemu-img")]);
    let daemon = Daemon::new();
    let root = daemon.root.path();
    // longer than an empty qcow2 file, so that the upload replaces all of it
    let sent: Vec<u8> = (0..400_000_u32).flat_map(u32::to_le_bytes).collect();
    #[expect(clippy::disallowed_methods, reason = "no reader yet")]
    std::fs::write(root.join("sent"), &sent).unwrap();
    for command in [
        "pool-define-as disks dir --target ROOT/disks",
        "pool-build disks",
        "pool-start disks",
        "vol-create-as disks a.qcow2 1M --format qcow2",
    ] {
        daemon.virsh(command).unwrap();
    }
    let xml = daemon.virsh("vol-dumpxml a.qcow2 --pool disks").unwrap();
    assert!(xml.contains("<format type='qcow2'/>"), "{xml}");
    assert!(xml.contains("<capacity unit='bytes'>1048576</capacity>"), "{xml}");
    let volume = root.join("disks/a.qcow2");
    assert_eq!(std::fs::read(&volume).unwrap().get(..4), Some(&b"QFI\xfb"[..]));

    daemon.virsh("vol-upload a.qcow2 ROOT/sent --pool disks").unwrap();
    daemon.virsh("vol-download a.qcow2 ROOT/received --pool disks").unwrap();
    assert!(std::fs::read(root.join("received")).unwrap() == sent, "the file is another");
    daemon.virsh("vol-delete a.qcow2 --pool disks").unwrap();
    assert!(!volume.exists());
    assert_eq!(daemon.virsh("vol-list disks").unwrap().trim(), "");
    daemon.virsh("pool-destroy disks").unwrap();
    daemon.virsh("pool-undefine disks").unwrap();
    assert_eq!(daemon.virsh("pool-list --all").unwrap().trim(), "");
}
