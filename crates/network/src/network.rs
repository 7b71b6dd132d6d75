//! A network: a definition that is complete and checked once.
//!
//! A [`NetworkDef`] is what a document says; [`Network`] is what the driver and its planner work on. It is
//! built where a definition enters the driver: defined, created, loaded, updated.

use std::ops::Deref;

use oxivirt_conf::network::NetworkDef;
use oxivirt_conf::network::validate::{Rewrite, complete_loaded};
use oxivirt_nft::Family;
use oxivirt_types::link_name::{LinkName, LinkNameError};
use oxivirt_types::mac::MacAddr;
use uuid::Uuid;

use crate::plan::ModePolicy;
use crate::plan::error::PlanError;

/// A definition with a UUID, its bridge as the name of a link, and what its forward mode means.
///
/// The definition can be read through it and is changed only by [`Self::with`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    def: NetworkDef,
    uuid: Uuid,
    /// Definitions with a name that no link can have are kept and listed, as in libvirt; they do not start.
    bridge: Option<Result<LinkName, LinkNameError>>,
    policy: ModePolicy,
}

impl Network {
    /// The network of a definition; one without UUID gets `generate_uuid`'s.
    #[must_use]
    pub fn new(mut def: NetworkDef, generate_uuid: impl FnOnce() -> Uuid) -> Self {
        let uuid = *def.uuid.get_or_insert_with(generate_uuid);
        let bridge = def.bridge.name.as_deref().map(LinkName::new);
        let policy = ModePolicy::of(def.forward.mode);
        Self { def, uuid, bridge, policy }
    }

    /// The network of a file, completed as libvirt does; whether the file has to be written again.
    pub fn loaded(mut def: NetworkDef) -> (Self, Rewrite) {
        let mac = || MacAddr::generated(rand::random());
        let rewrite = complete_loaded(&mut def, Uuid::new_v4, mac);
        (Self::new(def, Uuid::new_v4), rewrite)
    }

    /// The network with another definition. The UUID stays.
    #[must_use]
    pub fn with_def(&self, def: NetworkDef) -> Self {
        Self::new(NetworkDef { uuid: Some(self.uuid), ..def }, || self.uuid)
    }

    /// The network with a changed definition. The UUID stays.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut NetworkDef)) -> Self {
        let mut def = self.def.clone();
        change(&mut def);
        self.with_def(def)
    }

    /// The network of a document that a test knows to be right.
    #[cfg(test)]
    pub(crate) fn parsed(xml: &str) -> Self {
        Self::new(NetworkDef::parse(xml).unwrap(), Uuid::nil)
    }

    /// The definition.
    #[must_use]
    pub const fn def(&self) -> &NetworkDef {
        &self.def
    }

    /// The UUID.
    #[must_use]
    pub const fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// What the forward mode means.
    #[must_use]
    pub const fn policy(&self) -> ModePolicy {
        self.policy
    }

    /// The bridge that is named; `None` if none is, or the name is one that no link can have.
    #[must_use]
    pub fn bridge(&self) -> Option<&LinkName> {
        self.bridge.as_ref()?.as_ref().ok()
    }

    /// The bridge that is named, if one is.
    ///
    /// # Errors
    /// [`PlanError::LinkName`] if no link can have the name.
    pub fn checked_bridge(&self) -> Result<Option<&LinkName>, PlanError> {
        match &self.bridge {
            Some(Ok(name)) => Ok(Some(name)),
            Some(Err(error)) => Err(error.clone().into()),
            None => Ok(None),
        }
    }

    /// The bridge, for a network that cannot do without one.
    ///
    /// # Errors
    /// [`PlanError`] if it has none, or an impossible one.
    pub fn required_bridge(&self) -> Result<&LinkName, PlanError> {
        let none = || PlanError::NoBridgeName { network: self.def.name.clone() };
        self.checked_bridge()?.ok_or_else(none)
    }

    /// The bridge that the network creates; `None` if it creates none, or cannot.
    #[must_use]
    pub fn own_bridge(&self) -> Option<&LinkName> {
        self.bridge().filter(|_| self.policy.owns_bridge())
    }

    /// The bridge's hardware address, for a network that creates it.
    ///
    /// # Errors
    /// [`PlanError::NoMac`] if it has none.
    pub fn required_mac(&self) -> Result<MacAddr, PlanError> {
        self.def.mac.ok_or_else(|| PlanError::NoMac { network: self.def.name.clone() })
    }

    /// Whether an address of a family is given to the bridge.
    #[must_use]
    pub fn has_family(&self, family: Family) -> bool {
        self.def.ips.iter().any(|ip| ip.family() == family)
    }

    /// Whether the host forwards packets of a family for the network.
    #[must_use]
    pub fn forwards(&self, family: Family) -> bool {
        self.policy.forwards() && self.has_family(family)
    }
}

impl Deref for Network {
    type Target = NetworkDef;

    fn deref(&self) -> &NetworkDef {
        &self.def
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(xml: &str) -> Network {
        let def = NetworkDef::parse(&format!("<network><name>n</name>{xml}</network>")).unwrap();
        Network::new(def, || Uuid::from_u128(1))
    }

    #[test]
    fn a_uuid_is_generated_once_and_stays() {
        let generated = network("");
        assert_eq!(
            (generated.uuid(), generated.def.uuid),
            (Uuid::from_u128(1), Some(Uuid::from_u128(1)))
        );
        let changed = generated.with(|def| def.uuid = None);
        assert_eq!(changed, generated);
        let given = network("<uuid>81ff0d90-c91e-6742-64da-4a736edb9a9b</uuid>");
        assert_eq!(Some(given.uuid()), given.def.uuid);
    }

    #[test]
    fn an_impossible_bridge_is_kept_and_refused() {
        let network = network("<bridge name='far-too-long-for-a-link'/>");
        assert_eq!(network.bridge(), None);
        assert!(matches!(network.required_bridge(), Err(PlanError::LinkName(_))));
        assert!(matches!(network.checked_bridge(), Err(PlanError::LinkName(_))));
        let changed = network.with(|def| def.bridge.name = Some("virbr0".into()));
        assert_eq!(changed.own_bridge().map(LinkName::as_str), Some("virbr0"));
        let none = network.with(|def| def.bridge.name = None);
        assert!(matches!(none.required_bridge(), Err(PlanError::NoBridgeName { .. })));
        assert!(matches!(none.checked_bridge(), Ok(None)));
    }
}
