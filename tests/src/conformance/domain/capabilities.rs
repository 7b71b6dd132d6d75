//! Runs rows about emulators.

use std::fs;
use std::path::Path;

use oxivirt_conf::domain::VirtType;
use oxivirt_conf::emulator::EmulatorCapabilities;
use oxivirt_cpu::CpuMap;
use oxivirt_qemu::capabilities::{
    Call, DomainCapabilities, Exchange, HostSupport, Run, Session, evaluate, next,
};
use oxivirt_qemu::host::HostCapabilities;
use serde_json::Value;

use super::super::{CasesError, Outcome, Verdict};
use super::cases::Case;
use super::documents::compare;

/// What an emulator answered becomes the document, and nothing was left to ask.
pub(super) fn run_probe(case: &Case) -> Result<(), String> {
    let sessions = sessions(&case.text(case.replies.as_ref())?)?;
    let best = sessions.first().ok_or_else(|| String::from("no session"))?;
    let tcg = sessions.get(1);
    let expected = case.text(case.out.as_ref())?;
    let arch = EmulatorCapabilities::parse(&expected).map_err(|error| error.to_string())?.arch;
    let name = format!("/usr/bin/qemu-system-{arch}");
    let mut found = evaluate(&name, best, tcg).map_err(|error| error.to_string())?;
    if found.has("kvm") || found.has("hvf") {
        found.origin.microcode = microcode(&arch, &case.name);
    }
    compare("document", &found.format(), &expected)?;
    let mut left = next(best, Run::Best);
    left.extend(tcg.map(|tcg| next(tcg, Run::Tcg(best))).unwrap_or_default());
    // libvirt asks an emulator without an accelerator for `host`, and gets an error.
    left.retain(|call| call.command != "query-cpu-model-expansion" || arch == "x86_64");
    match left.first() {
        None => Ok(()),
        Some(call) => {
            Err(format!("asks for {} {}, libvirt does not", call.command, call.arguments))
        }
    }
}

/// The recorded documents have the microcode of no processor: a number made from their names.
fn microcode(arch: &str, name: &str) -> u64 {
    let sum = |text: &str| text.bytes().map(u64::from).sum::<u64>();
    let version = name.split('_').nth(1).unwrap_or_default();
    100_000 * sum(arch) + sum(version)
}

fn sessions(text: &str) -> Result<Vec<Session>, String> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let values = values.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let mut sessions: Vec<Session> = Vec::new();
    for pair in values.chunks(2) {
        let [question, answer] = pair else { return Err(String::from("a question is open")) };
        let command = question.get("execute").and_then(Value::as_str).unwrap_or_default();
        if command == "qmp_capabilities" {
            sessions.push(Session::new());
            continue;
        }
        let arguments = question.get("arguments").cloned().unwrap_or(Value::Null);
        let answer = answer.get("return").cloned().ok_or_else(|| answer.to_string());
        let exchange = Exchange { call: Call::with(command, arguments), answer };
        sessions.last_mut().ok_or_else(|| String::from("no session"))?.push(exchange);
    }
    Ok(sessions)
}

/// The capabilities of guests on a host that the recorded documents assume.
pub(super) fn run_domain(case: &Case) -> Result<(), String> {
    let emulator = EmulatorCapabilities::parse(&case.text(case.caps.as_ref())?);
    let mut emulator = emulator.map_err(|error| error.to_string())?;
    emulator.emulator.clone_from(&case.emulator);
    let virt_type = match case.virt_type.as_str() {
        "kvm" => VirtType::Kvm,
        "hvf" => VirtType::Hvf,
        _ => VirtType::Qemu,
    };
    let machine = match &case.machine {
        Some(machine) => emulator.canonical_machine(virt_type, machine),
        None => emulator.preferred_machine(virt_type),
    };
    let machine = machine.ok_or_else(|| String::from("no such machine"))?;
    let map = case.sibling("cpu-map");
    let map = CpuMap::load(|name| fs::read_to_string(map.join(name)));
    let map = map.map_err(|error| error.to_string())?;
    let loaders = [1, 2].map(|n| format!("/obviously/fake/firmware{n}.fd"));
    let is_x86 = matches!(case.arch.as_str(), "x86_64" | "i686");
    let kinds: &[&str] = match case.arch.as_str() {
        _ if is_x86 => &["bios", "efi"],
        "aarch64" | "armv7l" | "loongarch64" => &["efi"],
        _ => &[],
    };
    let tpm_versions: Vec<&str> = case.swtpm.split_whitespace().collect();
    let host = HostSupport {
        cpu_map: Some(&map),
        vcpu_limit: Some(i32::MAX.unsigned_abs()),
        physical_bits: Some(64),
        firmware_kinds: kinds,
        loaders: &loaders,
        secure_boot: is_x86,
        vfio: true,
        tpm_versions: &tpm_versions,
        sev_guests: (59, 450),
    };
    let found = DomainCapabilities {
        emulator: &emulator,
        arch: &case.arch,
        machine: &machine,
        virt_type,
        host: &host,
    };
    compare("document", &found.format(), &case.text(case.out.as_ref())?)
}

/// The capabilities of a host of which nothing but one emulator is known.
pub(super) fn run_host(case: &Case) -> Result<(), String> {
    let glob = case.caps_glob.as_deref().unwrap_or_default();
    let end = glob.rsplit_once('*').map_or(glob, |(_, end)| end);
    let expected = case.text(case.out.as_ref())?;
    let dir = case.sibling("caps");
    let mut count = 0;
    for entry in fs::read_dir(&dir).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        // `caps_VERSION_ARCH.xml`, with the variant as part of the architecture.
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix("caps_").and_then(|rest| rest.strip_suffix(end)) else {
            continue;
        };
        if rest.contains('_') {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let read = EmulatorCapabilities::parse(&text).map_err(|error| error.to_string())?;
        let arch = read.arch.clone();
        let emulator = EmulatorCapabilities {
            emulator: format!("/usr/bin/qemu-system-{arch}"),
            flags: read.flags,
            ..EmulatorCapabilities::default()
        };
        let found = HostCapabilities::of_emulators(&arch, vec![(&arch, &emulator)]);
        compare(&name, &found.format(), &expected)?;
        count += 1;
    }
    if count == 0 { Err(format!("no document is called {glob}")) } else { Ok(()) }
}

/// Every document of the suite, also those without a row, is written as it was read.
pub(super) fn round_trips(data: &Path) -> Result<Vec<Outcome>, CasesError> {
    let dir = data.join("caps");
    let mut outcomes = Vec::new();
    if !dir.is_dir() {
        return Ok(outcomes);
    }
    let list = |source| CasesError::List { path: dir.clone(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(&dir).map_err(list)? {
        paths.push(entry.map_err(list)?.path());
    }
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|ext| ext == "xml")) {
        let text = fs::read_to_string(path)
            .map_err(|source| CasesError::Read { path: path.clone(), source })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let same = EmulatorCapabilities::parse(&text)
            .map_err(|error| error.to_string())
            .and_then(|read| compare("document", &read.format(), &text));
        let verdict = match same {
            Ok(()) => Verdict::Passed,
            Err(difference) => Verdict::Failed { difference },
        };
        outcomes.push(Outcome { name: format!("domain caps/{name} round trip"), verdict });
    }
    Ok(outcomes)
}
