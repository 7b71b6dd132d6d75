//! The CPU map as a value.

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;

use crate::data::{CpuData, Register, Signature};
use crate::xml;

/// Name of the architecture in the index.
const ARCHITECTURE: &str = "x86";

/// Why a map cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// A file cannot be read.
    #[error("cannot read '{file}' of the CPU map")]
    Read {
        /// Its name.
        file: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file is not what the map's format demands.
    #[error("cannot parse '{file}' of the CPU map")]
    Parse {
        /// Its name.
        file: String,
        /// What is wrong.
        #[source]
        source: quick_xml::DeError,
    },
    /// A model refers to something that no earlier file has.
    #[error("CPU model '{model}' refers to unknown {kind} '{name}'")]
    Unknown {
        /// The model.
        model: String,
        /// `vendor`, `model` or `feature`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The index lists no models of x86.
    #[error("the CPU map has no models of x86")]
    Empty,
}

/// A vendor of processors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vendor {
    pub(crate) name: String,
    pub(crate) string: String,
}

/// A feature and its bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Feature {
    pub(crate) name: String,
    pub(crate) is_migratable: bool,
    pub(crate) data: CpuData,
}

/// A model and its features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) name: String,
    /// Name of its vendor.
    pub(crate) vendor: Option<String>,
    pub(crate) decodes_host: bool,
    pub(crate) decodes_guest: bool,
    pub(crate) signatures: Vec<ModelSignature>,
    pub(crate) data: CpuData,
    /// Features that it had in earlier releases of libvirt and QEMU removed; a guest that lacks them still
    /// has this model.
    pub(crate) removed: Vec<String>,
    /// Bits of features that the model got after its first release; guests have them, the description of a
    /// host does not count them as the model's.
    pub(crate) added: CpuData,
}

impl Model {
    pub(crate) fn has_signature(&self, signature: Signature) -> bool {
        self.signatures.iter().any(|one| {
            one.family == signature.family
                && one.model == signature.model
                && one.steppings.as_ref().is_none_or(|range| range.contains(&signature.stepping))
        })
    }
}

/// Processors that are of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelSignature {
    pub(crate) family: u32,
    pub(crate) model: u32,
    /// `None` for all.
    pub(crate) steppings: Option<RangeInclusive<u32>>,
}

/// Vendors, features and models of x86, in the order of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuMap {
    pub(crate) vendors: Vec<Vendor>,
    pub(crate) features: Vec<Feature>,
    pub(crate) models: Vec<Model>,
    /// Model by a model that is the same under another name: `EPYC-v1` by `EPYC`.
    canonical: BTreeMap<String, String>,
    feature_index: BTreeMap<String, usize>,
    model_index: BTreeMap<String, usize>,
}

impl CpuMap {
    /// Reads the map; `read` returns the text of a file of it by name, `index.xml` first.
    ///
    /// # Errors
    /// [`MapError`] if a file cannot be read or parsed, or a model refers to something unknown.
    pub fn load(read: impl Fn(&str) -> Result<String, io::Error>) -> Result<Self, MapError> {
        let index: xml::Index = parse("index.xml", &read)?;
        let mut map = Self::default();
        for architecture in index.architectures.iter().filter(|arch| arch.name == ARCHITECTURE) {
            let grouped = architecture.groups.iter().flat_map(|group| &group.includes);
            for include in architecture.includes.iter().chain(grouped) {
                map.add_file(parse(&include.filename, &read)?)?;
            }
        }
        if map.models.is_empty() { Err(MapError::Empty) } else { Ok(map) }
    }

    fn add_file(&mut self, file: xml::File) -> Result<(), MapError> {
        for xml::Vendor { name, string } in file.vendors {
            self.vendors.push(Vendor { name, string });
        }
        for feature in file.features {
            self.add_feature_definition(feature);
        }
        for model in file.models {
            if let Some(ancestor) = &model.ancestor
                && model.features.is_empty()
                && model.signatures.is_empty()
            {
                self.canonical.insert(ancestor.name.clone(), model.name.clone());
            }
            let model = self.model_of(&model)?;
            self.model_index.insert(model.name.clone(), self.models.len());
            self.models.push(model);
        }
        Ok(())
    }

    fn add_feature_definition(&mut self, feature: xml::Feature) {
        let mut data = CpuData::default();
        for xml::Cpuid { leaf, subleaf, eax, ebx, ecx, edx } in feature.cpuid {
            data.add_words(Register::Cpuid { leaf, subleaf }, [eax, ebx, ecx, edx]);
        }
        for xml::Msr { index, eax, edx } in feature.msr {
            data.add_words(Register::Msr { index }, [eax, 0, 0, edx]);
        }
        let index = self.features.len();
        for alias in feature.aliases {
            // Other sources, Linux for example, have their own names, which may be another feature's here.
            if alias.source == "qemu" {
                self.feature_index.entry(alias.name).or_insert(index);
            }
        }
        self.feature_index.insert(feature.name.clone(), index);
        let is_migratable = feature.migratable.as_deref() != Some("no");
        self.features.push(Feature { name: feature.name, is_migratable, data });
    }

    fn model_of(&self, model: &xml::Model) -> Result<Model, MapError> {
        let unknown = |kind, name: &str| MapError::Unknown {
            model: model.name.clone(),
            kind,
            name: name.to_owned(),
        };
        let mut made = match &model.ancestor {
            None => Model {
                name: String::new(),
                vendor: None,
                decodes_host: true,
                decodes_guest: true,
                signatures: Vec::new(),
                data: CpuData::default(),
                removed: Vec::new(),
                added: CpuData::default(),
            },
            Some(ancestor) => {
                let found = self.model(&ancestor.name);
                found.cloned().ok_or_else(|| unknown("model", &ancestor.name))?
            }
        };
        made.name.clone_from(&model.name);
        if let Some(decode) = &model.decode {
            made.decodes_host = decode.host == "on";
            made.decodes_guest = decode.guest == "on";
        }
        if let Some(vendor) = &model.vendor {
            if !self.vendors.iter().any(|known| known.name == vendor.name) {
                return Err(unknown("vendor", &vendor.name));
            }
            made.vendor = Some(vendor.name.clone());
        }
        if !model.signatures.is_empty() {
            made.signatures = model.signatures.iter().map(signature_of).collect();
        }
        for feature in &model.features {
            let found = self.feature(&feature.name);
            let found = found.ok_or_else(|| unknown("feature", &feature.name))?;
            if feature.removed.as_deref() == Some("yes") {
                made.removed.push(found.name.clone());
            } else {
                made.data.add(&found.data);
                if feature.added.as_deref() == Some("yes") {
                    made.added.add(&found.data);
                }
            }
        }
        Ok(made)
    }

    /// Sets the bits of a feature, named as here or as by QEMU; false if it is unknown.
    pub fn add_feature(&self, data: &mut CpuData, name: &str) -> bool {
        let found = self.feature(name);
        if let Some(feature) = found {
            data.add(&feature.data);
        }
        found.is_some()
    }

    /// The name that this map has for a feature of QEMU; `None` if it has none.
    #[must_use]
    pub fn feature_name(&self, qemu: &str) -> Option<&str> {
        self.feature(qemu).map(|feature| feature.name.as_str())
    }

    /// Features that a model had in earlier releases.
    pub fn removed_features(&self, model: &str) -> impl Iterator<Item = &str> {
        let found = self.models.iter().find(|known| known.name == model);
        found.into_iter().flat_map(|known| known.removed.iter().map(String::as_str))
    }

    /// Name of the vendor of a model; `None` if the model is unknown or of no vendor.
    #[must_use]
    pub fn model_vendor(&self, model: &str) -> Option<&str> {
        self.model(model)?.vendor.as_deref()
    }

    /// The versioned name of a model that has one: `EPYC-v1` for `EPYC`.
    ///
    /// libvirt: `virCPUGetCanonicalModel`
    #[must_use]
    pub fn canonical_model(&self, model: &str) -> Option<&str> {
        self.canonical.get(model).map(String::as_str)
    }

    /// Registers that features are in; one may come several times.
    pub fn registers(&self) -> impl Iterator<Item = Register> {
        self.features.iter().flat_map(|feature| feature.data.registers())
    }

    /// Names of the models that a guest may be given, in the order of the map.
    ///
    /// libvirt: `virConnectGetCPUModelNames`
    pub fn model_names(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(|model| model.name.as_str())
    }

    /// Features whose bits are all in `data`, in the order of the map.
    pub fn features_of<'a>(&'a self, data: &'a CpuData) -> impl Iterator<Item = &'a str> {
        let present = |feature: &&Feature| !feature.data.is_empty() && data.contains(&feature.data);
        self.features.iter().filter(present).map(|feature| feature.name.as_str())
    }

    pub(crate) fn feature(&self, name: &str) -> Option<&Feature> {
        self.features.get(*self.feature_index.get(name)?)
    }

    pub(crate) fn model(&self, name: &str) -> Option<&Model> {
        self.models.get(*self.model_index.get(name)?)
    }

    pub(crate) fn vendor_of(&self, data: &CpuData) -> Option<&str> {
        let string = data.vendor.as_deref()?;
        let vendor = self.vendors.iter().find(|vendor| vendor.string == string)?;
        Some(&vendor.name)
    }
}

fn parse<T: serde::de::DeserializeOwned>(
    file: &str,
    read: &impl Fn(&str) -> Result<String, io::Error>,
) -> Result<T, MapError> {
    let text = read(file).map_err(|source| MapError::Read { file: file.to_owned(), source })?;
    quick_xml::de::from_str(&text)
        .map_err(|source| MapError::Parse { file: file.to_owned(), source })
}

fn signature_of(signature: &xml::Signature) -> ModelSignature {
    let steppings = signature.stepping.as_deref().and_then(|text| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    ModelSignature { family: signature.family, model: signature.model, steppings }
}
