//! `<virtualport>`: how a port associates with a switch.

use oxivirt_xml::{Element, Writer};

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
    /// Two elements that a port is made of name different types.
    #[error("attempt to merge virtualports with mismatched types ({first} and {second})")]
    MismatchedTypes {
        /// The port's.
        first: VirtualPortType,
        /// The network's or port group's.
        second: VirtualPortType,
    },
    /// Two elements that a port is made of disagree about a parameter.
    #[error("attempt to merge virtualports with mismatched {parameter}s ({first} and {second})")]
    Mismatched {
        /// The parameter.
        parameter: Parameter,
        /// The port's value.
        first: String,
        /// The network's or port group's.
        second: String,
    },
    /// A parameter that the type requires and the document lacks.
    #[error("missing {parameter} in <virtualport type='{kind}'>")]
    Missing {
        /// The parameter.
        parameter: Parameter,
        /// The type.
        kind: VirtualPortType,
    },
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
    /// The error number.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.class().0
    }

    /// The error domain.
    #[must_use]
    pub const fn domain(&self) -> ErrorDomain {
        self.class().1
    }

    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::Type { .. } => (ErrorCode::CONFIG_UNSUPPORTED, ErrorDomain::NONE),
            Self::Extra { .. }
            | Self::MismatchedTypes { .. }
            | Self::Mismatched { .. }
            | Self::Missing { .. } => (ErrorCode::XML_ERROR, ErrorDomain::NET),
            _ => (ErrorCode::XML_ERROR, ErrorDomain::NONE),
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

    /// What a port is to have of its own, its network's and its port group's parameters.
    ///
    /// # Errors
    /// [`VirtualPortError::MismatchedTypes`] and [`VirtualPortError::Mismatched`] if two of them
    /// disagree, [`VirtualPortError::Extra`] if the type does not have a parameter of another.
    ///
    /// libvirt 11.3.0: `virNetDevVPortProfileMerge3`, src/util/virnetdevvportprofile.c
    pub fn merge(parts: &[Option<&Self>]) -> Result<Option<Self>, VirtualPortError> {
        let mut parts = parts.iter().copied().flatten();
        let Some(mut merged) = parts.next().cloned() else { return Ok(None) };
        for part in parts {
            merged.take_from(part)?;
        }
        if let Some(kind) = merged.kind
            && let Some(&parameter) = kind.foreign().iter().find(|&&extra| merged.has(extra))
        {
            return Err(VirtualPortError::Extra { parameter, kind });
        }
        Ok(Some(merged))
    }

    fn take_from(&mut self, other: &Self) -> Result<(), VirtualPortError> {
        match (self.kind, other.kind) {
            (Some(first), Some(second)) if first != second => {
                return Err(VirtualPortError::MismatchedTypes { first, second });
            }
            (None, kind) => self.kind = kind,
            _ => {}
        }
        take(&mut self.manager_id, other.manager_id.as_ref(), Parameter::ManagerId)?;
        take(&mut self.type_id, other.type_id.as_ref(), Parameter::TypeId)?;
        take(&mut self.type_id_version, other.type_id_version.as_ref(), Parameter::TypeIdVersion)?;
        take(&mut self.instance_id, other.instance_id.as_ref(), Parameter::InstanceId)?;
        take(&mut self.interface_id, other.interface_id.as_ref(), Parameter::InterfaceId)?;
        take(&mut self.profile_id, other.profile_id.as_ref(), Parameter::ProfileId)
    }

    /// Generates the identifiers that the type requires.
    ///
    /// # Errors
    /// [`VirtualPortError::Missing`] if something is missing that cannot be made up.
    ///
    /// libvirt 11.3.0: `virNetDevVPortProfileCheckComplete`, src/util/virnetdevvportprofile.c
    pub fn complete(&mut self, generate: impl Fn() -> Uuid) -> Result<(), VirtualPortError> {
        let needed: &[Parameter] = match self.kind {
            None => &[],
            Some(VirtualPortType::Qbg) => {
                self.instance_id.get_or_insert_with(&generate);
                &[Parameter::ManagerId, Parameter::TypeId, Parameter::TypeIdVersion]
            }
            Some(VirtualPortType::Qbh) => &[Parameter::ProfileId],
            Some(VirtualPortType::OpenVSwitch) => {
                self.interface_id.get_or_insert_with(&generate);
                &[]
            }
            Some(VirtualPortType::Midonet) => &[Parameter::InterfaceId],
        };
        let missing = needed.iter().copied().find(|parameter| !self.has(*parameter));
        match (missing, self.kind) {
            (Some(parameter), Some(kind)) => Err(VirtualPortError::Missing { parameter, kind }),
            _ => Ok(()),
        }
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

fn take<T: Clone + PartialEq + ToString>(
    own: &mut Option<T>,
    other: Option<&T>,
    parameter: Parameter,
) -> Result<(), VirtualPortError> {
    match (&own, other) {
        (Some(first), Some(second)) if first != second => Err(VirtualPortError::Mismatched {
            parameter,
            first: first.to_string(),
            second: second.to_string(),
        }),
        (None, Some(other)) => {
            *own = Some(other.clone());
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(kind: Option<VirtualPortType>) -> VirtualPort {
        VirtualPort { kind, ..VirtualPort::default() }
    }

    #[test]
    fn parts_are_merged_unless_they_disagree() {
        let qbg = VirtualPort { manager_id: Some(1), ..port(Some(VirtualPortType::Qbg)) };
        let version = VirtualPort { type_id: Some(2), type_id_version: Some(3), ..port(None) };
        let merged = VirtualPort::merge(&[Some(&version), None, Some(&qbg)]).unwrap().unwrap();
        assert_eq!((merged.kind, merged.manager_id), (Some(VirtualPortType::Qbg), Some(1)));
        assert_eq!(VirtualPort::merge(&[None, None]), Ok(None));
        let check = |parts: &[Option<&VirtualPort>], expect: &str| {
            assert_eq!(VirtualPort::merge(parts).unwrap_err().to_string(), expect);
        };
        let ovs = port(Some(VirtualPortType::OpenVSwitch));
        check(
            &[Some(&qbg), Some(&ovs)],
            "attempt to merge virtualports with mismatched types (802.1Qbg and openvswitch)",
        );
        let other = VirtualPort { manager_id: Some(2), ..port(None) };
        check(
            &[Some(&qbg), Some(&other)],
            "attempt to merge virtualports with mismatched managerids (1 and 2)",
        );
        check(
            &[Some(&version), Some(&ovs)],
            "extra typeid unsupported in <virtualport type='openvswitch'>",
        );
    }

    #[test]
    fn identities_are_generated_and_the_rest_is_required() {
        let uuid = || Uuid::from_u128(7);
        let mut ovs = port(Some(VirtualPortType::OpenVSwitch));
        ovs.complete(uuid).unwrap();
        assert_eq!(ovs.interface_id, Some(uuid()));
        let check = |kind, expect: &str| {
            assert_eq!(port(Some(kind)).complete(uuid).unwrap_err().to_string(), expect);
        };
        check(VirtualPortType::Qbg, "missing managerid in <virtualport type='802.1Qbg'>");
        check(VirtualPortType::Qbh, "missing profileid in <virtualport type='802.1Qbh'>");
        check(VirtualPortType::Midonet, "missing interfaceid in <virtualport type='midonet'>");
    }
}
