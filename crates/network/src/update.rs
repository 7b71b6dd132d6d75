//! Changing one part of a network.
//!
//! The live part is the difference between two definitions: other rules are one transaction, other
//! hosts a signal to dnsmasq, another configuration its restart. The saved removal is never lost.
//!
//! libvirt 11.3.0: `networkUpdate`, src/network/bridge_driver.c

use oxivirt::{Error, ErrorDomain, NetworkEvent, Result, Update, UpdateFlags};
use oxivirt_conf::network::Form;
use oxivirt_conf::network::update::{Change, Request, update};
use oxivirt_engine::Replacement;

use crate::apply::Host;
use crate::error;
use crate::hooks::HookOperation;
use crate::network::Network;
use crate::plan::traffic;
use crate::registry::{Entry, View};
use crate::shared::Shared;
use crate::store;

impl<H: Host> Shared<H> {
    pub(crate) async fn update(&self, entry: &Entry, change: &Update) -> Result<()> {
        change.flags.check(UpdateFlags::all(), ErrorDomain::NETWORK, "networkUpdate")?;
        let _operation = entry.lock().await;
        let view = entry.view();
        self.entry(&view.reference())?;
        let flags = affected(&view, change.flags)?;
        let request = Request {
            section: change.section.number(),
            command: change.command.number(),
            parent_index: change.parent_index,
            payload: &change.xml,
        };
        // Both before either is applied: a refusal leaves both as they are.
        let config = if flags.contains(UpdateFlags::CONFIG) {
            Some(changed(view.persistent_def(), &request, Form::Inactive)?)
        } else {
            None
        };
        let live = if flags.contains(UpdateFlags::LIVE) {
            let counters = view.counters();
            Some(traffic::live(&changed(&view.def, &request, Form::Live(&counters))?))
        } else {
            None
        };
        let is_live = live.is_some();
        self.set_defs(entry, &view, live, config).await?;
        let after = entry.view();
        let hooked = self.run_view_hook(&after, HookOperation::Updated, None).await;
        self.taint(entry);
        self.callbacks
            .emit(&NetworkEvent::Updated { network: after.reference(), section: change.section });
        // libvirt reports the failure of a hook only if nothing but the stored definition changed.
        if is_live { Ok(()) } else { hooked }
    }
}

impl<H: Host> Shared<H> {
    /// Gives a network new definitions: both or none.
    pub(crate) async fn set_defs(
        &self,
        entry: &Entry,
        old: &View,
        live: Option<Network>,
        config: Option<Network>,
    ) -> Result<()> {
        let document = |def: &Network| store::config_document(&self.layout, def);
        let replacement = config.as_ref().map(|def| Replacement {
            before: document(old.persistent_def()),
            after: document(def),
        });
        let mut new = old.clone();
        match (config, old.is_active()) {
            (Some(def), true) => new.new_def = Some(def),
            (Some(def), false) => new.def = def,
            (None, _) => {}
        }
        if let Some(def) = live {
            let replacements = replacement.into_iter().collect();
            return self.transition(entry, old, View { def, ..new }, replacements).await;
        }
        if let Some(replacement) = replacement {
            replacement.after.put().map_err(|error| error::store(&error.into()))?;
        }
        entry.set(new);
        Ok(())
    }
}

fn changed(def: &Network, request: &Request<'_>, form: Form<'_>) -> Result<Network> {
    let change = Change::parse(def, request).map_err(|error| Error::classified(&error))?;
    let changed = update(def, &change, form).map_err(|error| Error::classified(&error))?;
    Ok(def.with_def(changed))
}

/// Which definitions a call is for: the current one, unless it says otherwise.
///
/// libvirt 11.3.0: `virNetworkObjUpdateModificationImpact`, src/conf/virnetworkobj.c
pub(crate) fn affected(view: &View, flags: UpdateFlags) -> Result<UpdateFlags> {
    let flags = match (flags, view.is_active()) {
        (UpdateFlags::NONE, true) => UpdateFlags::LIVE,
        (UpdateFlags::NONE, false) => UpdateFlags::CONFIG,
        (given, _) => given,
    };
    if flags.contains(UpdateFlags::LIVE) && !view.is_active() {
        return Err(Error::operation_invalid("network is not running"));
    }
    if flags.contains(UpdateFlags::CONFIG) && !view.is_persistent() {
        let detail = "cannot change persistent config of a transient network";
        return Err(Error::operation_invalid(detail));
    }
    Ok(flags)
}
