//! What to ask an emulator next, given what it has answered.

use serde_json::{Value, json};

use super::schema::Schema;
use super::session::{Call, Session, is_true, text};

/// What every emulator is asked first.
const FIRST: &[&str] = &[
    "query-version",
    "query-target",
    "query-qmp-schema",
    "query-kvm",
    "qom-list-types",
    "query-machines",
    "query-command-line-options",
    "query-migrate-capabilities",
];

/// Types of devices whose properties are asked for.
const DEVICES: &[&str] = &[
    "virtio-blk-pci",
    "virtio-net-pci",
    "virtio-scsi-pci",
    "virtio-blk-ccw",
    "virtio-net-ccw",
    "virtio-scsi-ccw",
    "vfio-pci",
    "scsi-hd",
    "ide-hd",
    "PIIX4_PM",
    "usb-redir",
    "usb-storage",
    "kvm-pit",
    "VGA",
    "vmware-svga",
    "qxl",
    "virtio-gpu-pci",
    "virtio-gpu-device",
    "virtio-gpu-ccw",
    "ICH9-LPC",
    "virtio-balloon-pci",
    "virtio-balloon-ccw",
    "virtio-balloon-device",
    "spapr-pci-host-bridge",
    "intel-iommu",
    "mch",
    "nvdimm",
    "pcie-root-port",
    "usb-host",
    "vhost-user-fs-device",
    "virtio-mem-pci",
    "virtio-iommu-pci",
];

/// Other types whose properties are asked for.
const OBJECTS: &[&str] = &[
    "memory-backend-file",
    "memory-backend-memfd",
    "max-x86_64-cpu",
    "max-i386-cpu",
    "max-arm-cpu",
    "none-machine",
    "generic-pc-machine",
];

/// Machines that versions are made of, whose newest version is asked for its properties.
const VERSIONED: &[&str] = &["virt", "pseries"];

/// Which of the two runs a session belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Run<'s> {
    /// With the fastest accelerator there is.
    Best,
    /// With TCG, after the run given, which had another accelerator: processors and machines only.
    Tcg(&'s Session),
}

/// Question for the properties of a type of devices.
pub(super) fn device_properties(name: &str) -> Call {
    Call::with("device-list-properties", json!({ "typename": name }))
}

/// Question for the properties of another type.
pub(super) fn object_properties(name: &str) -> Call {
    Call::with("qom-list-properties", json!({ "typename": name }))
}

/// The type of the newest version of a machine.
pub(super) fn versioned_machine(session: &Session, alias: &str) -> Option<String> {
    let mut machines = session.list("query-machines");
    let found = machines.find(|machine| text(machine, "alias") == Some(alias))?;
    Some(format!("{}-machine", text(found, "name")?))
}

/// Whether KVM is there and in use.
pub(super) fn has_kvm(session: &Session) -> bool {
    session.reply("query-kvm").is_some_and(|kvm| is_true(kvm, "enabled") && is_true(kvm, "present"))
}

/// The expansions of the host's processor that an architecture has.
pub(super) fn expansions(session: &Session, arch: &str, run: Run<'_>) -> Vec<Call> {
    let is_kvm = matches!(run, Run::Best) && has_kvm(session);
    let model = if is_kvm { "host" } else { "max" };
    let call = |kind: &str, props: Option<Value>| {
        let mut described = json!({ "name": model });
        if let (Some(props), Some(object)) = (props, described.as_object_mut()) {
            object.insert(String::from("props"), props);
        }
        Call::with("query-cpu-model-expansion", json!({ "type": kind, "model": described }))
    };
    match arch {
        "x86_64" | "i386" => {
            let mut calls =
                vec![call("static", None), call("static", Some(json!({ "migratable": false })))];
            if is_kvm {
                let all = json!({ "migratable": false, "hv-passthrough": true });
                calls.push(call("full", Some(all)));
            }
            calls
        }
        "s390x" => vec![call("static", None), call("full", None)],
        "aarch64" | "arm" => vec![call("full", None)],
        _ => Vec::new(),
    }
}

/// The questions that can be asked now and have not been; nothing when the run is complete.
///
/// Later questions depend on earlier answers, so this is called until it returns nothing.
#[must_use]
pub fn next(session: &Session, run: Run<'_>) -> Vec<Call> {
    let mut calls = match run {
        Run::Best => FIRST.iter().map(|command| Call::new(command)).collect(),
        Run::Tcg(_) => Vec::new(),
    };
    let unasked = |call: &Call| !session.has(call);
    if calls.iter().any(unasked) {
        calls.retain(unasked);
        return calls;
    }
    let known = match run {
        Run::Best => session,
        Run::Tcg(best) => best,
    };
    let schema = Schema::new(known.reply("query-qmp-schema"));
    calls = match run {
        Run::Best => second(session, &schema),
        Run::Tcg(_) => ["query-machines", "query-cpu-definitions"]
            .into_iter()
            .filter(|command| schema.has_command(command))
            .map(Call::new)
            .collect(),
    };
    let arch = known.reply("query-target").and_then(|target| text(target, "arch"));
    if let Some(arch) = arch
        && schema.has_command("query-cpu-model-expansion")
    {
        calls.extend(expansions(session, arch, run));
    }
    calls.retain(unasked);
    calls
}

fn second(session: &Session, schema: &Schema<'_>) -> Vec<Call> {
    let mut calls = Vec::new();
    for command in [
        "query-cpu-definitions",
        "query-tpm-models",
        "query-tpm-types",
        "query-gic-capabilities",
        "query-sev-capabilities",
        "query-sgx-capabilities",
    ] {
        if schema.has_command(command) {
            calls.push(Call::new(command));
        }
    }
    let types: std::collections::BTreeSet<&str> =
        session.list("qom-list-types").filter_map(|entry| text(entry, "name")).collect();
    let is_type = |name: &&&str| types.contains(**name);
    calls.extend(DEVICES.iter().filter(is_type).map(|name| device_properties(name)));
    calls.extend(OBJECTS.iter().filter(is_type).map(|name| object_properties(name)));
    let versioned = VERSIONED.iter().filter_map(|alias| versioned_machine(session, alias));
    calls.extend(versioned.map(|name| object_properties(&name)));
    calls
}
