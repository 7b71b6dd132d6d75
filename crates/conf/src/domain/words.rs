//! Values that libvirt refuses in words of their own, with numbers of their own.
//!
//! Most attributes are read by one function of libvirt and refused with one message, as `element` does.
//! Those here are older than that function; scripts know their messages.

use oxivirt_xml::Element;

use super::DomainError;
use super::VirtType;
use super::clock::{ClockBasis, ClockOffset, CrashAction, LifecycleAction, LockFailureAction};
use super::cpu::{CpuFallback, CpuFeaturePolicy, CpuMode};
use super::device::chardev::CharType;
use super::device::input::{InputBus, InputModel, InputType};
use super::device::other::PanicModel;
use super::memory::{MemorySource, NumaMode};
use super::os::{FirmwareKind, OsType, SmbiosMode};
use crate::keyword::Keyword;

type Refuse = fn(String) -> DomainError;

/// A place in a document and what can stand there.
struct Choice {
    /// The elements below `<domain>`, separated by slashes.
    path: &'static str,
    /// The attribute of the last; its text if empty.
    attribute: &'static str,
    is_known: fn(&str) -> bool,
    /// The message; the value is in the place of `{}`.
    message: &'static str,
    error: Refuse,
}

fn word<K: Keyword>(text: &str) -> bool {
    K::from_word(text).is_some()
}

const fn unsupported(
    path: &'static str,
    attribute: &'static str,
    is_known: fn(&str) -> bool,
    message: &'static str,
) -> Choice {
    Choice { path, attribute, is_known, message, error: DomainError::Unsupported }
}

fn is_arch(text: &str) -> bool {
    const ARCHES: &[&str] = &[
        "alpha",
        "armv6l",
        "armv7l",
        "armv7b",
        "aarch64",
        "cris",
        "i686",
        "ia64",
        "lm32",
        "loongarch64",
        "m68k",
        "microblaze",
        "microblazeel",
        "mips",
        "mipsel",
        "mips64",
        "mips64el",
        "openrisc",
        "parisc",
        "parisc64",
        "ppc",
        "ppcle",
        "ppc64",
        "ppc64le",
        "ppcemb",
        "riscv32",
        "riscv64",
        "s390",
        "s390x",
        "sh4",
        "sh4eb",
        "sparc",
        "sparc64",
        "unicore32",
        "x86_64",
        "xtensa",
        "xtensaeb",
    ];
    ARCHES.contains(&text)
}

fn is_format(text: &str) -> bool {
    const FORMATS: &[&str] = &[
        "none", "raw", "dir", "bochs", "cloop", "dmg", "iso", "vpc", "vdi", "fat", "vhd", "ploop",
        "cow", "qcow", "qcow2", "qed", "vmdk", "auto",
    ];
    FORMATS.contains(&text)
}

fn is_target(text: &str) -> bool {
    const TARGETS: &[&str] = &[
        "none",
        "isa-serial",
        "usb-serial",
        "pci-serial",
        "spapr-vio-serial",
        "system-serial",
        "sclp-serial",
        "isa-debug",
    ];
    TARGETS.contains(&text)
}

fn is_target_model(text: &str) -> bool {
    const MODELS: &[&str] = &[
        "none",
        "isa-serial",
        "usb-serial",
        "pci-serial",
        "spapr-vty",
        "pl011",
        "sclpconsole",
        "sclplmconsole",
        "16550a",
        "isa-debugcon",
    ];
    MODELS.contains(&text)
}

fn is_console_target(text: &str) -> bool {
    matches!(
        text,
        "none" | "serial" | "xen" | "uml" | "virtio" | "lxc" | "openvz" | "sclp" | "sclplm"
    )
}

fn is_channel_target(text: &str) -> bool {
    matches!(text, "none" | "guestfwd" | "virtio" | "xen")
}

fn is_codec(text: &str) -> bool {
    matches!(text, "duplex" | "micro" | "output")
}

fn is_memory_source(text: &str) -> bool {
    word::<MemorySource>(text)
}

const SERIAL: &str = "unknown target type '{}' specified for character device";
const PRESENTED: &str = "unknown type presented to host for character device: {}";

const CHOICES: &[Choice] = &[
    unsupported("", "type", word::<VirtType>, "invalid domain type {}"),
    unsupported("os/type", "", word::<OsType>, "unknown OS type '{}'"),
    unsupported("os/type", "arch", is_arch, "Unknown architecture {}"),
    unsupported("os/smbios", "mode", word::<SmbiosMode>, "unknown smbios mode '{}'"),
    Choice {
        path: "os",
        attribute: "firmware",
        is_known: word::<FirmwareKind>,
        message: "unknown firmware value {}",
        error: DomainError::Xml,
    },
    unsupported("clock", "offset", word::<ClockOffset>, "unknown clock offset '{}'"),
    unsupported("clock", "basis", word::<ClockBasis>, "unknown clock basis '{}'"),
    unsupported("on_poweroff", "", word::<LifecycleAction>, "unknown on_poweroff action: {}"),
    unsupported("on_reboot", "", word::<LifecycleAction>, "unknown on_reboot action: {}"),
    unsupported("on_crash", "", word::<CrashAction>, "unknown on_crash action: {}"),
    unsupported(
        "on_lockfailure",
        "",
        word::<LockFailureAction>,
        "unknown on_lockfailure action: {}",
    ),
    unsupported(
        "memoryBacking/source",
        "type",
        is_memory_source,
        "unknown memoryBacking/source/type '{}'",
    ),
    unsupported(
        "numatune/memory",
        "mode",
        word::<NumaMode>,
        "Unsupported NUMA memory tuning mode '{}'",
    ),
    Choice {
        path: "cpu",
        attribute: "mode",
        is_known: word::<CpuMode>,
        message: "Invalid mode attribute '{}'",
        error: DomainError::CpuUnsupported,
    },
    Choice {
        path: "cpu/model",
        attribute: "fallback",
        is_known: word::<CpuFallback>,
        message: "Invalid fallback attribute",
        error: DomainError::CpuUnsupported,
    },
    Choice {
        path: "cpu/feature",
        attribute: "policy",
        is_known: word::<CpuFeaturePolicy>,
        message: "Invalid CPU feature policy",
        error: DomainError::CpuUnsupported,
    },
    unsupported("devices/disk/driver", "type", is_format, "unknown driver format value '{}'"),
    unsupported("devices/input", "type", word::<InputType>, "unknown input device type '{}'"),
    unsupported("devices/input", "bus", word::<InputBus>, "unknown input bus type '{}'"),
    unsupported("devices/input", "model", word::<InputModel>, "unknown input model '{}'"),
    unsupported("devices/panic", "model", word::<PanicModel>, "unknown panic model '{}'"),
    unsupported("devices/sound/codec", "type", is_codec, "unknown codec type '{}'"),
    unsupported(
        "devices/interface/link",
        "state",
        |text| matches!(text, "up" | "down" | "default"),
        "unknown interface link state '{}'",
    ),
    unsupported("devices/hub", "type", |text| text == "usb", "unknown hub device type '{}'"),
    unsupported("devices/redirdev", "bus", |text| text == "usb", "unknown redirdev bus '{}'"),
    unsupported("devices/serial", "type", word::<CharType>, PRESENTED),
    unsupported("devices/parallel", "type", word::<CharType>, PRESENTED),
    unsupported("devices/console", "type", word::<CharType>, PRESENTED),
    unsupported("devices/channel", "type", word::<CharType>, PRESENTED),
    unsupported("devices/serial/target", "type", is_target, SERIAL),
    unsupported("devices/console/target", "type", is_console_target, SERIAL),
    unsupported("devices/channel/target", "type", is_channel_target, SERIAL),
    unsupported(
        "devices/serial/target/model",
        "name",
        is_target_model,
        "unknown target model '{}' specified for character device",
    ),
    Choice {
        path: "devices/serial/target",
        attribute: "port",
        is_known: |text| text.trim_start().parse::<u32>().is_ok(),
        message: "Invalid port number: {}",
        error: DomainError::Xml,
    },
    Choice {
        path: "devices/interface/mac",
        attribute: "address",
        is_known: |text| text.parse::<oxivirt_types::mac::MacAddr>().is_ok(),
        message: "unable to parse mac address '{}'",
        error: DomainError::Xml,
    },
    Choice {
        path: "features/gic",
        attribute: "version",
        is_known: |text| matches!(text, "2" | "3" | "host"),
        message: "Invalid value for attribute 'version' in element 'gic': '{}'.",
        error: DomainError::Value,
    },
];

/// Attributes without which an element means nothing, as path and attribute.
const REQUIRED: &[(&str, &str)] = &[
    ("os/boot", "dev"),
    ("os/firmware/feature", "enabled"),
    ("os/firmware/feature", "name"),
    ("clock/timer", "name"),
    ("features/hyperv/relaxed", "state"),
    ("features/hyperv/vapic", "state"),
    ("features/hyperv/spinlocks", "state"),
    ("features/hyperv/vpindex", "state"),
    ("features/hyperv/runtime", "state"),
    ("features/hyperv/synic", "state"),
    ("features/hyperv/stimer", "state"),
    ("features/hyperv/reset", "state"),
    ("features/hyperv/vendor_id", "state"),
    ("features/hyperv/frequencies", "state"),
    ("features/hyperv/reenlightenment", "state"),
    ("features/hyperv/tlbflush", "state"),
    ("features/hyperv/ipi", "state"),
    ("iothreadids/iothread", "id"),
    ("cputune/vcpupin", "vcpu"),
    ("cputune/vcpusched", "scheduler"),
    ("devices/audio", "type"),
    ("devices/crypto", "model"),
    ("devices/crypto", "type"),
    ("devices/graphics", "type"),
    ("devices/hostdev", "type"),
    ("devices/iommu", "model"),
    ("devices/memballoon", "model"),
    ("devices/memory", "model"),
    ("devices/rng", "model"),
    ("devices/rng/backend", "model"),
    ("devices/smartcard", "mode"),
    ("devices/sound", "model"),
    ("devices/tpm/backend", "type"),
    ("devices/watchdog", "model"),
];

fn check_required(path: &str, attribute: &str, node: &Element<'_>) -> Result<(), DomainError> {
    if path.is_empty() {
        return match node.attribute(attribute) {
            Some(_) => Ok(()),
            None => Err(DomainError::missing(attribute, &node.name)),
        };
    }
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    node.children(first).try_for_each(|child| check_required(rest, attribute, child))
}

/// The parameter of an s390 boot device is up to eight letters, digits, dots and blanks.
///
/// libvirt 11.3.0: `virDomainDeviceBootParseXML`, src/conf/domain_conf.c
fn check_loadparm(device: &Element<'_>) -> Result<(), DomainError> {
    let values = device.children("boot").filter_map(|boot| boot.attribute("loadparm"));
    for value in values.map(str::to_ascii_uppercase) {
        if !(1..=8).contains(&value.len()) {
            return Err(DomainError::Internal(format!(
                "loadparm value '{value}' must be between 1 and 8 characters"
            )));
        }
        let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ' ');
        if let Some(found) = value.chars().find(|&c| !is_fine(c)) {
            return Err(DomainError::Internal(format!(
                "invalid loadparm char '{found}', expecting chars in set of [a-zA-Z0-9.] and blank spaces"
            )));
        }
    }
    Ok(())
}

/// Refuses what has a message of its own.
pub(super) fn check(root: &Element<'_>) -> Result<(), DomainError> {
    for choice in CHOICES {
        check_choice(choice, choice.path, root)?;
    }
    for (path, attribute) in REQUIRED {
        check_required(path, attribute, root)?;
    }
    if let Some(devices) = root.child("devices") {
        devices.elements().try_for_each(check_loadparm)?;
        if devices.children("memballoon").count() > 1 {
            let text = "only a single memory balloon device is supported";
            return Err(DomainError::Internal(String::from(text)));
        }
        devices.children("controller").try_for_each(check_controller)?;
        devices.children("disk").try_for_each(check_labels)?;
        for channel in devices.children("channel") {
            if channel.child("target").and_then(|target| target.attribute("type")).is_none() {
                let text = "target type must be specified for channel device";
                return Err(DomainError::Xml(String::from(text)));
            }
        }
        if devices.children("input").any(|input| input.attribute("type").is_none()) {
            return Err(DomainError::Internal(String::from("missing input device type")));
        }
        for shmem in devices.children("shmem") {
            if shmem.attribute("name").is_none() {
                let text = "shmem element must contain 'name' attribute";
                return Err(DomainError::Xml(String::from(text)));
            }
        }
        if devices.children("tpm").any(|tpm| tpm.children("backend").count() > 1) {
            return Err(DomainError::Xml(String::from("only one TPM backend is supported")));
        }
    }
    if let Some(features) = root.child("features") {
        check_features(features)?;
    }
    for cpu in root.children("cpu") {
        let is_custom = matches!(cpu.attribute("mode"), None | Some("custom"));
        if is_custom && cpu.child("feature").is_some() && cpu.child("model").is_none() {
            let text = "Non-empty feature list specified without CPU model";
            return Err(DomainError::Cpu(String::from(text)));
        }
    }
    Ok(())
}

fn check_choice(choice: &Choice, path: &str, node: &Element<'_>) -> Result<(), DomainError> {
    if path.is_empty() {
        let value = match choice.attribute {
            "" => Some(node.text().trim().to_owned()).filter(|text| !text.is_empty()),
            name => node.attribute(name).map(str::to_owned),
        };
        return match value {
            Some(value) if !(choice.is_known)(&value) => {
                Err((choice.error)(choice.message.replace("{}", &value)))
            }
            _ => Ok(()),
        };
    }
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    node.children(first).try_for_each(|child| check_choice(choice, rest, child))
}

/// The models of a controller depend on its type.
///
/// libvirt 11.3.0: `virDomainControllerModelTypeFromString`, src/conf/domain_conf.c
fn check_controller(controller: &Element<'_>) -> Result<(), DomainError> {
    let models: &[&str] = match controller.attribute("type") {
        Some("pci") => &[
            "pci-root",
            "pcie-root",
            "pci-bridge",
            "dmi-to-pci-bridge",
            "pcie-to-pci-bridge",
            "pcie-root-port",
            "pcie-switch-upstream-port",
            "pcie-switch-downstream-port",
            "pci-expander-bus",
            "pcie-expander-bus",
        ],
        Some("scsi") => &[
            "auto",
            "buslogic",
            "lsilogic",
            "lsisas1068",
            "vmpvscsi",
            "ibmvscsi",
            "virtio-scsi",
            "lsisas1078",
            "virtio-transitional",
            "virtio-non-transitional",
            "ncr53c90",
            "dc390",
            "am53c974",
        ],
        Some("usb") => &[
            "piix3-uhci",
            "piix4-uhci",
            "ehci",
            "ich9-ehci1",
            "ich9-uhci1",
            "ich9-uhci2",
            "ich9-uhci3",
            "vt82c686b-uhci",
            "pci-ohci",
            "nec-xhci",
            "qusb1",
            "qusb2",
            "qemu-xhci",
            "none",
        ],
        Some("virtio-serial") => &["virtio", "virtio-transitional", "virtio-non-transitional"],
        Some("ide") => &["piix3", "piix4", "ich6"],
        Some("isa") => &[],
        Some("fdc" | "sata" | "ccid" | "xenbus" | "nvme") => &[],
        _ => return Ok(()),
    };
    match controller.attribute("model") {
        Some(model) if !models.contains(&model) => {
            Err(DomainError::Unsupported(format!("Unknown model type '{model}'")))
        }
        _ => Ok(()),
    }
}

/// A device's label says something, or that there is none.
///
/// libvirt 11.3.0: `virSecurityDeviceLabelDefParseXML`, src/conf/domain_conf.c
fn check_labels(disk: &Element<'_>) -> Result<(), DomainError> {
    let labels = disk.children("source").flat_map(|source| source.children("seclabel"));
    for label in labels {
        let model = label.attribute("model").unwrap_or("(null)");
        let skips = label.attribute("labelskip") == Some("yes");
        match (label.attribute("relabel"), label.child("label")) {
            (Some("yes"), None) if !skips => {
                return Err(DomainError::Xml(format!(
                    "Cannot specify relabel if label is missing. model={model}"
                )));
            }
            (Some("no"), Some(_)) => {
                return Err(DomainError::Xml(format!(
                    "Cannot specify a label if relabelling is turned off. model={model}"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// libvirt 11.3.0: `virDomainFeaturesDefParse`, src/conf/domain_conf.c
fn check_features(features: &Element<'_>) -> Result<(), DomainError> {
    const KNOWN: &[&str] = &[
        "acpi",
        "apic",
        "pae",
        "hap",
        "viridian",
        "privnet",
        "hyperv",
        "kvm",
        "pvspinlock",
        "capabilities",
        "pmu",
        "vmport",
        "gic",
        "smm",
        "ioapic",
        "hpt",
        "vmcoreinfo",
        "htm",
        "nested-hv",
        "msrs",
        "ccf-assist",
        "xen",
        "cfpc",
        "sbbc",
        "ibs",
        "tcg",
        "async-teardown",
        "ras",
        "ps2",
        "aia",
    ];
    const HYPERV: &[&str] = &[
        "relaxed",
        "vapic",
        "spinlocks",
        "vpindex",
        "runtime",
        "synic",
        "stimer",
        "reset",
        "vendor_id",
        "frequencies",
        "reenlightenment",
        "tlbflush",
        "ipi",
        "evmcs",
        "avic",
        "emsr_bitmap",
        "xmm_input",
    ];
    const KVM: &[&str] = &["hidden", "hint-dedicated", "poll-control", "pv-ipi", "dirty-ring"];
    let unknown = |node: &Element<'_>, known: &[&str]| {
        let mut children = node.elements().filter(|child| child.namespace.is_none());
        children.find(|child| !known.contains(&&*child.name)).map(|child| child.name.to_string())
    };
    let refuse = |text: String| Err(DomainError::Unsupported(text));
    if let Some(name) = unknown(features, KNOWN) {
        return refuse(format!("unexpected feature '{name}'"));
    }
    if let Some(name) = features.child("hyperv").and_then(|node| unknown(node, HYPERV)) {
        return refuse(format!("unsupported HyperV Enlightenment feature: {name}"));
    }
    match features.child("kvm").and_then(|node| unknown(node, KVM)) {
        Some(name) => refuse(format!("unsupported KVM feature: {name}")),
        None => Ok(()),
    }
}
