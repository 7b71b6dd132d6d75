//! The saved removal of firewall rules, in libvirt's `<firewall>` element.

use oxivirt_conf::status::{
    Errors, FirewallBackend, FirewallLayer, FirewallRemoval, RemovalAction, RemovalGroup,
};
use oxivirt_util::firewall::Removal;

/// A removal as libvirt's status files hold it: one command, whatever its exit status.
#[must_use]
pub(crate) fn saved(removal: &Removal) -> FirewallRemoval {
    let action =
        RemovalAction { layer: FirewallLayer::Ipv4, errors: Errors::Report, args: removal.words() };
    let group = RemovalGroup { errors: Errors::Ignore, actions: vec![action] };
    FirewallRemoval { backend: FirewallBackend::Nftables, groups: vec![group] }
}

/// What removes the rules of both, whichever are there.
///
/// Removals of different backends cannot be in one element; the old one is what is there.
#[must_use]
pub(crate) fn union(
    old: Option<&FirewallRemoval>,
    new: Option<&FirewallRemoval>,
) -> Option<FirewallRemoval> {
    match (old, new) {
        (None, other) | (other, None) => other.cloned(),
        (Some(old), Some(new)) if old == new || old.backend != new.backend => Some(old.clone()),
        (Some(old), Some(new)) => {
            let groups = old.groups.iter().chain(&new.groups).cloned().collect();
            Some(FirewallRemoval { backend: old.backend, groups })
        }
    }
}
