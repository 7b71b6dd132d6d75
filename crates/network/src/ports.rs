//! Guests' interfaces on a running network.
//!
//! A port is planned as a value; then the host is brought to the state with it, the MAC map and the
//! port's file are written, and readers see it. A refusal on the way takes back what came before.
//!
//! libvirt 11.3.0: `networkPortCreateXML`, `networkPortDelete`, src/network/bridge_driver.c

use std::sync::Arc;

use oxivirt::{
    Error, ErrorCode, ErrorDomain, NetworkRef, PortCreateFlags, PortRef, Result, TypedParam,
    TypedValue,
};
use oxivirt_conf::bandwidth::{Bandwidth, Rate};
use oxivirt_conf::port::{NetworkPortDef, Plug};
use oxivirt_engine::Replacement;
use uuid::Uuid;

use crate::apply::Host;
use crate::error;
use crate::hooks::HookOperation;
use crate::plan::port::{Pool, Ports};
use crate::registry::{Entry, View};
use crate::shared::Shared;
use crate::store;
use crate::transition::log_error;

/// Parameters of a port; more make no sense.
const PARAMS_MAX: usize = 16;

impl<H: Host> Shared<H> {
    /// The ports of a running network.
    pub(crate) fn list_ports(&self, network: &NetworkRef) -> Result<Vec<PortRef>> {
        let view = self.entry(network)?.view();
        check_active(&view)?;
        let network = view.reference();
        let port = |uuid: &Uuid| PortRef { network: network.clone(), uuid: *uuid };
        Ok(view.ports.keys().map(port).collect())
    }

    /// A port of a network.
    pub(crate) fn port(&self, network: &NetworkRef, uuid: Uuid) -> Result<NetworkPortDef> {
        find(&self.entry(network)?.view(), uuid)
    }

    pub(crate) async fn create_port(
        &self,
        entry: &Entry,
        def: NetworkPortDef,
        flags: PortCreateFlags,
    ) -> Result<PortRef> {
        let _operation = entry.lock().await;
        let old = entry.view();
        self.entry(&old.reference())?;
        check_active(&old)?;
        let pool = Pool { def: &old.def, ports: &old.ports };
        let is_reclaim = flags.contains(PortCreateFlags::RECLAIM);
        let port = match is_reclaim {
            true => pool.reclaim(def),
            false => pool.allocate(def, Uuid::new_v4),
        };
        let port = port.map_err(|error| error::port(&error))?;
        let new = with_ports(&old, |ports| drop(ports.insert(port.uuid, port.clone())));
        let mut replacements = vec![self.port_replacement(&old, port.uuid, None, Some(&port))];
        if !is_reclaim {
            replacements.extend(self.macs_replacement(&old, &port, true)?);
        }
        self.transition(entry, &old, new.clone(), replacements.clone()).await?;
        let hooked = self.run_view_hook(&new, HookOperation::PortCreated, Some(&port)).await;
        if let Err(error) = hooked {
            let replacements = replacements.into_iter().map(Replacement::reversed).collect();
            if let Err(error) = self.transition(entry, &new, (*old).clone(), replacements).await {
                log_error(&old.def.name, &error, "cannot remove a port that a hook script refused");
            }
            return Err(error);
        }
        self.taint(entry);
        Ok(PortRef { network: old.reference(), uuid: port.uuid })
    }

    pub(crate) async fn delete_port(&self, entry: &Entry, uuid: Uuid) -> Result<()> {
        let _operation = entry.lock().await;
        let old = entry.view();
        self.entry(&old.reference())?;
        let port = find(&old, uuid)?;
        let new = with_ports(&old, |ports| drop(ports.remove(&uuid)));
        let mut replacements = vec![self.port_replacement(&old, uuid, Some(&port), None)];
        match self.macs_replacement(&old, &port, false) {
            Ok(replacement) => replacements.extend(replacement),
            // A guest must be able to leave, even if the map is damaged.
            Err(error) => log_error(
                &old.def.name,
                &error,
                "cannot update the MAC map: the name service may give a wrong answer",
            ),
        }
        self.transition(entry, &old, new.clone(), replacements).await?;
        drop(self.run_view_hook(&new, HookOperation::PortDeleted, Some(&port)).await);
        self.taint(entry);
        Ok(())
    }

    /// libvirt 11.3.0: `networkPortSetParameters`
    pub(crate) async fn limit_port(
        &self,
        entry: &Entry,
        uuid: Uuid,
        params: &[TypedParam],
    ) -> Result<()> {
        if params.len() > PARAMS_MAX {
            let detail = format!("too many parameters: {} > {PARAMS_MAX}", params.len());
            return Err(Error::invalid_argument(detail));
        }
        let bandwidth = bandwidth(params)?;
        let _operation = entry.lock().await;
        let old = entry.view();
        self.entry(&old.reference())?;
        let port = find(&old, uuid)?;
        let pool = Pool { def: &old.def, ports: &old.ports };
        let changed = pool.limit(&port, bandwidth).map_err(|error| error::port(&error))?;
        let new = with_ports(&old, |ports| drop(ports.insert(uuid, changed.clone())));
        let replacement = self.port_replacement(&old, uuid, Some(&port), Some(&changed));
        self.transition(entry, &old, new, vec![replacement]).await
    }

    fn port_replacement(
        &self,
        view: &View,
        uuid: Uuid,
        before: Option<&NetworkPortDef>,
        after: Option<&NetworkPortDef>,
    ) -> Replacement {
        let document = |port| store::port_document(&self.layout, &view.def.name, uuid, port);
        Replacement { before: document(before), after: document(after) }
    }

    /// Networks with addresses keep a map of which guest has which addresses, for the host's name
    /// service.
    fn macs_replacement(
        &self,
        view: &View,
        port: &NetworkPortDef,
        is_new: bool,
    ) -> Result<Option<Replacement>> {
        let owner = port.owner_name.as_str();
        let has_map = !view.def.ips.is_empty() && matches!(port.plug, Plug::Network(_));
        let Some(bridge) = view.def.bridge().filter(|_| has_map) else {
            return Ok(None);
        };
        let is_shared = || {
            let mut others = view.ports.values().filter(|other| other.uuid != port.uuid);
            others.any(|other| (other.owner_name.as_str(), other.mac) == (owner, port.mac))
        };
        if !is_new && is_shared() {
            return Ok(None);
        }
        let replacement = store::macs_replacement(&self.layout, bridge, |map| {
            if is_new { map.add(owner, port.mac) } else { map.remove(owner, port.mac) }
        });
        replacement.map(Some).map_err(|error| error::macs(&error))
    }

    /// Notes that scripts ran, if there are any.
    pub(crate) fn taint(&self, entry: &Entry) {
        let view = entry.view();
        let is_new = view.is_active() && !view.is_tainted();
        if self.hooks.exist() && is_new {
            let tainted = view.tainted();
            let removal = tainted.removal().cloned();
            if let Err(error) = self.save(entry, &tainted, removal) {
                log_error(
                    &view.def.name,
                    &error,
                    "cannot write the taint of hook scripts to the status file",
                );
            }
        }
    }
}

fn check_active(view: &View) -> Result<()> {
    match view.is_active() {
        true => Ok(()),
        false => {
            Err(Error::operation_invalid(format!("network '{}' is not active", view.def.name)))
        }
    }
}

fn find(view: &View, uuid: Uuid) -> Result<NetworkPortDef> {
    view.ports.get(&uuid).cloned().ok_or_else(|| {
        let detail = format!("Network port with UUID {uuid} does not exist");
        Error::new(ErrorCode::NO_NETWORK_PORT, ErrorDomain::NETWORK, detail)
    })
}

fn with_ports(view: &View, change: impl FnOnce(&mut Ports)) -> View {
    let mut ports = (*view.ports).clone();
    change(&mut ports);
    View { ports: Arc::new(ports), ..view.clone() }
}

/// The limits that parameters set; those that they do not set are absent.
fn bandwidth(params: &[TypedParam]) -> Result<Option<Bandwidth>> {
    let (mut inbound, mut outbound) = (Rate::default(), Rate::default());
    for param in params {
        let slot = match param.field.as_str() {
            "inbound.average" => &mut inbound.average,
            "inbound.peak" => &mut inbound.peak,
            "inbound.burst" => &mut inbound.burst,
            "inbound.floor" => &mut inbound.floor,
            "outbound.average" => &mut outbound.average,
            "outbound.peak" => &mut outbound.peak,
            "outbound.burst" => &mut outbound.burst,
            _ => continue,
        };
        let TypedValue::UInt(value) = param.value else {
            let detail = format!("invalid type for parameter '{}', expected 'uint'", param.field);
            return Err(Error::invalid_argument(detail));
        };
        *slot = u64::from(value);
    }
    let is_given = |rate: &Rate| rate.average > 0 || rate.floor > 0;
    let (inbound, outbound) = (Some(inbound).filter(is_given), Some(outbound).filter(is_given));
    Ok((inbound.is_some() || outbound.is_some()).then_some(Bandwidth { inbound, outbound }))
}

/// The limits of a port as parameters.
///
/// libvirt 11.3.0: `networkPortGetParameters`
pub(crate) fn parameters(port: &NetworkPortDef) -> Vec<TypedParam> {
    let Some(bandwidth) = &port.bandwidth else { return Vec::new() };
    let param = |(direction, name, value): (&str, &str, u64)| TypedParam {
        field: format!("{direction}.{name}"),
        value: TypedValue::UInt(u32::try_from(value).unwrap_or(u32::MAX)),
    };
    let mut values = Vec::new();
    if let Some(rate) = bandwidth.inbound {
        let rates = [
            ("average", rate.average),
            ("peak", rate.peak),
            ("floor", rate.floor),
            ("burst", rate.burst),
        ];
        values.extend(rates.map(|(name, value)| ("inbound", name, value)));
    }
    if let Some(rate) = bandwidth.outbound {
        let rates = [("average", rate.average), ("peak", rate.peak), ("burst", rate.burst)];
        values.extend(rates.map(|(name, value)| ("outbound", name, value)));
    }
    values.into_iter().map(param).collect()
}
