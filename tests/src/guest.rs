//! A guest of a network, with the programs that a real guest runs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::host::{Host, program};
use crate::netns::Netns;
use crate::probe::{Outcome, Protocol, Question};
use crate::process::Running;
use crate::root::TempRoot;

/// Configures the interface as the DHCP server says, and writes down what it said.
const DHCP_SCRIPT: &str = r#"#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
[ -z "$router" ] || ip route add default via "${router%% *}"
printf 'ip=%s\nmask=%s\nrouter=%s\ndns=%s\n' "$ip" "$mask" "$router" "$dns" > "$LEASE"
"#;

/// What a DHCP server told a guest.
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

    /// The guest's namespaces.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Gets an address with a DHCP client, under a host name.
    ///
    /// # Errors
    /// No lease within 20 s.
    #[expect(clippy::disallowed_methods, reason = "a script of the test, not run yet")]
    pub fn dhcp(&self, name: &str) -> Result<Lease> {
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
            .env("LEASE", &lease)
            .stdout()?;
        read_lease(&lease)
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
    let probe = program("oxivirt-probe")?;
    let words = [probe.as_os_str(), verb.as_ref(), argument.as_ref()];
    let mut running = netns.run(words).start()?;
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
    let any: IpAddr = if to.is_ipv6() { [0; 16].into() } else { [0; 4].into() };
    let question =
        Question { number: 0, protocol: Protocol::Tcp, from: SocketAddr::new(any, 0), to };
    let probe = program("oxivirt-probe")?;
    let words = [probe.as_os_str(), "ask".as_ref()];
    let answer = netns.run(words).input(format!("{question}\n")).stdout()?;
    let (_, outcome) = answer.trim_end().split_once(' ').unwrap_or_default();
    outcome.parse()
}

fn read_lease(path: &PathBuf) -> Result<Lease> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path))?;
    let fields: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once('=')).collect();
    let address = |name: &str| {
        let first = fields.get(name)?.split_whitespace().next()?;
        first.parse().ok()
    };
    Ok(Lease {
        address: address("ip")
            .ok_or_else(|| Error::Format { what: "a lease".into(), found: text.clone() })?,
        router: address("router"),
        dns: address("dns"),
    })
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
