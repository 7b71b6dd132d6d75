//! Background tasks of the driver.
//!
//! * Leases: the lease helper replaces a file, the difference to the one before becomes events.
//! * Losses: what other programs take from running networks is repaired ([`heal`]).
//! * Name servers: where a dnsmasq does not watch `/etc/resolv.conf` itself, the driver writes them
//!   for it. It looks every few seconds: a change of name servers is rare and not urgent.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use oxivirt::{DhcpLease, LeaseChange, NetworkEvent};
use oxivirt_conf::Heal;
use oxivirt_sys::watch::DirWatch;
use oxivirt_sys::{chain, file};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use crate::apply::{self, Host};
use crate::components;
use crate::heal;
use crate::leases;
use crate::leases::{now, prefixes};
use crate::registry::Entry;
use crate::shared::{Notification, Shared};
use oxivirt_types::link_name::LinkName;

/// How often the host's list of name servers is looked at.
const NAME_SERVERS_EVERY: Duration = Duration::from_secs(5);
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Tasks that end with the driver.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<Vec<JoinHandle<()>>>);

impl Tasks {
    /// Ends the tasks, and waits until none of them has a part of the driver.
    pub(crate) async fn end(&self) {
        let tasks = std::mem::take(&mut *self.lock());
        for task in &tasks {
            task.abort();
        }
        // an aborted task reports that it was cancelled
        drop(join_all(tasks).await);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &*self.lock() {
            task.abort();
        }
    }
}

/// Starts the tasks of a driver.
pub(crate) fn start<H: Host>(
    shared: &Arc<Shared<H>>,
    mode: Heal,
    receiver: UnboundedReceiver<Notification>,
) -> Tasks {
    let mut tasks = Vec::new();
    match DirWatch::new(&shared.layout.leases_dir()) {
        Ok(watch) => {
            let known = shared.all_leases();
            tasks.push(tokio::spawn(watch_leases(Arc::downgrade(shared), watch, known)));
        }
        // The directory is not there for an unprivileged user, who has no DHCP either.
        Err(error) => tracing::info!(%error, "cannot watch leases: no lease events"),
    }
    tasks.push(tokio::spawn(heal::run(Arc::downgrade(shared), mode, receiver)));
    tasks.push(tokio::spawn(watch_name_servers(Arc::downgrade(shared))));
    Tasks(Mutex::new(tasks))
}

/// Leases by bridge.
type Known = BTreeMap<LinkName, Vec<DhcpLease>>;

async fn watch_leases<H: Host>(shared: Weak<Shared<H>>, mut watch: DirWatch, mut known: Known) {
    while let Ok(names) = watch.changed().await {
        let Some(shared) = shared.upgrade() else { return };
        let changed = |bridge: &LinkName| {
            let name = format!("{bridge}.status");
            names.is_empty() || names.iter().any(|other| *other == *name)
        };
        for entry in shared.networks.all() {
            let bridge = entry.view().def.bridge().cloned();
            let Some(bridge) = bridge.filter(|bridge| changed(bridge)) else { continue };
            let Some(new) = shared.leases(&entry) else { continue };
            let old = known.insert(bridge, new.clone()).unwrap_or_default();
            let network = entry.view().reference();
            for (change, lease) in difference(&old, &new) {
                let (network, lease) = (network.clone(), Box::new(lease));
                shared.callbacks.emit(&NetworkEvent::Lease { network, change, lease });
            }
        }
    }
}

/// What happened between two states of a lease file.
fn difference(old: &[DhcpLease], new: &[DhcpLease]) -> Vec<(LeaseChange, DhcpLease)> {
    let same = |lease: &DhcpLease, others: &[DhcpLease]| {
        others.iter().find(|other| other.ipaddr == lease.ipaddr && other.mac == lease.mac).cloned()
    };
    let gone = old.iter().filter(|lease| same(lease, new).is_none());
    let mut changes: Vec<_> = gone.map(|lease| (LeaseChange::Removed, lease.clone())).collect();
    for lease in new {
        match same(lease, old) {
            None => changes.push((LeaseChange::Added, lease.clone())),
            Some(old) if old != *lease => changes.push((LeaseChange::Updated, lease.clone())),
            Some(_) => {}
        }
    }
    changes
}

impl<H: Host> Shared<H> {
    fn all_leases(&self) -> Known {
        let entries = self.networks.all();
        let leases = entries.iter().filter_map(|entry| {
            let bridge = entry.view().def.bridge()?.clone();
            Some((bridge, self.leases(entry)?))
        });
        leases.collect()
    }

    /// The leases of a network; nothing if they cannot be read now.
    fn leases(&self, entry: &Entry) -> Option<Vec<DhcpLease>> {
        let view = entry.view();
        let bridge = view.def.bridge()?;
        let content = file::read(&self.layout.leases(bridge), leases::LIMIT).ok()??;
        leases::parse(&content, bridge.as_str(), prefixes(&view.def), None, now()).ok()
    }

    /// Writes the host's name servers for a dnsmasq that does not follow them by itself.
    async fn update_name_servers(&self, entry: &Entry) -> oxivirt::Result<()> {
        let _operation = entry.lock().await;
        let view = entry.view();
        if !view.is_active() {
            return Ok(());
        }
        let facts = self.facts(&view.def).await?;
        let want = self.desired(&view, &facts)?;
        let found = components::observe(&*self.host, &[&want])
            .await
            .map_err(|error| crate::error::host(&error))?;
        let mut have = want.clone();
        have.dhcp = found.into_iter().next().and_then(|found| found.dhcp);
        let plan = components::diff(&have, &want, &[]);
        apply::run(&*self.host, &plan).await.map_err(|stopped| crate::error::stopped(&stopped))
    }
}

async fn watch_name_servers<H: Host>(shared: Weak<Shared<H>>) {
    let changed =
        || -> Option<SystemTime> { Path::new(RESOLV_CONF).metadata().ok()?.modified().ok() };
    let mut known = changed();
    loop {
        tokio::time::sleep(NAME_SERVERS_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        let now = changed();
        if now == known {
            continue;
        }
        known = now;
        let fed = shared.reserved().fed();
        for uuid in fed {
            let Some(entry) = shared.networks.get(uuid) else { continue };
            if let Err(error) = shared.update_name_servers(&entry).await {
                let network = entry.view().def.name.clone();
                tracing::warn!(
                    network,
                    error = chain::text(&error),
                    "cannot update name servers: guests go on with the old ones"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(ip: &str, expiry_time: i64) -> DhcpLease {
        DhcpLease {
            iface: "b".into(),
            expiry_time,
            addr_type: oxivirt::IpAddrType::Ipv4,
            mac: Some("52:54:00:00:00:01".into()),
            iaid: None,
            ipaddr: ip.into(),
            prefix: 24,
            hostname: None,
            client_id: None,
        }
    }

    #[test]
    fn changes_of_leases() {
        let (a, b, c) = (lease("10.0.0.1", 5), lease("10.0.0.2", 5), lease("10.0.0.3", 5));
        let later = lease("10.0.0.2", 9);
        let changes = difference(&[a.clone(), b], &[later.clone(), c.clone()]);
        assert_eq!(
            changes,
            [(LeaseChange::Removed, a), (LeaseChange::Updated, later), (LeaseChange::Added, c)]
        );
        assert_eq!(difference(&[], &[]), []);
    }
}
