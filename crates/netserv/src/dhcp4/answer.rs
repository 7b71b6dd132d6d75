//! Replies: their options, and the way they take.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use oxivirt_netserv_api::LeaseTime;

use super::names::{self, Name};
use super::{Asked, Dhcp4};
use crate::Out;
use crate::out::{Datagram, Socket, To};
use crate::wire::dhcp4::{Reply, option};
use crate::wire::ip4;

const OFFER: u8 = 2;
const ACK: u8 = 5;
const NAK: u8 = 6;
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

/// What a client is offered or gets.
pub(super) struct Answer<'a> {
    pub(super) address: Ipv4Addr,
    pub(super) time: LeaseTime,
    pub(super) name: Option<&'a Name>,
    /// By how many seconds at most the client renews earlier, so that not all do at once.
    pub(super) fuzz: u32,
}

/// How a reply leaves.
#[derive(Clone, Copy)]
struct Way {
    /// The address that the client has.
    ciaddr: Ipv4Addr,
    /// The address that it gets.
    yiaddr: Ipv4Addr,
    is_broadcast: bool,
    /// Whether the source of the message is believed, whatever the client says.
    is_inform: bool,
    after_records: bool,
}

impl Dhcp4 {
    pub(super) fn send_offer(&self, asked: &Asked<'_>, answer: &Answer<'_>, out: &mut Out) {
        let reply = self.lease_reply(asked, OFFER, answer);
        self.send(asked, reply, self.way(asked, answer.address, false), out);
    }

    pub(super) fn send_ack(
        &self,
        asked: &Asked<'_>,
        answer: &Answer<'_>,
        after_records: bool,
        out: &mut Out,
    ) {
        let reply = self.lease_reply(asked, ACK, answer);
        self.send(asked, reply, self.way(asked, answer.address, after_records), out);
    }

    pub(super) fn send_information(&self, asked: &Asked<'_>, name: Option<&Name>, out: &mut Out) {
        let mut reply = Reply::to(&asked.view);
        reply.option(option::MESSAGE_TYPE, &[ACK]);
        reply.address(option::SERVER_ID, self.spec.address);
        self.common(asked, &mut reply, name);
        let way = Way { is_inform: true, ..self.way(asked, Ipv4Addr::UNSPECIFIED, false) };
        self.send(asked, reply, way, out);
    }

    pub(super) fn send_bootp(
        &self,
        asked: &Asked<'_>,
        address: Ipv4Addr,
        name: Option<&Name>,
        after_records: bool,
        out: &mut Out,
    ) {
        let mut reply = Reply::to(&asked.view);
        reply.limit_to_bootp();
        reply.yiaddr(address);
        self.common(asked, &mut reply, name);
        self.send(asked, reply, self.way(asked, address, after_records), out);
    }

    /// Refuses; heard by all, as the client has no address that it may use.
    ///
    /// dnsmasq leaves a client outside of the subnet the way it came, if it asked us alone.
    pub(super) fn send_nak(&self, asked: &Asked<'_>, text: &str, out: &mut Out) {
        let mut reply = Reply::to(&asked.view);
        reply.option(option::MESSAGE_TYPE, &[NAK]);
        reply.address(option::SERVER_ID, self.spec.address);
        reply.option(option::MESSAGE, &terminated(text, asked.name.is_terminated));
        reply.broadcast();
        reply.clear_ciaddr();
        let none = Ipv4Addr::UNSPECIFIED;
        let way = Way { ciaddr: none, is_broadcast: true, ..self.way(asked, none, false) };
        self.send(asked, reply, way, out);
    }

    /// An offer or a confirmation.
    fn lease_reply(&self, asked: &Asked<'_>, kind: u8, answer: &Answer<'_>) -> Reply {
        let mut reply = Reply::to(&asked.view);
        reply.yiaddr(answer.address);
        reply.option(option::MESSAGE_TYPE, &[kind]);
        reply.address(option::SERVER_ID, self.spec.address);
        let seconds = answer.time.seconds();
        reply.number(option::LEASE_TIME, seconds.unwrap_or(u32::MAX));
        if let Some(seconds) = seconds {
            let (t1, t2) = renewal(seconds, answer.fuzz);
            reply.number(option::T1, t1);
            reply.number(option::T2, t2);
        }
        self.common(asked, &mut reply, answer.name);
        reply
    }

    /// What all replies but refusals have, in dnsmasq's order.
    ///
    /// dnsmasq: `do_options`, src/rfc2131.c
    fn common(&self, asked: &Asked<'_>, reply: &mut Reply, name: Option<&Name>) {
        let own = self.spec.address;
        reply.siaddr(self.spec.boot.as_ref().and_then(|boot| boot.server).unwrap_or(own));
        if let Some(boot) = &self.spec.boot {
            reply.file(&boot.file);
        }
        reply.address(option::NETMASK, self.spec.netmask());
        reply.address(option::BROADCAST, self.spec.broadcast());
        let wants = |number| asked.view.wants(number);
        if self.facts.is_router && wants(option::ROUTER) {
            reply.address(option::ROUTER, own);
        }
        if self.facts.is_resolver && wants(option::DNS) {
            reply.address(option::DNS, own);
        }
        let text = |text: &str| terminated(text, asked.name.is_terminated);
        let domain = self.facts.domain.as_deref();
        if let Some(domain) = domain.filter(|_| wants(option::DOMAIN)) {
            reply.option(option::DOMAIN, &text(domain));
        }
        if let Some(name) = name {
            if wants(option::HOSTNAME) {
                reply.option(option::HOSTNAME, &text(&name.label));
            }
            if let Some(flags) = asked.name.fqdn {
                let value = names::fqdn(flags, &name.label, domain, asked.name.is_terminated);
                reply.option(option::FQDN, &value);
            }
        }
        if let Some(mtu) = self.facts.mtu_option.filter(|_| wants(option::MTU)) {
            reply.option(option::MTU, &mtu.to_be_bytes());
        }
    }

    fn way(&self, asked: &Asked<'_>, yiaddr: Ipv4Addr, after_records: bool) -> Way {
        Way {
            ciaddr: asked.view.ciaddr(),
            yiaddr,
            is_broadcast: asked.view.wants_broadcast(),
            is_inform: false,
            after_records,
        }
    }

    /// RFC 2131 §4.1; dnsmasq: `dhcp_packet`, src/dhcp.c
    fn send(&self, asked: &Asked<'_>, reply: Reply, way: Way, out: &mut Out) {
        let bytes = reply.finish();
        let giaddr = asked.view.giaddr();
        let own = self.spec.address;
        let ip = |address: Ipv4Addr, port| To::Ip(SocketAddr::new(address.into(), port));
        let (socket, to, bytes) = if !giaddr.is_unspecified() {
            (Socket::Dhcp4, ip(giaddr, SERVER_PORT), bytes)
        } else if !way.ciaddr.is_unspecified() {
            let source = asked.from.source;
            let is_believed = source.port() != 0
                && !source.ip().is_unspecified()
                && (way.is_inform || source.ip() == IpAddr::V4(way.ciaddr));
            let to = if is_believed { To::Ip(source) } else { ip(way.ciaddr, CLIENT_PORT) };
            (Socket::Dhcp4, to, bytes)
        } else if way.is_broadcast {
            (Socket::Dhcp4, ip(Ipv4Addr::BROADCAST, CLIENT_PORT), bytes)
        } else {
            let Some(packet) = ip4::udp((own, SERVER_PORT), (way.yiaddr, CLIENT_PORT), &bytes)
            else {
                return out.dropped("reply-length");
            };
            (Socket::Link, To::Link(asked.view.mac()), packet)
        };
        let after_records = way.after_records;
        out.datagrams.push(Datagram { socket, to, source: Some(own.into()), bytes, after_records });
    }
}

/// A text, with a zero byte for clients that need one.
fn terminated(text: &str, is_terminated: bool) -> Vec<u8> {
    text.bytes().chain(is_terminated.then_some(0)).collect()
}

/// When a client renews with us and when with anybody, in seconds.
fn renewal(seconds: u32, mut fuzz: u32) -> (u32, u32) {
    let t1 = seconds / 2;
    let t2 = u32::try_from(u64::from(seconds) * 7 / 8).unwrap_or(seconds);
    while fuzz > t1 / 8 {
        fuzz /= 2;
    }
    (t1.saturating_sub(fuzz), t2.saturating_sub(fuzz))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_are_spread() {
        assert_eq!(renewal(3600, 0), (1800, 3150));
        let (t1, t2) = renewal(3600, 0xffff);
        assert_eq!(t2 - t1, 1350);
        assert!(t1 >= 1800 - 225);
        assert_eq!(renewal(0, 7), (0, 0));
        assert_eq!(renewal(u32::MAX - 1, 0).1, 3_758_096_382);
    }
}
