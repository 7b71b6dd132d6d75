//! virsh, unmodified, and `oxivirtd` with all its drivers.

use oxivirt_tests::guest_daemon::GuestDaemon;
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{apply, qemu, scenario};

const NAT: &str = include_str!("../../data/networks/nat.xml");
const BARE: &str = "<domain type='qemu'><name>bare</name><memory unit='MiB'>32</memory>\
    <os><type machine='q35'>hvm</type></os><features><acpi/></features><devices>\
    <interface type='network'><source network='nat'/><model type='virtio'/></interface>\
    <serial type='pty'/><graphics type='vnc'/></devices></domain>";
#[apply(scenario)]
fn virsh_has_guests_and_their_networks_on_one_connection() {
    need(&[Need::Netns, Need::Program("virsh"), qemu::NEED]);
    let mut daemon = GuestDaemon::new().unwrap();
    daemon.write("nat.xml", NAT).unwrap();
    daemon.write("bare.xml", BARE).unwrap();
    assert!(daemon.shell("virsh", "version").unwrap().contains("Running hypervisor: QEMU "));
    for command in
        ["net-define ROOT/nat.xml", "net-start nat", "define ROOT/bare.xml", "start bare"]
    {
        daemon.shell("virsh", command).unwrap();
    }
    assert_eq!(daemon.shell("virsh", "domstate bare --reason").unwrap().trim(), "running (booted)");
    let info = daemon.shell("virsh", "dominfo bare").unwrap();
    assert!(info.contains("\nSecurity DOI:   0\n") && !info.contains("Security label"), "{info}");
    assert_eq!(daemon.shell("virsh", "vncdisplay bare").unwrap().trim(), "127.0.0.1:0");
    assert!(daemon.shell("virsh", "ttyconsole bare").unwrap().starts_with("/dev/pts/"));
    let xml = daemon.shell("virsh", "dumpxml bare").unwrap();

    daemon.kill().unwrap();
    daemon.start().unwrap();
    assert_eq!(daemon.shell("virsh", "domid bare").unwrap().trim(), "1");
    assert_eq!(daemon.shell("virsh", "dumpxml bare").unwrap(), xml);
    daemon.shell("virsh", "suspend bare").unwrap();
    assert_eq!(daemon.shell("virsh", "domstate bare").unwrap().trim(), "paused");
    daemon.shell("virsh", "destroy bare").unwrap();
    assert_eq!(
        daemon.shell("virsh", "domstate bare --reason").unwrap().trim(),
        "shut off (destroyed)"
    );
    assert_eq!(daemon.shell("virsh", "net-port-list nat").unwrap().trim(), "");
    daemon.shell("virsh", "undefine bare").unwrap();
    assert_eq!(daemon.shell("virsh", "list --all").unwrap().trim(), "");
}

#[apply(scenario)]
fn virsh_has_pools_and_their_volumes_on_the_connection_of_guests() {
    need(&[Need::Netns, Need::Program("virsh"), Need::Program("qemu-img")]);
    let daemon = GuestDaemon::new().unwrap();
    let root = daemon.root().path();
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
        daemon.shell("virsh", command).unwrap();
    }
    let xml = daemon.shell("virsh", "vol-dumpxml a.qcow2 --pool disks").unwrap();
    assert!(xml.contains("<format type='qcow2'/>"), "{xml}");
    assert!(xml.contains("<capacity unit='bytes'>1048576</capacity>"), "{xml}");
    let volume = root.join("disks/a.qcow2");
    assert_eq!(std::fs::read(&volume).unwrap().get(..4), Some(&b"QFI\xfb"[..]));

    daemon.shell("virsh", "vol-upload a.qcow2 ROOT/sent --pool disks").unwrap();
    daemon.shell("virsh", "vol-download a.qcow2 ROOT/received --pool disks").unwrap();
    assert!(std::fs::read(root.join("received")).unwrap() == sent, "the file is another");
    daemon.shell("virsh", "vol-delete a.qcow2 --pool disks").unwrap();
    assert!(!volume.exists());
    assert_eq!(daemon.shell("virsh", "vol-list disks").unwrap().trim(), "");
    daemon.shell("virsh", "pool-destroy disks").unwrap();
    daemon.shell("virsh", "pool-undefine disks").unwrap();
    assert_eq!(daemon.shell("virsh", "pool-list --all").unwrap().trim(), "");
}

#[apply(scenario)]
fn a_dry_run_prints_what_a_start_executes_and_does_nothing() {
    need(&[Need::Netns, Need::Program("virsh"), qemu::NEED]);
    let daemon = GuestDaemon::new().unwrap();
    daemon.write("nat.xml", NAT).unwrap();
    daemon.write("bare.xml", BARE).unwrap();
    for command in ["net-define ROOT/nat.xml", "net-start nat", "define ROOT/bare.xml"] {
        daemon.shell("virsh", command).unwrap();
    }
    let printed = daemon.shell("oxish", "start bare --dry-run").unwrap();
    assert_eq!(daemon.shell("virsh", "domstate bare").unwrap().trim(), "shut off");
    assert_eq!(daemon.shell("virsh", "net-port-list nat").unwrap().trim(), "");
    assert!(!daemon.netns().sh("ip -br link").unwrap().contains("vnet"));

    daemon.shell("virsh", "start bare").unwrap();
    let log = daemon.root().join("var/log/libvirt/qemu/bare.log");
    let log = std::fs::read_to_string(log).unwrap();
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim_end_matches('\\').trim());
        lines.map(str::to_owned).collect()
    };
    let (executed, printed) = (lines(&log), lines(&printed));
    assert!(executed.windows(printed.len()).any(|part| part == printed), "{printed:?}\n{log}");
    let refused = daemon.shell("oxish", "start bare --dry-run").unwrap_err().to_string();
    assert!(refused.contains("Domain is already active"), "{refused}");
    daemon.shell("virsh", "destroy bare").unwrap();
}
