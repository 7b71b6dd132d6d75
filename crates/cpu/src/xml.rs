//! The files of the CPU map, element by element.

use serde::{Deserialize, Deserializer};

#[derive(Debug, Deserialize)]
pub(crate) struct Index {
    #[serde(default, rename = "arch")]
    pub(crate) architectures: Vec<Architecture>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Architecture {
    #[serde(rename = "@name")]
    pub(crate) name: String,
    #[serde(default, rename = "include")]
    pub(crate) includes: Vec<Include>,
    #[serde(default, rename = "group")]
    pub(crate) groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Group {
    #[serde(default, rename = "include")]
    pub(crate) includes: Vec<Include>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Include {
    #[serde(rename = "@filename")]
    pub(crate) filename: String,
}

/// A file named by the index.
#[derive(Debug, Deserialize)]
pub(crate) struct File {
    #[serde(default, rename = "vendor")]
    pub(crate) vendors: Vec<Vendor>,
    #[serde(default, rename = "feature")]
    pub(crate) features: Vec<Feature>,
    #[serde(default, rename = "model")]
    pub(crate) models: Vec<Model>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Vendor {
    #[serde(rename = "@name")]
    pub(crate) name: String,
    #[serde(rename = "@string")]
    pub(crate) string: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Feature {
    #[serde(rename = "@name")]
    pub(crate) name: String,
    #[serde(default, rename = "@migratable")]
    pub(crate) migratable: Option<String>,
    #[serde(default, rename = "alias")]
    pub(crate) aliases: Vec<Alias>,
    #[serde(default, rename = "cpuid")]
    pub(crate) cpuid: Vec<Cpuid>,
    #[serde(default, rename = "msr")]
    pub(crate) msr: Vec<Msr>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Alias {
    #[serde(rename = "@name")]
    pub(crate) name: String,
    #[serde(rename = "@source")]
    pub(crate) source: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Cpuid {
    #[serde(rename = "@eax_in", deserialize_with = "number")]
    pub(crate) leaf: u32,
    #[serde(default, rename = "@ecx_in", deserialize_with = "number")]
    pub(crate) subleaf: u32,
    #[serde(default, rename = "@eax", deserialize_with = "number")]
    pub(crate) eax: u32,
    #[serde(default, rename = "@ebx", deserialize_with = "number")]
    pub(crate) ebx: u32,
    #[serde(default, rename = "@ecx", deserialize_with = "number")]
    pub(crate) ecx: u32,
    #[serde(default, rename = "@edx", deserialize_with = "number")]
    pub(crate) edx: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Msr {
    #[serde(rename = "@index", deserialize_with = "number")]
    pub(crate) index: u32,
    #[serde(default, rename = "@eax", deserialize_with = "number")]
    pub(crate) eax: u32,
    #[serde(default, rename = "@edx", deserialize_with = "number")]
    pub(crate) edx: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Model {
    #[serde(rename = "@name")]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) decode: Option<Decode>,
    #[serde(default, rename = "signature")]
    pub(crate) signatures: Vec<Signature>,
    #[serde(default)]
    pub(crate) vendor: Option<Named>,
    #[serde(default, rename = "model")]
    pub(crate) ancestor: Option<Named>,
    #[serde(default, rename = "feature")]
    pub(crate) features: Vec<ModelFeature>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Decode {
    #[serde(rename = "@host")]
    pub(crate) host: String,
    #[serde(rename = "@guest")]
    pub(crate) guest: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Signature {
    #[serde(rename = "@family")]
    pub(crate) family: u32,
    #[serde(rename = "@model")]
    pub(crate) model: u32,
    #[serde(default, rename = "@stepping")]
    pub(crate) stepping: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    #[serde(rename = "@name")]
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ModelFeature {
    #[serde(rename = "@name")]
    pub(crate) name: String,
    #[serde(default, rename = "@removed")]
    pub(crate) removed: Option<String>,
    #[serde(default, rename = "@added")]
    pub(crate) added: Option<String>,
}

/// A number, decimal or hexadecimal with `0x`.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| serde::de::Error::custom(format!("'{text}' is not a number of 32 bits")))
}
