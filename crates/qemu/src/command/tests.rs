use super::*;

use oxivirt_conf::domain::{HostAudio, Origin, QemuDefaults};
use oxivirt_types::error::Classified as _;

const EMULATOR: &str = "<qemuCaps>
  <emulator>/usr/bin/qemu-system-x86_64</emulator>
  <flag name='kvm'/> <flag name='qemu-xhci'/> <flag name='pcie-root-port'/>
  <flag name='seccomp-sandbox'/> <flag name='device.json+hotplug'/> <flag name='virtio-vga'/>
  <flag name='blockjob.backing-mask-protocol'/>
  <version>10000000</version> <arch>x86_64</arch>
  <machine type='kvm' name='pc-q35-10.0' alias='q35' maxCpus='288' defaultCPU='qemu64-x86_64-cpu'
           defaultRAMid='pc.ram' acpi='yes'/>
</qemuCaps>";

const GUEST: &str = "<domain type='kvm'>
  <name>a,b</name> <uuid>1ccfd97d-5eb4-478a-bbe6-88d254c16db7</uuid>
  <memory>262144</memory> <vcpu>2</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file'>
      <driver name='qemu' type='qcow2' cache='none'/>
      <source file='/a.qcow2'/>
      <backingStore type='file'>
        <format type='raw'/><source file='/base.img'/><backingStore/>
      </backingStore>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='bridge'>
      <mac address='52:54:00:01:02:03'/><source bridge='br0'/><target dev='vnet7'/>
      <model type='virtio'/><driver queues='2'/>
    </interface>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <memballoon model='none'/>
  </devices>
</domain>";

fn facts() -> Facts {
    Facts {
        id: 7,
        environment: vec![(String::from("PATH"), String::from("/bin"))],
        firmwares: Vec::new(),
        processor: HostProcessor::default(),
        directories: Directories {
            library: PathBuf::from("/lib"),
            channel: PathBuf::from("/channel"),
            memory: PathBuf::from("/ram"),
            nvram: PathBuf::from("/nvram"),
            passt: PathBuf::from("/passt"),
            dbus: PathBuf::from("/dbus"),
        },
        config: Config::default(),
        host: Host {
            has_vhost_net: true,
            huge_pages: Vec::new(),
            optical_drives: Vec::new(),
            page_kib: 4,
            numa_nodes: vec![0],
        },
        number: |index, _| i32::try_from(index).unwrap() + 20,
        automatic_nodes: vec![0],
        now: 0,
        local_offset: 0,
    }
}

/// The guest, complete and prepared, after a change of its text.
fn plan(change: impl Fn(&str) -> String) -> Result<(DomainDef, CommandLine)> {
    let emulator = EmulatorCapabilities::parse(EMULATOR).unwrap();
    let mut def = DomainDef::parse(&change(GUEST)).unwrap();
    let mut random = |bytes: &mut [u8]| bytes.fill(0);
    let mut defaults = QemuDefaults {
        emulator: &emulator,
        origin: Origin::New,
        host_arch: "x86_64",
        host_audio: HostAudio::default(),
        random: &mut random,
    };
    def.complete_qemu(&mut defaults).unwrap();
    def.assign_addresses(&emulator, Origin::New).unwrap();
    prepare(&mut def, &emulator, &facts())?;
    let command = command_line(&def, &emulator, &facts())?;
    Ok((def, command))
}

/// The values of an option.
fn values<'a>(command: &'a CommandLine, option: &str) -> Vec<&'a str> {
    let pairs = command.arguments.iter().zip(command.arguments.iter().skip(1));
    pairs.filter(|(name, _)| *name == option).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn descriptors_are_numbered_in_the_order_of_the_list() {
    let (_, command) = plan(str::to_owned).unwrap();
    let tap = |queue| Descriptor::Tap {
        alias: String::from("net0"),
        queue,
        queues: 2,
        link: Some(String::from("vnet7")),
        is_bridged: true,
    };
    let vhost = |queue| Descriptor::VhostNet {
        alias: String::from("net0"),
        queue,
        path: PathBuf::from("/dev/vhost-net"),
    };
    let expected = [
        Descriptor::Monitor { path: PathBuf::from("/lib/monitor.sock") },
        tap(0),
        tap(1),
        vhost(0),
        vhost(1),
        Descriptor::Listen {
            alias: String::from("channel0"),
            path: PathBuf::from("/channel/org.qemu.guest_agent.0"),
        },
    ];
    assert_eq!(command.descriptors, expected);
    let netdev = r#"{"type":"tap","fds":"21:22","vhost":true,"vhostfds":"23:24","id":"hostnet0"}"#;
    assert_eq!(values(&command, "-netdev"), [netdev]);
    assert_eq!(
        values(&command, "-chardev"),
        [
            "socket,id=charmonitor,fd=20,server=on,wait=off",
            "socket,id=charchannel0,fd=25,server=on,wait=off"
        ]
    );
}

#[test]
fn a_chain_is_opened_from_its_bottom() {
    let (def, command) = plan(str::to_owned).unwrap();
    let cache = r#""cache":{"direct":true,"no-flush":false}"#;
    assert_eq!(
        values(&command, "-blockdev"),
        [
            format!(
                r#"{{"driver":"file","filename":"/base.img","node-name":"libvirt-2-storage","read-only":true,{cache}}}"#
            ),
            format!(
                r#"{{"driver":"file","filename":"/a.qcow2","node-name":"libvirt-1-storage","auto-read-only":true,"discard":"unmap",{cache}}}"#
            ),
            format!(
                r#"{{"node-name":"libvirt-1-format","read-only":false,{cache},"driver":"qcow2","file":"libvirt-1-storage","backing":"libvirt-2-storage"}}"#
            ),
        ]
    );
    let live = def.format(oxivirt_conf::domain::Form::Live);
    assert!(live.contains("<source file='/a.qcow2' index='1'>"), "{live}");
    assert!(live.contains("<alias name='virtio-disk0'/>"), "{live}");
}

#[test]
fn commas_of_a_name_start_no_option() {
    let (_, command) = plan(str::to_owned).unwrap();
    assert_eq!(values(&command, "-name"), ["guest=a,,b,debug-threads=on"]);
}

#[test]
fn an_element_that_is_not_run_is_named() {
    let lease = "<lease><lockspace>s</lockspace><key>k</key><target path='/l'/></lease></devices>";
    let error = plan(|text| text.replace("</devices>", lease)).unwrap_err();
    assert_eq!(error.to_string(), "element <lease> is not supported");
    assert_eq!(error.code().0, 67);
}

#[test]
fn vhost_is_silently_absent_unless_it_was_asked_for() {
    let emulator = EmulatorCapabilities::parse(EMULATOR).unwrap();
    let (def, _) = plan(str::to_owned).unwrap();
    let mut facts = facts();
    facts.host.has_vhost_net = false;
    let command = command_line(&def, &emulator, &facts).unwrap();
    assert_eq!(values(&command, "-netdev"), [r#"{"type":"tap","fds":"21:22","id":"hostnet0"}"#]);
    let asked = |text: &str| text.replace("queues='2'", "name='vhost'");
    let (def, _) = plan(asked).unwrap();
    let error = command_line(&def, &emulator, &facts).unwrap_err();
    assert_eq!(error.code().0, 67);
}
