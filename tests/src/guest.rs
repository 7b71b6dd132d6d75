//! A guest of a network, with the programs that a real guest runs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;

use crate::error::{Error, Result};
use crate::host::{Host, campaign};
use crate::netns::Netns;
use crate::probe::{Outcome, Protocol, Question};
use crate::process::Running;
use crate::root::TempRoot;

/// Configures the interface as the DHCP server says, and writes down what it said.
const DHCP_SCRIPT: &str = r#"#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
[ -z "$router" ] || ip route add default via "${router%% *}"
env > "$LEASE"
"#;

/// The options that a DHCP server sent to a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The guest's address.
    pub address: Ipv4Addr,
    /// The default router, if any.
    pub router: Option<Ipv4Addr>,
    /// The name server, if any.
    pub dns: Option<Ipv4Addr>,
}

/// A namespace on a bridge of a host.
#[derive(Debug)]
pub struct Guest {
    netns: Netns,
    files: TempRoot,
    /// The host's end of the link.
    port: String,
}

impl Guest {
    /// Attaches a new guest to a bridge; returns once the bridge forwards.
    ///
    /// # Errors
    /// See [`Netns::attach`].
    pub fn on(host: &Host, bridge: &str, port: &str) -> Result<Self> {
        let netns = host.netns().nested()?;
        host.netns().attach(bridge, port, &netns)?;
        Ok(Self { netns, files: TempRoot::new()?, port: port.to_owned() })
    }

    /// The same for a guest whose interface has a hardware address that was chosen for it.
    ///
    /// # Errors
    /// See [`Netns::attach`].
    pub fn with_mac(host: &Host, bridge: &str, port: &str, mac: &str) -> Result<Self> {
        let netns = host.netns().nested()?;
        host.netns().veth(port, &netns, "eth0")?;
        netns.sh(&format!("ip link set eth0 address {mac} up"))?;
        host.netns().sh(&format!("ip link set {port} master {bridge} up"))?;
        host.netns().wait_forwarding(port)?;
        Ok(Self { netns, files: TempRoot::new()?, port: port.to_owned() })
    }

    /// A neighbour of the host: the link `port` of the host leads to it, both ends are up and have
    /// their addresses, `ADDRESS/PREFIX`. It knows no way but to the host's network.
    ///
    /// # Errors
    /// The link exists, or an address is refused.
    pub fn beside(host: &Host, port: &str, addresses: &[(&str, &str)]) -> Result<Self> {
        let netns = host.netns().nested()?;
        host.netns().veth(port, &netns, "eth0")?;
        for (ours, its) in addresses {
            let nodad = if ours.contains(':') { "nodad" } else { "" };
            host.netns().sh(&format!("ip address add {ours} dev {port} {nodad}"))?;
            netns.sh(&format!("ip address add {its} dev eth0 {nodad}"))?;
        }
        host.netns().sh(&format!("ip link set {port} up"))?;
        netns.sh("ip link set eth0 up")?;
        Ok(Self { netns, files: TempRoot::new()?, port: port.to_owned() })
    }

    /// A guest with a link of its own on a device of the host, as a domain driver makes it for a
    /// direct network: a macvlan in `mode`, which is a macvtap without its character device.
    ///
    /// # Errors
    /// No such device, or it is given away exclusively.
    pub fn direct(host: &Host, device: &str, mode: &str, port: &str, mac: &str) -> Result<Self> {
        let mode = if mode == "passthrough" { "passthru" } else { mode };
        let netns = host.netns().nested()?;
        host.netns().sh(&format!(
            "ip link add link {device} name {port} address {mac} type macvlan mode {mode}"
        ))?;
        host.netns().give(port, &netns, "eth0")?;
        netns.sh("ip link set eth0 up")?;
        Ok(Self { netns, files: TempRoot::new()?, port: port.to_owned() })
    }

    /// Gives the guest an address, `ADDRESS/PREFIX`, and a default route, as its owner would by hand.
    ///
    /// # Errors
    /// The address or the router is refused.
    pub fn configure(&self, address: &str, router: &str) -> Result<()> {
        let nodad = if address.contains(':') { "nodad" } else { "" };
        let script = format!(
            "ip address add {address} dev eth0 {nodad}
             ip route add default via {router}"
        );
        self.netns.sh(&script).map(drop)
    }

    /// The guest's namespaces.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Gets an address with a DHCP client, under a host name.
    ///
    /// # Errors
    /// No lease within 20 s.
    pub fn dhcp(&self, name: &str) -> Result<Lease> {
        let fields = self.dhcp_fields(name, &[])?;
        let address = |name: &str| fields.get(name)?.split_whitespace().next()?.parse().ok();
        Ok(Lease {
            address: address("ip").ok_or_else(|| Error::Format {
                what: "a lease".into(),
                found: format!("{fields:?}"),
            })?,
            router: address("router"),
            dns: address("dns"),
        })
    }

    /// The same with more arguments for the client; all options of the server, by udhcpc's names:
    /// `ip`, `mask` (a prefix length), `router`, `dns`, `domain`, `lease` (seconds), `mtu`,
    /// `boot_file`, `siaddr` and so on.
    ///
    /// # Errors
    /// No lease within 20 s.
    #[expect(clippy::disallowed_methods, reason = "a script of the test, not run yet")]
    pub fn dhcp_fields(&self, name: &str, more: &[&str]) -> Result<BTreeMap<String, String>> {
        let script = self.files.join("dhcp-script");
        std::fs::write(&script, DHCP_SCRIPT).map_err(Error::file(&script))?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))
            .map_err(Error::file(&script))?;
        let lease = self.files.join("lease");
        let hostname = format!("hostname:{name}");
        // -n -q: end with the first lease, or without one.
        let client = ["busybox", "udhcpc", "-f", "-n", "-q", "-i", "eth0", "-t", "10", "-T", "2"];
        self.netns
            .run(client)
            .args(["-x", &hostname, "-s"])
            .args([&script])
            .args(more)
            .env("LEASE", &lease)
            .stdout()?;
        let text = std::fs::read_to_string(&lease).map_err(Error::file(&lease))?;
        let fields = text.lines().filter_map(|line| line.split_once('='));
        Ok(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Asks a name server; the lines of the answer.
    ///
    /// `kind` is `a`, `aaaa`, `ptr`, `srv`, `txt` and so on.
    ///
    /// # Errors
    /// No such name, or no answer.
    pub fn lookup(&self, kind: &str, name: &str, server: &str) -> Result<String> {
        let kind = format!("-type={kind}");
        self.netns.run(["busybox", "nslookup", &kind, name, server]).stdout()
    }

    /// Whether a host answers an echo request. One that gets lost while a neighbour is looked up
    /// is asked again.
    ///
    /// # Errors
    /// The program could not be run.
    pub fn pings(&self, to: &str) -> Result<bool> {
        let ping = if to.contains(':') { "ping6" } else { "ping" };
        let words = ["busybox", ping, "-c", "1", "-W", "1", to];
        for _ in 0..2 {
            if self.netns.run(words).output()?.status.success() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Asks a name server for the IPv4 address of a name.
    ///
    /// # Errors
    /// No such name, or no answer.
    pub fn resolve(&self, name: &str, server: Ipv4Addr) -> Result<Ipv4Addr> {
        let server = server.to_string();
        let words = ["busybox", "nslookup", "-type=a", name, &server];
        let answer = self.netns.run(words).stdout()?;
        parse_answer(&answer)
            .ok_or_else(|| Error::Format { what: "the name server's answer".into(), found: answer })
    }

    /// Tries a TCP connection to a host that answers ([`serve`]).
    ///
    /// # Errors
    /// The probe could not be run.
    pub fn connect(&self, to: IpAddr) -> Result<Outcome> {
        connect(&self.netns, to)
    }

    /// Removes the guest's link from the host.
    ///
    /// # Errors
    /// It is gone already.
    pub fn detach(&self, host: &Host) -> Result<()> {
        host.netns().sh(&format!("ip link delete {}", self.port)).map(drop)
    }
}

/// Answers probes on the given address, from inside a namespace, until dropped.
///
/// # Errors
/// The address cannot be bound.
pub fn serve(netns: &Netns, address: IpAddr) -> Result<Running> {
    start_probe(netns, "serve", &address.to_string())
}

/// Holds a TCP port, `ADDRESS:PORT`, inside a namespace, until dropped.
///
/// # Errors
/// The port is taken.
pub fn occupy(netns: &Netns, port: &str) -> Result<Running> {
    start_probe(netns, "occupy", port)
}

fn start_probe(netns: &Netns, verb: &str, argument: &str) -> Result<Running> {
    probe(netns, &[verb, argument])
}

/// Starts a probe that runs until it is dropped or finished; it is ready when this returns.
///
/// # Errors
/// It could not be started.
pub fn probe(netns: &Netns, words: &[&str]) -> Result<Running> {
    let mut running = campaign("probe")?.args(words).behind(netns.prefix()).start()?;
    match running.line()?.as_str() {
        "ready" => Ok(running),
        other => Err(Error::Format { what: "a probe's answer".into(), found: other.into() }),
    }
}

/// Tries a TCP connection from inside a namespace to a host that answers ([`serve`]).
///
/// # Errors
/// The probe could not be run.
pub fn connect(netns: &Netns, to: IpAddr) -> Result<Outcome> {
    ask_one(netns, Protocol::Tcp, 0, to)
}

/// Asks a host that answers ([`serve`]) from inside a namespace, from a port or any (0).
///
/// # Errors
/// The probe could not be run.
pub fn ask_one(netns: &Netns, protocol: Protocol, port: u16, to: IpAddr) -> Result<Outcome> {
    let any: IpAddr = if to.is_ipv6() { [0; 16].into() } else { [0; 4].into() };
    let question = Question { number: 0, protocol, from: SocketAddr::new(any, port), to };
    let probe = campaign("probe")?.args(["ask"]).behind(netns.prefix());
    let answer = probe.input(format!("{question}\n")).stdout()?;
    let (_, outcome) = answer.trim_end().split_once(' ').unwrap_or_default();
    outcome.parse()
}

/// The address below `Name:`; the one above is the server's.
fn parse_answer(answer: &str) -> Option<Ipv4Addr> {
    let (_, found) = answer.split_once("Name:")?;
    found.lines().find_map(|line| line.strip_prefix("Address")?.rsplit(' ').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, expect: Option<[u8; 4]>) {
        assert_eq!(parse_answer(answer), expect.map(Ipv4Addr::from), "{answer}");
    }

    #[test]
    fn answers_of_both_kinds_are_read() {
        let server = "Server:\t\t192.0.2.1\nAddress:\t192.0.2.1:53\n\n";
        check(&format!("{server}Name:\tx\nAddress: 192.0.2.7\n"), Some([192, 0, 2, 7]));
        check("Server: 192.0.2.1\nName:      x\nAddress 1: 192.0.2.8\n", Some([192, 0, 2, 8]));
        check(&format!("{server}** server can't find x: NXDOMAIN\n"), None);
        check("", None);
    }
}
