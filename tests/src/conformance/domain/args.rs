//! Runs the command-line half of a row.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use oxivirt_conf::YesNo;
use oxivirt_conf::domain::device::disk::DiskDevice;
use oxivirt_conf::domain::device::graphics::{GraphicsGl, GraphicsType};
use oxivirt_conf::domain::device::interface::{ActualInterface, InterfaceSource, InterfaceType};
use oxivirt_conf::domain::device::source::StartupPolicy;
use oxivirt_conf::domain::{DomainDef, Form, VirtType};
use oxivirt_cpu::{CpuMap, GuestCpu, Policy, PolicyFeature};
use oxivirt_qemu::capabilities::host_model;
use oxivirt_qemu::command::{
    CommandLine, Config, Descriptor, Directories, Facts, Host, HostProcessor, HugePageMount,
    command_line, prepare,
};

use oxivirt_types::error::Classified as _;

use super::cases::Case;
use super::documents::{compare, emulator, firmwares, read_qemu};

/// Runs the row: plans the start and compares the command line, or the message of a refusal.
///
/// # Errors
/// What is different, for people.
pub(super) fn run(case: &Case) -> Result<(), String> {
    let mut def = read_qemu(case, &case.text(case.input.as_ref())?, Form::Inactive)?;
    let facts = facts(case, &def)?;
    give_ports(&mut def);
    connect(case, &mut def)?;
    drop_missing(&mut def);
    let emulator = emulator(case)?;
    let planned = prepare(&mut def, &emulator, &facts)
        .and_then(|_| command_line(&def, &emulator, &facts))
        .map_err(|error| error.message());
    if case.expect == "failure" {
        let expected = case.text(case.err.as_ref())?;
        return match planned {
            Ok(_) => Err(format!("planned, expected: {}", expected.trim_end())),
            Err(message) => compare("message", &message, expected.trim_end()),
        };
    }
    compare("command line", &text_of(&planned?), &case.text(case.args.as_ref())?)
}

/// One variable or option with its value a line.
fn text_of(command: &CommandLine) -> String {
    let mut lines: Vec<String> = command
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={}", quoted(value)))
        .collect();
    lines.push(quoted(&command.program.to_string_lossy()));
    for argument in &command.arguments {
        let is_option = argument.starts_with('-');
        match lines.last_mut().filter(|line| !is_option && line.starts_with('-')) {
            Some(line) => {
                line.push(' ');
                line.push_str(&quoted(argument));
            }
            None => lines.push(quoted(argument)),
        }
    }
    lines.join(" \\\n") + "\n"
}

/// As a shell has to read it.
fn quoted(text: &str) -> String {
    const SPECIAL: &str = "\r\t\n !\"#$&'()*;<>?[\\]^`{|}~";
    if !text.is_empty() && !text.contains(|c| SPECIAL.contains(c)) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The numbers with which the command lines were recorded.
fn number(_: usize, descriptor: &Descriptor) -> i32 {
    let queue = |queue: &u32| i32::try_from(*queue).unwrap_or(0);
    match descriptor {
        Descriptor::Output { is_log: false, .. } => 1750,
        Descriptor::Output { is_log: true, .. } => 1751,
        Descriptor::Tap { queue: at, is_bridged: true, .. } => 102 + queue(at),
        Descriptor::Tap { queue: at, .. } => 3 + queue(at),
        Descriptor::VhostNet { queue: at, .. } => 44 + queue(at),
        Descriptor::Monitor { .. } | Descriptor::Listen { .. } => 1729,
    }
}

/// The circumstances in which the command lines were recorded.
fn facts(case: &Case, def: &DomainDef) -> Result<Facts, String> {
    let name: String = def.name.as_deref().unwrap_or_default().chars().take(20).collect();
    let guest = format!("-1-{name}");
    let mut environment: Vec<(String, String)> =
        [("PATH", "/bin"), ("USER", "test"), ("LOGNAME", "test")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
    environment.extend(case.env.clone());
    Ok(Facts {
        id: -1,
        environment,
        firmwares: firmwares(case)?,
        processor: processor(case, def)?,
        directories: Directories {
            library: PathBuf::from(format!("/var/lib/libvirt/qemu/domain-{guest}")),
            channel: PathBuf::from(format!("/var/run/libvirt/qemu/channel/{guest}")),
            memory: PathBuf::from(format!("/var/lib/libvirt/qemu/ram/{guest}")),
            nvram: PathBuf::from("/var/lib/libvirt/qemu/nvram"),
            passt: PathBuf::from("/var/run/libvirt/qemu/passt"),
            dbus: PathBuf::from("/var/run/libvirt/qemu/dbus"),
        },
        config: config(case)?,
        host: host(),
        number,
        automatic_nodes: (0..4).collect(),
        now: 1_234_567_890,
        local_offset: -30 * 60,
    })
}

/// The host's processor: the recorded Haswell, or the one that the emulator saw when it was probed.
fn processor(case: &Case, def: &DomainDef) -> Result<HostProcessor, String> {
    static MAP: OnceLock<Option<Arc<CpuMap>>> = OnceLock::new();
    let directory = case.sibling("cpu-map");
    let map = MAP.get_or_init(|| {
        let read = CpuMap::load(|name| fs::read_to_string(directory.join(name)));
        read.ok().map(Arc::new)
    });
    let map = map.clone().ok_or("the CPU map cannot be read")?;
    let virt_type = def.virt_type.unwrap_or(VirtType::Qemu);
    let model = match case.host_cpu.as_deref() {
        Some("haswell") => Some(haswell()),
        _ => host_model(&emulator(case)?, virt_type, &map, true),
    };
    Ok(HostProcessor { model, map: Some(map) })
}

fn haswell() -> GuestCpu {
    const FEATURES: &str = "vme ds acpi ss ht tm pbe dtes64 monitor ds_cpl vmx smx est tm2 xtpr pdcm \
                            f16c rdrand pdpe1gb abm lahf_lm";
    let feature = |name: &str| PolicyFeature { name: name.to_owned(), policy: Policy::Require };
    GuestCpu {
        model: String::from("Haswell"),
        vendor: Some(String::from("Intel")),
        features: FEATURES.split_whitespace().map(feature).collect(),
    }
}

fn host() -> Host {
    let mount = |size_kib, path: &str, is_default| HugePageMount {
        size_kib,
        path: PathBuf::from(path),
        is_default,
    };
    Host {
        has_vhost_net: true,
        huge_pages: vec![
            mount(2048, "/dev/hugepages2M", true),
            mount(1024 * 1024, "/dev/hugepages1G", false),
        ],
        optical_drives: vec![Path::new("/dev/cdrom").to_owned()],
        page_kib: 4,
        numa_nodes: (0..4).collect(),
    }
}

fn config(case: &Case) -> Result<Config, String> {
    let mut config = Config {
        vnc_sasl_dir: Some(PathBuf::from("/etc/sasl2")),
        spice_sasl_dir: Some(PathBuf::from("/etc/sasl2")),
        spice_password: Some(String::from("123456")),
        ..Config::default()
    };
    for (name, value) in &case.config {
        let is_on = value.as_bool().unwrap_or(false);
        let text = value.as_str().map(str::to_owned);
        match name.as_str() {
            "vncTLS" => config.vnc_tls = is_on,
            "vncTLSx509verify" => config.vnc_tls_x509_verify = is_on,
            "vncTLSx509secretUUID" => config.vnc_tls_x509_secret_uuid = text,
            "vncSASL" => config.vnc_sasl = is_on,
            "vncAllowHostAudio" => config.vnc_allow_host_audio = is_on,
            "vncAutoUnixSocket" => config.vnc_auto_unix_socket = is_on,
            "nogfxAllowHostAudio" => config.nogfx_allow_host_audio = is_on,
            "spiceTLS" => config.spice_tls = is_on,
            "spiceSASL" => config.spice_sasl = is_on,
            "spiceAutoUnixSocket" => config.spice_auto_unix_socket = is_on,
            "chardevTLS" => config.chardev_tls = is_on,
            "chardevTLSx509verify" => config.chardev_tls_x509_verify = is_on,
            "chardevTLSx509secretUUID" => config.chardev_tls_x509_secret_uuid = text,
            "dumpGuestCore" => config.dump_guest_core = is_on,
            other => return Err(format!("setting {other} is not known here")),
        }
    }
    Ok(config)
}

/// The host's graphics card.
fn give_node(gl: &mut GraphicsGl) {
    gl.rendernode.get_or_insert_with(|| String::from("/dev/dri/foo"));
}

/// What networks answer to the interfaces: `NET;PORT` names the document of the answer.
fn connect(case: &Case, def: &mut DomainDef) -> Result<(), String> {
    let Some(devices) = &mut def.devices else { return Ok(()) };
    for interface in &mut devices.interfaces {
        if interface.kind != Some(InterfaceType::Network) {
            continue;
        }
        let network = interface.source.as_ref().and_then(|source| source.network.as_deref());
        let Some((_, port)) = network.and_then(|network| network.split_once(';')) else { continue };
        let text = case.text(Some(&format!("../env/network-port/{port}.xml")))?;
        let root = oxivirt_xml::parse(&text, oxivirt_xml::Blanks::Drop)
            .map_err(|error| error.to_string())?;
        let plug = root.child("plug").ok_or("a port without plug")?;
        let kind = match plug.attribute("type") {
            Some("network") => InterfaceType::Network,
            Some("bridge") => InterfaceType::Bridge,
            Some("direct") => InterfaceType::Direct,
            _ => InterfaceType::Hostdev,
        };
        let bridge = plug.attribute("bridge").map(str::to_owned);
        interface.actual = Some(ActualInterface {
            kind: Some(kind),
            source: Some(InterfaceSource { bridge, ..InterfaceSource::default() }),
            ..ActualInterface::default()
        });
    }
    Ok(())
}

/// Media of inactive pools that a start can do without are left out.
fn drop_missing(def: &mut DomainDef) {
    let Some(devices) = &mut def.devices else { return };
    devices.disks.retain_mut(|disk| {
        let Some(source) = &disk.source else { return true };
        let is_missing = source.pool.as_deref() == Some("inactive");
        if !is_missing || source.startup_policy != Some(StartupPolicy::Optional) {
            return true;
        }
        disk.source = None;
        disk.device == Some(DiskDevice::Cdrom)
    });
}

/// The ports that a start without a host reserves.
fn give_ports(def: &mut DomainDef) {
    let Some(devices) = &mut def.devices else { return };
    for graphics in &mut devices.graphics {
        let is_automatic = graphics.autoport == Some(YesNo::Yes);
        match graphics.kind {
            Some(GraphicsType::Vnc) => {
                if is_automatic {
                    graphics.port = Some(5900);
                }
                if graphics.websocket == Some(-1) {
                    graphics.websocket = Some(5700);
                }
            }
            Some(GraphicsType::EglHeadless) => {
                give_node(graphics.gl.get_or_insert_default());
            }
            Some(GraphicsType::Spice) => {
                if let Some(gl) = graphics.gl.as_mut().filter(|gl| gl.enable == Some(YesNo::Yes)) {
                    give_node(gl);
                }
                let wanted = |port: Option<i32>| is_automatic || port == Some(-1);
                if wanted(graphics.port) {
                    graphics.port = Some(5901);
                }
                if wanted(graphics.tls_port) {
                    graphics.tls_port = Some(5902);
                }
            }
            _ => {}
        }
    }
}
