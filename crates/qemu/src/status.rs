//! Status files: a running guest, as the driver keeps it over its own restart.
//!
//! What another version or libvirt wrote into one is kept as it is.
//!
//! libvirt 11.3.0: `qemuDomainObjPrivateXMLFormat`, src/qemu/qemu_domain.c

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use oxivirt_conf::domain::{DomainDef, DomainStatus, Size};
use oxivirt_conf::{EditCommand, ParseError, wrap_file};
use oxivirt_engine::Document;
use oxivirt_engine::store::{self, MODE};
use oxivirt_types::domain::{DomainState, PausedReason, RunningReason};
use oxivirt_xml::{self as xml, Element, Presence, Writer};

use crate::apply::Found;
use crate::guest::Guest;
use crate::layout::Layout;
use crate::store::StoreError;

/// Words of states and reasons.
const STATES: [(DomainState, &str); 5] = [
    (DomainState::Running, "running"),
    (DomainState::Paused, "paused"),
    (DomainState::Shutdown, "shutdown"),
    (DomainState::Crashed, "crashed"),
    (DomainState::PmSuspended, "pmsuspended"),
];
const RUNNING: [&str; 10] = [
    "unknown",
    "booted",
    "migrated",
    "restored",
    "from snapshot",
    "unpaused",
    "migration canceled",
    "save canceled",
    "wakeup",
    "crashed",
];
const PAUSED: [&str; 12] = [
    "unknown",
    "user",
    "migration",
    "save",
    "dump",
    "ioerror",
    "watchdog",
    "from snapshot",
    "shutdown",
    "snapshot",
    "panicked",
    "starting up",
];
const CRASHED: [&str; 2] = ["unknown", "panicked"];

/// What a start writes into the status file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started<'a> {
    /// Number of the guest.
    pub(crate) id: u32,
    /// Its process.
    pub(crate) pid: i32,
    /// Where its monitor listens.
    pub(crate) monitor: &'a Path,
    /// What only the emulator knows.
    pub(crate) found: &'a Found,
    /// Features of the emulator.
    pub(crate) flags: &'a BTreeSet<String>,
    /// Whether it has a mount namespace.
    pub(crate) has_mount_namespace: bool,
    /// The last number of a block node, and of a set of descriptors.
    pub(crate) indexes: [u32; 2],
}

/// The status of a guest that has been started.
///
/// # Errors
/// [`ParseError`] does not occur: what is written can be read.
pub(crate) fn new(
    guest: &Guest,
    started: Started<'_>,
    layout: &Layout,
) -> Result<DomainStatus, ParseError> {
    let mut out = Writer::new();
    let tag = out.begin("domstatus").attr("state", "running").attr("reason", "booted");
    let inner = tag.display("pid", started.pid).open();
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    let monitor = started.monitor.to_string_lossy();
    inner.begin("monitor").attr("path", &monitor).attr("type", "unix").empty();
    if started.has_mount_namespace {
        let namespaces = inner.begin("namespaces").open();
        namespaces.begin("mount").empty();
        namespaces.end("namespaces");
    }
    inner.element(
        "vcpus",
        Presence::Always,
        |tag| tag,
        |out| {
            for (number, tid) in &started.found.threads {
                out.begin("vcpu").display("id", number).display("pid", tid).empty();
            }
        },
    );
    let flags = inner.begin("qemuCaps").open();
    started.flags.iter().for_each(|flag| flags.begin("flag").attr("name", flag).empty());
    flags.end("qemuCaps");
    let devices = inner.begin("devices").open();
    for alias in &started.found.devices {
        devices.begin("device").attr("alias", alias).empty();
    }
    devices.end("devices");
    let (id, name) = (started.id, guest.name());
    inner.begin("libDir").attr("path", &path(layout.domain_dir(id, name))).empty();
    inner.begin("channelTargetDir").attr("path", &path(layout.channel_dir(id, name))).empty();
    inner.begin("memoryBackingDir").attr("path", &path(layout.memory_dir(id, name))).empty();
    inner.begin("rememberOwner").empty();
    inner.begin("allowReboot").attr("value", "yes").empty();
    let [nodes, sets] = started.indexes;
    inner.begin("nodename").display("index", nodes).empty();
    inner.begin("fdset").display("index", sets).empty();
    inner.begin("blockjobs").attr("active", "no").empty();
    inner.text("agentTimeout", "-2");
    // The guest's own document is added whenever the file is written.
    inner.begin("domain").empty();
    inner.end("domstatus");
    DomainStatus::parse(&out.finish())
}

/// The status file of a guest.
#[must_use]
pub(crate) fn document(
    layout: &Layout,
    guest: &Guest,
    base: &DomainStatus,
    status: oxivirt::DomainStatus,
    is_fake_reboot: bool,
) -> Document {
    let mut document = base.clone();
    let (state, reason) = words(status);
    (document.state, document.reason) = (state.to_owned(), Some(reason.to_owned()));
    document.domain = guest.def().clone();
    document.elements.retain(|element| element.name != "fakereboot");
    if is_fake_reboot {
        let place = document.elements.iter().position(|element| element.name == "devices");
        let place = place.unwrap_or(document.elements.len());
        document.elements.insert(place, Element::new("fakereboot"));
    }
    let (name, uuid) = (guest.name(), guest.uuid().to_string());
    let content = Some(wrap_file(EditCommand::Edit, name, &uuid, &document.format()));
    Document { path: layout.status_file(name), mode: MODE, content, is_volatile: true }
}

/// The words for a state.
fn words(status: oxivirt::DomainStatus) -> (&'static str, &'static str) {
    let state = STATES.iter().find(|(state, _)| *state == status.state);
    let word = |words: &[&'static str]| {
        usize::try_from(status.reason).ok().and_then(|at| words.get(at).copied())
    };
    let reason = match status.state {
        DomainState::Running => word(&RUNNING),
        DomainState::Paused => word(&PAUSED),
        DomainState::Crashed => word(&CRASHED),
        _ => None,
    };
    (state.map_or("running", |(_, word)| word), reason.unwrap_or("unknown"))
}

/// The state that a status file says.
#[must_use]
pub(crate) fn state(document: &DomainStatus) -> oxivirt::DomainStatus {
    let state = STATES.iter().find(|(_, word)| *word == document.state);
    let state = state.map_or(DomainState::Running, |(state, _)| *state);
    let reason = document.reason.as_deref().unwrap_or_default();
    let number = |words: &[&str]| words.iter().position(|word| *word == reason).unwrap_or(0);
    let reason = match state {
        DomainState::Running => RunningReason::from_number(index(number(&RUNNING))).number(),
        DomainState::Paused => PausedReason::from_number(index(number(&PAUSED))).number(),
        DomainState::Crashed => index(number(&CRASHED)),
        _ => 0,
    };
    oxivirt::DomainStatus { state, reason }
}

fn index(at: usize) -> i32 {
    i32::try_from(at).unwrap_or_default()
}

/// Whether the guest's next end is the first half of a reboot.
#[must_use]
pub(crate) fn is_fake_reboot(document: &DomainStatus) -> bool {
    document.elements.iter().any(|element| element.name == "fakereboot")
}

/// Where the monitor of a guest listens.
#[must_use]
pub(crate) fn monitor(document: &DomainStatus) -> Option<PathBuf> {
    path(document, "monitor")
}

/// The directories of a guest.
#[must_use]
pub(crate) fn directories(document: &DomainStatus) -> Vec<PathBuf> {
    let names = ["libDir", "channelTargetDir", "memoryBackingDir"];
    names.iter().filter_map(|name| path(document, name)).collect()
}

fn path(document: &DomainStatus, name: &str) -> Option<PathBuf> {
    let element = document.elements.iter().find(|element| element.name == name)?;
    element.attribute("path").map(PathBuf::from)
}

/// The status files of a driver, those that cannot be used as errors.
#[must_use]
pub(crate) fn load(layout: &Layout) -> Vec<Result<(Guest, DomainStatus), StoreError>> {
    store::load(&layout.state_dir(), |path, content| {
        let text = xml::decode(content).map_err(|error| error.in_file(path.to_owned()))?;
        let mut document = DomainStatus::parse(text)?;
        let guest = Guest::new(std::mem::take(&mut document.domain))?;
        Ok((guest, document))
    })
}

/// A running guest as clients see it: what its interfaces are connected to is a part of their sources, and
/// its memory is what its balloon says, in KiB.
///
/// libvirt 11.3.0: `virDomainNetDefFormat`, src/conf/domain_conf.c
#[must_use]
pub(crate) fn shown(guest: &Guest, balloon_kib: Option<u64>) -> Guest {
    guest.with(|def: &mut DomainDef| {
        def.forget_status();
        if let Some(kib) = balloon_kib {
            def.current_memory = Some(Size::from_kib(kib));
        }
        let interfaces = def.devices.iter_mut().flat_map(|devices| &mut devices.interfaces);
        for interface in interfaces {
            let Some(actual) = interface.actual.take() else { continue };
            let bridge = actual.source.and_then(|source| source.bridge);
            if let Some(source) = &mut interface.source {
                source.bridge = bridge.or_else(|| source.bridge.take());
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use oxivirt_conf::domain::Form;

    use super::*;

    const XML: &str = "<domain type='qemu' id='7'><name>a</name>\
        <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid><memory>1024</memory>\
        <os><type>hvm</type></os><devices><interface type='network'>\
        <source network='n' portid='8a3a4d1c-0e0d-4b8f-8f9c-2a4a1f1c7b11'/>\
        <actual type='network'><source bridge='virbr7'/></actual>\
        <target dev='vnet3'/></interface><disk type='file'><source file='/i' index='1'><privateData>\
        <nodenames><nodename type='storage' name='libvirt-1-storage'/></nodenames></privateData></source>\
        <target dev='vda' bus='virtio'/><privateData><qom name='x'/></privateData></disk>\
        <graphics type='vnc' websocketGenerated='no'><listen type='address' fromConfig='1'/></graphics>\
        </devices></domain>";

    #[test]
    fn a_status_file_is_read_as_it_was_written() {
        let layout = Layout::below("/");
        let guest = Guest::new(DomainDef::parse(XML).unwrap()).unwrap();
        let found = Found {
            threads: [(0, 11), (1, 12)].into(),
            devices: vec!["balloon0".to_owned()],
            ..Found::default()
        };
        let flags = ["kvm".to_owned()].into();
        let monitor = layout.domain_dir(7, "a").join("monitor.sock");
        let started = Started {
            id: 7,
            pid: 10,
            monitor: &monitor,
            found: &found,
            flags: &flags,
            has_mount_namespace: true,
            indexes: [2, 0],
        };
        let base = new(&guest, started, &layout).unwrap();
        assert_eq!(base.pid, Some(10));
        let reason = PausedReason::IoError.number();
        let paused = oxivirt::DomainStatus { state: DomainState::Paused, reason };
        let written = document(&layout, &guest, &base, paused, true);
        let text = written.content.unwrap();
        assert!(text.contains("<domstatus state='paused' reason='ioerror' pid='10'>"), "{text}");
        assert!(text.contains("    <vcpu id='1' pid='12'/>\n"), "{text}");
        assert!(text.contains("<actual type='network'>"), "{text}");
        let read = DomainStatus::parse(text.split_once("-->").unwrap().1).unwrap();
        assert_eq!(state(&read), paused);
        assert!(is_fake_reboot(&read));
        assert_eq!(super::monitor(&read).unwrap(), monitor);
        assert_eq!(directories(&read).len(), 3);
        assert_eq!(read.domain, *guest.def());
    }

    #[test]
    fn clients_see_the_bridge_in_the_source() {
        let guest = Guest::new(DomainDef::parse(XML).unwrap()).unwrap();
        let text = shown(&guest, Some(512)).format(Form::Live, crate::guest::Secrets::Hidden);
        let source =
            "<source network='n' portid='8a3a4d1c-0e0d-4b8f-8f9c-2a4a1f1c7b11' bridge='virbr7'/>";
        assert!(text.contains(source) && !text.contains("<actual"), "{text}");
        assert!(text.contains("<currentMemory unit='KiB'>512<"), "{text}");
        assert!(!text.contains("privateData") && !text.contains("fromConfig"), "{text}");
    }
}
