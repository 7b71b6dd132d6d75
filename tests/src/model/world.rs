//! What each call must answer, and what must be there afterwards.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Answer, Call, Impact, Kind, Loss};

/// What guarantees of a NAT network share, in kilobytes per second.
pub const LIMIT: u64 = 1000;

const NO_NETWORK: Answer = Err(43);
const INVALID: Answer = Err(55);
/// Its DNS is off and may have nothing in it.
const NO_DNS: Answer = Err(27);
const UNSUPPORTED: Answer = Err(84);
const PORT_EXISTS: Answer = Err(106);
const NO_PORT: Answer = Err(107);

/// All networks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct World {
    /// The networks that exist.
    pub nets: BTreeMap<u8, Net>,
}

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Net {
    /// The stored definition.
    pub stored: Option<Content>,
    /// The running network.
    pub live: Option<Content>,
    /// Guaranteed rates by port.
    pub ports: BTreeMap<u8, u64>,
    /// Whether it starts with the host.
    pub autostart: bool,
}

/// A definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// What the network is.
    pub kind: Kind,
    /// Names in its DNS.
    pub hosts: BTreeSet<u8>,
    /// Its title; 0 is none.
    pub title: u8,
}

impl Content {
    /// A definition as it is given.
    pub fn new(kind: Kind) -> Self {
        Self { kind, hosts: BTreeSet::new(), title: 0 }
    }
}

impl World {
    /// Makes a call.
    ///
    /// # Errors
    /// The error number that the driver must answer; nothing has changed then.
    pub fn call(&mut self, network: u8, call: &Call) -> Answer {
        match call {
            Call::Define(kind) => {
                self.nets.entry(network).or_default().stored = Some(Content::new(*kind));
                return Ok(());
            }
            Call::CreateXml(kind) => {
                let net = self.nets.entry(network).or_default();
                if net.live.is_some() {
                    return INVALID;
                }
                net.live = Some(Content::new(*kind));
                return Ok(());
            }
            _ => {}
        }
        let Some(net) = self.nets.get_mut(&network) else { return NO_NETWORK };
        net.call(call)?;
        if net.stored.is_none() && net.live.is_none() {
            self.nets.remove(&network);
        }
        Ok(())
    }

    /// What is left when the driver starts after a loss.
    pub fn lose(&mut self, loss: Loss) {
        let Loss::Bridge(network) = loss else { return };
        let Some(net) = self.nets.get_mut(&network) else { return };
        if net.live.as_ref().is_some_and(|live| live.kind != Kind::Direct) {
            net.stop();
        }
        if net.stored.is_none() && net.live.is_none() {
            self.nets.remove(&network);
        }
    }
}

impl Net {
    fn stop(&mut self) {
        self.live = None;
        self.ports.clear();
    }

    fn call(&mut self, call: &Call) -> Answer {
        match call {
            Call::Define(_) | Call::CreateXml(_) => {}
            Call::Start => match self.live {
                Some(_) => return INVALID,
                None => self.live.clone_from(&self.stored),
            },
            Call::Destroy => match self.live {
                Some(_) => self.stop(),
                None => return INVALID,
            },
            Call::Undefine => {
                if self.stored.take().is_none() {
                    return INVALID;
                }
                self.autostart = false;
            }
            Call::SetAutostart(wanted) => {
                if self.stored.is_none() {
                    return INVALID;
                }
                self.autostart = *wanted;
            }
            Call::AddHost(impact, host) => {
                return self.change(*impact, |content| match content.kind {
                    _ if content.hosts.contains(host) => INVALID,
                    Kind::Route => NO_DNS,
                    _ => {
                        content.hosts.insert(*host);
                        Ok(())
                    }
                });
            }
            Call::DeleteHost(impact, host) => {
                return self
                    .change(*impact, |content| content.hosts.remove(host).then_some(()).ok_or(55));
            }
            Call::SetTitle(impact, title) => {
                return self.change(*impact, |content| {
                    content.title = *title;
                    Ok(())
                });
            }
            Call::CreatePort(port, floor) => {
                let Some(live) = &self.live else { return INVALID };
                self.check_floor(live.kind, *port, *floor)?;
                if self.ports.contains_key(port) {
                    return PORT_EXISTS;
                }
                self.ports.insert(*port, u64::from(*floor));
            }
            Call::LimitPort(port, floor) => {
                let Some(live) = self.live.as_ref().filter(|_| self.ports.contains_key(port))
                else {
                    return NO_PORT;
                };
                let mut others = self.clone();
                others.ports.remove(port);
                others.check_floor(live.kind, *port, *floor)?;
                self.ports.insert(*port, u64::from(*floor));
            }
            Call::DeletePort(port) => {
                if self.ports.remove(port).is_none() {
                    return NO_PORT;
                }
            }
        }
        Ok(())
    }

    fn check_floor(&self, kind: Kind, _: u8, floor: u16) -> Answer {
        let sum: u64 = self.ports.values().sum::<u64>() + u64::from(floor);
        match kind {
            _ if floor == 0 => Ok(()),
            Kind::Nat if sum <= LIMIT => Ok(()),
            Kind::Nat => INVALID,
            _ => UNSUPPORTED,
        }
    }

    /// A change takes effect in all definitions that it is for, or in none.
    fn change(&mut self, impact: Impact, change: impl Fn(&mut Content) -> Answer) -> Answer {
        let (live, config) = match (impact, &self.live) {
            (Impact::Current, Some(_)) | (Impact::Live, _) => (true, false),
            (Impact::Current, None) | (Impact::Config, _) => (false, true),
            (Impact::Both, _) => (true, true),
        };
        let mut changed = self.clone();
        if (live && changed.live.is_none()) || (config && changed.stored.is_none()) {
            return INVALID;
        }
        if let Some(content) = changed.stored.as_mut().filter(|_| config) {
            change(content)?;
        }
        if let Some(content) = changed.live.as_mut().filter(|_| live) {
            change(content)?;
        }
        *self = changed;
        Ok(())
    }
}
