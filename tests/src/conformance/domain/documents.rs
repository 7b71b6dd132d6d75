//! Runs rows that read a document and write it again.

use oxivirt_conf::ParseError;
use oxivirt_conf::domain::{DomainDef, Form, Origin, QemuDefaults};
use oxivirt_conf::emulator::EmulatorCapabilities;

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
        Kind::Other => Err(String::from("not run")),
    }
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
    let def = read_qemu(case, &case.text(case.input.as_ref())?, Form::Live)?;
    let (live, inactive) = (case.out_live.as_ref(), case.out_inactive.as_ref());
    compare("live document", &def.format(Form::Live), &case.text(live)?)?;
    compare("inactive document", &def.format(Form::Inactive), &case.text(inactive)?)
}

fn read_qemu(case: &Case, text: &str, form: Form) -> Result<DomainDef, String> {
    let show = |error: ParseError| error.to_string();
    let emulator = EmulatorCapabilities::parse(&case.text(case.caps.as_ref())?).map_err(show)?;
    let emulator = if case.strip_machine_aliases { emulator.with_aliases_kept() } else { emulator };
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
    let mut defaults = QemuDefaults { emulator: &emulator, origin, host_arch, random: &mut random };
    def.complete_qemu(&mut defaults).map_err(|error| show(error.into()))?;
    def.assign_addresses(&emulator, origin).map_err(|error| show(error.into()))?;
    Ok(def)
}

fn compare(what: &str, found: &str, expected: &str) -> Result<(), String> {
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
