//! Packet and byte counters of rules.

/// What a rule does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// The packet is accepted.
    Pass,
    /// It is dropped and an ICMP error goes to its sender.
    Reject,
    /// Its address is translated.
    Translate,
}

impl Action {
    /// A word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Reject => "reject",
            Self::Translate => "translate",
        }
    }
}

/// The counter of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCount {
    /// The chain it is in.
    pub chain: String,
    /// The link that it matches, unless the chain implies it.
    pub link: Option<String>,
    /// What it does.
    pub action: Action,
    /// Packets that it has seen.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Reads the output of `iptables-save -c`, of which only the filters of a network's packets count.
#[must_use]
pub fn of_iptables(text: &str) -> Vec<RuleCount> {
    text.lines().filter_map(of_line).collect()
}

/// `[PACKETS:BYTES] -A CHAIN …`
fn of_line(line: &str) -> Option<RuleCount> {
    let (counted, rule) = line.strip_prefix('[')?.split_once("] -A ")?;
    let (packets, bytes) = counted.split_once(':')?;
    let words: Vec<_> = rule.split(' ').collect();
    let value = |names: [&str; 2]| {
        let at = words.iter().position(|word| names.contains(word))?;
        words.get(at + 1).copied()
    };
    let action = match value(["-j", "--jump"])? {
        "ACCEPT" | "RETURN" => Action::Pass,
        "REJECT" | "DROP" => Action::Reject,
        _ => return None,
    };
    let link = value(["-i", "--in-interface"]).or_else(|| value(["-o", "--out-interface"]))?;
    Some(RuleCount {
        chain: (*words.first()?).to_owned(),
        link: Some(link.to_owned()),
        action,
        packets: packets.parse().ok()?,
        bytes: bytes.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: Option<(&str, &str, Action, u64, u64)>) {
        let found = of_iptables(line);
        let expect = expect.map(|(chain, link, action, packets, bytes)| RuleCount {
            chain: chain.to_owned(),
            link: Some(link.to_owned()),
            action,
            packets,
            bytes,
        });
        assert_eq!(found, expect.into_iter().collect::<Vec<_>>(), "{line}");
    }

    #[test]
    fn lines_of_iptables() {
        let accept = "[3:252] -A LIBVIRT_FWO -s 192.168.122.0/24 -i virbr0 -j ACCEPT";
        check(accept, Some(("LIBVIRT_FWO", "virbr0", Action::Pass, 3, 252)));
        let reject =
            "[1:60] -A LIBVIRT_FWI -o virbr0 -j REJECT --reject-with icmp-port-unreachable";
        check(reject, Some(("LIBVIRT_FWI", "virbr0", Action::Reject, 1, 60)));
        check("[0:0] -A FORWARD -j LIBVIRT_FWO", None);
        check(":FORWARD ACCEPT [0:0]", None);
        check("[x:1] -A A -i b -j ACCEPT", None);
    }
}
