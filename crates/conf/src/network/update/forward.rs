//! Sections `forward-interface` and `portgroup`.

use oxivirt_xml::Element;

use super::{Change, Command, Context, Place, Refusal, Result, insert};
use crate::network::{Counters, ForwardDevice, NetworkDef, PortGroup};

/// A change of the pool of interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceChange {
    /// Adds an interface that is not there.
    Add(Place, String),
    /// Deletes an interface that no port uses.
    Delete(String),
}

/// A change of the port groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortGroupChange {
    /// Adds a group of a new name.
    Add(Place, PortGroup),
    /// Replaces the group of that name.
    Modify(PortGroup),
    /// Deletes the group of that name.
    Delete(String),
}

pub(super) fn parse_interface(root: &Element<'_>, context: Context<'_>) -> Result<Change> {
    context.check_element(root, "interface")?;
    let dev = root.property("dev").ok_or(Refusal::NoInterfaceDev)?.to_owned();
    let change = match (context.place(), context.is(Command::Delete)) {
        (Some(place), _) => InterfaceChange::Add(place, dev),
        (None, true) => InterfaceChange::Delete(dev),
        (None, false) if context.is(Command::Modify) => {
            return Err(Refusal::NoModify { entries: "forward interface entries" }.into());
        }
        (None, false) => return Err(context.unknown_command().into()),
    };
    Ok(Change::Interface(change))
}

pub(super) fn parse_port_group(root: &Element<'_>, context: Context<'_>) -> Result<Change> {
    context.check_element(root, "portgroup")?;
    let group = PortGroup::parse(root)?;
    let change = match Command::from_number(context.command) {
        Some(Command::AddFirst) => PortGroupChange::Add(Place::First, group),
        Some(Command::AddLast) => PortGroupChange::Add(Place::Last, group),
        Some(Command::Modify) => PortGroupChange::Modify(group),
        Some(Command::Delete) => PortGroupChange::Delete(group.name),
        None => return Err(context.unknown_command().into()),
    };
    Ok(Change::PortGroup(change))
}

impl InterfaceChange {
    pub(super) fn apply(&self, def: &mut NetworkDef, counters: &Counters) -> Result<(), Refusal> {
        let network = def.name.clone();
        let (Self::Add(_, dev) | Self::Delete(dev)) = self;
        let device = ForwardDevice::Interface(dev.clone());
        let devices = &mut def.forward.devices;
        let found = devices.iter().position(|entry| *entry == device);
        match (self, found) {
            (Self::Add(..), Some(_)) => {
                let entry = format!("<interface dev='{dev}'>");
                return Err(Refusal::Exists { network, kind: "interface", entry });
            }
            (Self::Add(place, _), None) => insert(devices, *place, device),
            (Self::Delete(_), Some(at)) => {
                let connections = counters.devices.get(&device).copied().unwrap_or(0);
                if connections > 0 {
                    return Err(Refusal::InUse { network, device: dev.clone(), connections });
                }
                drop(devices.remove(at));
            }
            (Self::Delete(_), None) => {
                let entry = format!("interface dev='{dev}'");
                return Err(Refusal::NotFound { network, kind: "an interface", entry });
            }
        }
        Ok(())
    }
}

impl PortGroupChange {
    /// libvirt 11.3.0: `virNetworkDefUpdatePortGroup`, src/conf/network_conf.c
    pub(super) fn apply(&self, def: &mut NetworkDef) -> Result<(), Refusal> {
        let network = def.name.clone();
        let groups = &mut def.port_groups;
        let name = match self {
            Self::Add(_, group) | Self::Modify(group) => &group.name,
            Self::Delete(name) => name,
        };
        let found = groups.iter().position(|entry| entry.name == *name);
        match (self, found) {
            (Self::Modify(_) | Self::Delete(_), None) => {
                let entry = format!("portgroup name='{name}'");
                return Err(Refusal::NotFound { network, kind: "a portgroup", entry });
            }
            (Self::Add(..), Some(_)) => {
                let entry = format!("<portgroup name='{name}'>");
                return Err(Refusal::Exists { network, kind: "portgroup", entry });
            }
            _ => {}
        }
        let another_default = groups.iter().any(|entry| entry.default && entry.name != *name);
        if let Self::Add(_, group) | Self::Modify(group) = self
            && group.default
            && another_default
        {
            return Err(Refusal::SecondDefault { network });
        }
        match (self, found) {
            (Self::Add(place, group), _) => insert(groups, *place, group.clone()),
            (Self::Modify(group), Some(at)) => {
                if let Some(entry) = groups.get_mut(at) {
                    *entry = group.clone();
                }
            }
            (Self::Delete(_), Some(at)) => drop(groups.remove(at)),
            (_, None) => {}
        }
        Ok(())
    }
}
