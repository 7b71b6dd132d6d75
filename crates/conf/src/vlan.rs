//! `<vlan>`: the tags of a network, a port group or a port.

use oxivirt_xml::{Element, Writer};

use crate::error::{Class, ErrorCode, ErrorDomain, Result};
use crate::keyword::keywords;
use crate::node::{AttributeError, Node as _};
use crate::scalar::Base;

/// VLAN tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vlan {
    /// Whether tagged traffic passes; always with more than one tag.
    pub trunk: bool,
    /// The tags, at least one.
    pub tags: Vec<VlanTag>,
}

/// One tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanTag {
    /// VLAN number, at most 4095.
    pub id: u16,
    /// Set on at most one tag.
    pub native_mode: Option<NativeVlanMode>,
}

keywords! {
    /// How the native VLAN's traffic appears on a trunk.
    pub enum NativeVlanMode {
        /// With its tag.
        Tagged = "tagged",
        /// Without a tag.
        Untagged = "untagged",
    }
}

/// The highest VLAN number documents may carry.
const ID_MAX: u32 = 4095;

/// What is wrong with a `<vlan>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VlanError {
    /// No tag at all.
    #[error("missing tag id - each <vlan> must have at least one <tag id='n'/> subelement")]
    NoTag,
    /// A VLAN number beyond 4095.
    #[error("vlan tag id {id} too large (maximum 4095)")]
    TooLarge {
        /// The number.
        id: u32,
    },
    /// Two native tags.
    #[error("duplicate native vlan setting")]
    DuplicateNative,
    /// Several tags need a trunk.
    #[error(
        "invalid \"trunk='{trunk}'\" in <vlan> - trunk='yes' is required for more than one vlan tag"
    )]
    TrunkRequired {
        /// The value given.
        trunk: String,
    },
    /// A native tag needs a trunk.
    #[error(
        "invalid configuration in <vlan> - \"trunk='no'\" is not allowed with a native vlan id"
    )]
    NativeNeedsTrunk,
    /// Neither yes nor no.
    #[error("invalid \"trunk='{trunk}'\" in <vlan> - must be yes or no")]
    Trunk {
        /// The value given.
        trunk: String,
    },
}

impl VlanError {
    pub(crate) const fn class(&self) -> Class {
        (ErrorCode::XML_ERROR, ErrorDomain::NONE)
    }
}

impl Vlan {
    /// Reads the element.
    ///
    /// libvirt 11.3.0: `virNetDevVlanParse`, src/conf/netdev_vlan_conf.c
    pub(crate) fn parse(node: &Element<'_>) -> Result<Self> {
        let mut tags: Vec<VlanTag> = Vec::new();
        for tag in node.children("tag") {
            let Some(id) = tag.number::<u32>("id", Base::Ten)? else {
                let element = tag.name.clone().into_owned();
                return Err(AttributeError::Missing { attribute: "id", element }.into());
            };
            let Some(id) = u16::try_from(id).ok().filter(|_| id <= ID_MAX) else {
                return Err(VlanError::TooLarge { id }.into());
            };
            let native_mode = tag.keyword("nativeMode")?;
            if native_mode.is_some() && tags.iter().any(|tag| tag.native_mode.is_some()) {
                return Err(VlanError::DuplicateNative.into());
            }
            tags.push(VlanTag { id, native_mode });
        }
        if tags.is_empty() {
            return Err(VlanError::NoTag.into());
        }
        let trunk = Self::parse_trunk(node.string("trunk"), &tags)?;
        Ok(Self { trunk, tags })
    }

    fn parse_trunk(word: Option<&str>, tags: &[VlanTag]) -> Result<bool, VlanError> {
        let has_native = tags.iter().any(|tag| tag.native_mode.is_some());
        let several = tags.len() > 1;
        match word {
            Some(word) if word.eq_ignore_ascii_case("yes") => Ok(true),
            Some(word) if several => Err(VlanError::TrunkRequired { trunk: word.to_owned() }),
            Some(_) if has_native => Err(VlanError::NativeNeedsTrunk),
            Some(word) if !word.eq_ignore_ascii_case("no") => {
                Err(VlanError::Trunk { trunk: word.to_owned() })
            }
            _ => Ok(several),
        }
    }

    pub(crate) fn format(&self, out: &mut Writer) {
        if self.tags.is_empty() {
            return;
        }
        out.begin("vlan").attr_opt("trunk", self.trunk.then_some("yes")).open();
        for tag in &self.tags {
            out.begin("tag")
                .display("id", tag.id)
                .display_opt("nativeMode", tag.native_mode)
                .empty();
        }
        out.end("vlan");
    }
}
