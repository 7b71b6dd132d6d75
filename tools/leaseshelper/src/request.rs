//! The request of dnsmasq, parsed from arguments and environment variables.
//!
//! dnsmasq(8), `--dhcp-script`; libvirt: src/network/leaseshelper.c

use oxivirt_netserv_api::lease_file::Lease;
use oxivirt_types::link_name::{LinkName, LinkNameError};

/// Why a call cannot be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RequestError {
    #[error("usage: oxivirt_leaseshelper add|old|del|init [MAC|CLIENTID IP [HOSTNAME]]")]
    Usage,
    #[error("unsupported action: {0}")]
    Action(String),
    #[error("neither DNSMASQ_INTERFACE nor VIR_BRIDGE_NAME is set")]
    NoInterface,
    #[error("the interface is not usable")]
    Interface(#[source] LinkNameError),
    #[error("DNSMASQ_LEASE_EXPIRES is no number of seconds: '{0}'")]
    Expiry(String),
}

/// A call of the helper.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The bridge whose leases are meant.
    pub(crate) bridge: LinkName,
    /// Identity of the DHCPv6 server.
    pub(crate) server_duid: Option<String>,
    pub(crate) action: Action,
}

/// What to do with the database.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Store a lease.
    Store(Lease),
    /// Write the database unchanged: a DHCPv6 lease without a known MAC address is not stored, since it could not
    /// be associated with a guest.
    Rewrite,
    /// Remove the lease of this address.
    Remove {
        /// The address.
        ip: String,
    },
    /// Print all leases, at the start of dnsmasq.
    Print,
}

impl Request {
    /// Parses a call. `args` are the arguments after the program name.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(crate) fn parse(
        args: &[String],
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, RequestError> {
        let (action, rest) = args.split_first().ok_or(RequestError::Usage)?;
        let (identity, ip, hostname) = match rest {
            [] => (None, None, None),
            [identity, ip] => (Some(identity), Some(ip), None),
            [identity, ip, hostname] => (Some(identity), Some(ip), Some(hostname)),
            _ => return Err(RequestError::Usage),
        };
        let bridge = ["DNSMASQ_INTERFACE", "VIR_BRIDGE_NAME"]
            .iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()))
            .ok_or(RequestError::NoInterface)?;
        let bridge = LinkName::new(&bridge).map_err(RequestError::Interface)?;

        let action = match (action.as_str(), identity, ip) {
            ("init", ..) => Action::Print,
            ("del", _, Some(ip)) => Action::Remove { ip: ip.clone() },
            ("add" | "old", Some(identity), Some(ip)) => {
                lease(identity, ip, hostname, &variable)?.map_or(Action::Rewrite, Action::Store)
            }
            ("add" | "old" | "del", ..) => return Err(RequestError::Usage),
            (other, ..) => return Err(RequestError::Action(other.to_owned())),
        };
        Ok(Self { bridge, server_duid: variable("DNSMASQ_SERVER_DUID"), action })
    }
}

fn lease(
    identity: &str,
    ip: &str,
    hostname: Option<&String>,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<Lease>, RequestError> {
    let expiry = match variable("DNSMASQ_LEASE_EXPIRES") {
        // some versions of dnsmasq append a blank to the number
        Some(text) => text.trim_end().parse().map_err(|_| RequestError::Expiry(text.clone()))?,
        None => 0,
    };
    let iaid = variable("DNSMASQ_IAID");
    // with an IAID this is DHCPv6, where a DUID identifies the client
    let (mac, client_id) = match iaid {
        Some(_) => (variable("DNSMASQ_MAC"), Some(identity.to_owned())),
        None => (Some(identity.to_owned()), variable("DNSMASQ_CLIENT_ID")),
    };
    let hostname = hostname
        .cloned()
        .or_else(|| variable("DNSMASQ_SUPPLIED_HOSTNAME"))
        .or_else(|| variable("DNSMASQ_OLD_HOSTNAME"));
    let ip = ip.to_owned();
    Ok(mac.map(|mac| Lease { iaid, ip, mac, hostname, client_id, expiry }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str, variables: &[(&str, &str)]) -> Result<Request, RequestError> {
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        Request::parse(&args, |name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const BRIDGE: (&str, &str) = ("VIR_BRIDGE_NAME", "virbr0");

    #[track_caller]
    fn check(args: &str, variables: &[(&str, &str)], expect: &Action) {
        let all = [&[BRIDGE], variables].concat();
        assert_eq!(&parse(args, &all).unwrap().action, expect);
    }

    #[track_caller]
    fn check_error(args: &str, variables: &[(&str, &str)], expect: &str) {
        assert_eq!(parse(args, variables).unwrap_err().to_string(), expect, "{args}");
    }

    fn lease(mac: &str, ip: &str) -> Lease {
        let (mac, ip) = (mac.to_owned(), ip.to_owned());
        Lease { iaid: None, ip, mac, hostname: None, client_id: None, expiry: 0 }
    }

    #[test]
    fn actions() {
        let plain = lease("m", "1.2.3.4");
        check("init", &[], &Action::Print);
        check("init a b", &[], &Action::Print);
        check("del m 1.2.3.4", &[], &Action::Remove { ip: "1.2.3.4".to_owned() });
        check("del m 1.2.3.4 h", &[], &Action::Remove { ip: "1.2.3.4".to_owned() });
        check("add m 1.2.3.4", &[], &Action::Store(plain.clone()));
        check("old m 1.2.3.4", &[], &Action::Store(plain.clone()));
        let expiry = 2_000_000_000;
        let variables = [("DNSMASQ_LEASE_EXPIRES", "2000000000 "), ("DNSMASQ_CLIENT_ID", "01")];
        let client_id = Some("01".to_owned());
        check("add m 1.2.3.4", &variables, &Action::Store(Lease { client_id, expiry, ..plain }));
    }

    #[test]
    fn the_first_host_name_wins() {
        let supplied = ("DNSMASQ_SUPPLIED_HOSTNAME", "supplied");
        let old = ("DNSMASQ_OLD_HOSTNAME", "old");
        for (args, variables, name) in [
            ("add m 1.2.3.4 given", &[supplied, old][..], "given"),
            ("add m 1.2.3.4", &[supplied, old], "supplied"),
            ("add m 1.2.3.4", &[old], "old"),
            ("add m 1.2.3.4", &[("DNSMASQ_SUPPLIED_HOSTNAME", ""), old], ""),
        ] {
            let hostname = Some(name.to_owned());
            let expect = Lease { hostname, ..lease("m", "1.2.3.4") };
            check(args, variables, &Action::Store(expect));
        }
    }

    #[test]
    fn an_iaid_means_ipv6() {
        let iaid = ("DNSMASQ_IAID", "T9");
        let (known, client_id) = (Some("T9".to_owned()), Some("00:03".to_owned()));
        let expect = Lease { iaid: known, client_id, ..lease("m", "fd::1") };
        check("add 00:03 fd::1", &[iaid, ("DNSMASQ_MAC", "m")], &Action::Store(expect));
        check("add 00:03 fd::1", &[iaid], &Action::Rewrite);
    }

    #[test]
    fn bridge_and_server() {
        let request = parse(
            "init",
            &[("DNSMASQ_INTERFACE", "virbr1"), BRIDGE, ("DNSMASQ_SERVER_DUID", "00:01")],
        );
        let request = request.unwrap();
        assert_eq!(request.bridge.as_str(), "virbr1");
        assert_eq!(request.server_duid.as_deref(), Some("00:01"));
        let request = parse("init", &[("DNSMASQ_INTERFACE", ""), BRIDGE]).unwrap();
        assert_eq!(request.bridge.as_str(), "virbr0");
    }

    #[test]
    fn bad_calls() {
        let usage = RequestError::Usage.to_string();
        for args in ["", "add", "add m", "init a", "add m i h x", "del"] {
            check_error(args, &[BRIDGE], &usage);
        }
        check_error("foo", &[BRIDGE], "unsupported action: foo");
        check_error("init", &[], "neither DNSMASQ_INTERFACE nor VIR_BRIDGE_NAME is set");
        check_error("init", &[("VIR_BRIDGE_NAME", "../x")], "the interface is not usable");
        for expiry in ["12x", "", "99999999999999999999"] {
            let message = format!("DNSMASQ_LEASE_EXPIRES is no number of seconds: '{expiry}'");
            check_error("add m i", &[BRIDGE, ("DNSMASQ_LEASE_EXPIRES", expiry)], &message);
        }
    }
}
