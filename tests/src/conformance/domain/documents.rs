//! Runs rows that read a document and write it again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use oxivirt_conf::ParseError;
use oxivirt_conf::domain::{DomainDef, DomainStatus, Form, HostAudio, Origin, QemuDefaults};
use oxivirt_conf::emulator::{EmulatorCapabilities, Gic};
use oxivirt_conf::node_device::NodeDeviceDef;
use oxivirt_conf::secret::SecretDef;
use oxivirt_conf::storage::{Capacity, StoragePoolDef, StorageVolumeDef};
use oxivirt_storage::plan::{self as storage_plan, CopyFrom, CreateOptions, Preallocation, Step};

use oxivirt_qemu::firmware::{self, Firmware};
use oxivirt_types::error::Classified as _;

use super::capabilities;
use super::cases::{Case, Kind};

/// Runs the row.
///
/// # Errors
/// What is different, for people.
pub(super) fn run(case: &Case) -> Result<(), String> {
    match case.kind {
        Kind::Generic => run_generic(case),
        Kind::QemuXml => run_qemu(case),
        Kind::Active => run_active(case),
        Kind::Status => {
            run_document(case, |text| DomainStatus::parse(text).map(|status| status.format()))
        }
        Kind::Pool => run_document(case, |text| StoragePoolDef::parse(text).map(|p| p.format())),
        Kind::Volume => run_volume(case),
        Kind::VolumeArguments => run_volume_arguments(case),
        Kind::Secret => run_document(case, |text| SecretDef::parse(text).map(|s| s.format())),
        Kind::NodeDevice => {
            run_document(case, |text| NodeDeviceDef::parse(text).map(|device| device.format()))
        }
        Kind::Probe => capabilities::run_probe(case),
        Kind::DomainCapabilities => capabilities::run_domain(case),
        Kind::HostCapabilities => capabilities::run_host(case),
        Kind::Disk | Kind::Other => Err(String::from("not run")),
    }
}

fn run_document(
    case: &Case,
    format: impl Fn(&str) -> Result<String, ParseError>,
) -> Result<(), String> {
    let found = format(&case.text(case.input.as_ref())?).map_err(|error| error.to_string())?;
    compare("document", &found, &case.text(case.out.as_ref())?)
}

fn run_volume(case: &Case) -> Result<(), String> {
    let show = |error: ParseError| error.to_string();
    let pool = StoragePoolDef::parse(&case.text(case.pool.as_ref())?).map_err(show)?;
    let text = case.text(case.volume.as_ref().or(case.input.as_ref()))?;
    let capacity =
        if case.parse_flags.is_empty() { Capacity::Required } else { Capacity::Optional };
    let volume = StorageVolumeDef::parse(&text, pool.volume_type(), pool.volume_format(), capacity);
    let volume = volume.map_err(show)?;
    compare("document", &volume.format(), &case.text(case.out.as_ref())?)
}

/// The commands that make a volume, one argument per line.
fn run_volume_arguments(case: &Case) -> Result<(), String> {
    let (pool, volume) = read_volume(case, case.pool.as_ref(), case.volume.as_ref())?;
    let source = match &case.input_volume {
        None => None,
        Some(name) => {
            let (pool, source) = read_volume(case, case.input_pool.as_ref(), Some(name))?;
            let target = source.target.as_ref();
            let format = target.and_then(|target| target.format.as_ref());
            Some(CopyFrom {
                path: format!("{pool}/{}", source.name.clone().unwrap_or_default()),
                format: format.map_or_else(|| String::from("raw"), |f| f.name().into_owned()),
                capacity: source.capacity.unwrap_or_default().bytes,
                is_encrypted: target.is_some_and(|target| target.encryption.is_some()),
            })
        }
    };
    let preallocation =
        if case.preallocate_metadata { Preallocation::Metadata } else { Preallocation::None };
    let options = CreateOptions { preallocation, source, ..CreateOptions::default() };
    let path = format!("{pool}/{}", volume.name.clone().unwrap_or_default());
    let planned = storage_plan::create(&volume, pool.into(), String::from(".staging"), &options);
    if case.expect == "failure" {
        return planned.err().map(drop).ok_or_else(|| String::from("planned, expected an error"));
    }
    let planned = planned.map_err(|error| error.to_string())?;
    let commands = planned.plan.steps().filter_map(|step| match step {
        Step::RunQemuImg { run, .. } => Some(run.at(&path)),
        _ => None,
    });
    // the size of a copy is the business of the driver, not of the command that makes it
    let commands = commands.filter(|words| words.first().is_some_and(|word| word != "resize"));
    let lines = commands.map(|words| command_lines("qemu-img", &words));
    compare("command", &lines.collect::<String>(), &case.text(case.argv.as_ref())?)
}

/// A command as the data have it: an option with its value on a line.
fn command_lines(program: &str, words: &[String]) -> String {
    let mut text = program.to_owned();
    let mut is_option = false;
    for word in words {
        let is_value = is_option && !word.starts_with('-');
        text.push_str(if is_value { " " } else { " \\\n" });
        text.push_str(word);
        is_option = word.starts_with('-');
    }
    text.push('\n');
    text
}

/// The path of a pool, and a volume for it.
fn read_volume(
    case: &Case,
    pool: Option<&String>,
    volume: Option<&String>,
) -> Result<(String, StorageVolumeDef), String> {
    let show = |error: ParseError| error.to_string();
    let pool = StoragePoolDef::parse(&case.text(pool)?).map_err(show)?;
    let capacity =
        if case.parse_flags.is_empty() { Capacity::Required } else { Capacity::Optional };
    let (kind, format) = (pool.volume_type(), pool.volume_format());
    let volume = StorageVolumeDef::parse(&case.text(volume)?, kind, format, capacity);
    let path = pool.target.and_then(|target| target.path).unwrap_or_default();
    Ok((path, volume.map_err(show)?))
}

fn run_generic(case: &Case) -> Result<(), String> {
    let form = if case.has_flag("inactive") { Form::Inactive } else { Form::Live };
    let read = DomainDef::parse_as(&case.text(case.input.as_ref())?, form);
    if case.expect == "parse-error" {
        return read.err().map(|_| ()).ok_or_else(|| String::from("accepted, expected an error"));
    }
    let def = read.map_err(|error| error.to_string())?;
    compare("document", &def.format(form), &case.text(case.out.as_ref())?)
}

/// The document part of a row: what is refused with which message, and what is written.
fn run_qemu(case: &Case) -> Result<(), String> {
    let text = case.text(case.input.as_ref())?;
    let read = read_qemu(case, &text, Form::Inactive);
    if case.expect == "parse-error" {
        let expected = case.text(case.err.as_ref())?;
        return match read {
            Ok(_) => Err(format!("accepted, expected: {}", expected.trim_end())),
            Err(message) => compare("message", &message, expected.trim_end()),
        };
    }
    let expected = case.text(case.out.as_ref())?;
    compare("document", &read?.format(Form::Inactive), &expected)?;
    let again = read_qemu(case, &expected, Form::Inactive)?;
    compare("document read again", &again.format(Form::Inactive), &expected)
}

fn run_active(case: &Case) -> Result<(), String> {
    /// The number of a guest whose document has none.
    const ID: i32 = 1337;
    let mut def = read_qemu(case, &case.text(case.input.as_ref())?, Form::Live)?;
    def.id.get_or_insert(ID);
    let (live, inactive) = (case.out_live.as_ref(), case.out_inactive.as_ref());
    compare("live document", &def.format(Form::Live), &case.text(live)?)?;
    compare("inactive document", &def.format(Form::Inactive), &case.text(inactive)?)
}

/// The emulator that the row is about.
pub(super) fn emulator(case: &Case) -> Result<EmulatorCapabilities, String> {
    let show = |error: ParseError| error.to_string();
    // Few documents serve hundreds of rows.
    static READ: Mutex<BTreeMap<String, EmulatorCapabilities>> = Mutex::new(BTreeMap::new());
    let name = case.caps.clone().unwrap_or_default();
    let known = READ.lock().map_err(|error| error.to_string())?.get(&name).cloned();
    let emulator = match known {
        Some(known) => known,
        None => {
            let text = case.text(case.caps.as_ref())?;
            let read = EmulatorCapabilities::parse(&text).map_err(show)?;
            READ.lock().map_err(|error| error.to_string())?.insert(name, read.clone());
            read
        }
    };
    let mut emulator =
        if case.strip_machine_aliases { emulator.with_aliases_kept() } else { emulator };
    emulator.flags.extend(case.caps_add.iter().map(|name| flag_of(name)));
    for name in &case.caps_del {
        emulator.flags.remove(&flag_of(name));
    }
    let gic = |version| Gic { version, kernel: true, emulated: true };
    match case.gic.as_deref() {
        Some("GIC_V2") => emulator.gics = vec![gic(2)],
        Some("GIC_V3") => emulator.gics = vec![gic(3)],
        Some("GIC_BOTH") => emulator.gics = vec![gic(2), gic(3)],
        _ => {}
    }
    Ok(emulator)
}

/// The firmware that is installed, from the least to the highest priority.
pub(super) fn firmwares(case: &Case) -> Result<Vec<Firmware>, String> {
    const DIRECTORIES: [&str; 2] = ["usr/share/qemu/firmware", "etc/qemu/firmware"];
    let mut directories = Vec::new();
    for directory in DIRECTORIES {
        directories.push(case.texts(&format!("../env/firmware/{directory}"))?);
    }
    let texts = directories.iter().map(|files| {
        files.iter().map(|(name, text)| (name.clone(), text.as_str())).collect::<Vec<_>>()
    });
    Ok(Firmware::merge(texts))
}

/// The definition of a row, complete.
pub(super) fn read_qemu(case: &Case, text: &str, form: Form) -> Result<DomainDef, String> {
    let show = |error: ParseError| error.to_string();
    let emulator = emulator(case)?;
    let origin = if case.has_flag("abi-update") { Origin::New } else { Origin::Stored };
    let mut def = DomainDef::parse(text).map_err(show)?;
    if form == Form::Inactive {
        def.forget_runtime();
    }
    // The recorded results were made with the bytes 0, 1, 2, …
    let mut random = |bytes: &mut [u8]| {
        for (value, byte) in (0..).zip(bytes) {
            *byte = value;
        }
    };
    let host_arch = case.host_arch.as_deref().unwrap_or("x86_64");
    let is_on = |name| case.config.get(name).and_then(toml::Value::as_bool) == Some(true);
    let host_audio = HostAudio {
        driver: case.env.get("QEMU_AUDIO_DRV").and_then(|name| HostAudio::driver_of(name)),
        with_vnc: is_on("vncAllowHostAudio"),
        without_graphics: is_on("nogfxAllowHostAudio"),
    };
    let mut defaults =
        QemuDefaults { emulator: &emulator, origin, host_arch, host_audio, random: &mut random };
    def.complete_qemu(&mut defaults).map_err(|error| show(error.into()))?;
    // Firmware that is not found is missed at the start.
    let nvram = Path::new("/var/lib/libvirt/qemu/nvram");
    let missed = firmware::fill(&mut def, &firmwares(case)?, nvram, origin).err();
    if let Some(error) = missed.filter(|_| origin == Origin::New) {
        return Err(error.message());
    }
    def.assign_addresses(&emulator, origin).map_err(|error| show(error.into()))?;
    def.validate_qemu(&emulator).map_err(|error| show(error.into()))?;
    Ok(def)
}

/// The flag that libvirt's source calls `name`: `QEMU_CAPS_DEVICE_QEMU_XHCI` is `qemu-xhci`.
fn flag_of(name: &str) -> String {
    let name = name.strip_prefix("QEMU_CAPS_").unwrap_or(name);
    name.strip_prefix("DEVICE_").unwrap_or(name).to_lowercase().replace('_', "-")
}

pub(super) fn compare(what: &str, found: &str, expected: &str) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let mut lines = found.lines().zip(expected.lines()).enumerate();
    Err(match lines.find(|(_, (found, expected))| found != expected) {
        Some((at, (found, expected))) => {
            format!("{what} line {}: {} | {}", at + 1, found.trim(), expected.trim())
        }
        None => format!("{what}: {} bytes, expected {}", found.len(), expected.len()),
    })
}
