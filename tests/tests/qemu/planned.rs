//! Command lines of the planner, started. Nothing of the guest runs, and it has no network.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use oxivirt_conf::domain::{DomainDef, HostAudio, Origin, QemuDefaults};
use oxivirt_conf::emulator::EmulatorCapabilities;
use oxivirt_qemu::command::{
    CommandLine, Config, Directories, Facts, Host, HostProcessor, command_line, prepare,
};
use oxivirt_qmp::command::{QueryBlock, QueryChardev, QueryStatus, Quit, RunState};
use oxivirt_qmp::{Monitor, Options};
use oxivirt_tests::qemu::{self, Qemu};
use oxivirt_tests::require::need;
use oxivirt_tests::{apply, scenario};

/// What the planner asks of an emulator, as far as this guest's devices depend on it.
const EMULATOR: &str = "<qemuCaps>
  <emulator>qemu-system-x86_64</emulator>
  <flag name='pcie-root-port'/> <flag name='qemu-xhci'/> <flag name='virtio-vga'/>
  <flag name='seccomp-sandbox'/> <flag name='device.json+hotplug'/> <flag name='VGA'/> <flag name='machine-hpet'/>
  <flag name='blockjob.backing-mask-protocol'/> <flag name='smp-dies'/>
  <version>10000000</version> <arch>x86_64</arch>
  <cpu type='tcg' name='qemu64' typename='qemu64-x86_64-cpu' usable='yes'/>
  <machine type='tcg' name='q35' maxCpus='255' defaultCPU='qemu64-x86_64-cpu' defaultRAMid='pc.ram' acpi='yes'/>
</qemuCaps>";

fn guest(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "<domain type='qemu'>
  <name>planned, here</name> <uuid>1ccfd97d-5eb4-478a-bbe6-88d254c16db7</uuid>
  <memory unit='MiB'>64</memory> <vcpu>2</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/><bootmenu enable='yes'/></os>
  <features><acpi/><apic/></features>
  <clock offset='utc'><timer name='rtc' tickpolicy='catchup'/><timer name='hpet' present='no'/></clock>
  <pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm>
  <devices>
    <emulator>{program}</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none' discard='unmap'/>
      <source file='{directory}/disk,1.img'/><target dev='vda' bus='virtio'/><serial>S1</serial>
    </disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>
    <controller type='usb' model='qemu-xhci' ports='15'/>
    <controller type='scsi' model='virtio-scsi'/>
    <interface type='user'><mac address='52:54:00:01:02:03'/><model type='virtio'/></interface>
    <serial type='pty'/>
    <channel type='pty'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <input type='tablet' bus='usb'/>
    <graphics type='vnc'><listen type='socket' socket='{directory}/vnc.sock'/></graphics>
    <video><model type='virtio' heads='1' primary='yes'/></video>
    <watchdog model='itco' action='reset'/>
    <memballoon model='virtio' freePageReporting='on'/>
    <rng model='virtio'><backend model='builtin'/></rng>
  </devices>
</domain>",
        program = qemu::SYSTEM,
    )
}

fn facts(directory: &Path) -> Facts {
    Facts {
        id: 1,
        environment: Vec::new(),
        firmwares: Vec::new(),
        processor: HostProcessor::default(),
        directories: Directories {
            library: directory.to_owned(),
            channel: directory.to_owned(),
            memory: directory.to_owned(),
            nvram: directory.to_owned(),
            passt: directory.to_owned(),
            dbus: directory.to_owned(),
        },
        config: Config::default(),
        host: Host {
            has_vhost_net: false,
            huge_pages: Vec::new(),
            optical_drives: Vec::new(),
            page_kib: 4,
            numa_nodes: vec![0],
        },
        // The monitor is standard input, and the only descriptor of this guest.
        number: |_, _| 0,
        automatic_nodes: vec![0],
        now: 0,
        local_offset: 0,
    }
}

fn plan(directory: &Path) -> CommandLine {
    let emulator = EmulatorCapabilities::parse(EMULATOR).unwrap();
    let mut def = DomainDef::parse(&guest(directory)).unwrap();
    let mut random = |bytes: &mut [u8]| bytes.fill(7);
    let origin = Origin::New;
    let host_arch = "x86_64";
    let mut defaults = QemuDefaults {
        emulator: &emulator,
        origin,
        host_arch,
        host_audio: HostAudio::default(),
        random: &mut random,
    };
    def.complete_qemu(&mut defaults).unwrap();
    def.assign_addresses(&emulator, origin).unwrap();
    def.validate_qemu(&emulator).unwrap();
    let facts = facts(directory);
    prepare(&mut def, &emulator, &facts).unwrap();
    command_line(&def, &emulator, &facts).unwrap()
}

#[apply(scenario)]
async fn qemu_accepts_what_was_planned() {
    need(&[qemu::NEED]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::File::create(path.join("disk,1.img")).unwrap().set_len(1 << 20).unwrap();
    let mut key = std::fs::File::create(path.join("master-key.aes")).unwrap();
    key.write_all(&[9; 32]).unwrap();
    let command = plan(path);
    assert_eq!(command.descriptors.len(), 1);
    let monitor = OwnedFd::from(UnixListener::bind(path.join("monitor.sock")).unwrap());
    let mut process = Qemu::planned(monitor, &command.program, &command.arguments).unwrap();
    let (monitor, _events) =
        Monitor::connect(path.join("monitor.sock"), &Options::default()).await.unwrap();
    let status = monitor.run(&QueryStatus {}).await.unwrap();
    assert_eq!((status.running, status.status), (false, RunState::Prelaunch));
    assert_eq!(monitor.run(&QueryBlock {}).await.unwrap().len(), 2);
    let chardevs = monitor.run(&QueryChardev {}).await.unwrap();
    let labels: Vec<&str> = chardevs.iter().map(|chardev| chardev.label.as_str()).collect();
    assert!(labels.contains(&"charserial0") && labels.contains(&"charchannel0"), "{labels:?}");
    monitor.run(&Quit {}).await.unwrap();
    assert!(process.wait().unwrap().success());
}
