//! Answers that give, extend, confirm and take back addresses.

use std::net::Ipv6Addr;
use std::time::Duration;

use oxivirt_netserv_api::message::End;
use rand::Rng;

use super::pool::Owner;
use super::{Asked, Dhcp6};
use crate::lease::{Lease, Record};
use crate::wire::dhcp6::{Ia, Writer, kind, option, status};
use crate::{Event, Now, Out};

/// Lifetime without end (RFC 8415 §7.7), in seconds.
const INFINITE: u32 = u32::MAX;

/// The shortest lifetime that a client gets by its wish, in seconds.
const MIN_WISH: u32 = 120;

/// How long a client has an address, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lifetimes {
    /// For new connections.
    preferred: u32,
    /// At all.
    valid: u32,
}

/// Whether an address is only offered or given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Offer,
    Grant,
}

impl Dhcp6 {
    pub(super) fn solicit(&mut self, now: Now, asked: &Asked<'_>, out: &mut Out) -> Vec<u8> {
        let is_rapid = asked.view.options.get(option::RAPID_COMMIT).is_some();
        let (kind, step) =
            if is_rapid { (kind::REPLY, Step::Grant) } else { (kind::ADVERTISE, Step::Offer) };
        let mut reply = self.begin(asked, kind);
        if is_rapid {
            reply.option(option::RAPID_COMMIT, |_| ());
        }
        self.give(now, asked, step, &mut reply, out);
        if step == Step::Offer {
            reply.option(option::PREFERENCE, |value| value.put(&[0]));
        }
        self.finish(reply, asked)
    }

    pub(super) fn request(&mut self, now: Now, asked: &Asked<'_>, out: &mut Out) -> Vec<u8> {
        let mut reply = self.begin(asked, kind::REPLY);
        self.give(now, asked, Step::Grant, &mut reply, out);
        self.finish(reply, asked)
    }

    /// Adds an address for each identity association, and a status.
    fn give(&mut self, now: Now, asked: &Asked<'_>, step: Step, reply: &mut Writer, out: &mut Out) {
        let mut given = Vec::new();
        for ia in asked.view.options.ias() {
            if ia.code == option::IA_PD {
                put_ia(reply, &ia, (0, 0), |value| {
                    value.status(status::NO_PREFIX_AVAIL, "no prefixes available");
                });
                continue;
            }
            let is_request = asked.view.kind == kind::REQUEST;
            if is_request && ia.options.addresses().any(|address| !self.spec.is_on_link(address)) {
                put_ia(reply, &ia, (0, 0), |value| {
                    value.status(status::NOT_ON_LINK, "not on link");
                });
                continue;
            }
            let owner = Owner { duid: asked.client.duid.clone(), iaid: ia.iaid };
            let Some(address) = self.address_for(asked, &ia, &owner, &given) else {
                put_ia(reply, &ia, (0, 0), |value| {
                    value.status(status::NO_ADDRS_AVAIL, "no addresses available");
                });
                continue;
            };
            given.push(address);
            let times = self.lifetimes(asked, &ia, address);
            match step {
                Step::Offer => self.pool.offer(address, owner, now.boot),
                Step::Grant => self.grant(now, asked, (address, times.valid), owner, out),
            }
            put_ia(reply, &ia, timers(times.preferred, 0), |value| {
                value.address(address, times.preferred, times.valid);
            });
        }
        if given.is_empty() {
            self.pool_is_full(now, out);
            reply.status(status::NO_ADDRS_AVAIL, "no addresses available");
        } else {
            reply.status(status::SUCCESS, "success");
        }
    }

    /// Chooses an address: the fixed one, the present one, the one offered, the one asked for,
    /// or a free one. `given` are those of other associations of the same message.
    fn address_for(
        &self,
        asked: &Asked<'_>,
        ia: &Ia<'_>,
        owner: &Owner,
        given: &[Ipv6Addr],
    ) -> Option<Ipv6Addr> {
        let fixed = asked.client.host.as_ref().and_then(|host| host.address);
        let is_allowed = |address: &Ipv6Addr| {
            !given.contains(address) && self.pool.is_available(*address, owner, fixed)
        };
        let leased = || {
            let leases = self.pool.leases_of(owner).filter_map(|lease| super::v6(lease.address));
            leases.filter(is_allowed).min()
        };
        let room = self.pool.has_room(owner);
        fixed
            .filter(is_allowed)
            .or_else(leased)
            .or_else(|| self.pool.offered(owner).filter(is_allowed))
            .or_else(|| ia.options.addresses().filter(|_| room).find(is_allowed))
            .or_else(|| self.pool.choose(owner).filter(|_| room))
    }

    /// How long a client has an address: as long as the definition says, or less if it wishes so.
    ///
    /// dnsmasq: `calculate_times`, src/rfc3315.c
    fn lifetimes(&self, asked: &Asked<'_>, ia: &Ia<'_>, address: Ipv6Addr) -> Lifetimes {
        let host = asked.client.host.as_ref().and_then(|host| host.lease);
        let time = host.unwrap_or_else(|| self.pool.lease_time(address));
        let longest = time.seconds().unwrap_or(INFINITE);
        let (preferred, valid) = ia.options.wishes(address);
        let granted = |wish: u32| match wish {
            0 => longest,
            wish => wish.max(MIN_WISH).min(longest),
        };
        if preferred > valid {
            return Lifetimes { preferred: longest, valid: longest };
        }
        // An address is not preferred for longer than it is valid (RFC 8415 §21.6).
        let valid = granted(valid);
        Lifetimes { preferred: granted(preferred).min(valid), valid }
    }

    /// Gives an address; other addresses of the same identity association end.
    fn grant(
        &mut self,
        now: Now,
        asked: &Asked<'_>,
        (address, valid): (Ipv6Addr, u32),
        owner: Owner,
        out: &mut Out,
    ) {
        let others: Vec<Ipv6Addr> = self
            .pool
            .leases_of(&owner)
            .filter_map(|lease| super::v6(lease.address))
            .filter(|other| *other != address)
            .collect();
        for other in others {
            self.end(now, other, End::Client, out);
        }
        self.put_lease(now, asked, (address, valid), owner, out);
    }

    /// Makes or extends a lease.
    fn put_lease(
        &mut self,
        now: Now,
        asked: &Asked<'_>,
        (address, valid): (Ipv6Addr, u32),
        owner: Owner,
        out: &mut Out,
    ) {
        let (hostname, resolves) = self.name(now, asked, &owner, out);
        let lease = Lease {
            address: address.into(),
            mac: asked.client.mac,
            client_id: Some(owner.duid),
            iaid: Some(owner.iaid),
            hostname,
            resolves,
            deadline: (valid != INFINITE)
                .then(|| now.boot.saturating_add(Duration::from_secs(u64::from(valid)))),
        };
        let is_only_longer = self.pool.lease_at(address).is_some_and(|old| {
            Lease { deadline: None, ..old.clone() } == Lease { deadline: None, ..lease.clone() }
        });
        let info = lease.info(now);
        if is_only_longer {
            out.records.push(Record::Renew(info.address, info.expiry));
        } else {
            out.records.push(Record::Grant(info.clone()));
            out.events.push(Event::Added(info));
        }
        self.pool.insert(lease);
    }

    /// The name of a client's lease, and whether it resolves. The lease of another client that
    /// has the name loses it.
    fn name(
        &mut self,
        now: Now,
        asked: &Asked<'_>,
        owner: &Owner,
        out: &mut Out,
    ) -> (Option<String>, bool) {
        let client = asked.client;
        let own = client.host.as_ref().and_then(|host| host.name.as_deref());
        let (label, resolves) = match (own, &client.name) {
            (Some(own), _) => (own.split('.').next().unwrap_or_default().to_owned(), true),
            (None, Some(name)) => (name.label.clone(), name.is_in(self.domain.as_deref())),
            (None, None) => return (None, true),
        };
        let is_of_host =
            self.spec.hosts.iter().filter_map(|host| host.name.as_deref()).any(|name| {
                name.split('.').next().is_some_and(|first| first.eq_ignore_ascii_case(&label))
            });
        if own.is_none() && is_of_host {
            return (None, true);
        }
        let is_other = |lease: &&Lease| lease.client_id.as_ref() != Some(&owner.duid);
        let losers: Vec<Lease> =
            self.pool.table().of_name(&label).filter(is_other).cloned().collect();
        for mut lease in losers {
            lease.hostname = None;
            let info = lease.info(now);
            out.records.push(Record::Grant(info.clone()));
            out.events.push(Event::Added(info));
            self.pool.insert(lease);
        }
        (Some(label), resolves)
    }

    /// Answers RENEW and REBIND.
    pub(super) fn extend(
        &mut self,
        now: Now,
        asked: &Asked<'_>,
        rng: &mut dyn Rng,
        out: &mut Out,
    ) -> Vec<u8> {
        let mut reply = self.begin(asked, kind::REPLY);
        let may_make = asked.view.kind == kind::REBIND;
        let fixed = asked.client.host.as_ref().and_then(|host| host.address);
        for ia in asked.view.options.ias() {
            if ia.code == option::IA_PD {
                put_ia(&mut reply, &ia, (0, 0), |value| {
                    value.status(status::NO_BINDING, "no binding found");
                });
                continue;
            }
            let owner = Owner { duid: asked.client.duid.clone(), iaid: ia.iaid };
            let is_bound = self.pool.leases_of(&owner).next().is_some();
            if !is_bound && !may_make {
                put_ia(&mut reply, &ia, (0, 0), |value| {
                    value.status(status::NO_BINDING, "no binding found");
                });
                continue;
            }
            let mut least = INFINITE;
            let mut lifetimes = Vec::new();
            for address in ia.options.addresses() {
                let is_leased = self
                    .pool
                    .leases_of(&owner)
                    .any(|lease| lease.address == std::net::IpAddr::V6(address));
                let is_new = may_make && !is_leased && self.pool.has_room(&owner);
                let is_good = (is_leased || is_new)
                    && self.spec.is_on_link(address)
                    && self.pool.is_available(address, &owner, fixed);
                if !is_good {
                    lifetimes.push((address, Lifetimes { preferred: 0, valid: 0 }));
                    continue;
                }
                let times = self.lifetimes(asked, &ia, address);
                least = least.min(times.preferred);
                self.put_lease(now, asked, (address, times.valid), owner.clone(), out);
                lifetimes.push((address, times));
            }
            let is_any_good = lifetimes.iter().any(|(_, times)| times.valid > 0);
            let timers = if is_any_good { timers(least, rng.next_u32()) } else { (0, 0) };
            put_ia(&mut reply, &ia, timers, |value| {
                for (address, times) in &lifetimes {
                    value.address(*address, times.preferred, times.valid);
                }
            });
        }
        self.finish(reply, asked)
    }

    /// Answers CONFIRM; not if there is nothing to confirm (RFC 8415 §18.3.3).
    pub(super) fn confirm(&self, asked: &Asked<'_>) -> Option<Vec<u8>> {
        let addresses = || asked.view.options.ias().flat_map(|ia| ia.options.addresses());
        addresses().next()?;
        let mut reply = self.begin(asked, kind::REPLY);
        if addresses().all(|address| self.spec.is_on_link(address)) {
            reply.status(status::SUCCESS, "all addresses still on link");
        } else {
            reply.status(status::NOT_ON_LINK, "confirm failed");
        }
        Some(self.finish(reply, asked))
    }

    /// Answers RELEASE and DECLINE.
    pub(super) fn give_back(&mut self, now: Now, asked: &Asked<'_>, out: &mut Out) -> Vec<u8> {
        let is_declined = asked.view.kind == kind::DECLINE;
        let mut reply = self.begin(asked, kind::REPLY);
        for ia in asked.view.options.ias() {
            let owner = Owner { duid: asked.client.duid.clone(), iaid: ia.iaid };
            let mut unknown = Vec::new();
            for address in ia.options.addresses() {
                let has = |lease: &Lease| lease.address == std::net::IpAddr::V6(address);
                if !self.pool.leases_of(&owner).any(has) {
                    unknown.push(address);
                    continue;
                }
                self.end(now, address, End::Client, out);
                if is_declined {
                    self.bar(now, address, out);
                    out.events.push(Event::Conflict(address.into(), None));
                }
            }
            if !unknown.is_empty() {
                put_ia(&mut reply, &ia, (0, 0), |value| {
                    for address in &unknown {
                        value.address(*address, 0, 0);
                    }
                    value.status(status::NO_BINDING, "no binding found");
                });
            }
        }
        reply.status(status::SUCCESS, if is_declined { "success" } else { "release received" });
        reply.finish()
    }

    /// Adds settings and the client's name.
    fn finish(&self, mut reply: Writer, asked: &Asked<'_>) -> Vec<u8> {
        self.settings(&mut reply, asked.view.options);
        let client = asked.client;
        let own = client.host.as_ref().and_then(|host| host.name.as_deref());
        let own = own.and_then(|name| name.split('.').next());
        let label = own.or_else(|| client.name.as_ref().map(|name| name.label.as_str()));
        let is_asked = asked.view.options.asks(option::FQDN).unwrap_or(false);
        let flags = client.fqdn.or_else(|| is_asked.then_some(1));
        if let (Some(label), Some(flags)) = (label, flags) {
            let domain = self.domain.iter().flat_map(|domain| domain.split('.'));
            reply.option(option::FQDN, |value| {
                value.put(&[flags]);
                for label in std::iter::once(label).chain(domain) {
                    value.put(&[u8::try_from(label.len()).unwrap_or_default()]);
                    value.put(label.as_bytes());
                }
                value.put(&[0]);
            });
        }
        reply.finish()
    }
}

/// T1 and T2 of leases of so many seconds: half and seven eighths, both less by the same random
/// time of at most a sixteenth, so that clients of one start do not come back at once.
///
/// dnsmasq: `end_ia`, src/rfc3315.c
fn timers(seconds: u32, random: u32) -> (u32, u32) {
    if seconds == INFINITE {
        return (INFINITE, INFINITE);
    }
    let less = random.checked_rem(seconds / 16 + 1).unwrap_or(0);
    let (half, late) = (seconds / 2, seconds - seconds / 8);
    (half.saturating_sub(less), late.saturating_sub(less))
}

/// Adds the answer to an identity association.
fn put_ia(
    reply: &mut Writer,
    ia: &Ia<'_>,
    (t1, t2): (u32, u32),
    contents: impl FnOnce(&mut Writer),
) {
    reply.option(ia.code, |value| {
        value.put(&ia.iaid.to_be_bytes());
        if ia.code != option::IA_TA {
            value.put(&t1.to_be_bytes());
            value.put(&t2.to_be_bytes());
        }
        contents(value);
    });
}
