//! `<os>`, `<sysinfo>`, `<idmap>`: what a guest boots and how its firmware describes it.

use crate::element::elements;
use crate::keyword::{YesNo, words};

use super::device::source::Source;

words! {
    /// Kind of operating system interface.
    pub enum OsType {
        Hvm = "hvm",
        Linux = "linux",
        Exe = "exe",
        Xen = "xen",
        XenPvh = "xenpvh",
        Uml = "uml",
    }

    /// Firmware that is looked for.
    pub enum FirmwareKind {
        Bios = "bios",
        Efi = "efi",
    }

    /// How a firmware image is presented.
    pub enum LoaderType {
        Rom = "rom",
        Pflash = "pflash",
    }

    /// Format of a firmware image.
    pub enum FirmwareFormat {
        Raw = "raw",
        Qcow2 = "qcow2",
    }

    /// A class of devices to boot from.
    pub enum BootDevice {
        Floppy = "fd",
        Cdrom = "cdrom",
        Disk = "hd",
        Network = "network",
    }

    /// Where SMBIOS data come from.
    pub enum SmbiosMode {
        Emulate = "emulate",
        Host = "host",
        Sysinfo = "sysinfo",
    }
}

elements! {
    /// `<os>`
    pub struct Os {
        attr firmware: Option<FirmwareKind> = "firmware",
        child kind: Option<OsKind> = "type",
        child firmware_features: Option<FirmwareFeatures> = "firmware",
        text init: Option<String> = "init",
        texts init_args: Vec<String> = "initarg",
        list init_env: Vec<InitEnv> = "initenv",
        text init_dir: Option<String> = "initdir",
        text init_user: Option<String> = "inituser",
        text init_group: Option<String> = "initgroup",
        child loader: Option<Loader> = "loader",
        child nvram: Option<Nvram> = "nvram",
        text kernel: Option<String> = "kernel",
        text initrd: Option<String> = "initrd",
        text cmdline: Option<String> = "cmdline",
        text dtb: Option<String> = "dtb",
        text root: Option<String> = "root",
        text shim: Option<String> = "shim",
        child acpi: Option<AcpiTables> = "acpi",
        list boot: Vec<Boot> = "boot",
        child boot_menu: Option<BootMenu> = "bootmenu",
        child bios: Option<Bios> = "bios",
        child smbios: Option<Smbios> = "smbios",
    }

    /// `<type>` of `<os>`
    pub struct OsKind {
        attr arch: Option<String> = "arch",
        attr machine: Option<String> = "machine",
        body kind: Option<OsType> = "type",
    }

    /// `<firmware>` of `<os>`
    pub struct FirmwareFeatures {
        list features: Vec<FirmwareFeature> = "feature",
    }

    /// What firmware has to have or not.
    pub struct FirmwareFeature {
        attr enabled: Option<YesNo> = "enabled",
        attr name: Option<String> = "name",
    }

    /// An environment variable of a container's first process.
    pub struct InitEnv {
        attr name: Option<String> = "name",
        body value: Option<String> = "initenv",
    }

    /// `<loader>`
    pub struct Loader {
        attr readonly: Option<YesNo> = "readonly",
        attr secure: Option<YesNo> = "secure",
        attr kind: Option<LoaderType> = "type",
        attr stateless: Option<YesNo> = "stateless",
        attr format: Option<FirmwareFormat> = "format",
        body path: Option<String> = "loader",
    }

    /// `<nvram>` of `<os>`
    pub struct Nvram {
        attr template: Option<String> = "template",
        attr template_format: Option<FirmwareFormat> = "templateFormat",
        attr kind: Option<String> = "type",
        attr format: Option<FirmwareFormat> = "format",
        child source: Option<Source> = "source",
        body path: Option<String> = "nvram",
    }

    /// `<acpi>` of `<os>`
    pub struct AcpiTables {
        list tables: Vec<AcpiTable> = "table",
    }

    /// A table handed to the firmware.
    pub struct AcpiTable {
        attr kind: Option<String> = "type",
        body path: Option<String> = "table",
    }

    /// `<boot>` of `<os>`
    pub struct Boot {
        attr device: Option<BootDevice> = "dev",
    }

    /// `<bootmenu>`
    pub struct BootMenu {
        attr enable: Option<YesNo> = "enable",
        attr timeout: Option<u32> = "timeout",
    }

    /// `<bios>` of `<os>`
    pub struct Bios {
        attr use_serial: Option<YesNo> = "useserial",
        attr reboot_timeout: Option<i32> = "rebootTimeout",
    }

    /// `<smbios>`
    pub struct Smbios {
        attr mode: Option<SmbiosMode> = "mode",
    }

    /// `<idmap>`
    pub struct IdMap {
        list users: Vec<IdRange> = "uid",
        list groups: Vec<IdRange> = "gid",
    }

    /// A range of identities.
    pub struct IdRange {
        attr start: Option<u32> = "start",
        attr target: Option<u32> = "target",
        attr count: Option<u32> = "count",
    }

    /// `<sysinfo>`
    pub struct Sysinfo {
        attr kind: Option<String> = "type",
        child bios: Option<SysinfoBlock> = "bios",
        child system: Option<SysinfoBlock> = "system",
        list base_boards: Vec<SysinfoBlock> = "baseBoard",
        child chassis: Option<SysinfoBlock> = "chassis",
        child oem_strings: Option<SysinfoBlock> = "oemStrings",
        list entries: Vec<SysinfoEntry> = "entry",
    }

    /// A table of SMBIOS.
    pub struct SysinfoBlock {
        list entries: Vec<SysinfoEntry> = "entry",
    }

    /// One value.
    pub struct SysinfoEntry {
        attr name: Option<String> = "name",
        attr file: Option<String> = "file",
        body value: Option<String> = "entry",
    }
}
