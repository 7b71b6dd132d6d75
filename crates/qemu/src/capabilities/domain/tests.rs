use oxivirt_conf::emulator::Machine;

use super::*;

fn emulator(flags: &[&str]) -> EmulatorCapabilities {
    let document = "<qemuCaps><emulator>/usr/bin/qemu</emulator><arch>x86_64</arch>\
        <hostCPU type='kvm' model='base' migratability='yes'>\
        <property name='b' type='boolean' value='true'/>\
        <property name='vendor' type='string' value='GenuineIntel'/></hostCPU>\
        <cpu type='kvm' name='old' usable='no'><blocker name='q-a'/></cpu>\
        <cpu type='kvm' name='old-v1' usable='yes' deprecated='yes'/>\
        <cpu type='kvm' name='host'/></qemuCaps>";
    let mut emulator = EmulatorCapabilities::parse(document).unwrap();
    emulator.machines = vec![
        Machine { max_cpus: 288, ..Machine::new(VirtType::Kvm, "pc-q35-10.0") },
        Machine { max_cpus: 255, ..Machine::new(VirtType::Qemu, "pc-i440fx-10.0") },
    ];
    emulator.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    emulator
}

fn map() -> CpuMap {
    CpuMap::load(|name| {
        Ok(match name {
            "index.xml" => "<cpus><arch name='x86'><include filename='f.xml'/></arch></cpus>",
            _ => "<cpus><vendor name='Intel' string='GenuineIntel'/>\
                  <feature name='a'><alias name='q-a' source='qemu'/><cpuid eax_in='1' ecx='1'/></feature>\
                  <feature name='b'><cpuid eax_in='1' ecx='2'/></feature>\
                  <model name='old'><vendor name='Intel'/><feature name='a'/></model>\
                  <model name='old-v1'><decode host='on' guest='off'/><model name='old'/></model></cpus>",
        }
        .to_owned())
    })
    .unwrap()
}

/// The lines of an element.
fn part<'d>(document: &'d str, element: &str) -> &'d str {
    let start = document.find(&format!("<{element}")).unwrap();
    let name = element.split([' ', '>']).next().unwrap();
    let end = document[start..].find(&format!("</{name}>")).unwrap();
    &document[start..start + end]
}

#[test]
fn processors_have_names_of_the_map() {
    let emulator = emulator(&["cpu.migratable"]);
    let map = map();
    let host = HostSupport {
        cpu_map: Some(&map),
        vcpu_limit: Some(240),
        physical_bits: Some(46),
        ..HostSupport::default()
    };
    let capabilities = DomainCapabilities {
        emulator: &emulator,
        arch: "x86_64",
        machine: "pc-q35-10.0",
        virt_type: VirtType::Kvm,
        host: &host,
    };
    let document = capabilities.format();
    assert!(document.contains("<vcpu max='240'/>"));
    assert_eq!(
        part(&document, "cpu>"),
        "<cpu>
    <mode name='host-passthrough' supported='yes'>
      <enum name='hostPassthroughMigratable'>
        <value>on</value>
        <value>off</value>
      </enum>
    </mode>
    <mode name='maximum' supported='no'/>
    <mode name='host-model' supported='yes'>
      <model fallback='forbid'>old</model>
      <vendor>Intel</vendor>
      <maxphysaddr mode='passthrough' limit='46'/>
      <feature policy='require' name='b'/>
      <feature policy='disable' name='a'/>
    </mode>
    <mode name='custom' supported='yes'>
      <model usable='no' vendor='Intel' canonical='old-v1'>old</model>
      <blockers model='old'>
        <feature name='a'/>
      </blockers>
      <model usable='yes' deprecated='yes' vendor='Intel'>old-v1</model>
    </mode>
  "
    );
    let without = HostSupport { cpu_map: None, ..host };
    let document = DomainCapabilities { host: &without, ..capabilities }.format();
    assert!(document.contains("<mode name='host-model' supported='no'/>"));
    assert!(document.contains("<model usable='no' vendor='unknown'>old</model>"));
    assert!(!document.contains(">host</model>"));
}

#[test]
fn devices_follow_features() {
    let flags = ["VGA", "sdl", "vnc", "usb-storage", "ich9-ahci", "tpm-crb", "tpm-emulator"];
    let emulator = emulator(&flags);
    let host = HostSupport { secure_boot: true, tpm_versions: &["2.0"], ..HostSupport::default() };
    let q35 = DomainCapabilities {
        emulator: &emulator,
        arch: "x86_64",
        machine: "pc-q35-10.0",
        virt_type: VirtType::Qemu,
        host: &host,
    };
    let i440fx = DomainCapabilities { machine: "pc-i440fx-10.0", ..q35 };
    let (q35, i440fx) = (q35.format(), i440fx.format());
    assert!(!part(&q35, "disk ").contains("ide") && part(&q35, "disk ").contains("sata"));
    assert!(part(&i440fx, "disk ").contains("ide"));
    assert!(part(&q35, "enum name='secure'").contains("yes"));
    assert!(!part(&i440fx, "enum name='secure'").contains("yes"));
    assert!(part(&i440fx, "graphics").contains("sdl"));
    assert!(!part(&i440fx, "graphics").contains("spice"));
    assert!(part(&i440fx, "enum name='backendVersion'").contains("2.0"));
    assert!(i440fx.contains("<redirdev supported='no'/>"));
    assert!(i440fx.contains("<vcpu max='255'/>") && !q35.contains("<vcpu"));
}
