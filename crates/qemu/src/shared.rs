//! What the calls and tasks of a driver share.

use std::sync::Arc;

use oxivirt::{Callbacks, DomainEvent, DomainRef, Result};
use oxivirt_sys::pidfile::PidFile;

use crate::emulators::Emulators;
use crate::error;
use crate::layout::Layout;
use crate::registry::{Entry, Guests};

/// What the calls and tasks of a driver share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Where files are.
    pub(crate) layout: Layout,
    /// The URI of connections.
    pub(crate) uri: String,
    /// The emulators of the host.
    pub(crate) emulators: Arc<dyn Emulators>,
    pub(crate) guests: Guests,
    pub(crate) callbacks: Callbacks<DomainEvent>,
    /// Keeps other drivers out of the directories.
    pub(crate) _lock: PidFile,
}

impl Shared {
    /// The guest a call is about.
    pub(crate) fn entry(&self, domain: &DomainRef) -> Result<Arc<Entry>> {
        self.guests.get(domain.uuid).ok_or_else(|| {
            let DomainRef { name, uuid, .. } = domain;
            error::no_domain(format!("no domain with matching uuid '{uuid}' ({name})"))
        })
    }
}
