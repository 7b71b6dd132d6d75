//! The firmware of a guest.

use std::path::Path;

use oxivirt_conf::YesNo;
use oxivirt_conf::domain::os::{FirmwareFormat, Loader, LoaderType, Nvram};

use super::Build;
use super::error::Result;
use super::props::{Props, Words};
use super::storage::RawLayer;

/// The nodes of the firmware's code.
const CODE: &str = "libvirt-pflash0";
/// The nodes of its variables.
const VARIABLES: &str = "libvirt-pflash1";

/// The file of the variables.
fn variables(nvram: &Nvram) -> Option<&String> {
    nvram.path.as_ref().or_else(|| nvram.source.as_ref()?.file.as_ref())
}

impl Build<'_> {
    /// libvirt 11.3.0: `qemuBuildPflashBlockdevCommandLine`, src/qemu/qemu_command.c
    pub(super) fn pflash(&mut self) -> Result<()> {
        let Some(os) = &self.def.os else { return Ok(()) };
        let Some(loader) = os.loader.as_ref().filter(|it| it.kind == Some(LoaderType::Pflash))
        else {
            return Ok(());
        };
        let Some(path) = &loader.path else { return Ok(()) };
        let is_readonly = loader.readonly != Some(YesNo::No);
        self.flash(CODE, Path::new(path), loader.format, is_readonly);
        if let Some(path) = os.nvram.as_ref().and_then(variables) {
            let format = os.nvram.as_ref().and_then(|nvram| nvram.format);
            self.flash(VARIABLES, Path::new(path), format, false);
        }
        Ok(())
    }

    fn flash(
        &mut self,
        name: &str,
        path: &Path,
        format: Option<FirmwareFormat>,
        is_readonly: bool,
    ) {
        let format = format.unwrap_or(FirmwareFormat::Raw);
        let storage = format!("{name}-storage");
        let props = Props::driver("file")
            .with("filename", path.to_string_lossy())
            .with("node-name", storage.as_str());
        // Variables of raw format have no node of their own for the format.
        if name == VARIABLES && self.has_no_format(format) {
            let props = props.with("read-only", is_readonly);
            self.blockdev(&props);
            return;
        }
        let props = props.with("auto-read-only", true).with("discard", "unmap");
        self.blockdev(&props);
        let props = Props::new()
            .with("node-name", format!("{name}-format"))
            .with("read-only", is_readonly)
            .with("driver", format.as_str())
            .with("file", storage);
        let is_layered = format == FirmwareFormat::Qcow2;
        let props = if is_layered { props.with("backing", serde_json::Value::Null) } else { props };
        self.blockdev(&props);
    }

    /// The machine's flash memories.
    pub(super) fn pflash_machine(&self, words: Words) -> Words {
        let Some(os) = &self.def.os else { return words };
        let is_flash = os
            .loader
            .as_ref()
            .is_some_and(|loader| loader.kind == Some(LoaderType::Pflash) && loader.path.is_some());
        if !is_flash {
            return words;
        }
        let words = words.pair("pflash0", format_args!("{CODE}-format"));
        let Some(nvram) = os.nvram.as_ref().filter(|nvram| variables(nvram).is_some()) else {
            return words;
        };
        let is_raw = self.has_no_format(nvram.format.unwrap_or(FirmwareFormat::Raw));
        let layer = if is_raw { "storage" } else { "format" };
        words.pair("pflash1", format_args!("{VARIABLES}-{layer}"))
    }

    fn has_no_format(&self, format: FirmwareFormat) -> bool {
        format == FirmwareFormat::Raw && RawLayer::of(self.emulator) == RawLayer::Storage
    }

    /// Firmware that is mapped as memory, and flash that only the firmware may write.
    pub(super) fn bios(&mut self) {
        let loader = self.def.os.as_ref().and_then(|os| os.loader.as_ref());
        let is_flash = |loader: &&Loader| loader.kind == Some(LoaderType::Pflash);
        if loader.filter(is_flash).is_some_and(|loader| loader.secure == Some(YesNo::Yes)) {
            self.option("-global", "driver=cfi.pflash01,property=secure,value=on");
        }
        let loader = loader.filter(|loader| loader.kind == Some(LoaderType::Rom));
        if let Some(path) = loader.and_then(|loader| loader.path.clone()) {
            self.option("-bios", path);
        }
    }
}
