//! What the firmware says of the machine: SMBIOS tables and files of the firmware's configuration.

use oxivirt_conf::domain::os::{SmbiosMode, Sysinfo, SysinfoBlock};

use super::Build;
use super::error::{PlanError, Result};
use super::props::Words;

/// Names in documents, in the order of options, with the options' names.
type Fields = &'static [(&'static str, &'static str)];

const BIOS: Fields =
    &[("vendor", "vendor"), ("version", "version"), ("date", "date"), ("release", "release")];
const SYSTEM: Fields = &[
    ("manufacturer", "manufacturer"),
    ("product", "product"),
    ("version", "version"),
    ("serial", "serial"),
    ("uuid", "uuid"),
    ("sku", "sku"),
    ("family", "family"),
];
const BOARD: Fields = &[
    ("manufacturer", "manufacturer"),
    ("product", "product"),
    ("version", "version"),
    ("serial", "serial"),
    ("asset", "asset"),
    ("location", "location"),
];
const CHASSIS: Fields = &[
    ("manufacturer", "manufacturer"),
    ("version", "version"),
    ("serial", "serial"),
    ("asset", "asset"),
    ("sku", "sku"),
];

impl Build<'_> {
    /// libvirt 11.3.0: `qemuBuildSmbiosCommandLine`, src/qemu/qemu_command.c
    pub(super) fn smbios(&mut self) -> Result<()> {
        let def = self.def;
        let mode = def.os.as_ref().and_then(|os| os.smbios.as_ref()).and_then(|it| it.mode);
        match mode {
            None | Some(SmbiosMode::Emulate) => return Ok(()),
            Some(SmbiosMode::Host) => return Err(PlanError::element("smbios")),
            Some(SmbiosMode::Sysinfo) => {}
        }
        let Some(tables) = def.sysinfo.iter().find(|it| it.kind.as_deref() == Some("smbios"))
        else {
            let name = def.name.as_deref().unwrap_or_default();
            let text = format!("Domain '{name}' sysinfo are not available");
            return Err(PlanError::Xml(text));
        };
        self.smbios_tables(tables);
        Ok(())
    }

    fn smbios_tables(&mut self, tables: &Sysinfo) {
        let mut add = |number: u32, fields: Fields, block: &SysinfoBlock| {
            let mut words = Words::default().pair("type", number);
            for (name, option) in fields {
                let entry = block.entries.iter().find(|it| it.name.as_deref() == Some(name));
                words = words.pair_opt(option, entry.and_then(|entry| entry.value.as_deref()));
            }
            self.option("-smbios", words.finish());
        };
        if let Some(bios) = &tables.bios {
            add(0, BIOS, bios);
        }
        if let Some(system) = &tables.system {
            add(1, SYSTEM, system);
        }
        for board in &tables.base_boards {
            add(2, BOARD, board);
        }
        if let Some(chassis) = &tables.chassis {
            add(3, CHASSIS, chassis);
        }
        if let Some(strings) = &tables.oem_strings {
            let mut words = Words::default().pair("type", 11);
            for entry in &strings.entries {
                words = words.pair("value", entry.value.as_deref().unwrap_or_default());
            }
            self.option("-smbios", words.finish());
        }
    }

    /// libvirt 11.3.0: `qemuBuildSysinfoCommandLine`, src/qemu/qemu_command.c
    pub(super) fn firmware_files(&mut self) {
        let def = self.def;
        let files = def.sysinfo.iter().filter(|it| it.kind.as_deref() == Some("fwcfg"));
        for entry in files.flat_map(|it| &it.entries) {
            let words = Words::default().pair("name", entry.name.as_deref().unwrap_or_default());
            let words = match (&entry.value, &entry.file) {
                (Some(value), _) => words.pair("string", value),
                (None, file) => words.pair("file", file.as_deref().unwrap_or_default()),
            };
            self.option("-fw_cfg", words.finish());
        }
    }
}
