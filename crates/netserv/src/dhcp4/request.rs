//! What each message does.

use std::net::Ipv4Addr;

use oxivirt_netserv_api::message::End;
use oxivirt_netserv_api::{Host4, LeaseTime};
use rand::Rng;

use super::answer::Answer;
use super::names::Name;
use super::{Asked, Dhcp4, MAX_LEASES_PER_MAC, MAX_TRIES};
use crate::lease::{Lease, Record};
use crate::wire::dhcp4::option;
use crate::{Event, Now, Out};

/// Why a request gets no address.
enum No {
    /// The client gets a DHCPNAK with this text.
    Nak(&'static str),
    /// It is not answered; the word names a counter.
    Silence(&'static str),
}

impl Dhcp4 {
    /// The host of the definition that a client is.
    fn host(&self, asked: &Asked<'_>) -> Option<(usize, &Host4)> {
        let name = asked.name.name.as_ref().map(|name| name.label.as_str());
        self.hosts.find(asked.view.client_id(), asked.view.mac(), name)
    }

    /// The lease that a client has.
    fn lease(&self, asked: &Asked<'_>) -> Option<&Lease> {
        self.pool.lease_of(asked.view.client_id(), asked.view.mac())
    }

    /// The address of a client's lease.
    fn leased(&self, asked: &Asked<'_>) -> Option<Ipv4Addr> {
        self.lease(asked).and_then(|lease| super::v4(lease.address))
    }

    /// The name that a client gets, and whether it resolves: that of the definition, else its own.
    fn name(&self, asked: &Asked<'_>) -> Option<(Name, bool)> {
        let host = self.host(asked);
        let given = host.and_then(|(_, host)| Name::parse(host.name.as_deref()?));
        let of_other = |name: &Name| {
            self.hosts.named(&name.label).is_some_and(|at| Some(at) != host.map(|(at, _)| at))
        };
        let own = || asked.name.name.clone().filter(|name| !of_other(name));
        let name = given.or_else(own)?;
        let resolves = name.is_in(self.facts.domain.as_deref());
        Some((name, resolves))
    }

    /// The name in replies: as dnsmasq does, a client hears its own name again even if it does not get it.
    fn name_said(&self, asked: &Asked<'_>) -> Option<Name> {
        self.name(asked).map(|(name, _)| name).or_else(|| asked.name.name.clone())
    }

    /// How long the lease of an address lasts: what the client asks for, up to what is configured.
    ///
    /// dnsmasq: `calc_time`, src/rfc2131.c
    fn time(&self, asked: &Asked<'_>, address: Ipv4Addr) -> LeaseTime {
        let host = self.host(asked).and_then(|(_, host)| host.lease);
        let allowed = host.unwrap_or_else(|| self.pool.lease_time(address));
        match asked.view.lease_time() {
            None | Some(u32::MAX) => allowed,
            Some(wanted) => allowed.min(LeaseTime::Seconds(wanted.max(LeaseTime::MIN))),
        }
    }

    pub(super) fn discover(&mut self, now: Now, asked: &Asked<'_>, out: &mut Out) {
        let mac = asked.view.mac();
        if self.leased(asked).is_none() && self.pool.is_full() && !self.has_many(asked) {
            return self.pool_is_full(now, out);
        }
        let (address, is_known) = match self.known_address(asked) {
            Some(address) => (Some(address), true),
            None => (self.unknown_address(asked), false),
        };
        let Some(address) = address else {
            return self.pool_is_full(now, out);
        };
        if !is_known {
            if asked.n_tries >= MAX_TRIES && asked.probed != Some(address) {
                return out.dropped("conflicts");
            }
            // No other client may be offered it meanwhile.
            self.pool.offer(address, mac, now.boot);
            if self.probe(now, asked, address, out) {
                return;
            }
        } else if self.lease(asked).is_none() {
            self.pool.offer(address, mac, now.boot);
        }
        let time = self.time(asked, address);
        let offered = |name: Name| {
            let sent = asked.name.name.as_ref();
            let is_same = sent.is_none_or(|sent| sent.label.eq_ignore_ascii_case(&name.label));
            // A host that is known by its name only is not recognised that early.
            let has_key = |host: &Host4| host.mac.is_some() || host.client_id.is_some();
            let is_given =
                self.host(asked).is_some_and(|(_, host)| host.name.is_some() && has_key(host));
            (asked.name.fqdn.is_some() || is_given && is_same).then_some(name)
        };
        let name = self.name_said(asked).and_then(offered);
        self.send_offer(asked, &Answer { address, time, name: name.as_ref(), fuzz: 0 }, out);
    }

    /// An address that needs no probe: that of the definition, of the lease, or of the offer the client has.
    fn known_address(&self, asked: &Asked<'_>) -> Option<Ipv4Addr> {
        let mac = asked.view.mac();
        if let Some(address) = self.fixed(asked) {
            return Some(address);
        }
        let is_usable = |address: &Ipv4Addr| {
            self.pool.is_available(*address) && self.hosts.at(*address).is_none()
        };
        if let Some(address) = self.leased(asked).filter(is_usable) {
            return Some(address);
        }
        let wanted = asked.view.address_option(option::REQUESTED);
        let offered = self.pool.offered(mac).filter(is_usable);
        // An offer that a probe still is about is not known.
        let offered = offered.filter(|_| !self.pending.contains_key(&mac) && asked.n_tries == 0);
        offered.filter(|offered| wanted.is_none_or(|wanted| wanted == *offered))
    }

    /// The address that the definition gives a client, unless it cannot be given now.
    fn fixed(&self, asked: &Asked<'_>) -> Option<Ipv4Addr> {
        let (_, host) = self.host(asked)?;
        let address = host.address?;
        if self.pool.is_own(address) || self.pool.is_kept_from(address, asked.view.mac()) {
            return None;
        }
        match self.pool.lease_at(address) {
            Some(lease) if !self.is_its_lease(asked, lease) && lease.mac != host.mac => {
                tracing::warn!(%address, "the address of a host is leased to another client");
                None
            }
            _ => Some(address),
        }
    }

    /// Whether a lease is the one that the client of a message has.
    fn is_its_lease(&self, asked: &Asked<'_>, lease: &Lease) -> bool {
        self.lease(asked).is_some_and(|own| own.address == lease.address)
    }

    /// An address that a probe has to find free.
    fn unknown_address(&self, asked: &Asked<'_>) -> Option<Ipv4Addr> {
        let mac = asked.view.mac();
        if let Some(probed) = asked.probed.filter(|probed| self.is_free_for(*probed, asked)) {
            return Some(probed);
        }
        let wanted = asked.view.address_option(option::REQUESTED);
        if let Some(wanted) = wanted.filter(|wanted| self.is_free_for(*wanted, asked)) {
            return Some(wanted);
        }
        if let Some(offered) =
            self.pool.offered(mac).filter(|offered| self.is_free_for(*offered, asked))
        {
            return Some(offered);
        }
        self.oldest_of_many(asked).or_else(|| self.pool.choose(mac))
    }

    /// Whether a client can get an address that is not fixed for it.
    fn is_free_for(&self, address: Ipv4Addr, asked: &Asked<'_>) -> bool {
        self.pool.is_available(address)
            && self.hosts.at(address).is_none()
            && self.pool.lease_at(address).is_none()
            && !self.pool.is_kept_from(address, asked.view.mac())
    }

    /// Whether an Ethernet address has as many leases as it may have.
    fn has_many(&self, asked: &Asked<'_>) -> bool {
        self.pool.table().of_mac(asked.view.mac()).count() >= MAX_LEASES_PER_MAC
    }

    /// The lease that a further identifier of an Ethernet address with many leases gets.
    fn oldest_of_many(&self, asked: &Asked<'_>) -> Option<Ipv4Addr> {
        let of_mac = self.has_many(asked).then(|| self.pool.table().of_mac(asked.view.mac()))?;
        let oldest =
            of_mac.filter(|lease| lease.deadline.is_some()).min_by_key(|lease| lease.deadline)?;
        super::v4(oldest.address)
    }

    pub(super) fn request(
        &mut self,
        now: Now,
        asked: &Asked<'_>,
        rng: &mut dyn Rng,
        out: &mut Out,
    ) {
        let wanted = asked.view.address_option(option::REQUESTED);
        let address = wanted.unwrap_or_else(|| asked.view.ciaddr());
        let is_selecting = wanted.is_some() && asked.view.option(option::SERVER_ID).is_some();
        match self
            .check(now, asked, wanted, out)
            .and_then(|()| self.check_address(asked, address, is_selecting))
        {
            Err(No::Nak(text)) => self.send_nak(asked, text, out),
            Err(No::Silence(word)) => out.dropped(word),
            Ok(()) => {
                // A client that nothing is known of may remember what another machine has by now.
                let is_known = self.leased(asked) == Some(address)
                    || self.pool.offered(asked.view.mac()) == Some(address)
                    || self.fixed(asked) == Some(address);
                if !is_known && self.probe(now, asked, address, out) {
                    return;
                }
                let fuzz = if wanted.is_none() { rng.next_u32() & 0xffff } else { 0 };
                self.acknowledge(now, asked, address, fuzz, out);
            }
        }
    }

    /// Checks what a request says of server and state, before its address.
    fn check(
        &mut self,
        now: Now,
        asked: &Asked<'_>,
        wanted: Option<Ipv4Addr>,
        out: &mut Out,
    ) -> Result<(), No> {
        let leased = self.leased(asked);
        let server = asked.view.address_option(option::SERVER_ID);
        match (wanted, server) {
            // SELECTING
            (Some(wanted), Some(server)) => {
                if !self.pool.is_own(server) {
                    return self.foreign(asked, server);
                }
                if let Some(old) = leased.filter(|old| *old != wanted) {
                    self.end(now, old, End::Client, out);
                }
                Ok(())
            }
            // INIT-REBOOT
            (Some(wanted), None) => match leased {
                Some(leased) if leased != wanted => Err(No::Nak("wrong address")),
                _ => Ok(()),
            },
            // RENEWING, REBINDING
            (None, _) => match leased {
                Some(leased) if leased != asked.view.ciaddr() => {
                    // Heard by all: the lease may be another server's.
                    let no = if asked.from.is_unicast {
                        No::Nak("lease not found")
                    } else {
                        No::Silence("foreign-lease")
                    };
                    Err(no)
                }
                _ => Ok(()),
            },
        }
    }

    /// A client chose another server: its offer is free again. One that cannot exist is said to be wrong.
    fn foreign(&mut self, asked: &Asked<'_>, server: Ipv4Addr) -> Result<(), No> {
        self.pool.withdraw(asked.view.mac());
        if self.spec.is_on_link(server) && self.pool.lease_at(server).is_none() {
            return Err(No::Nak("wrong server-ID"));
        }
        Err(No::Silence("foreign-server"))
    }

    /// Checks whether a client can have the address of its request.
    ///
    /// dnsmasq: `dhcp_reply`, the part of `DHCPREQUEST`, src/rfc2131.c
    fn check_address(
        &self,
        asked: &Asked<'_>,
        address: Ipv4Addr,
        is_selecting: bool,
    ) -> Result<(), No> {
        let host = self.host(asked);
        let fixed = host.and_then(|(_, host)| host.address);
        if !self.spec.is_on_link(address) {
            return Err(No::Nak("wrong network"));
        }
        if !self.pool.is_available(address) && fixed != Some(address) || self.pool.is_own(address) {
            return Err(No::Nak("address not available"));
        }
        let is_better = |fixed: &Ipv4Addr| *fixed != address && self.fixed(asked) == Some(*fixed);
        if !is_selecting && fixed.as_ref().is_some_and(is_better) {
            return Err(No::Nak("static lease available"));
        }
        let holder = self.hosts.at(address);
        if holder.is_some() && holder != host.map(|(at, _)| at) {
            return Err(No::Nak("address reserved"));
        }
        let others = self.pool.lease_at(address).filter(|lease| !self.is_its_lease(asked, lease));
        let may_take = |lease: &Lease| {
            lease.mac == Some(asked.view.mac()) && (self.has_many(asked) || holder.is_some())
                || host.is_some_and(|(_, host)| host.mac.is_some() && host.mac == lease.mac)
        };
        if others.is_some_and(|lease| !may_take(lease)) {
            return Err(No::Nak("address in use"));
        }
        if self.pool.is_kept_from(address, asked.view.mac()) {
            return Err(No::Nak("address in use"));
        }
        if self.pool.lease_at(address).is_none() && self.pool.is_full() {
            return Err(No::Nak("no leases left"));
        }
        Ok(())
    }

    /// Gives or renews a lease and confirms it.
    fn acknowledge(
        &mut self,
        now: Now,
        asked: &Asked<'_>,
        address: Ipv4Addr,
        fuzz: u32,
        out: &mut Out,
    ) {
        let time = self.time(asked, address);
        let name = self.name(asked);
        let name = self.name_of_address(asked, address).map(|name| (name, true)).or(name);
        let is_durable = self.grant(now, asked, address, (time, name.as_ref()), out);
        let name = name.map(|(name, _)| name).or_else(|| self.name_said(asked));
        let name = name.as_ref();
        self.send_ack(asked, &Answer { address, time, name, fuzz }, is_durable, out);
    }

    /// The name that `<dns>` gives an address, for a client whose name the definition does not give.
    pub(super) fn name_of_address(&self, asked: &Asked<'_>, address: Ipv4Addr) -> Option<Name> {
        let has_name = self.host(asked).is_some_and(|(_, host)| host.name.is_some());
        self.facts.dns_names.get(&address).filter(|_| !has_name).cloned()
    }

    /// Writes a lease; returns whether the answer has to wait for its record.
    fn grant(
        &mut self,
        now: Now,
        asked: &Asked<'_>,
        address: Ipv4Addr,
        (time, name): (LeaseTime, Option<&(Name, bool)>),
        out: &mut Out,
    ) -> bool {
        let old = self.pool.lease_at(address).cloned();
        // The client may have had another one, if it was given without a request for that.
        if let Some(other) = self.leased(asked).filter(|other| *other != address) {
            self.end(now, other, End::Client, out);
        }
        let sent = asked.view.client_id().map(<[u8]>::to_vec);
        let own = old.as_ref().filter(|old| old.mac == Some(asked.view.mac()));
        let client_id = sent.or_else(|| own.and_then(|old| old.client_id.clone()));
        let label = name.map(|(name, _)| name.label.clone());
        // The definition's names come first.
        let is_taken = label.as_ref().is_some_and(|label| {
            let at = self.facts.dns_addresses.get(&label.to_ascii_lowercase());
            at.is_some_and(|at| *at != address)
        });
        let hostname = label.or_else(|| own.and_then(|old| old.hostname.clone()));
        let resolves = match name {
            Some((_, resolves)) => *resolves && !is_taken,
            None => own.is_none_or(|old| old.resolves),
        };
        let deadline = time
            .seconds()
            .map(|time| now.boot.saturating_add(std::time::Duration::from_secs(u64::from(time))));
        let mac = Some(asked.view.mac());
        let lease = Lease {
            address: address.into(),
            mac,
            client_id,
            iaid: None,
            hostname,
            resolves,
            deadline,
        };
        if let Some(name) = &lease.hostname {
            self.take_name(now, name, address, out);
        }
        let is_renewed = old.as_ref().is_some_and(|old| Lease { deadline, ..old.clone() } == lease);
        let info = lease.info(now);
        if is_renewed {
            out.records.push(Record::Renew(info.address, info.expiry));
            out.events.push(Event::Renewed(info));
        } else {
            if let Some(old) =
                old.filter(|old| old.mac != lease.mac || old.client_id != lease.client_id)
            {
                out.events.push(Event::Released(old.info(now), End::Client));
            }
            out.records.push(Record::Grant(info.clone()));
            out.events.push(Event::Added(info));
        }
        self.pool.withdraw(asked.view.mac());
        self.pool.insert(lease);
        !is_renewed
    }

    /// Takes a name from the lease that has it: the newest has the name.
    fn take_name(&mut self, now: Now, name: &str, address: Ipv4Addr, out: &mut Out) {
        let holders = self.pool.table().of_name(name);
        let holders: Vec<Lease> = holders
            .filter(|lease| lease.address != std::net::IpAddr::V4(address))
            .cloned()
            .collect();
        for lease in holders {
            let lease = Lease { hostname: None, ..lease };
            out.records.push(Record::Grant(lease.info(now)));
            out.events.push(Event::Added(lease.info(now)));
            self.pool.insert(lease);
        }
    }

    pub(super) fn decline(&mut self, now: Now, asked: &Asked<'_>, out: &mut Out) {
        let address = asked.view.address_option(option::REQUESTED);
        let Some(address) = address.filter(|_| self.is_for_us(asked)) else {
            return out.dropped("decline");
        };
        let had = self.leased(asked) == Some(address);
        if had {
            self.end(now, address, End::Client, out);
        }
        let is_fixed = self.host(asked).is_some_and(|(_, host)| host.address == Some(address));
        // Only the client of an address can say that it is in use.
        if had || is_fixed || self.pool.offered(asked.view.mac()) == Some(address) {
            self.bar(now, address, out);
        }
    }

    pub(super) fn released(&mut self, now: Now, asked: &Asked<'_>, out: &mut Out) {
        let address = asked.view.ciaddr();
        if !self.is_for_us(asked) || self.leased(asked) != Some(address) {
            return out.dropped("release");
        }
        self.end(now, address, End::Client, out);
    }

    fn is_for_us(&self, asked: &Asked<'_>) -> bool {
        asked.view.address_option(option::SERVER_ID).is_some_and(|server| self.pool.is_own(server))
    }

    pub(super) fn inform(&self, asked: &Asked<'_>, out: &mut Out) {
        let address = asked.view.ciaddr();
        if address.is_unspecified() {
            return out.dropped("inform");
        }
        let of_lease = || {
            let lease = self.pool.lease_at(address)?;
            Name::parse(lease.hostname.as_deref()?)
        };
        let name = self.name_said(asked).or_else(of_lease);
        let name = name.or_else(|| self.name_of_address(asked, address));
        self.send_information(asked, name.as_ref(), out);
    }

    /// BOOTP: hosts of the definition only, and for ever.
    pub(super) fn bootp(&mut self, now: Now, asked: &Asked<'_>, out: &mut Out) {
        let fixed = self.host(asked).and_then(|(_, host)| Some((host.address?, host.lease)));
        let Some((address, lease)) = fixed else {
            return out.dropped("bootp");
        };
        let holder = self.pool.lease_at(address);
        if holder.is_some_and(|lease| lease.mac != Some(asked.view.mac()))
            || self.pool.is_own(address)
        {
            return out.dropped("bootp");
        }
        let name = self
            .name(asked)
            .filter(|_| self.host(asked).is_some_and(|(_, host)| host.name.is_some()));
        let time = lease.unwrap_or(LeaseTime::Infinite);
        let is_durable = self.grant(now, asked, address, (time, name.as_ref()), out);
        self.send_bootp(asked, address, name.as_ref().map(|(name, _)| name), is_durable, out);
    }
}
