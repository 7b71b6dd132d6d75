//! The table of expected results: a probe a row, columns separated by tabs.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::probe::{Outcome, Protocol};

/// The name of the host that runs the networks; `host[ADDRESS]` sends from that address.
pub(super) const ROUTER: &str = "host";

/// After the name of a host: sends from its address outside of the subnet.
pub(super) const SPOOFED: &str = "spoof";

/// The address family of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

/// A probe and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The sender.
    pub from: String,
    /// The host that is asked.
    pub to: String,
    /// The family of its address.
    pub family: Family,
    /// Connection or datagram.
    pub protocol: Protocol,
    /// The sender's port, 0 for any.
    pub source_port: u16,
    /// `delivered`, `refused` or `timeout`.
    result: String,
    /// The sender's address as the asked host saw it, `self` if unchanged.
    seen: String,
    /// Whether a source port below 1024 was seen unchanged.
    low_port_kept: bool,
}

impl Row {
    /// Whether an answer came back.
    pub fn is_delivered(&self) -> bool {
        self.result == "delivered"
    }

    /// Whether an unexpected outcome says more about the machine than about the rules.
    ///
    /// Silence can be a loaded machine. A rejected IPv6 connection is silent where the kernel drops
    /// an ICMPv6 error because connect(2) still holds the socket (`tcp_v6_err`), which depends on
    /// when the packet is processed.
    pub(super) fn may_be_chance(&self, outcome: &Outcome) -> bool {
        let expected = self.result.as_str();
        match outcome {
            Outcome::Timeout => expected != "timeout",
            Outcome::Refused => {
                expected == "timeout" && self.family == Family::V6 && self.protocol == Protocol::Tcp
            }
            Outcome::Delivered { .. } => false,
        }
    }

    /// Whether the sender uses its address outside of the subnet.
    pub fn is_spoofed(&self) -> bool {
        self.from.ends_with(SPOOFED)
    }

    /// The source address that the router is asked to use.
    pub(super) fn router_address(&self) -> Result<Option<IpAddr>> {
        let inner = self.from.strip_prefix(ROUTER).and_then(|rest| rest.strip_prefix('['));
        let Some(inner) = inner else { return Ok(None) };
        let wrong = || Error::Format { what: "a sender".into(), found: self.from.clone() };
        inner.trim_end_matches(']').parse().map(Some).map_err(|_| wrong())
    }

    /// The same probe with another result.
    #[must_use]
    pub fn with(&self, outcome: &Outcome) -> Self {
        let mut row = Self {
            result: outcome.to_string().split(' ').next().unwrap_or_default().to_owned(),
            seen: String::new(),
            low_port_kept: false,
            ..self.clone()
        };
        if let Outcome::Delivered { seen, sent } = outcome {
            // Which of its addresses the router chose is part of the result.
            let unchanged = seen.ip() == sent.ip() && self.from != ROUTER;
            row.seen = if unchanged { "self".to_owned() } else { seen.ip().to_string() };
            row.low_port_kept = (1..1024).contains(&self.source_port) && seen.port() == sent.port();
        }
        row
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            Family::V4 => "v4",
            Family::V6 => "v6",
        };
        let Self { from, to, protocol, source_port, result, seen, low_port_kept, .. } = self;
        write!(
            f,
            "{from}\t{to}\t{family}\t{protocol}\t{source_port}\t{result}\t{seen}\t{low_port_kept}"
        )
    }
}

impl FromStr for Row {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self> {
        let wrong = || Error::Format { what: "a row".into(), found: line.into() };
        let columns: Vec<&str> = line.split('\t').collect();
        let [from, to, family, protocol, source_port, result, seen, low_port_kept] = columns[..]
        else {
            return Err(wrong());
        };
        if !["delivered", "refused", "timeout"].contains(&result) {
            return Err(wrong());
        }
        Ok(Self {
            from: from.to_owned(),
            to: to.to_owned(),
            family: match family {
                "v4" => Family::V4,
                "v6" => Family::V6,
                _ => return Err(wrong()),
            },
            protocol: protocol.parse()?,
            source_port: source_port.parse().map_err(|_| wrong())?,
            result: result.to_owned(),
            seen: seen.to_owned(),
            low_port_kept: low_port_kept.parse().map_err(|_| wrong())?,
        })
    }
}

/// Reads a table; its first line names the columns.
pub(super) fn read(path: &Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path))?;
    text.lines().skip(1).map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, outcome: &str, expect: &str) {
        let row: Row = line.parse().unwrap();
        assert_eq!(row.to_string(), line);
        assert_eq!(row.with(&outcome.parse().unwrap()).to_string(), expect);
    }

    #[test]
    fn results_take_the_place_of_expectations() {
        check(
            "la0\tlx0\tv4\ttcp\t600\ttimeout\t\tfalse",
            "delivered 10.0.0.1:1024 192.168.122.10:600",
            "la0\tlx0\tv4\ttcp\t600\tdelivered\t10.0.0.1\tfalse",
        );
        check(
            "la0\tla1\tv4\ttcp\t600\tdelivered\tself\ttrue",
            "delivered 192.168.122.10:600 192.168.122.10:600",
            "la0\tla1\tv4\ttcp\t600\tdelivered\tself\ttrue",
        );
        check(
            "host\tla0\tv4\ttcp\t0\trefused\t\tfalse",
            "delivered 10.0.0.1:5000 10.0.0.1:5000",
            "host\tla0\tv4\ttcp\t0\tdelivered\t10.0.0.1\tfalse",
        );
        check(
            "a\tb\tv6\tudp\t0\tdelivered\tself\tfalse",
            "refused",
            "a\tb\tv6\tudp\t0\trefused\t\tfalse",
        );
    }

    #[test]
    fn other_lines_are_errors() {
        for line in
            ["", "a\tb", "a\tb\tv5\ttcp\t0\ttimeout\t\tfalse", "a\tb\tv4\ttcp\t0\tlost\t\tfalse"]
        {
            assert!(line.parse::<Row>().is_err(), "{line}");
        }
    }

    #[test]
    fn the_router_can_choose_its_address() {
        let row = |from: &str| -> Row {
            format!("{from}\tb\tv4\ttcp\t0\ttimeout\t\tfalse").parse().unwrap()
        };
        assert_eq!(row("host").router_address().unwrap(), None);
        assert_eq!(row("la0").router_address().unwrap(), None);
        let chosen = row("host[192.0.2.1]").router_address().unwrap();
        assert_eq!(chosen, Some("192.0.2.1".parse().unwrap()));
        assert!(row("host[x]").router_address().is_err());
    }
}
