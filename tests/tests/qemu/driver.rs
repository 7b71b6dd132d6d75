//! The driver of guests, with the driver of networks beside it and real emulators below it.

use std::path::Path;

use oxivirt_tests::guests::Guests;
use oxivirt_tests::process::{Run, wait_until};
use oxivirt_tests::qemu::{self, Image};
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{Error, Result, apply, scenario};

const NAT: &str = include_str!("../../data/networks/nat.xml");
const UUID: &str = "c7a5fdbd-edaf-9455-926a-d65c16db1809";
const MAC: &str = "52:54:00:6b:00:77";

/// A guest with a disk and a serial port, without operating system.
fn bare(devices: &str) -> String {
    format!(
        "<domain type='qemu'><name>bare</name><uuid>{UUID}</uuid><memory unit='MiB'>32</memory>\
         <os><type machine='q35'>hvm</type></os><features><acpi/></features>\
         <devices>{devices}<serial type='pty'/><graphics type='vnc'/></devices></domain>"
    )
}

fn host() -> Guests {
    need(&[Need::Netns, qemu::NEED]);
    Guests::new().unwrap()
}

fn disk(host: &Guests) -> String {
    let path = host.path("disk.qcow2");
    let path = path.to_string_lossy();
    Run::new(["qemu-img", "create", "-q", "-f", "qcow2", &*path, "64M"]).stdout().unwrap();
    format!(
        "<disk type='file'><driver name='qemu' type='qcow2'/><source file='{path}'/>\
         <target dev='vda' bus='virtio'/></disk>"
    )
}

fn start_network(host: &mut Guests) {
    host.call("net-define", "nat", NAT).unwrap();
    host.call("net-start", "nat", "").unwrap();
}

fn owner(path: &Path) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt as _;
    let meta = path.metadata().unwrap();
    (meta.uid(), meta.gid())
}

#[track_caller]
fn refused(result: Result<String>, number: u32, domain: u32, text: &str) {
    match result {
        Err(Error::Refused { number: found, domain: from, message })
            if (found, from) == (number, domain) && message.contains(text) => {}
        other => panic!("{other:?}"),
    }
}

#[apply(scenario)]
fn a_guest_starts_and_is_destroyed_without_a_trace() {
    let mut host = host();
    start_network(&mut host);
    let nic = format!(
        "<interface type='network'><mac address='{MAC}'/><source network='nat'/>\
         <model type='virtio'/></interface>"
    );
    let image = host.path("disk.qcow2");
    let disk = disk(&host);
    let before = owner(&image);
    host.call("define", "bare", &bare(&(disk + &nic))).unwrap();
    let id = host.call("start", "bare", "").unwrap();
    assert_eq!(id, "1");
    assert_eq!(host.call("state", "bare", "").unwrap(), "1 1");
    let events = host.call("events", "bare", "").unwrap();
    assert_eq!(events.lines().collect::<Vec<_>>(), ["bare 0 0", "bare 4 0", "bare 2 0"]);
    let xml = host.call("xml", "bare", "").unwrap();
    for part in ["id='1'", "<source path='/dev/pts/", "dev='vnet0'", "bridge='virbr0'", "portid='"]
    {
        assert!(xml.contains(part), "{part} in {xml}");
    }
    assert!(xml.contains("port='5900' autoport='yes'"), "{xml}");
    assert!(!host.call("xml", "bare", "2").unwrap().contains("vnet0"));
    assert_eq!(host.call("list", "", "1").unwrap(), "bare");
    assert_eq!(host.call("net-ports", "nat", "").unwrap(), "1");
    // Forwarding although the spanning tree protocol runs.
    let bridge = host.netns().sh("bridge link show dev vnet0").unwrap();
    assert!(bridge.contains("state forwarding"), "{bridge}");
    let stp = host.netns().sh("cat /sys/class/net/virbr0/bridge/stp_state").unwrap();
    assert_eq!(stp.trim(), "1");
    let [process] = &host.emulators().unwrap()[..] else { panic!() };
    assert!(process.command.contains("-name guest=bare,debug-threads=on -S"), "{process:?}");
    refused(host.call("start", "bare", ""), 55, 10, "domain is already running");

    host.call("destroy", "bare", "").unwrap();
    let events = host.call("events", "bare", "").unwrap();
    assert_eq!(events.lines().collect::<Vec<_>>(), ["bare 6 2", "bare 5 1"]);
    assert_eq!(host.call("state", "bare", "").unwrap(), "5 2");
    assert_eq!(host.traces().unwrap(), <[String; 0]>::default());
    assert_eq!(host.call("net-ports", "nat", "").unwrap(), "0");
    assert_eq!(owner(&image), before);
    refused(host.call("destroy", "bare", ""), 55, 20, "domain is not running");
    let log = std::fs::read_to_string(host.path("var/log/libvirt/qemu/bare.log")).unwrap();
    assert!(log.contains(": starting up libvirt version: 11.3.0"), "{log}");
    assert!(log.ends_with(": shutting down, reason=destroyed\n"), "{log}");
    host.call("undefine", "bare", "").unwrap();
}

#[apply(scenario)]
fn a_guest_outlives_the_driver_and_is_found_again() {
    let mut host = host();
    let disk = disk(&host);
    host.call("define", "bare", &bare(&disk)).unwrap();
    host.call("start", "bare", "").unwrap();
    let xml = host.call("xml", "bare", "").unwrap();
    for is_killed in [false, true] {
        if is_killed {
            host.kill().unwrap();
        } else {
            host.close();
        }
        host.open().unwrap();
        host.wait_state("bare", "1").unwrap();
        assert_eq!(host.call("xml", "bare", "").unwrap(), xml);
        assert_eq!(host.emulators().unwrap().len(), 1);
        host.call("suspend", "bare", "").unwrap();
        assert_eq!(host.call("state", "bare", "").unwrap(), "3 1");
        host.call("resume", "bare", "").unwrap();
        assert_eq!(host.call("state", "bare", "").unwrap(), "1 5");
        let events = host.call("events", "bare", "").unwrap();
        assert_eq!(events.lines().collect::<Vec<_>>(), ["bare 3 0", "bare 4 0"]);
    }
    // One that ends while no driver runs.
    host.close();
    host.netns().kill_all(qemu::SYSTEM).unwrap();
    host.open().unwrap();
    host.wait_state("bare", "5").unwrap();
    assert_eq!(host.call("state", "bare", "").unwrap(), "5 3");
    assert_eq!(host.traces().unwrap(), <[String; 0]>::default());
    // The numbers go on.
    assert_eq!(host.call("start", "bare", "1").unwrap(), "2");
    assert_eq!(host.call("state", "bare", "").unwrap(), "3 1");
    host.call("destroy", "bare", "").unwrap();
}

#[apply(scenario)]
fn an_emulator_that_hangs_is_destroyed() {
    let mut host = host();
    host.call("define", "bare", &bare("")).unwrap();
    host.call("start", "bare", "").unwrap();
    let [process] = &host.emulators().unwrap()[..] else { panic!() };
    let pid = process.inside;
    host.netns().sh(&format!("kill -STOP {pid}")).unwrap();
    // Neither its state nor a list asks it.
    assert_eq!(host.call("state", "bare", "").unwrap(), "1 1");
    assert_eq!(host.call("list", "", "1").unwrap(), "bare");
    refused(host.call("destroy", "bare", "1"), 9, 10, "failed to kill qemu process with SIGTERM");
    host.call("destroy", "bare", "").unwrap();
    assert_eq!(host.traces().unwrap(), <[String; 0]>::default());
}

#[apply(scenario)]
fn an_emulator_that_dies_is_noticed() {
    let mut host = host();
    host.call("create-xml", "bare", &bare("")).unwrap();
    host.call("events", "bare", "").unwrap();
    host.netns().kill_all(qemu::SYSTEM).unwrap();
    wait_until("the guest is gone", || Ok(host.call("list", "", "")?.is_empty())).unwrap();
    assert_eq!(host.call("events", "bare", "").unwrap(), "bare 5 5");
    assert_eq!(host.traces().unwrap(), <[String; 0]>::default());
}

#[apply(scenario)]
fn a_start_that_fails_leaves_nothing() {
    let mut host = host();
    let disk = |path: &str| {
        format!(
            "<disk type='file'><driver name='qemu' type='qcow2'/><source file='{path}'/>\
             <target dev='vda' bus='virtio'/></disk>"
        )
    };
    let mut start = |devices: &str| {
        host.call("define", "bare", &bare(devices)).unwrap();
        let failed = host.call("start", "bare", "");
        assert_eq!(host.call("state", "bare", "").unwrap(), "5 6");
        assert_eq!(host.traces().unwrap(), <[String; 0]>::default());
        failed
    };
    refused(start(&disk("/nowhere/x")), 38, 18, "Cannot access storage file '/nowhere/x' (as uid:");
    refused(start(&disk("/etc/passwd")), 1, 10, "process exited while connecting to monitor: ");
    let network = "<interface type='network'><source network='none'/></interface>";
    refused(start(network), 43, 19, "no network with matching name 'none'");
    let bridge = "<interface type='bridge'><source bridge='nobr0'/></interface>";
    refused(start(bridge), 38, 0, "Cannot get interface MTU on 'nobr0': No such device");
    let graphics = "<graphics type='vnc' port='70000' autoport='no'/>";
    start(graphics).unwrap_err();
    start_network(&mut host);
    host.call("net-destroy", "nat", "").unwrap();
    let network = "<interface type='network'><source network='nat'/></interface>";
    host.call("define", "bare", &bare(network)).unwrap();
    refused(host.call("start", "bare", ""), 55, 19, "network 'nat' is not active");
    assert_eq!(host.traces().unwrap(), <[String; 0]>::default());
}

#[apply(scenario)]
fn an_image_on_a_read_only_file_system_is_used_as_it_is() {
    let mut host = host();
    let dir = host.path("media");
    let dir = dir.display();
    let script = format!(
        "mkdir {dir}; mount -t tmpfs tmpfs {dir}; truncate -s 1M {dir}/image.iso; \
         chmod 644 {dir}/image.iso; mount -o remount,ro {dir}"
    );
    host.netns().sh(&script).unwrap();
    let cdrom = format!(
        "<disk type='file' device='cdrom'><source file='{dir}/image.iso'/>\
         <target dev='sda' bus='sata'/></disk>"
    );
    host.call("create-xml", "bare", &bare(&cdrom)).unwrap();
    host.call("destroy", "bare", "").unwrap();
    assert_eq!(host.traces().unwrap(), <[String; 0]>::default());
}

/// Points of a start at which a driver is killed.
const POINTS: u32 = 20;

#[apply(scenario)]
fn a_driver_that_is_killed_during_a_start_leaves_a_guest_or_nothing() {
    let mut host = host();
    start_network(&mut host);
    let nic = format!(
        "<interface type='network'><mac address='{MAC}'/><source network='nat'/>\
         <model type='virtio'/></interface>"
    );
    let image = host.path("disk.qcow2");
    let disk = disk(&host);
    let before = owner(&image);
    host.call("define", "bare", &bare(&(disk + &nic))).unwrap();
    let (mut whole, mut none) = (0, 0);
    let begin = std::time::Instant::now();
    host.call("start", "bare", "").unwrap();
    let undisturbed = begin.elapsed();
    host.call("destroy", "bare", "").unwrap();
    // Points of a start in time: what is done at each is not known, and need not be. The last one is after it.
    for point in 0..=POINTS {
        host.send("start", "bare", "").unwrap();
        match point {
            POINTS => drop(host.answer().unwrap()),
            _ => std::thread::sleep(undisturbed * point / POINTS),
        }
        host.kill().unwrap();
        host.open().unwrap();
        if host.call("list", "", "1").unwrap().is_empty() {
            none += 1;
        } else {
            host.wait_state("bare", "1").unwrap();
            host.call("destroy", "bare", "").unwrap();
            whole += 1;
        }
        assert_eq!(host.traces().unwrap(), <[String; 0]>::default(), "at point {point}");
        assert_eq!(host.call("net-ports", "nat", "").unwrap(), "0", "at point {point}");
        assert_eq!(owner(&image), before, "at point {point}");
    }
    assert!(whole > 0 && none > 0, "{whole} guests, {none} times nothing");
}

#[apply(scenario)]
fn a_real_guest_takes_a_lease_reboots_and_powers_off() {
    need(&[Need::Guest]);
    let mut host = host();
    start_network(&mut host);
    let (image, output) = (Image::get().unwrap(), host.path("output"));
    let (kernel, initramfs) = (image.kernel.display(), image.initramfs.display());
    let xml = format!(
        "<domain type='qemu'><name>real</name><uuid>{UUID}</uuid><memory unit='MiB'>128</memory>\
         <os><type machine='q35'>hvm</type><kernel>{kernel}</kernel><initrd>{initramfs}</initrd>\
         <cmdline>console=ttyS0 quiet panic=-1 name=real</cmdline></os><features><acpi/></features>\
         <devices><interface type='network'><mac address='{MAC}'/><source network='nat'/>\
         <model type='virtio'/></interface><serial type='file'><source path='{}'/></serial>\
         </devices></domain>",
        output.display()
    );
    host.call("define", "real", &xml).unwrap();
    host.call("start", "real", "").unwrap();
    let boots = || {
        let text = std::fs::read(&output).unwrap_or_default();
        let mark = format!("{}lease eth0 ", qemu::MARK);
        String::from_utf8_lossy(&text).matches(&mark).count()
    };
    let lease = |host: &mut Guests| {
        let mut found = String::new();
        wait_until("the guest has a lease", || {
            found = host.call("addresses", "real", "")?;
            Ok(!found.is_empty())
        })
        .unwrap();
        found
    };
    let address = lease(&mut host);
    assert!(address.starts_with("vnet0 192.168.122."), "{address}");
    wait_until("the guest says so", || Ok(boots() == 1)).unwrap();
    host.call("events", "real", "").unwrap();

    host.call("reboot", "real", "").unwrap();
    wait_until("the guest is reset", || Ok(host.call("events", "real", "")?.contains("reboot")))
        .unwrap();
    assert_eq!(host.call("state", "real", "").unwrap().split(' ').next(), Some("1"));
    wait_until("the guest is up again", || Ok(boots() == 2)).unwrap();
    host.call("events", "real", "").unwrap();

    host.call("shutdown", "real", "").unwrap();
    host.wait_state("real", "5").unwrap();
    assert_eq!(host.call("state", "real", "").unwrap(), "5 1");
    let events = host.call("events", "real", "").unwrap();
    let last: Vec<&str> = events.lines().filter(|line| !line.contains("reboot")).collect();
    assert_eq!(last, ["real 6 1", "real 5 0"]);
    assert_eq!(host.traces().unwrap(), <[String; 0]>::default());
}
