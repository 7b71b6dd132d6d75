//! Definitions without a guest that runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::emulators::Emulators;
use crate::layout::Layout;
use crate::{Driver, Options};
use async_trait::async_trait;
use oxivirt::{
    Autostart, Connection as _, DomainDriver as _, DomainEvent, DomainMetadataChange, DomainRef,
    Error, ErrorDomain, MetadataType, Result,
};
use oxivirt_conf::domain::VirtType;
use oxivirt_conf::emulator::{EmulatorCapabilities, Machine};
use oxivirt_types::domain::{
    DomainAffectFlags, DomainCreateFlags, DomainDefineFlags, DomainDestroyFlags, DomainEventId,
    DomainListFlags, DomainShutdownFlags, DomainUndefineFlags, DomainXmlFlags,
};

const UUID: &str = "c7a5fdbd-edaf-9455-926a-d65c16db1809";

/// One emulator, `/qemu`, for guests of this host's architecture.
#[derive(Debug)]
struct OneEmulator;

#[async_trait]
impl Emulators for OneEmulator {
    fn program(&self, arch: &str) -> Option<PathBuf> {
        (arch == std::env::consts::ARCH).then(|| PathBuf::from("/qemu"))
    }

    async fn capabilities(&self, program: &Path) -> Result<Arc<EmulatorCapabilities>> {
        if program != Path::new("/qemu") {
            let what = format!("Cannot check QEMU binary {}", program.display());
            return Err(Error::system(ErrorDomain::QEMU, 2, what));
        }
        let machine = |name: &str, alias: &str| Machine {
            alias: Some(alias.to_owned()),
            max_cpus: 255,
            is_default: alias == "pc",
            default_cpu: Some("qemu64-x86_64-cpu".to_owned()),
            default_ram_id: Some(String::from("pc.ram")),
            acpi: Some(true),
            ..Machine::new(VirtType::Qemu, name)
        };
        Ok(Arc::new(EmulatorCapabilities {
            emulator: "/qemu".to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            version: 10_000_002,
            flags: ["qemu-xhci", "pcie-root-port", "piix3-usb-uhci", "VGA"].map(Into::into).into(),
            machines: vec![machine("pc-i440fx-10.0", "pc"), machine("pc-q35-10.0", "q35")],
            ..EmulatorCapabilities::default()
        }))
    }
}

struct Host {
    root: tempfile::TempDir,
    driver: Driver,
    events: Arc<Mutex<Vec<(String, i32, i32)>>>,
}

impl Host {
    async fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap()).await
    }

    async fn at(root: tempfile::TempDir) -> Self {
        let options = Options {
            layout: Layout::below(root.path()),
            uri: "qemu:///system".to_owned(),
            emulators: Arc::new(OneEmulator),
            launcher: PathBuf::from("/nowhere"),
            networks: None,
            environment: std::collections::BTreeMap::new(),
            autostart: crate::StartWithHost::Never,
        };
        let driver = Driver::open(options).await.unwrap();
        let events: Arc<Mutex<Vec<_>>> = Arc::default();
        let seen = Arc::clone(&events);
        let callback = Box::new(move |event: &DomainEvent| {
            if let DomainEvent::Lifecycle { domain, event, detail } = event {
                seen.lock().unwrap().push((domain.name.clone(), event.number(), *detail));
            }
        });
        driver.domain_event_register(None, DomainEventId::Lifecycle, callback).await.unwrap();
        Self { root, driver, events }
    }

    async fn restarted(self) -> Self {
        let Self { root, driver, .. } = self;
        drop(driver);
        Self::at(root).await
    }

    async fn define(&self, xml: &str) -> Result<DomainRef> {
        self.driver.domain_define_xml(xml, DomainDefineFlags::empty()).await
    }

    async fn xml(&self, domain: &DomainRef) -> String {
        self.driver.domain_xml_desc(domain, DomainXmlFlags::empty()).await.unwrap()
    }

    async fn names(&self, flags: DomainListFlags) -> Vec<String> {
        let mut names: Vec<_> = self.driver.list_all_domains(flags).await.unwrap();
        names.sort();
        names.into_iter().map(|domain| domain.name).collect()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join("etc/libvirt/qemu").join(name)
    }

    fn take_events(&self) -> Vec<(String, i32, i32)> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

fn guest(name: &str, uuid: &str) -> String {
    format!(
        "<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory>\
         <os><type machine='q35'>hvm</type></os></domain>"
    )
}

fn other(last: u8) -> String {
    format!("c7a5fdbd-edaf-9455-926a-d65c16db18{last:02x}")
}

fn event(name: &str, event: i32, detail: i32) -> (String, i32, i32) {
    (name.to_owned(), event, detail)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, code: i32, domain: i32, message: &str) {
    let error = result.unwrap_err();
    let found = (error.code().0, error.domain().0, error.message());
    assert_eq!(found, (code, domain, message));
}

#[tokio::test]
async fn a_definition_is_completed_stored_and_found_again() {
    let host = Host::new().await;
    let web = host.define(&guest("web", UUID)).await.unwrap();
    assert_eq!((web.name.as_str(), web.id), ("web", None));
    let xml = host.xml(&web).await;
    assert!(xml.contains("machine='pc-q35-10.0'"), "{xml}");
    assert!(xml.contains("<emulator>/qemu</emulator>"), "{xml}");
    let file = fs::read_to_string(host.file("web.xml")).unwrap();
    assert!(file.contains("virsh edit web\n") && file.ends_with(&xml), "{file}");
    let mode = fs::metadata(host.file("web.xml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert_eq!(host.take_events(), [event("web", 0, 0)]);
    host.define(&guest("web", UUID)).await.unwrap();
    assert_eq!(host.take_events(), [event("web", 0, 1)]);

    let host = host.restarted().await;
    assert_eq!(host.xml(&web).await, xml);
    assert_eq!(host.driver.domain_lookup_by_name("web").await.unwrap(), web);
    assert_eq!(host.driver.domain_lookup_by_uuid(web.uuid).await.unwrap(), web);
    let state = host.driver.domain_state(&web, 0).await.unwrap();
    assert_eq!((state.state.number(), state.reason), (5, 0));
    let info = host.driver.domain_info(&web).await.unwrap();
    assert_eq!((info.max_memory_kib, info.memory_kib, info.n_vcpus), (65536, 65536, 1));
    assert_eq!(host.driver.domain_os_type(&web).await.unwrap(), "hvm");
    assert_eq!(host.driver.driver_type().await.unwrap(), "QEMU");
}

#[tokio::test]
async fn names_and_uuids_are_unique() {
    let host = Host::new().await;
    host.define(&guest("a", UUID)).await.unwrap();
    let message = format!("operation failed: domain 'a' already exists with uuid {UUID}");
    refused(host.define(&guest("a", &other(0))).await, 9, 20, &message);
    let message = format!("operation failed: domain 'a' is already defined with uuid {UUID}");
    refused(host.define(&guest("b", UUID)).await, 9, 20, &message);
    assert_eq!(host.names(DomainListFlags::empty()).await, ["a"]);
    assert!(!host.file("b.xml").exists());
}

#[tokio::test]
async fn bad_definitions_change_nothing() {
    let host = Host::new().await;
    let emulator = |path: &str| {
        guest("a", UUID)
            .replace("</os>", &format!("</os><devices><emulator>{path}</emulator></devices>"))
    };
    let message = "Cannot check QEMU binary /nope: No such file or directory";
    refused(host.define(&emulator("/nope")).await, 38, 10, message);
    let foreign = guest("a", UUID).replace("<type ", "<type arch='s390x' ");
    let message = "unsupported configuration: No emulator found for arch 's390x'";
    refused(host.define(&foreign).await, 67, 10, message);
    let nameless = guest("a", UUID).replace("<name>a</name>", "");
    refused(host.define(&nameless).await, 21, 20, "missing name information");
    let message = "XML error: name a/b cannot contain '/'";
    refused(host.define(&guest("a/b", UUID)).await, 27, 20, message);
    let flags = DomainDefineFlags::from_bits_retain(2);
    let message = "unsupported flags (0x2) in function qemuDomainDefineXMLFlags";
    refused(host.driver.domain_define_xml(&guest("a", UUID), flags).await, 8, 10, message);
    assert_eq!(host.names(DomainListFlags::empty()).await, <[&str; 0]>::default());
    assert_eq!(host.take_events(), []);
}

#[tokio::test]
async fn what_is_not_implemented_is_rejected() {
    let host = Host::new().await;
    let a = host.define(&guest("a", UUID)).await.unwrap();
    let flags = DomainCreateFlags::AUTODESTROY;
    let message = "unsupported flags (0x2) in function qemuDomainCreateWithFlags";
    refused(host.driver.domain_create(&a, flags).await, 8, 10, message);
    let limited = guest("b", &other(0))
        .replace("</os>", "</os><memtune><hard_limit>9</hard_limit></memtune>");
    let b = host.define(&limited).await.unwrap();
    let message = "unsupported configuration: element <memtune> is not supported";
    refused(host.driver.domain_create(&b, DomainCreateFlags::empty()).await, 67, 10, message);
    assert_eq!(host.driver.domain_state(&b, 0).await.unwrap().reason, 6);
    let message = "Requested operation is not valid: domain is not running";
    let none = DomainDestroyFlags::empty();
    refused(host.driver.domain_destroy(&a, none).await, 55, 20, message);
    refused(host.driver.domain_suspend(&a).await, 55, 20, message);
    let none = DomainShutdownFlags::empty();
    refused(host.driver.domain_shutdown(&a, none).await, 55, 10, message);
}

#[tokio::test]
async fn unknown_guests_are_reported_as_libvirt_does() {
    let host = Host::new().await;
    let domain = DomainRef { name: "x".to_owned(), uuid: UUID.parse().unwrap(), id: None };
    let message = format!("Domain not found: no domain with matching uuid '{UUID}' (x)");
    refused(host.driver.domain_state(&domain, 0).await, 42, 10, &message);
    let message = format!("Domain not found: no domain with matching uuid '{UUID}'");
    refused(host.driver.domain_lookup_by_uuid(domain.uuid).await, 42, 10, &message);
    let message = "Domain not found: no domain with matching name 'x'";
    refused(host.driver.domain_lookup_by_name("x").await, 42, 10, message);
    let message = "Domain not found: no domain with matching id 99";
    refused(host.driver.domain_lookup_by_id(99).await, 42, 10, message);
}

#[tokio::test]
async fn a_guest_that_is_undefined_leaves_nothing() {
    let host = Host::new().await;
    let a = host.define(&guest("a", UUID)).await.unwrap();
    host.driver.domain_set_autostart(&a, Autostart::Enabled).await.unwrap();
    let saved = host.root.path().join("var/lib/libvirt/qemu/save/a.save");
    let snapshots = host.root.path().join("var/lib/libvirt/qemu/snapshot/a");
    fs::create_dir_all(saved.parent().unwrap()).unwrap();
    fs::create_dir_all(&snapshots).unwrap();
    fs::File::create(&saved).unwrap();
    fs::File::create(snapshots.join("s.xml")).unwrap();
    let undefine = |flags| host.driver.domain_undefine(&a, flags);
    let none = DomainUndefineFlags::empty();
    let prefix = "Requested operation is not valid: ";
    let message = "Refusing to undefine while domain managed save image exists";
    refused(undefine(none).await, 55, 10, &format!("{prefix}{message}"));
    let message = "cannot delete inactive domain with 1 snapshots";
    let flags = DomainUndefineFlags::MANAGED_SAVE;
    refused(undefine(flags).await, 55, 10, &format!("{prefix}{message}"));
    let message = "unsupported flags (0x100) in function qemuDomainUndefineFlags";
    let unknown = DomainUndefineFlags::from_bits_retain(0x100);
    refused(undefine(unknown).await, 8, 10, message);
    assert!(saved.exists() && host.file("a.xml").exists());
    undefine(flags | DomainUndefineFlags::SNAPSHOTS_METADATA).await.unwrap();
    assert!(!saved.exists() && !snapshots.exists());
    assert_eq!(fs::read_dir(host.file("autostart")).unwrap().count(), 0);
    assert!(!host.file("a.xml").exists());
    assert_eq!(host.take_events(), [event("a", 0, 0), event("a", 1, 0)]);
    assert_eq!(undefine(none).await.unwrap_err().code().0, 42);
}

#[tokio::test]
async fn variables_of_the_firmware_go_or_stay_as_asked() {
    let host = Host::new().await;
    let path = host.root.path().join("vars.fd");
    let nvram = format!("<nvram>{}</nvram></os>", path.display());
    let xml = guest("a", UUID).replace("</os>", &nvram);
    let undefine = async |flags: DomainUndefineFlags| {
        let a = host.define(&xml).await.unwrap();
        fs::File::create(&path).unwrap();
        let result = host.driver.domain_undefine(&a, flags).await;
        result.map(|()| path.exists())
    };
    let message = "Requested operation is not valid: cannot undefine domain with nvram";
    refused(undefine(DomainUndefineFlags::empty()).await, 55, 10, message);
    assert!(undefine(DomainUndefineFlags::KEEP_NVRAM).await.unwrap());
    assert!(!undefine(DomainUndefineFlags::NVRAM).await.unwrap());
}

#[tokio::test]
async fn a_rename_moves_files_and_keeps_the_identity() {
    let host = Host::new().await;
    let a = host.define(&guest("a", UUID)).await.unwrap();
    host.define(&guest("b", &other(0))).await.unwrap();
    host.driver.domain_set_autostart(&a, Autostart::Enabled).await.unwrap();
    host.take_events();
    let message = "Requested operation is not valid: domain with name 'b' already exists";
    refused(host.driver.domain_rename(&a, "b", 0).await, 55, 20, message);
    host.driver.domain_rename(&a, "c", 0).await.unwrap();
    assert_eq!(host.take_events(), [event("a", 1, 1), event("c", 0, 2)]);
    assert_eq!(host.names(DomainListFlags::empty()).await, ["b", "c"]);
    let host = host.restarted().await;
    assert_eq!(host.names(DomainListFlags::empty()).await, ["b", "c"]);
    assert_eq!(host.driver.domain_autostart(&a).await.unwrap(), Autostart::Enabled);
    assert_eq!(host.driver.domain_lookup_by_uuid(a.uuid).await.unwrap().name, "c");
    assert!(!host.file("a.xml").exists() && !host.file("autostart/a.xml").exists());
}

#[tokio::test]
async fn lists_are_filtered_within_and_between_groups() {
    let host = Host::new().await;
    let a = host.define(&guest("a", UUID)).await.unwrap();
    host.define(&guest("b", &other(0))).await.unwrap();
    host.driver.domain_set_autostart(&a, Autostart::Enabled).await.unwrap();
    let snapshots = host.root.path().join("var/lib/libvirt/qemu/snapshot/b");
    fs::create_dir_all(&snapshots).unwrap();
    fs::File::create(snapshots.join("s.xml")).unwrap();
    use DomainListFlags as Flags;
    for (flags, names) in [
        (Flags::AUTOSTART, &["a"][..]),
        (Flags::NO_AUTOSTART, &["b"]),
        (Flags::AUTOSTART | Flags::NO_AUTOSTART, &["a", "b"]),
        (Flags::HAS_SNAPSHOT, &["b"]),
        (Flags::HAS_SNAPSHOT | Flags::AUTOSTART, &[]),
        (Flags::SHUTOFF | Flags::RUNNING, &["a", "b"]),
        (Flags::ACTIVE, &[]),
        (Flags::INACTIVE | Flags::PERSISTENT, &["a", "b"]),
        (Flags::TRANSIENT, &[]),
        (Flags::MANAGED_SAVE, &[]),
        (Flags::NO_CHECKPOINT, &["a", "b"]),
    ] {
        assert_eq!(host.names(flags).await, names, "{flags:?}");
    }
}

#[tokio::test]
async fn metadata_is_set_read_and_removed() {
    let host = Host::new().await;
    let a = host.define(&guest("a", UUID)).await.unwrap();
    let uri = "http://example.com/x";
    let change = |kind, metadata: Option<&str>| DomainMetadataChange {
        kind,
        metadata: metadata.map(str::to_owned),
        key: Some("x".to_owned()),
        uri: (kind == MetadataType::Element).then(|| uri.to_owned()),
        flags: DomainAffectFlags::empty(),
    };
    let set = |kind, text| {
        let (driver, a, change) = (&host.driver, &a, change(kind, text));
        async move { driver.domain_set_metadata(a, &change).await }
    };
    let get = |kind, flags| host.driver.domain_metadata(&a, kind, Some(uri), flags);
    let none = DomainAffectFlags::empty();
    let missing = "metadata not found: Requested metadata element is not present";
    refused(get(MetadataType::Title, none).await, 80, 20, missing);
    set(MetadataType::Title, Some("a title")).await.unwrap();
    set(MetadataType::Element, Some("<tag>1</tag>")).await.unwrap();
    assert_eq!(get(MetadataType::Title, none).await.unwrap(), "a title");
    assert!(get(MetadataType::Element, none).await.unwrap().contains("<tag>1</tag>"));
    assert!(set(MetadataType::Title, Some("two\nlines")).await.is_err());
    let message = "Requested operation is not valid: domain is not running";
    refused(get(MetadataType::Title, DomainAffectFlags::LIVE).await, 55, 20, message);
    let host = host.restarted().await;
    let xml = host.xml(&a).await;
    assert!(xml.contains("<title>a title</title>") && xml.contains(uri), "{xml}");
    host.driver.domain_set_metadata(&a, &change(MetadataType::Title, None)).await.unwrap();
    assert!(!host.xml(&a).await.contains("<title>"));
}

#[tokio::test]
async fn a_second_driver_is_refused_and_damaged_files_are_skipped() {
    let host = Host::new().await;
    host.define(&guest("a", UUID)).await.unwrap();
    let options = Options {
        layout: Layout::below(host.root.path()),
        uri: String::new(),
        emulators: Arc::new(OneEmulator),
        launcher: PathBuf::from("/nowhere"),
        networks: None,
        environment: std::collections::BTreeMap::new(),
        autostart: crate::StartWithHost::Never,
    };
    assert_eq!(Driver::open(options).await.unwrap_err().code().0, 38);
    fs::copy(host.file("a.xml"), host.file("other.xml")).unwrap();
    fs::File::create(host.file("empty.xml")).unwrap();
    let host = host.restarted().await;
    assert_eq!(host.names(DomainListFlags::empty()).await, ["a"]);
    assert!(host.file("other.xml").exists() && host.file("empty.xml").exists());
}
