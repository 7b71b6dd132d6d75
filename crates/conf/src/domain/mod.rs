//! `<domain>`: a guest.
//!
//! A document goes through separate pure passes: [`DomainDef::parse`] reads it as it is, `complete` fills
//! in defaults, `assign` gives addresses, `validate` refuses what cannot be, and [`DomainDef::format`] writes
//! one of three [`Form`]s. Every element of libvirt 11.3.0 has a type; what a document has beyond that is kept
//! and written back.
//!
//! Start reading at [`DomainDef`] and [`device::Devices`].

pub mod address;
mod assign;
mod bitmap;
pub mod clock;
mod complete;
pub mod cpu;
pub mod device;
mod error;
pub mod features;
mod machine;
pub mod memory;
pub mod os;
pub mod qemu;
mod runtime;
pub mod security;
mod size;
mod status;
mod validate;
mod words;

use oxivirt_xml::{self as xml, Blanks, Element, Presence, Writer};

use crate::element::{Content, elements};
use crate::error::Result;
use crate::keyword::words;
use crate::metadata::Metadata;
use crate::uuid::Uuid;

use clock::{Clock, CrashAction, LifecycleAction, LockFailureAction, Perf, PowerManagement};
use cpu::{Cpu, CpuTune, DefaultIoThread, IoThreadIds, VcpuCount, Vcpus};
use device::Devices;
use device::disk::ThrottleGroups;
use features::Features;
use memory::{BlkioTune, MaxMemory, Memory, MemoryBacking, MemoryTune, NumaTune};
use os::{IdMap, Os, Sysinfo};
use security::{KeyWrap, LaunchSecurity, Resource, Seclabel};

pub use complete::{HostAudio, QemuDefaults};
pub use error::DomainError;
pub use machine::MachineKind;
pub(crate) use size::scale_bytes;
pub use size::{ByteSize, PrettySize, Size, parse_scaled};
pub use status::DomainStatus;

words! {
    /// What runs a guest.
    pub enum VirtType {
        Qemu = "qemu",
        Kqemu = "kqemu",
        Kvm = "kvm",
        Xen = "xen",
        Lxc = "lxc",
        Uml = "uml",
        OpenVz = "openvz",
        Test = "test",
        Vmware = "vmware",
        HyperV = "hyperv",
        Vbox = "vbox",
        Phyp = "phyp",
        Parallels = "parallels",
        Bhyve = "bhyve",
        Vz = "vz",
        Hvf = "hvf",
    }
}

/// Where a document comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From a client: a guest is defined, what it sees may be chosen anew.
    New,
    /// From a file: what the guest sees stays as it was.
    Stored,
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The definition of a guest: nothing that exists only while it runs.
    Inactive,
    /// A running guest.
    Live,
}

elements! {
    /// The content of `<domain>`
    pub struct DomainDef {
        attr virt_type: Option<VirtType> = "type",
        attr id: Option<i32> = "id",
        text name: Option<String> = "name",
        text uuid: Option<Uuid> = "uuid",
        present genid: Option<GenId> = "genid",
        text title: Option<String> = "title",
        text description: Option<String> = "description",
        metadata metadata: Option<Metadata> = "metadata",
        child max_memory: Option<MaxMemory> = "maxMemory",
        child memory: Option<Memory> = "memory",
        child current_memory: Option<Size> = "currentMemory",
        child blkiotune: Option<BlkioTune> = "blkiotune",
        child memtune: Option<MemoryTune> = "memtune",
        child memory_backing: Option<MemoryBacking> = "memoryBacking",
        child vcpu: Option<VcpuCount> = "vcpu",
        child vcpus: Option<Vcpus> = "vcpus",
        text iothreads: Option<u32> = "iothreads",
        child iothread_ids: Option<IoThreadIds> = "iothreadids",
        child default_iothread: Option<DefaultIoThread> = "defaultiothread",
        child throttle_groups: Option<ThrottleGroups> = "throttlegroups",
        child cputune: Option<CpuTune> = "cputune",
        child numatune: Option<NumaTune> = "numatune",
        child resource: Option<Resource> = "resource",
        list sysinfo: Vec<Sysinfo> = "sysinfo",
        text bootloader: Option<String> = "bootloader",
        text bootloader_args: Option<String> = "bootloader_args",
        child os: Option<Os> = "os",
        child idmap: Option<IdMap> = "idmap",
        child features: Option<Features> = "features",
        child cpu: Option<Cpu> = "cpu",
        child clock: Option<Clock> = "clock",
        text on_poweroff: Option<LifecycleAction> = "on_poweroff",
        text on_reboot: Option<LifecycleAction> = "on_reboot",
        text on_crash: Option<CrashAction> = "on_crash",
        text on_lock_failure: Option<LockFailureAction> = "on_lockfailure",
        child pm: Option<PowerManagement> = "pm",
        child perf: Option<Perf> = "perf",
        paired devices: Option<Devices> = "devices",
        list seclabels: Vec<Seclabel> = "seclabel",
        child keywrap: Option<KeyWrap> = "keywrap",
        child launch_security: Option<LaunchSecurity> = "launchSecurity",
        flatten qemu: qemu::QemuExtensions = "(the same element)",
    }

    /// `<genid>`; without content one is made up.
    pub struct GenId {
        body uuid: Option<Uuid> = "genid",
    }
}

impl DomainDef {
    /// Reads a `<domain>` document as it is: nothing is filled in.
    ///
    /// # Errors
    /// [`ParseError`](crate::ParseError): not well-formed, another kind of document, or a value that is none
    /// of those possible.
    ///
    /// libvirt 11.3.0: `virDomainDefParse`, src/conf/domain_conf.c
    pub fn parse(text: &str) -> Result<Self> {
        let root = xml::parse(text, Blanks::Drop).map_err(DomainError::NotWellFormed)?;
        crate::network::check_root(&root, "domain")?;
        words::check(&root)?;
        Self::from_element(&root)
    }

    /// Reads a document as the definition or the state of a guest and fills in what every driver does.
    ///
    /// # Errors
    /// As [`DomainDef::parse`], and what [`DomainDef::complete_common`] refuses.
    pub fn parse_as(text: &str, form: Form) -> Result<Self> {
        let mut def = Self::parse(text)?;
        if form == Form::Inactive {
            def.forget_runtime();
        }
        def.complete_common(Origin::Stored)?;
        def.validate_common()?;
        Ok(def)
    }

    /// Reads the element.
    ///
    /// # Errors
    /// As [`DomainDef::parse`].
    pub(crate) fn from_element(root: &Element<'_>) -> Result<Self> {
        Content::read(root)
    }

    /// Writes the document, ending in a line feed.
    ///
    /// libvirt 11.3.0: `virDomainDefFormat`, src/conf/domain_conf.c
    #[must_use]
    pub fn format(&self, form: Form) -> String {
        let mut out = Writer::new();
        let mut def = self.clone();
        if form == Form::Inactive {
            def.forget_runtime();
        }
        def.forget_unwritten();
        def.write("domain", Presence::Always, &mut out);
        out.finish()
    }
}

#[cfg(test)]
mod tests;
