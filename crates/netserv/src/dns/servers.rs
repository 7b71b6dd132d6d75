//! Which name servers a network asks, and which of them are worth asking now.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use oxivirt_netserv_api::NetworkSpec;

use crate::wire::dns::Name;

/// Port of name servers.
const PORT: u16 = 53;

/// How long a server that did not answer is passed over.
const DEAD_FOR: Duration = Duration::from_secs(30);

/// The servers of a network: those of its definition, and the host's where it has none.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    /// Domains with servers of their own, the longest first; none stands for the host's servers.
    domains: Vec<(Name, Vec<Option<SocketAddr>>)>,
    /// Servers for all other names; none stands for the host's servers.
    others: Vec<Option<SocketAddr>>,
    /// Whether the host's servers are never asked.
    is_without_host: bool,
}

/// The host's name servers and the state of all servers.
#[derive(Debug, Default)]
pub(crate) struct HostServers {
    system: Vec<SocketAddr>,
    own: Vec<IpAddr>,
    dead: HashMap<SocketAddr, Duration>,
}

impl Servers {
    /// The servers of a definition.
    #[must_use]
    pub(crate) fn new(spec: &NetworkSpec) -> Self {
        let forwarders = spec.dns.as_ref().map_or(&[][..], |dns| &dns.forwarders);
        let mut servers =
            Self { domains: Vec::new(), others: Vec::new(), is_without_host: !spec.is_forwarded };
        for forwarder in forwarders {
            let address = forwarder.address.map(|address| SocketAddr::new(address, PORT));
            let Some(domain) = &forwarder.domain else {
                servers.is_without_host |= address.is_some();
                servers.others.extend(address.map(Some));
                continue;
            };
            let Ok(domain) = Name::from_text(domain) else { continue };
            match servers.domains.iter_mut().find(|(known, _)| *known == domain) {
                Some((_, targets)) => targets.push(address),
                None => servers.domains.push((domain, vec![address])),
            }
        }
        if servers.others.is_empty() {
            servers.others.push(None);
        }
        servers.domains.sort_by_key(|(domain, _)| std::cmp::Reverse(domain.n_labels()));
        servers
    }

    /// The servers to ask for a name, in order. Empty if the question must not leave the host.
    #[must_use]
    pub(crate) fn of_name(&self, name: &Name, host: &HostServers) -> Arc<[SocketAddr]> {
        let domain = self.domains.iter().find(|(domain, _)| name.is_in(domain));
        let targets = domain.map_or(&self.others, |(_, targets)| targets);
        let mut servers = Vec::new();
        for target in targets {
            match target {
                Some(server) => servers.push(*server),
                None if self.is_without_host => {}
                None => servers.extend(&host.system),
            }
        }
        servers.retain(|server| !host.own.contains(&server.ip()));
        servers.into()
    }
}

impl HostServers {
    /// Sets the host's name servers, in order.
    pub(crate) fn set_system(&mut self, servers: &[IpAddr]) {
        self.system = servers.iter().map(|server| SocketAddr::new(*server, PORT)).collect();
        self.dead.clear();
    }

    /// Sets the addresses that this service itself answers at: asking them would be a circle.
    pub(crate) fn set_own(&mut self, own: Vec<IpAddr>) {
        self.own = own;
    }

    /// Notes that a server did not answer.
    pub(crate) fn set_dead(&mut self, now: Duration, server: SocketAddr) {
        self.dead.retain(|_, until| *until > now);
        self.dead.insert(server, now.saturating_add(DEAD_FOR));
    }

    /// Notes that a server answered.
    pub(crate) fn set_alive(&mut self, server: SocketAddr) {
        self.dead.remove(&server);
    }

    /// Puts the servers that did not answer lately behind the others; both keep their order.
    #[must_use]
    pub(crate) fn in_order(&self, now: Duration, servers: &[SocketAddr]) -> Vec<SocketAddr> {
        let is_dead = |server: &SocketAddr| self.dead.get(server).is_some_and(|until| *until > now);
        let mut ordered = servers.to_vec();
        ordered.sort_by_key(is_dead);
        ordered
    }
}

#[cfg(test)]
mod tests {
    use oxivirt_netserv_api::{DnsSpec, Forwarder};
    use uuid::Uuid;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn servers(is_forwarded: bool, forwarders: &[(Option<&str>, Option<&str>)]) -> Servers {
        let mut spec = NetworkSpec::new(Uuid::nil(), "virbr0", 7, [0; 6]);
        spec.is_forwarded = is_forwarded;
        let forwarders = forwarders.iter().map(|(domain, address)| Forwarder {
            domain: domain.map(ToOwned::to_owned),
            address: address.map(ip),
        });
        spec.dns = Some(DnsSpec { forwarders: forwarders.collect(), ..DnsSpec::default() });
        Servers::new(&spec)
    }

    #[track_caller]
    fn check(servers: &Servers, name: &str, expected: &[&str]) {
        let mut host = HostServers::default();
        host.set_system(&[ip("192.0.2.1"), ip("192.0.2.2"), ip("10.0.0.1")]);
        host.set_own(vec![ip("10.0.0.1")]);
        let found = servers.of_name(&Name::from_text(name).unwrap(), &host);
        let expected: Vec<_> = expected.iter().map(|ip_| SocketAddr::new(ip(ip_), 53)).collect();
        assert_eq!(found[..], expected[..], "{name}");
    }

    #[test]
    fn the_longest_domain_decides() {
        let all = servers(
            true,
            &[
                (Some("test"), Some("198.51.100.1")),
                (Some("a.test"), Some("198.51.100.2")),
                (Some("a.test"), Some("198.51.100.3")),
                (Some("sys.test"), None),
            ],
        );
        check(&all, "x.test", &["198.51.100.1"]);
        check(&all, "x.A.test", &["198.51.100.2", "198.51.100.3"]);
        check(&all, "ba.test", &["198.51.100.1"]);
        check(&all, "sys.test", &["192.0.2.1", "192.0.2.2"]);
        check(&all, "example", &["192.0.2.1", "192.0.2.2"]);
    }

    #[test]
    fn an_address_without_domain_replaces_the_hosts_servers() {
        let all = servers(true, &[(None, Some("198.51.100.9")), (Some("sys.test"), None)]);
        check(&all, "example", &["198.51.100.9"]);
        check(&all, "a.sys.test", &[]);
    }

    #[test]
    fn an_isolated_network_asks_only_its_own_forwarders() {
        check(&servers(false, &[]), "example", &[]);
        check(&servers(false, &[(Some("test"), Some("198.51.100.1"))]), "example", &[]);
        check(
            &servers(false, &[(Some("test"), Some("198.51.100.1"))]),
            "a.test",
            &["198.51.100.1"],
        );
    }

    #[test]
    fn dead_servers_come_last() {
        let mut host = HostServers::default();
        let list: Vec<SocketAddr> =
            ["1.1.1.1:53", "2.2.2.2:53", "3.3.3.3:53"].map(|s| s.parse().unwrap()).into();
        let now = Duration::from_secs(100);
        host.set_dead(now, list[0]);
        assert_eq!(host.in_order(now, &list), [list[1], list[2], list[0]]);
        assert_eq!(host.in_order(now + DEAD_FOR, &list), list);
        host.set_alive(list[0]);
        assert_eq!(host.in_order(now, &list), list);
    }
}
