use super::address::{Address, Drive, Pci};
use super::device::disk::DiskBus;
use super::{DomainDef, Form, HostAudio, Origin, QemuDefaults};
use crate::emulator::EmulatorCapabilities;
use crate::error::Classified as _;

const SMALL: &str = "<domain type='kvm'>\
    <name>a</name><memory unit='MiB'>1</memory><os><type arch='x86_64' machine='pc'>hvm</type></os>\
    <devices><disk device='cdrom'><target dev='hdc'/></disk><console type='pty'/></devices></domain>";

const CAPABILITIES: &str = "<qemuCaps><emulator>/usr/bin/qemu</emulator><arch>x86_64</arch>\
    <flag name='kvm'/><flag name='piix3-usb-uhci'/><flag name='lsi'/>\
    <machine type='kvm' name='pc-i440fx-9.9' alias='pc' maxCpus='255' default='yes'/></qemuCaps>";

fn completed(text: &str) -> DomainDef {
    let emulator = EmulatorCapabilities::parse(CAPABILITIES).unwrap();
    let mut def = DomainDef::parse(text).unwrap();
    let mut random = |bytes: &mut [u8]| bytes.fill(7);
    let origin = Origin::New;
    let mut with = QemuDefaults {
        emulator: &emulator,
        origin,
        host_arch: "x86_64",
        host_audio: HostAudio::default(),
        random: &mut random,
    };
    def.complete_qemu(&mut with).unwrap();
    def.assign_addresses(&emulator, origin).unwrap();
    def.validate_qemu(&emulator).unwrap();
    def
}

/// The message with which QEMU's driver refuses a guest with these devices.
fn refusal_of_devices(devices: &str) -> String {
    let emulator = EmulatorCapabilities::parse(CAPABILITIES).unwrap();
    let text = format!(
        "<domain type='kvm'><name>a</name><memory>1</memory>\
         <os><type arch='x86_64' machine='pc'>hvm</type></os><devices>{devices}</devices></domain>"
    );
    let mut def = match DomainDef::parse(&text) {
        Ok(def) => def,
        Err(error) => return error.to_string(),
    };
    let mut random = |bytes: &mut [u8]| bytes.fill(7);
    let origin = Origin::Stored;
    let mut with = QemuDefaults {
        emulator: &emulator,
        origin,
        host_arch: "x86_64",
        host_audio: HostAudio::default(),
        random: &mut random,
    };
    let result = def
        .complete_qemu(&mut with)
        .and_then(|()| def.assign_addresses(&emulator, origin))
        .and_then(|()| def.validate_qemu(&emulator));
    crate::ParseError::from(result.unwrap_err()).to_string()
}

#[track_caller]
fn refused(text: &str, code: i32, domain: i32, message: &str) {
    let error = DomainDef::parse_as(text, Form::Inactive).unwrap_err();
    assert_eq!((error.code().0, error.domain().0), (code, domain), "{error}");
    assert_eq!(error.to_string(), message);
}

#[test]
fn what_is_unknown_is_kept() {
    let text = "<domain type='qemu' later='1'>\n  <name>a</name>\n  <devices>\n    \
        <disk type='file' fresh='yes'>\n      <target dev='vda' bus='virtio'/>\n      \
        <cushion colour='red'>soft</cushion>\n    </disk>\n    <teapot>\n      <lid/>\n    </teapot>\n  \
        </devices>\n</domain>\n";
    let def = DomainDef::parse(text).unwrap();
    assert!(!def.extra.is_empty());
    assert_eq!(def.format(Form::Live), text);
}

#[test]
fn defaults_of_a_pc() {
    let def = completed(SMALL);
    let os = def.os.as_ref().unwrap().kind.as_ref().unwrap();
    assert_eq!(os.machine.as_deref(), Some("pc-i440fx-9.9"));
    assert_eq!(def.uuid.unwrap().to_string(), "07070707-0707-4707-8707-070707070707");
    let devices = def.devices.as_ref().unwrap();
    let disk = devices.disks.first().unwrap();
    assert_eq!(disk.target.as_ref().unwrap().bus, Some(DiskBus::Ide));
    assert!(disk.readonly);
    let place = Drive { controller: 0, bus: 1, target: 0, unit: 0 };
    assert_eq!(disk.info.address, Some(Address::Drive(place)));
    assert_eq!((devices.serials.len(), devices.consoles.len()), (1, 1));
    let balloon = devices.memballoons.first().unwrap();
    assert_eq!(balloon.info.address, Some(Address::Pci(Pci::new(0, 2, 0))));
}

#[test]
fn completing_twice_changes_nothing() {
    let once = completed(SMALL).format(Form::Inactive);
    assert_eq!(completed(&once).format(Form::Inactive), once);
}

#[test]
fn a_definition_has_no_runtime() {
    let text = "<domain type='kvm' id='3'><name>a</name><memory>1</memory><os><type>hvm</type></os>\
        <devices><input type='tablet' bus='usb'><alias name='input0'/></input>\
        <input type='mouse' bus='usb'><alias name='ua-mine'/></input></devices></domain>";
    let def = DomainDef::parse_as(text, Form::Live).unwrap();
    let live = def.format(Form::Live);
    assert!(live.contains("id='3'") && live.contains("'input0'"), "{live}");
    let inactive = def.format(Form::Inactive);
    assert!(!inactive.contains("id='3'") && !inactive.contains("'input0'"), "{inactive}");
    assert!(inactive.contains("'ua-mine'"), "{inactive}");
}

#[test]
fn refusals() {
    let guest = |content: &str| {
        format!(
            "<domain type='kvm'><name>a</name><memory>1</memory>\
             <os><type>hvm</type></os>{content}</domain>"
        )
    };
    refused("<network/>", 27, 5, "XML error: expecting root element of 'domain', not 'network'");
    refused("<domain type='kvm'/>", 21, 20, "missing name information");
    refused(
        "<domain type='kvm'><name>a</name></domain>",
        27,
        20,
        "XML error: Memory size must be specified via <memory> or in the <numa> configuration",
    );
    refused(
        &guest("<vcpu current='3'>2</vcpu>"),
        67,
        20,
        "unsupported configuration: maximum vCPU count must not be less than current vCPU count",
    );
    refused(
        &guest("<currentMemory unit='foo'>1</currentMemory>"),
        8,
        0,
        "invalid argument: unknown suffix 'foo'",
    );
    refused(
        &guest("<devices><disk><target dev='a' bus='zz'/></disk></devices>"),
        27,
        5,
        "XML error: Invalid value for attribute 'bus' in element 'target': 'zz'.",
    );
    refused(
        &guest(
            "<devices><rng model='virtio'><backend model='random'/><address type='pci' slot='0x40'/></rng>\
             </devices>",
        ),
        27,
        0,
        "XML error: Invalid PCI address slot='0x40', must be <= 0x1F",
    );
}

/// What libvirt 11.3.0 answers to each of these.
#[test]
fn refusals_in_words_of_their_own() {
    #[track_caller]
    fn check(content: &str, code: i32, domain: i32, message: &str) {
        let text = format!(
            "<domain type='kvm'><name>a</name><memory>1</memory><os><type>hvm</type></os>{content}</domain>"
        );
        refused(&text, code, domain, message);
    }
    let unsupported = |content: &str, message: &str| {
        check(content, 67, 20, &format!("unsupported configuration: {message}"));
    };
    unsupported("<clock offset='zz'/>", "unknown clock offset 'zz'");
    unsupported("<on_crash>zz</on_crash>", "unknown on_crash action: zz");
    unsupported("<features><zz/></features>", "unexpected feature 'zz'");
    let devices = |content: &str| format!("<devices>{content}</devices>");
    unsupported(&devices("<input type='zz'/>"), "unknown input device type 'zz'");
    unsupported(&devices("<input type='mouse' bus='zz'/>"), "unknown input bus type 'zz'");
    unsupported(
        &devices("<controller type='usb' model='lsilogic'/>"),
        "Unknown model type 'lsilogic'",
    );
    unsupported(&devices("<panic model='zz'/>"), "unknown panic model 'zz'");
    unsupported(
        &devices("<serial type='zz'/>"),
        "unknown type presented to host for character device: zz",
    );
    unsupported(
        "<cputune><period>1</period></cputune>",
        "Value of cputune 'period' must be in range [1000, 1000000]",
    );
    check(
        &devices("<watchdog/>"),
        27,
        5,
        "XML error: Missing required attribute 'model' in element 'watchdog'",
    );
    check(
        &devices("<interface type='user'><mac address='zz'/></interface>"),
        27,
        20,
        "XML error: unable to parse mac address 'zz'",
    );
    check(
        &devices("<input type='tablet' bus='ps2'/>"),
        1,
        20,
        "internal error: ps2 bus does not support tablet input device",
    );
    check(
        &devices("<disk><source file='/x'/><target dev='fda' bus='fdc'/></disk>"),
        1,
        20,
        "internal error: Invalid bus type 'fdc' for disk",
    );
    check(
        "<cpu><feature name='b'/></cpu>",
        27,
        31,
        "XML error: Non-empty feature list specified without CPU model",
    );
    check("<cpu mode='zz'/>", 67, 31, "unsupported configuration: Invalid mode attribute 'zz'");
}

/// Without the bounds, each of these would take gigabytes or minutes.
#[test]
fn numbers_that_stand_for_many_devices_are_refused() {
    let guest = |content: &str| {
        format!(
            "<domain type='kvm'><name>a</name><memory>1</memory>\
             <os><type>hvm</type></os>{content}</domain>"
        )
    };
    let message = "XML error: Index 1000000 of a 'scsi' controller is above 1023";
    let disk = "<devices><disk type='file'><source file='/x'/><target dev='sda' bus='scsi'/>\
        <address type='drive' controller='1000000'/></disk></devices>";
    refused(&guest(disk), 27, 20, message);
    let message = "XML error: 4294967295 I/O threads are more than 16384";
    refused(&guest("<iothreads>4294967295</iothreads>"), 27, 20, message);
    let listed = "<iothreads>16384</iothreads><iothreadids><iothread id='2'/></iothreadids>";
    let def = DomainDef::parse_as(&guest(listed), Form::Inactive).unwrap();
    let ids = def.iothread_ids.unwrap().threads;
    assert_eq!(ids.iter().take(3).map(|t| t.id).collect::<Vec<_>>(), [Some(2), Some(1), Some(3)]);
    assert_eq!(
        refusal_of_devices("<controller type='pci' index='1000000' model='pci-bridge'/>"),
        "XML error: Index 1000000 of a 'pci' controller is above 255",
    );
    let last = "<devices><serial type='pty'><target port='4294967295'/></serial>\
        <serial type='pty'/></devices>";
    assert!(DomainDef::parse_as(&guest(last), Form::Inactive).is_ok());
}

#[test]
fn refusals_of_qemu() {
    #[track_caller]
    fn check(devices: &str, message: &str) {
        assert_eq!(refusal_of_devices(devices), message);
    }
    check(
        "<disk><source file='/x'/><target dev='vda'/></disk>\
         <disk><source file='/y'/><target dev='vda'/></disk>",
        "XML error: target 'vda' duplicated for disk sources '/x' and '/y'",
    );
    check("<disk><target dev='vdb'/></disk>", "missing source information for device vdb");
    check(
        "<disk device='cdrom'><source file='/x'/><target dev='vdb'/></disk>",
        "unsupported configuration: disk type of 'vdb' does not support ejectable media",
    );
    check(
        "<interface type='network'/>",
        "XML error: interface type='network' requires a 'source' element",
    );
    check(
        "<controller type='scsi' index='0'/><controller type='scsi' index='0'/>",
        "XML error: Multiple 'scsi' controllers with index '0'",
    );
    check(
        "<controller type='pci' index='0' model='pcie-root'/>",
        "XML error: The PCI controller with index='0' must be model='pci-root' for this machine type, \
         but model='pcie-root' was found instead",
    );
    check(
        "<sound model='ac97'><address type='pci' slot='4'/></sound>\
         <sound model='ac97'><address type='pci' slot='4'/></sound>",
        "XML error: Attempted double use of PCI Address 0000:00:04.0",
    );
    check("<rng model='virtio'/>", "XML error: only one RNG backend is supported");
    check(
        "<memballoon model='virtio'/><memballoon model='virtio'/>",
        "internal error: only a single memory balloon device is supported",
    );
}

#[test]
fn a_status_file_is_kept() {
    let text = "<domstatus state='running' reason='booted' pid='7'>\n  <taint flag='x'/>\n  \
        <namespaces>\n    <mount/>\n  </namespaces>\n  <domain type='kvm' id='3'>\n    <name>a</name>\n  \
        </domain>\n</domstatus>\n";
    let status = super::DomainStatus::parse(text).unwrap();
    assert_eq!((status.pid, status.domain.id), (Some(7), Some(3)));
    assert_eq!(status.format(), text);
}

#[test]
fn what_cannot_be_started_can_be_defined() {
    let emulator = EmulatorCapabilities::parse(CAPABILITIES).unwrap();
    let text = SMALL.replace("<disk ", "<controller type='usb' model='nec-xhci'/><disk ");
    let error = completed(&text).validate_start(&emulator).unwrap_err();
    assert_eq!(
        crate::ParseError::from(error).to_string(),
        "unsupported configuration: USB controller model 'nec-xhci' not supported in this QEMU binary",
    );
}
