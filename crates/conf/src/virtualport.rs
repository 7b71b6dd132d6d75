//! `<virtualport>`: how a port associates with a switch.

use oxivirt_util::xml::{Element, Writer};

use crate::error::{Class, ErrorCode, ErrorDomain, Result};
use crate::keyword::{Keyword as _, keywords};
use crate::scalar::{Base, wrapping_u32};
use crate::uuid::{Uuid, parse_uuid};

/// Association parameters; which of them mean something depends on the type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VirtualPort {
    /// The protocol. May be left to the port group or network in a port or port group.
    pub kind: Option<VirtualPortType>,
    /// 802.1Qbg: VSI manager.
    pub manager_id: Option<u8>,
    /// 802.1Qbg: VSI type, 24 bits.
    pub type_id: Option<u32>,
    /// 802.1Qbg: version of the VSI type.
    pub type_id_version: Option<u8>,
    /// 802.1Qbg: VSI instance.
    pub instance_id: Option<Uuid>,
    /// Open vSwitch and MidoNet: interface.
    pub interface_id: Option<Uuid>,
    /// 802.1Qbh and Open vSwitch: port profile, at most 39 bytes.
    pub profile_id: Option<String>,
}

keywords! {
    /// The protocol of a virtual port.
    pub enum VirtualPortType {
        /// Edge virtual bridging (VEPA).
        Qbg = "802.1Qbg",
        /// Bridge port extension (VN-Link).
        Qbh = "802.1Qbh",
        /// Open vSwitch.
        OpenVSwitch = "openvswitch",
        /// MidoNet.
        Midonet = "midonet",
    }
}

keywords! {
    /// The parameters, in the order in which they are checked.
    pub enum Parameter {
        /// `managerid`
        ManagerId = "managerid",
        /// `typeid`
        TypeId = "typeid",
        /// `typeidversion`
        TypeIdVersion = "typeidversion",
        /// `instanceid`
        InstanceId = "instanceid",
        /// `profileid`
        ProfileId = "profileid",
        /// `interfaceid`
        InterfaceId = "interfaceid",
    }
}

/// Longest profile name, in bytes (`LIBVIRT_IFLA_VF_PORT_PROFILE_MAX` without the terminator).
const PROFILE_MAX: usize = 39;

/// Whether the element has to name its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TypeIs {
    Required,
    Optional,
}

/// What is wrong with a `<virtualport>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VirtualPortError {
    /// No type where it is required.
    #[error("missing required virtualport type")]
    NoType,
    /// A type that does not exist.
    #[error("unknown virtualport type {kind}")]
    Type {
        /// The value given.
        kind: String,
    },
    /// A number that is none.
    #[error("cannot parse value of {parameter} parameter")]
    Number {
        /// The parameter.
        parameter: Parameter,
    },
    /// A number that does not fit.
    #[error("value {} {parameter} out of range", if *.parameter == Parameter::TypeId { "for" } else { "of" })]
    Range {
        /// The parameter.
        parameter: Parameter,
    },
    /// A UUID that is none.
    #[error("cannot parse {parameter} parameter as a uuid")]
    Uuid {
        /// The parameter.
        parameter: Parameter,
    },
    /// A profile name beyond 39 bytes.
    #[error("profileid parameter too long")]
    ProfileTooLong,
    /// A parameter the type does not have.
    #[error("extra {parameter} unsupported in <virtualport type='{kind}'>")]
    Extra {
        /// The parameter.
        parameter: Parameter,
        /// The type.
        kind: VirtualPortType,
    },
}

impl VirtualPortError {
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::Type { .. } => (ErrorCode::ConfigUnsupported, ErrorDomain::None),
            Self::Extra { .. } => (ErrorCode::XmlError, ErrorDomain::Net),
            _ => (ErrorCode::XmlError, ErrorDomain::None),
        }
    }
}

impl VirtualPortType {
    /// The parameters a definition of this type must not carry, in the order they are reported.
    ///
    /// libvirt 11.3.0: `virNetDevVPortProfileCheckNoExtras`, src/util/virnetdevvportprofile.c
    const fn foreign(self) -> &'static [Parameter] {
        use Parameter::{InstanceId, InterfaceId, ManagerId, ProfileId, TypeId, TypeIdVersion};
        match self {
            Self::Qbg => &[ProfileId, InterfaceId],
            Self::Qbh => &[ManagerId, TypeId, TypeIdVersion, InstanceId, InterfaceId],
            Self::OpenVSwitch => &[ManagerId, TypeId, TypeIdVersion, InstanceId],
            Self::Midonet => &[],
        }
    }

    /// The parameters that are printed, in order.
    const fn printed(kind: Option<Self>) -> &'static [Parameter] {
        use Parameter::{InstanceId, InterfaceId, ManagerId, ProfileId, TypeId, TypeIdVersion};
        match kind {
            Some(Self::Qbg) => &[ManagerId, TypeId, TypeIdVersion, InstanceId],
            Some(Self::Qbh) => &[ProfileId],
            Some(Self::OpenVSwitch) => &[InterfaceId, ProfileId],
            Some(Self::Midonet) => &[InterfaceId],
            None => &[ManagerId, TypeId, TypeIdVersion, InstanceId, InterfaceId, ProfileId],
        }
    }
}

impl VirtualPort {
    /// Reads the element.
    ///
    /// libvirt 11.3.0: `virNetDevVPortProfileParse`, src/conf/netdev_vport_profile_conf.c
    pub(crate) fn parse(node: &Element<'_>, type_is: TypeIs) -> Result<Self> {
        let kind = match node.property("type") {
            Some(word) => Some(
                VirtualPortType::from_word(word)
                    .ok_or_else(|| VirtualPortError::Type { kind: word.to_owned() })?,
            ),
            None if type_is == TypeIs::Required => return Err(VirtualPortError::NoType.into()),
            None => None,
        };
        let mut port = Self { kind, ..Self::default() };
        if let Some(parameters) = node.child("parameters") {
            port.parse_parameters(parameters)?;
        }
        if let Some(kind) = kind
            && let Some(&parameter) = kind.foreign().iter().find(|&&extra| port.has(extra))
        {
            return Err(VirtualPortError::Extra { parameter, kind }.into());
        }
        Ok(port)
    }

    fn parse_parameters(&mut self, node: &Element<'_>) -> Result<(), VirtualPortError> {
        let number = |parameter: Parameter, max: u32| {
            let Some(text) = node.property(parameter.as_str()) else {
                return Ok(None);
            };
            let value = wrapping_u32(text, Base::Auto);
            match value.ok_or(VirtualPortError::Number { parameter })? {
                value if value <= max => Ok(Some(value)),
                _ => Err(VirtualPortError::Range { parameter }),
            }
        };
        let octet =
            |parameter| Ok(number(parameter, 0xff)?.and_then(|value| u8::try_from(value).ok()));
        let uuid = |parameter: Parameter| match node.property(parameter.as_str()) {
            Some(text) => parse_uuid(text).map(Some).ok_or(VirtualPortError::Uuid { parameter }),
            None => Ok(None),
        };
        self.manager_id = octet(Parameter::ManagerId)?;
        self.type_id = number(Parameter::TypeId, 0xff_ffff)?;
        self.type_id_version = octet(Parameter::TypeIdVersion)?;
        self.instance_id = uuid(Parameter::InstanceId)?;
        self.interface_id = uuid(Parameter::InterfaceId)?;
        if let Some(profile) = node.property("profileid") {
            if profile.len() > PROFILE_MAX {
                return Err(VirtualPortError::ProfileTooLong);
            }
            self.profile_id = Some(profile.to_owned()).filter(|profile| !profile.is_empty());
        }
        Ok(())
    }

    const fn has(&self, parameter: Parameter) -> bool {
        match parameter {
            Parameter::ManagerId => self.manager_id.is_some(),
            Parameter::TypeId => self.type_id.is_some(),
            Parameter::TypeIdVersion => self.type_id_version.is_some(),
            Parameter::InstanceId => self.instance_id.is_some(),
            Parameter::InterfaceId => self.interface_id.is_some(),
            Parameter::ProfileId => self.profile_id.is_some(),
        }
    }

    fn has_any(&self) -> bool {
        Parameter::WORDS.iter().any(|&(parameter, _)| self.has(parameter))
    }

    /// Writes the element; without type and parameters there is nothing to say.
    pub(crate) fn format(&self, out: &mut Writer) {
        let has_any = self.has_any();
        if self.kind.is_none() && !has_any {
            return;
        }
        let tag = out.begin("virtualport").display_opt("type", self.kind);
        if !has_any {
            tag.empty();
            return;
        }
        tag.open();
        let mut tag = out.begin("parameters");
        for parameter in VirtualPortType::printed(self.kind) {
            let name = parameter.as_str();
            tag = match parameter {
                Parameter::ManagerId => tag.display_opt(name, self.manager_id),
                Parameter::TypeId => tag.display_opt(name, self.type_id),
                Parameter::TypeIdVersion => tag.display_opt(name, self.type_id_version),
                Parameter::InstanceId => tag.display_opt(name, self.instance_id),
                Parameter::InterfaceId => tag.display_opt(name, self.interface_id),
                Parameter::ProfileId => tag.attr_opt(name, self.profile_id.as_deref()),
            };
        }
        tag.empty();
        out.end("virtualport");
    }
}
