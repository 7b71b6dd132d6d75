//! Changing one part of a network.
//!
//! The live part is the difference between two definitions: other rules are one transaction, other
//! hosts a signal to dnsmasq, another configuration its restart. The saved removal is never lost.
//!
//! libvirt 11.3.0: `networkUpdate`, src/network/bridge_driver.c

use oxivirt::{Error, ErrorDomain, Result, Update, UpdateFlags};
use oxivirt_conf::network::update::{Change, Request, update};
use oxivirt_conf::network::{Form, NetworkDef};
use oxivirt_conf::status::NetworkStatus;

use crate::apply::{self, Host};
use crate::driver::Inner;
use crate::error;
use crate::plan::start::{self, Refresh};
use crate::plan::{Step, Undo};
use crate::registry::{Entry, View};
use crate::store;

impl<H: Host> Inner<H> {
    pub(crate) async fn update(&self, entry: &Entry, change: &Update) -> Result<()> {
        change.flags.check(UpdateFlags::ALL, ErrorDomain::NETWORK, "networkUpdate")?;
        let _operation = entry.operation.lock().await;
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
            Some(changed(&view.def, &request, Form::LIVE)?)
        } else {
            None
        };
        if let Some(def) = &config {
            store::write_config(&self.layout, def).map_err(|error| error::store(&error))?;
        }
        if let Some(def) = live
            && let Err(error) = self.update_live(entry, &view, def).await
        {
            if config.is_some()
                && let Err(error) = store::write_config(&self.layout, view.persistent_def())
            {
                let error = oxivirt_util::chain::text(&error);
                tracing::error!(network = view.def.name, error, "definition not restored");
            }
            return Err(error);
        }
        if let Some(config) = config {
            let now = (*entry.view()).clone();
            entry.set(if now.is_active() {
                View { new_def: Some(config), ..now }
            } else {
                View { def: config, ..now }
            });
        }
        Ok(())
    }

    async fn update_live(&self, entry: &Entry, view: &View, def: NetworkDef) -> Result<()> {
        let def = start::live(&def);
        let refresh = start::refresh(&view.def, &def, &self.layout);
        let refresh = refresh.map_err(|error| error::plan(&error))?;
        match self.rules(&def)? {
            Some(wanted) if Some(&wanted) != self.rules(&view.def)?.as_ref() => {
                self.replace_rules(entry, view, def.clone(), wanted).await?;
            }
            _ => {
                let status = NetworkStatus { def: def.clone(), ..view.status() };
                self.save(entry, view, status)?;
            }
        }
        self.refresh_dnsmasq(&def, refresh).await
    }

    async fn refresh_dnsmasq(&self, def: &NetworkDef, refresh: Refresh) -> Result<()> {
        match refresh {
            Refresh::Restart => self.restart_dnsmasq(def).await,
            Refresh::Stop => {
                let conf_file = self.layout.dnsmasq_conf(&def.name);
                let pid_file = self.layout.dnsmasq_pid(&def.name);
                let stop = Undo::StopDnsmasq { conf_file, pid_file };
                self.host.undo(&stop).await.map_err(|error| error::host(&error))
            }
            Refresh::Reload(plan) => match apply::run(&self.host, &plan).await {
                // It died unnoticed; a new one reads the new files.
                Err(stopped) if matches!(*stopped.step, Step::ReloadDnsmasq { .. }) => {
                    self.restart_dnsmasq(def).await
                }
                other => other.map_err(|stopped| error::stopped(&stopped)),
            },
        }
    }
}

fn changed(def: &NetworkDef, request: &Request<'_>, form: Form<'_>) -> Result<NetworkDef> {
    let change = Change::parse(def, request).map_err(|error| error::update(&error))?;
    update(def, &change, form).map_err(|error| error::update(&error))
}

/// Which definitions a call is for: the current one, unless it says otherwise.
///
/// libvirt 11.3.0: `virNetworkObjUpdateModificationImpact`, src/conf/virnetworkobj.c
fn affected(view: &View, flags: UpdateFlags) -> Result<UpdateFlags> {
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
