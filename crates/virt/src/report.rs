//! Reports: what a driver finds out about a network or a domain, as typed values that travel as JSON.
//!
//! A report crosses the wire as one JSON string of at most 4 MiB. Its keys are stable and never
//! translated; a later version may add keys, so a reader ignores what it does not know and fills in
//! defaults for what is missing.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// What a part of a network or a step of a plan is about.
///
/// In JSON it is the word, such as `"rules"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PartKind {
    /// The bridge: its existence, state, MTU and attached ports.
    Link,
    /// Addresses of the bridge.
    Address,
    /// Kernel settings (sysctl).
    Setting,
    /// Firewall rules.
    Rules,
    /// Membership in a firewalld zone.
    Zone,
    /// A file.
    File,
    /// dnsmasq.
    Process,
    /// Routes to subnets behind the network.
    Route,
    /// Traffic control of the bridge.
    Queue,
    /// systemd-resolved.
    Resolver,
    /// State that the driver keeps in memory: all that a network of the `test` driver has.
    State,
    /// A kind that this version does not know.
    #[serde(untagged)]
    Other(String),
}

impl PartKind {
    /// The word of the kind.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Link => "link",
            Self::Address => "address",
            Self::Setting => "setting",
            Self::Rules => "rules",
            Self::Zone => "zone",
            Self::File => "file",
            Self::Process => "process",
            Self::Route => "route",
            Self::Queue => "queue",
            Self::Resolver => "resolver",
            Self::State => "state",
            Self::Other(word) => word,
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "link" => Self::Link,
            "address" => Self::Address,
            "setting" => Self::Setting,
            "rules" => Self::Rules,
            "zone" => Self::Zone,
            "file" => Self::File,
            "process" => Self::Process,
            "route" => Self::Route,
            "queue" => Self::Queue,
            "resolver" => Self::Resolver,
            "state" => Self::State,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for PartKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Whether everything that a network needs is in place on the driver's host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkHealth {
    /// Name of the network.
    pub name: String,
    /// UUID of the network.
    pub uuid: Uuid,
    /// Whether the network runs; the host of an inactive one is not examined.
    pub active: bool,
    /// The parts of a running network, in the order in which a start creates them.
    pub parts: Vec<HealthPart>,
    /// The last repair since the network was started.
    pub last_heal: Option<HealRecord>,
    /// Chains of other programs that drop what they do not accept, as `FAMILY TABLE CHAIN (hook)`.
    pub foreign_drops: Vec<String>,
}

impl NetworkHealth {
    /// Whether no part of the network is missing. An inactive network is healthy.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.parts.iter().all(HealthPart::is_ok)
    }
}

/// One part of a running network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPart {
    /// What it is.
    pub part: PartKind,
    /// The steps that would repair it; empty if it is in place.
    #[serde(default)]
    pub missing: Vec<String>,
    /// The changes of nftables rules among these steps, each as a document for `nft -j -f -`
    /// (libnftables-json(5)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nft: Vec<String>,
}

impl HealthPart {
    /// Whether the part is in place.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.missing.is_empty()
    }
}

/// A repair that the driver made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealRecord {
    /// When, in seconds since 1970-01-01 00:00 UTC.
    pub time: u64,
    /// The steps, in words.
    #[serde(default)]
    pub steps: Vec<String>,
}

/// What an operation would do to the driver's host. Nothing is changed by making a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkPlan {
    /// Name of the network.
    pub network: String,
    /// The steps in their order.
    pub steps: Vec<PlanStep>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// What the step is about.
    pub kind: PartKind,
    /// The step in words.
    #[serde(rename = "step")]
    pub text: String,
    /// Content of a file, rules, or a command line.
    #[serde(default)]
    pub lines: Vec<String>,
    /// The same change of nftables rules as a document for `nft -j -f -`
    /// (libnftables-json(5)); only steps that change nftables rules have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nft: Option<String>,
}

/// What a start of a domain would execute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DomainPlan {
    /// Name of the domain.
    pub domain: String,
    /// Variables of the process, as `NAME=VALUE`.
    pub environment: Vec<String>,
    /// The program and its arguments. Numbers of descriptors are those that the process would have.
    pub command: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_words_agree() {
        for word in [
            "link", "address", "setting", "rules", "zone", "file", "process", "route", "queue",
            "resolver", "state", "tunnel",
        ] {
            let kind = PartKind::from_word(word);
            assert_eq!(kind.word(), word);
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{word}\""));
            assert_eq!(serde_json::from_str::<PartKind>(&json).unwrap(), kind);
        }
        assert_eq!(PartKind::from_word("tunnel"), PartKind::Other("tunnel".to_owned()));
    }

    #[test]
    fn reports_keep_their_keys() {
        let health = NetworkHealth {
            name: "lab".to_owned(),
            active: true,
            parts: vec![HealthPart {
                part: PartKind::Rules,
                missing: vec!["load rules".to_owned()],
                nft: Vec::new(),
            }],
            last_heal: Some(HealRecord { time: 7, steps: Vec::new() }),
            ..NetworkHealth::default()
        };
        assert!(!health.is_healthy());
        assert_eq!(
            serde_json::to_string(&health).unwrap(),
            "{\"name\":\"lab\",\"uuid\":\"00000000-0000-0000-0000-000000000000\",\"active\":true,\
             \"parts\":[{\"part\":\"rules\",\"missing\":[\"load rules\"]}],\
             \"last_heal\":{\"time\":7,\"steps\":[]},\"foreign_drops\":[]}"
        );
        let step =
            PlanStep { kind: PartKind::Link, text: "a".to_owned(), lines: Vec::new(), nft: None };
        let plan = NetworkPlan { network: "lab".to_owned(), steps: vec![step] };
        assert_eq!(
            serde_json::to_string(&plan).unwrap(),
            "{\"network\":\"lab\",\"steps\":[{\"kind\":\"link\",\"step\":\"a\",\"lines\":[]}]}"
        );
    }

    #[test]
    fn unknown_and_missing_keys_are_tolerated() {
        let json = "{\"name\":\"lab\",\"later\":1,\"parts\":[{\"part\":\"tunnel\",\"x\":2}]}";
        let health: NetworkHealth = serde_json::from_str(json).unwrap();
        assert!(health.is_healthy() && !health.active);
        assert_eq!(health.parts.first().map(|part| part.part.word()), Some("tunnel"));
    }
}
