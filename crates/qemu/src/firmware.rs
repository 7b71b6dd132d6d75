//! Which firmware a guest gets: the descriptors that firmware packages install.
//!
//! A descriptor says what an image is for: kind of interface, machines, features, how it is mapped. The
//! first that fits a definition is written into it. Reading the files is the caller's.

use std::collections::BTreeMap;
use std::path::Path;

use oxivirt_conf::domain::features::{Features, Smm};
use oxivirt_conf::domain::os::{
    FirmwareFeature, FirmwareFeatures, FirmwareFormat, FirmwareKind, Loader, LoaderType, Nvram, Os,
};
use oxivirt_conf::domain::{DomainDef, Origin};
use oxivirt_conf::{OnOff, YesNo};
use serde_json::Value;

use crate::command::PlanError;

/// Pairs of code and variables that packages installed before there were descriptors.
const LEGACY: [(&str, &str); 4] = [
    ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
    ("/usr/share/AAVMF/AAVMF32_CODE.fd", "/usr/share/AAVMF/AAVMF32_VARS.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
];

/// One firmware, as its descriptor says (`docs/interop/firmware.json` of QEMU).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    interfaces: Vec<String>,
    targets: Vec<(String, Vec<String>)>,
    features: Vec<String>,
    mapping: Mapping,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Mapping {
    Flash { mode: String, code: Image, variables: Option<Image> },
    Memory { path: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Image {
    path: String,
    format: FirmwareFormat,
}

impl Firmware {
    /// Reads a descriptor; nothing if it is none, or one of a kind that is not known.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let root: Value = serde_json::from_str(text).ok()?;
        let words = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect()
        };
        let targets = root.get("targets")?.as_array()?.iter().map(|target| {
            let arch = target.get("architecture")?.as_str()?.to_owned();
            Some((arch, words(target.get("machines")?)?))
        });
        let mapping = root.get("mapping")?;
        let image = |name: &str| -> Option<Image> {
            let image = mapping.get(name)?;
            let format = match image.get("format")?.as_str()? {
                "raw" => FirmwareFormat::Raw,
                "qcow2" => FirmwareFormat::Qcow2,
                _ => return None,
            };
            Some(Image { path: image.get("filename")?.as_str()?.to_owned(), format })
        };
        let mapping = match mapping.get("device")?.as_str()? {
            "flash" => Mapping::Flash {
                mode: mapping.get("mode").and_then(Value::as_str).unwrap_or("split").to_owned(),
                code: image("executable")?,
                variables: image("nvram-template"),
            },
            "memory" => Mapping::Memory { path: mapping.get("filename")?.as_str()?.to_owned() },
            _ => return None,
        };
        Some(Self {
            interfaces: words(root.get("interface-types")?)?,
            targets: targets.collect::<Option<_>>()?,
            features: words(root.get("features")?)?,
            mapping,
        })
    }

    /// The descriptors of directories, the first of which has the least priority: a file hides one of the
    /// same name before it, an empty one removes it. They come sorted by name.
    #[must_use]
    pub fn merge<'t>(directories: impl IntoIterator<Item = Vec<(String, &'t str)>>) -> Vec<Self> {
        let files: BTreeMap<String, &str> = directories.into_iter().flatten().collect();
        files.values().filter_map(|text| Self::parse(text)).collect()
    }

    /// What a guest can ask for to get it: `bios`, `efi`.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.interfaces.iter().filter_map(|interface| match interface.as_str() {
            "bios" => Some("bios"),
            "uefi" => Some("efi"),
            _ => None,
        })
    }

    /// Its image.
    pub(crate) fn image(&self) -> &str {
        match &self.mapping {
            Mapping::Flash { code, .. } => &code.path,
            Mapping::Memory { path } => path,
        }
    }

    /// Whether it can refuse programs that are not signed.
    pub(crate) fn has_secure_boot(&self) -> bool {
        self.has("secure-boot") && self.has("requires-smm")
    }

    fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|known| known == feature)
    }

    /// libvirt 11.3.0: `qemuFirmwareMatchDomain`, src/qemu/qemu_firmware.c
    fn fits(&self, def: &DomainDef, os: &Os, origin: Origin) -> bool {
        let loader = os.loader.as_ref();
        let has_interface = |name: &str| self.interfaces.iter().any(|known| known == name);
        let is_wanted = match (os.firmware, loader.and_then(|loader| loader.kind)) {
            (Some(FirmwareKind::Efi), _) | (None, Some(LoaderType::Pflash)) => {
                has_interface("uefi")
            }
            (Some(FirmwareKind::Bios), _) => has_interface("bios"),
            (None, _) => true,
        };
        is_wanted
            && self.fits_machine(os)
            && self.fits_features(def, os)
            && self.fits_images(os, origin)
    }

    fn fits_machine(&self, os: &Os) -> bool {
        let kind = os.kind.as_ref();
        let arch = kind.and_then(|kind| kind.arch.as_deref()).unwrap_or_default();
        let machine = kind.and_then(|kind| kind.machine.as_deref()).unwrap_or_default();
        self.is_for(arch, machine)
    }

    /// Whether it is for guests of an architecture and a machine.
    pub(crate) fn is_for(&self, arch: &str, machine: &str) -> bool {
        self.targets.iter().any(|(target, machines)| {
            let target = if target == "i386" { "i686" } else { target };
            target == arch
                && machines.iter().any(|pattern| match pattern.strip_suffix('*') {
                    Some(prefix) => machine.starts_with(prefix),
                    None => machine == pattern,
                })
        })
    }

    fn fits_features(&self, def: &DomainDef, os: &Os) -> bool {
        let wanted = |name: &str| {
            let features = os.firmware_features.as_ref()?;
            let feature = features.features.iter().find(|it| it.name.as_deref() == Some(name))?;
            feature.enabled
        };
        let agrees = |name: &str| match wanted(name) {
            Some(enabled) => (enabled == YesNo::Yes) == self.has(name),
            None => true,
        };
        let is_secure = self.has_secure_boot();
        let secure = os.loader.as_ref().and_then(|loader| loader.secure);
        let smm = def.features.as_ref().and_then(|features| features.smm.as_ref());
        let has_no_smm = smm.is_some_and(|smm| smm.state == Some(OnOff::Off));
        let sleeps = |state: Option<&oxivirt_conf::domain::clock::PowerState>, name: &str| {
            state.is_none_or(|state| state.enabled != Some(YesNo::Yes)) || self.has(name)
        };
        let pm = def.pm.as_ref();
        agrees("secure-boot")
            && agrees("enrolled-keys")
            && secure.is_none_or(|secure| (secure == YesNo::Yes) == is_secure)
            && !(has_no_smm && self.has("requires-smm"))
            && sleeps(pm.and_then(|pm| pm.suspend_to_mem.as_ref()), "acpi-s3")
            && sleeps(pm.and_then(|pm| pm.suspend_to_disk.as_ref()), "acpi-s4")
    }

    fn fits_images(&self, os: &Os, origin: Origin) -> bool {
        let loader = os.loader.as_ref();
        let path = loader.and_then(|loader| loader.path.as_deref());
        let is_stateless = loader.and_then(|loader| loader.stateless);
        let kind = loader.and_then(|loader| loader.kind);
        match &self.mapping {
            Mapping::Memory { path: own } => {
                kind.is_none_or(|kind| kind == LoaderType::Rom)
                    && path.is_none_or(|path| path == own)
                    && is_stateless != Some(YesNo::No)
                    && loader.is_none_or(|loader| loader.readonly.is_none())
                    && os.nvram.is_none()
            }
            Mapping::Flash { mode, code, variables } => {
                let wanted_mode =
                    if is_stateless == Some(YesNo::Yes) { "stateless" } else { "split" };
                let said = loader.and_then(|loader| loader.format);
                let said = said.or_else(|| os.nvram.as_ref().and_then(|nvram| nvram.format));
                // What was stored before there was a choice was raw.
                let format = said.or(match origin {
                    Origin::Stored => Some(FirmwareFormat::Raw),
                    Origin::New => None,
                });
                let template = os.nvram.as_ref().and_then(|nvram| nvram.template.as_deref());
                kind.is_none_or(|kind| kind == LoaderType::Pflash)
                    && mode == wanted_mode
                    && loader.and_then(|loader| loader.readonly) != Some(YesNo::No)
                    && format.is_none_or(|format| format == code.format)
                    && path.is_none_or(|path| path == code.path)
                    && template.is_none_or(|template| {
                        variables.as_ref().is_some_and(|own| own.path == template)
                    })
            }
        }
    }

    /// Writes the choice into a definition.
    ///
    /// libvirt 11.3.0: `qemuFirmwareEnableFeaturesModern`, src/qemu/qemu_firmware.c
    fn write(&self, def: &mut DomainDef) {
        let Some(os) = &mut def.os else { return };
        let loader = os.loader.get_or_insert_with(Loader::default);
        let mut is_copied = true;
        match &self.mapping {
            Mapping::Memory { path } => {
                loader.kind = Some(LoaderType::Rom);
                loader.format = Some(FirmwareFormat::Raw);
                loader.path = Some(path.clone());
            }
            Mapping::Flash { code, variables, .. } => {
                loader.kind = Some(LoaderType::Pflash);
                loader.readonly = Some(YesNo::Yes);
                loader.format = Some(code.format);
                loader.path = Some(code.path.clone());
                let is_stateless = loader.stateless == Some(YesNo::Yes);
                if let Some(variables) = variables.as_ref().filter(|_| !is_stateless) {
                    let nvram = os.nvram.get_or_insert_with(Nvram::default);
                    if nvram.kind.as_deref() == Some("network") {
                        // Nothing is copied to a server.
                        is_copied = false;
                    } else {
                        nvram.template = Some(variables.path.clone());
                        nvram.template_format = Some(variables.format);
                        nvram.format = Some(variables.format);
                    }
                }
            }
        }
        if self.has("requires-smm") {
            if self.has("secure-boot") {
                loader.secure = Some(YesNo::Yes);
            }
            let smm = def
                .features
                .get_or_insert_with(Features::default)
                .smm
                .get_or_insert_with(Smm::default);
            smm.state.get_or_insert(OnOff::On);
        }
        let is_uefi = self.interfaces.iter().any(|name| name == "uefi");
        os.firmware.get_or_insert(if is_uefi { FirmwareKind::Efi } else { FirmwareKind::Bios });
        // Keys are enrolled in the variables that are copied.
        let names = ["enrolled-keys", "secure-boot"].into_iter().skip(usize::from(!is_copied));
        let features = names.map(|name| {
            let enabled = if self.has(name) { YesNo::Yes } else { YesNo::No };
            FirmwareFeature {
                name: Some(name.to_owned()),
                enabled: Some(enabled),
                ..FirmwareFeature::default()
            }
        });
        let list = os.firmware_features.get_or_insert_with(FirmwareFeatures::default);
        list.features = features.collect();
    }
}

/// Whether a definition wants firmware that [`fill`] looks for.
pub(crate) fn is_wanted(def: &DomainDef) -> bool {
    def.os.as_ref().is_some_and(|os| {
        os.firmware.is_some() || os.loader.as_ref().is_some_and(|loader| loader.path.is_some())
    })
}

/// Completes the firmware of a definition: the first that fits, formats, the file of its variables.
///
/// # Errors
/// [`PlanError::Operation`] if firmware is asked for and none fits. The definition is complete but for it.
///
/// libvirt 11.3.0: `qemuFirmwareFillDomain`, src/qemu/qemu_firmware.c
pub fn fill(
    def: &mut DomainDef,
    firmwares: &[Firmware],
    nvram: &Path,
    origin: Origin,
) -> Result<(), PlanError> {
    let Some(os) = def.os.as_ref().filter(|_| is_wanted(def)) else { return Ok(()) };
    let wanted = os.firmware;
    let mut found = Ok(());
    if !is_legacy(os) {
        match firmwares.iter().find(|firmware| firmware.fits(def, os, origin)) {
            Some(firmware) => firmware.write(def),
            None => {
                if let Some(kind) = wanted {
                    let text = format!(
                        "Unable to find '{kind}' firmware that is compatible with the current configuration"
                    );
                    found = Err(PlanError::Operation(text));
                }
            }
        }
    }
    let name = def.name.clone().unwrap_or_default();
    let Some(os) = &mut def.os else { return found };
    complete_loader(os, found.is_ok());
    if found.is_ok() {
        give_variables(os, &name, nvram);
    }
    found
}

/// Whether the loader is one that is known without a descriptor.
///
/// libvirt 11.3.0: `qemuFirmwareFillDomainLegacy`, src/qemu/qemu_firmware.c
fn is_legacy(os: &Os) -> bool {
    let Some(loader) = &os.loader else { return false };
    let path = loader.path.as_deref();
    loader.kind == Some(LoaderType::Pflash)
        && loader.readonly == Some(YesNo::Yes)
        && loader.stateless != Some(YesNo::Yes)
        && loader.format.is_none_or(|format| format == FirmwareFormat::Raw)
        && LEGACY.iter().any(|(code, _)| Some(*code) == path)
}

fn complete_loader(os: &mut Os, is_found: bool) {
    let legacy = is_legacy(os);
    let Some(loader) = &mut os.loader else { return };
    if loader.path.is_some() && is_found {
        loader.kind.get_or_insert(LoaderType::Rom);
    }
    loader.format.get_or_insert(FirmwareFormat::Raw);
    if legacy {
        let path = loader.path.as_deref();
        let variables = LEGACY.iter().find(|(code, _)| Some(*code) == path);
        let nvram = os.nvram.get_or_insert_with(Nvram::default);
        if let Some((_, variables)) = variables {
            nvram.template.get_or_insert_with(|| (*variables).to_owned());
        }
        nvram.template_format.get_or_insert(FirmwareFormat::Raw);
    }
}

/// libvirt 11.3.0: `qemuFirmwareEnsureNVRAM`, src/qemu/qemu_firmware.c
fn give_variables(os: &mut Os, name: &str, directory: &Path) {
    let Some(loader) = &os.loader else { return };
    if loader.kind != Some(LoaderType::Pflash)
        || loader.readonly != Some(YesNo::Yes)
        || loader.stateless == Some(YesNo::Yes)
    {
        return;
    }
    let nvram = os.nvram.get_or_insert_with(Nvram::default);
    let format = *nvram.format.get_or_insert(FirmwareFormat::Raw);
    if nvram.path.is_some() || nvram.source.is_some() {
        return;
    }
    let extension = if format == FirmwareFormat::Raw { "fd" } else { "qcow2" };
    let file = directory.join(format!("{name}_VARS.{extension}"));
    nvram.path = Some(file.to_string_lossy().into_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECURE: &str = r#"{"interface-types": ["uefi"], "mapping": {"device": "flash", "mode": "split",
        "executable": {"filename": "/CODE.secboot.fd", "format": "raw"},
        "nvram-template": {"filename": "/VARS.secboot.fd", "format": "raw"}},
        "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
        "features": ["enrolled-keys", "requires-smm", "secure-boot"]}"#;

    fn guest(os: &str) -> DomainDef {
        DomainDef::parse(&format!("<domain type='kvm'><name>g</name>{os}</domain>")).unwrap()
    }

    #[test]
    fn the_first_that_fits_is_written() {
        let os = "<os firmware='efi'><type arch='x86_64' machine='pc-q35-9.0'>hvm</type></os>";
        let mut def = guest(os);
        let firmwares = [Firmware::parse(SECURE).unwrap()];
        fill(&mut def, &firmwares, Path::new("/nvram"), Origin::New).unwrap();
        let os = def.os.unwrap();
        assert_eq!(os.loader.unwrap().path.as_deref(), Some("/CODE.secboot.fd"));
        assert_eq!(os.nvram.unwrap().path.as_deref(), Some("/nvram/g_VARS.fd"));
        assert_eq!(def.features.unwrap().smm.unwrap().state, Some(OnOff::On));
    }

    #[test]
    fn a_machine_that_none_is_for_has_no_firmware() {
        let os = "<os firmware='efi'><type arch='x86_64' machine='pc-i440fx-9.0'>hvm</type></os>";
        let mut def = guest(os);
        let firmwares = [Firmware::parse(SECURE).unwrap()];
        let error = fill(&mut def, &firmwares, Path::new("/nvram"), Origin::New).unwrap_err();
        assert!(error.to_string().starts_with("Unable to find 'efi' firmware"), "{error}");
    }

    #[test]
    fn a_file_of_a_later_directory_hides_an_earlier_one() {
        let first = vec![(String::from("1.json"), SECURE), (String::from("2.json"), SECURE)];
        let second = vec![(String::from("1.json"), "")];
        assert_eq!(Firmware::merge([first, second]).len(), 1);
    }
}
