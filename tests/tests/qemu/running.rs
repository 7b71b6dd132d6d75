//! Guests that run, as virsh sees and changes them.

use oxivirt_tests::guest_daemon::GuestDaemon;
use oxivirt_tests::process::{Run, wait_until};
use oxivirt_tests::qemu::{self, Image};
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{apply, scenario};

const NAT: &str = include_str!("../../data/networks/nat.xml");
const MAC: &str = "52:54:00:6b:00:78";

/// A daemon with the network `nat`, and virsh to talk to it.
fn daemon() -> GuestDaemon {
    need(&[Need::Netns, Need::Program("virsh"), Need::Program("qemu-img"), qemu::NEED]);
    let daemon = GuestDaemon::new().unwrap();
    daemon.write("nat.xml", NAT).unwrap();
    for command in ["net-define ROOT/nat.xml", "net-start nat"] {
        daemon.shell("virsh", command).unwrap();
    }
    daemon
}

#[track_caller]
fn refused(daemon: &GuestDaemon, command: &str, text: &str) {
    let error = daemon.shell("virsh", command).unwrap_err().to_string();
    assert!(error.contains(text), "{command}: {error}");
}

/// A running guest with a disk, a network card and a screen, without operating system.
fn bare() -> GuestDaemon {
    let daemon = daemon();
    let disk = daemon.root().join("disk.qcow2");
    Run::new(["qemu-img", "create", "-q", "-f", "qcow2"])
        .args([&disk])
        .args(["64M"])
        .stdout()
        .unwrap();
    let xml = format!(
        "<domain type='qemu'><name>bare</name><memory unit='MiB'>64</memory>\
         <vcpu current='1'>2</vcpu><os><type machine='q35'>hvm</type></os><features><acpi/>\
         </features><devices><disk type='file'><driver name='qemu' type='qcow2'/>\
         <source file='{}'/><target dev='vda' bus='virtio'/></disk><disk type='file' device='cdrom'>\
         <target dev='sda' bus='sata'/></disk><interface type='network'><mac address='{MAC}'/>\
         <source network='nat'/><model type='virtio'/></interface><channel type='unix'>\
         <target type='virtio' name='org.qemu.guest_agent.0'/></channel><graphics type='vnc'/>\
         <video><model type='vga'/></video></devices></domain>",
        disk.display()
    );
    daemon.write("bare.xml", &xml).unwrap();
    for command in ["define ROOT/bare.xml", "start bare"] {
        daemon.shell("virsh", command).unwrap();
    }
    daemon
}

#[apply(scenario)]
fn a_guest_has_no_snapshots() {
    let daemon = bare();
    let virsh = |command: &str| daemon.shell("virsh", command).unwrap();
    for command in ["snapshot-list bare --name", "checkpoint-list bare --name"] {
        assert_eq!(virsh(command).trim(), "", "{command}");
    }
    refused(&daemon, "snapshot-current bare", "has no current snapshot");
    refused(&daemon, "snapshot-info bare one", "no domain snapshot with matching name 'one'");
    refused(&daemon, "checkpoint-info bare one", "no domain checkpoint with matching name 'one'");
    assert!(virsh("schedinfo bare").contains("vcpu_period"));
    virsh("destroy bare");
    refused(&daemon, "vcpucount bare --maximum --live", "domain is not running");
    virsh("undefine bare --snapshots-metadata --managed-save");
}

#[apply(scenario)]
fn virsh_reads_figures_of_a_running_guest() {
    let daemon = bare();
    let virsh = |command: &str| daemon.shell("virsh", command).unwrap();
    let stats = virsh("domstats bare");
    for line in [
        "  state.state=1\n",
        "  balloon.current=65536\n",
        "  balloon.maximum=65536\n",
        "  vcpu.current=1\n",
        "  vcpu.maximum=2\n",
        "  vcpu.0.state=1\n",
        "  net.count=1\n",
        "  net.0.name=vnet0\n",
        "  block.count=2\n",
        "  block.0.name=vda\n",
        "  block.0.capacity=67108864\n",
        "  block.1.name=sda\n",
        "  dirtyrate.calc_mode=page-sampling\n",
    ] {
        assert!(stats.contains(line), "{line}{stats}");
    }
    for key in ["cpu.time=", "cpu.user=", "balloon.rss=", "net.0.rx.bytes=", "block.0.rd.reqs="] {
        assert!(stats.contains(&format!("  {key}")), "{key} {stats}");
    }
    let info = virsh("domblkinfo bare vda");
    assert!(info.contains("Capacity:       67108864\n"), "{info}");
    assert!(virsh("domblkstat bare vda").contains("vda rd_req "));
    refused(&daemon, "domblkstat bare vdz", "invalid argument: invalid path: vdz");
    assert_eq!(virsh("domblkerror bare").trim(), "No errors found");
    assert!(virsh("domifstat bare vnet0").contains("vnet0 rx_bytes "));
    assert_eq!(virsh(&format!("domifstat bare {MAC}")).lines().count(), 8);
    refused(&daemon, "domifstat bare vnet9", "invalid argument: 'vnet9' is not a known interface");
    let memory = virsh("dommemstat bare");
    assert!(memory.contains("actual 65536\n") && memory.contains("rss "), "{memory}");
    virsh("dommemstat bare --period 5 --live --config");
    assert!(virsh("dumpxml bare").contains("<stats period='5'/>"));
    assert!(virsh("dumpxml bare --inactive").contains("<stats period='5'/>"));
    let vcpu = virsh("vcpuinfo bare");
    assert!(
        vcpu.contains("VCPU:           0\n") && vcpu.contains("State:          running\n"),
        "{vcpu}"
    );
    assert_eq!(virsh("vcpucount bare --live --maximum").trim(), "2");
    assert_eq!(virsh("vcpucount bare --live --active").trim(), "1");
    assert_eq!(virsh("domcontrol bare").trim(), "ok");
    assert!(virsh("domjobinfo bare").contains("None"));
    assert!(virsh("cpu-stats bare --total").contains("cpu_time"));
    assert_eq!(virsh("domiftune bare vnet0").lines().next(), Some("inbound.average: 0"));
    assert!(virsh("blkdeviotune bare vda").contains("total_bytes_sec: 0"));
    // The agent does not answer: the guest has no system.
    for command in ["domhostname bare", "domtime bare", "domfsinfo bare", "guestinfo bare"] {
        let text = "Guest agent is not responding: QEMU guest agent is not connected";
        refused(&daemon, command, text);
    }
    virsh("destroy bare");
    assert!(virsh("domstats bare --vcpu").contains("vcpu.maximum=2"));
    refused(&daemon, "dommemstat bare", "domain is not running");
    assert!(virsh("domblkinfo bare vda").contains("Capacity:       67108864\n"));
    let cpus = virsh("vcpuinfo bare --pretty");
    assert!(cpus.contains("State:          N/A\n"), "{cpus}");
}

#[apply(scenario)]
fn virsh_changes_how_a_guest_runs() {
    let daemon = bare();
    let virsh = |command: &str| daemon.shell("virsh", command).unwrap();
    virsh("setmem bare 48M --live --config");
    assert!(virsh("dumpxml bare --inactive").contains("<currentMemory unit='KiB'>49152</"));
    refused(
        &daemon,
        "setmem bare 1G",
        "invalid argument: cannot set memory higher than max memory",
    );
    let text = "cannot resize the maximum memory on an active domain";
    refused(&daemon, "setmaxmem bare 1G --live", text);
    virsh("setmaxmem bare 128M --config");
    assert!(virsh("dumpxml bare --inactive").contains("<memory unit='KiB'>131072</memory>"));
    let text = "requested vcpus is greater than max allowable vcpus for the live domain: 4 > 2";
    refused(&daemon, "setvcpus bare 4", text);
    virsh("setvcpus bare 2 --config");
    assert!(virsh("dumpxml bare --inactive").contains("<vcpu placement='static'>2</vcpu>"));
    virsh("vcpupin bare 0 0 --live");
    assert!(virsh("vcpupin bare --vcpu 0").trim_end().ends_with(" 0"));
    assert!(virsh("dumpxml bare").contains("<vcpupin vcpu='0' cpuset='0'/>"));
    virsh("emulatorpin bare 0 --live");
    let pin = virsh("emulatorpin bare");
    assert_eq!(pin.split_whitespace().last(), Some("0"), "{pin}");
    virsh("send-key bare KEY_LEFTCTRL KEY_LEFTALT KEY_DELETE");
    virsh("inject-nmi bare");
    virsh("screenshot bare ROOT/picture");
    let picture = std::fs::read(daemon.root().join("picture")).unwrap();
    assert!(picture.starts_with(b"\x89PNG") && picture.ends_with(b"IEND\xaeB`\x82"), "no picture");
    let left = std::fs::read_dir(daemon.root().join("var/lib/libvirt/qemu/domain-1-bare")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("screendump")), "{left:?}");
    let status = virsh(r#"qemu-monitor-command bare {"execute":"query-status"}"#);
    assert!(status.contains(r#""status":"running""#), "{status}");
    assert!(virsh("qemu-monitor-command bare --hmp info\tstatus").contains("running"));
    let text = "not supported by the connection driver: virDomainSetMemoryParameters";
    refused(&daemon, "memtune bare --hard-limit 1000000 --live", text);
    virsh("destroy bare");
    refused(&daemon, "screenshot bare ROOT/picture", "domain is not running");
}

#[apply(scenario)]
fn a_guest_that_hangs_delays_no_figures() {
    let daemon = bare();
    let emulators = daemon.netns().processes_of(qemu::SYSTEM).unwrap();
    let pid = emulators.first().unwrap().outside.to_string();
    Run::new(["kill", "-STOP"]).args([&pid]).stdout().unwrap();
    let stats = daemon.shell("virsh", "domstats bare").unwrap();
    Run::new(["kill", "-CONT"]).args([&pid]).stdout().unwrap();
    for key in ["state.state=1", "balloon.current=65536", "vcpu.0.time=", "net.0.name=vnet0"] {
        assert!(stats.contains(key), "{key} {stats}");
    }
    assert!(!stats.contains("block."), "{stats}");
    daemon.shell("virsh", "destroy bare").unwrap();
}

#[apply(scenario)]
fn the_guest_agent_answers_and_shuts_the_guest_down() {
    need(&[Need::Guest]);
    let (mut daemon, image) = (daemon(), Image::get().unwrap());
    let (kernel, initramfs) = (image.kernel.display(), image.initramfs.display());
    let xml = format!(
        "<domain type='qemu'><name>real</name><memory unit='MiB'>128</memory>\
         <os><type machine='q35'>hvm</type><kernel>{kernel}</kernel><initrd>{initramfs}</initrd>\
         <cmdline>console=ttyS0 quiet panic=-1 name=real</cmdline></os><features><acpi/></features>\
         <devices><interface type='network'><mac address='{MAC}'/><source network='nat'/>\
         <model type='virtio'/></interface><channel type='unix'><target type='virtio' \
         name='org.qemu.guest_agent.0'/></channel><serial type='pty'/></devices></domain>"
    );
    daemon.write("real.xml", &xml).unwrap();
    for command in ["define ROOT/real.xml", "start real"] {
        daemon.shell("virsh", command).unwrap();
    }
    let ping = r#"qemu-agent-command real {"execute":"guest-ping"}"#;
    wait_until("the agent answers", || Ok(daemon.shell("virsh", ping).is_ok())).unwrap();
    let virsh = |command: &str| daemon.shell("virsh", command);
    assert_eq!(virsh(ping).unwrap().trim(), r#"{"return":{}}"#);
    let xml = virsh("dumpxml real").unwrap();
    assert!(xml.contains("name='org.qemu.guest_agent.0' state='connected'/>"), "{xml}");
    assert_eq!(virsh("domhostname real").unwrap().trim(), "real");
    assert!(virsh("domtime real").unwrap().starts_with("Time: "));
    wait_until("the guest has a lease", || {
        Ok(virsh("domifaddr real --source agent").is_ok_and(|text| text.contains("192.168.122.")))
    })
    .unwrap();
    let addresses = virsh("domifaddr real --source agent").unwrap();
    assert!(addresses.contains("eth0") && addresses.contains(MAC), "{addresses}");
    virsh("domfsfreeze real").unwrap();
    virsh("domfsthaw real").unwrap();
    let refusal = virsh("domfsthaw real --mountpoint /").unwrap_err().to_string();
    assert!(refusal.contains("specifying mountpoints is not supported"), "{refusal}");
    let refusal = virsh("set-user-password real root secret").unwrap_err().to_string();
    // What is in front of it is the command line.
    let answer = refusal.rsplit("error:").next().unwrap_or_default();
    assert!(answer.contains("The command has not been found"), "{answer}");
    assert!(!answer.contains("secret"), "{answer}");

    daemon.kill().unwrap();
    daemon.start().unwrap();
    let virsh = |command: &str| daemon.shell("virsh", command);
    assert_eq!(virsh("domhostname real").unwrap().trim(), "real");
    virsh("shutdown real --mode agent").unwrap();
    wait_until("the guest is off", || {
        Ok(virsh("domstate real --reason").is_ok_and(|text| text.trim() == "shut off (shutdown)"))
    })
    .unwrap();
}

#[apply(scenario)]
fn devices_of_definitions_change_and_a_running_guest_takes_what_it_can() {
    let daemon = bare();
    let virsh = |command: &str| daemon.shell("virsh", command).unwrap();
    daemon
        .write(
            "rng.xml",
            "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
        )
        .unwrap();
    daemon.write("frob.xml", "<frob/>").unwrap();
    virsh("attach-disk bare ROOT/other.img vdb --config");
    let stored = virsh("dumpxml bare --inactive");
    assert!(stored.contains("<target dev='vdb' bus='virtio'/>"), "{stored}");
    assert!(!virsh("dumpxml bare").contains("vdb"));
    refused(&daemon, "attach-disk bare ROOT/other.img vdb --config", "target vdb already exists");
    virsh("detach-disk bare vdb --config");
    assert!(!virsh("dumpxml bare --inactive").contains("vdb"));
    virsh("attach-interface bare network nat --model e1000e --mac 52:54:00:6b:00:79 --config");
    assert!(virsh("dumpxml bare --inactive").contains("52:54:00:6b:00:79"));
    virsh("detach-interface bare network --mac 52:54:00:6b:00:79 --config");
    virsh("attach-device bare ROOT/rng.xml --config");
    assert!(virsh("dumpxml bare --inactive").contains("<rng model='virtio'>"));
    virsh("detach-device bare ROOT/rng.xml --config");
    let text = "device not present in domain configuration";
    refused(&daemon, "detach-device bare ROOT/rng.xml --config", text);
    let text = "unsupported configuration: unknown device type 'frob'";
    refused(&daemon, "attach-device bare ROOT/frob.xml --config", text);
    let text = "live attach of device 'rng' is not supported";
    refused(&daemon, "attach-device bare ROOT/rng.xml --live", text);
    virsh("change-media bare sda ROOT/disk.qcow2 --insert --config");
    assert!(virsh("domblklist bare --inactive").contains("disk.qcow2"));

    virsh("domif-setlink bare vnet0 down");
    assert!(virsh("domif-getlink bare vnet0").contains("down"));
    assert!(virsh("dumpxml bare").contains("<link state='down'/>"));
    virsh("domif-setlink bare vnet0 up");
    virsh("destroy bare");
}

#[apply(scenario)]
fn a_password_of_a_display_is_set_and_shown_to_those_who_may_see_it() {
    let daemon = daemon();
    let xml = "<domain type='qemu'><name>screen</name><memory unit='MiB'>32</memory>\
        <os><type machine='q35'>hvm</type></os><devices><graphics type='vnc' passwd='sesame'/>\
        <video><model type='vga'/></video></devices></domain>";
    daemon.write("screen.xml", xml).unwrap();
    let virsh = |command: &str| daemon.shell("virsh", command).unwrap();
    virsh("define ROOT/screen.xml");
    virsh("start screen");
    let asked = virsh(r#"qemu-monitor-command screen {"execute":"query-vnc"}"#);
    assert!(asked.contains(r#""auth":"vnc""#), "{asked}");
    assert!(!virsh("dumpxml screen").contains("sesame"));
    assert!(virsh("dumpxml screen --security-info").contains("passwd='sesame'"));
    daemon
        .write("new.xml", "<graphics type='vnc' port='5900' autoport='yes' passwd='hunter2'/>")
        .unwrap();
    virsh("update-device screen ROOT/new.xml --live");
    assert!(virsh("dumpxml screen --security-info").contains("passwd='hunter2'"));
    for log in ["log", "var/log/libvirt/qemu/screen.log"] {
        let text = std::fs::read_to_string(daemon.root().join(log)).unwrap();
        assert!(!text.contains("sesame") && !text.contains("hunter2"), "{log}");
    }
    virsh("destroy screen");
}
