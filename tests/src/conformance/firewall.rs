//! Suite `firewall`: the rules of the iptables backend as commands, and their saved removal.
//!
//! The recorded nftables commands are libvirt's, not ours: they serve tests of taking over.

use oxivirt_conf::network::{Counters, NetworkDef};
use oxivirt_conf::status::{FirewallBackend, NetworkStatus};
use oxivirt_network::Network;
use oxivirt_network::components::rules::{self, Firewall, Rules};
use oxivirt_network::plan::traffic;
use oxivirt_nft::iptables::{Listing, SHARED_CHAINS, Unused, program, script};
use uuid::Uuid;

use super::cases::{CasesFile, Compared, Refused, Row, RowResult};

/// The driver's internal error, which is what it makes of a plan that cannot be.
const INTERNAL_ERROR: i32 = 1;

pub(super) fn run(file: &CasesFile, row: &Row) -> RowResult {
    let def = NetworkDef::parse(&file.text(row.input.as_ref())?)?;
    let network = Network::new(def, Uuid::nil);
    let firewall =
        Firewall { backend: FirewallBackend::Iptables, has_checksum: true, ..Firewall::default() };
    let layers = vec![0; traffic::translated(&network).len()];
    let found = rules::wanted(&network, &layers, firewall).map_err(|error| Refused {
        code: INTERNAL_ERROR,
        domain: 0,
        message: format!("internal error: {error}"),
    })?;
    let list = match &found {
        Some(Rules::Iptables(list)) => list.as_slice(),
        _ => &[],
    };
    let commands = list.iter().map(|rule| command(program(rule.family), &rule.insertion()));
    let mut compared = vec![Compared {
        what: "iptables",
        found: commands.collect(),
        expected: file.text(row.iptables.as_ref())?,
    }];
    compared.push(Compared {
        what: "removal",
        found: removal(network.def(), found.as_ref()),
        expected: file.text_or_empty(row.removal_iptables.as_ref())?,
    });
    if let Some(base) = &file.assumptions.base_iptables
        && !list.is_empty()
    {
        let expected = file.text(Some(base))?;
        compared.push(Compared { what: "shared chains", found: shared(list), expected });
    }
    Ok(compared)
}

/// A command as the data spell it: a word per line but for values, quoted for a shell.
fn command(program: &str, arguments: &[String]) -> String {
    let mut text = format!("{program} \\\n-w");
    for word in arguments {
        if word == "!" {
            text.push_str(" '!'");
        } else if word.starts_with('-') {
            text.push_str(" \\\n");
            text.push_str(word);
        } else {
            text.push(' ');
            text.push_str(word);
        }
    }
    text.push('\n');
    text
}

/// The `<firewall>` element of a status document, as the data hold it.
fn removal(def: &NetworkDef, rules: Option<&Rules>) -> String {
    let removal = rules.map(|rules| rules.removal().print());
    let document = NetworkStatus { removal, ..NetworkStatus::new(def.clone()) };
    let document = document.format(Counters::NONE);
    let lines = document.lines().skip_while(|line| !line.starts_with("  <firewall"));
    let lines = lines.take_while(|line| line.starts_with("  "));
    lines.map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect()
}

/// The commands that make the shared chains, taken from the transactions of a first network.
///
/// What is listed is what a libvirt without transactions asks first; ours asks once for all tables.
fn shared(rules: &[oxivirt_nft::iptables::Rule]) -> String {
    use oxivirt_nft::Family;
    let mut text = String::new();
    for family in [Family::Ipv4, Family::Ipv6] {
        for table in ["filter", "nat", "mangle"] {
            let list = ["--table", table, "--list-rules"].map(str::to_owned);
            text.push_str(&command(program(family), &list));
        }
        // A rule for each table, so that each is prepared.
        let first = rules.first().cloned();
        let all = SHARED_CHAINS.map(|(table, _, chain)| {
            first.clone().map(|rule| oxivirt_nft::iptables::Rule {
                table: table.to_owned(),
                chain: chain.to_owned(),
                ..rule
            })
        });
        let all: Vec<_> = all.into_iter().flatten().collect();
        let script = script(&Listing::default(), &[], &all, Unused::Keep).unwrap_or_default();
        text.push_str(&commands_of(program(family), &script));
    }
    text
}

/// The lines of a script that make chains and jumps, each chain followed by its jump.
fn commands_of(program: &str, script: &str) -> String {
    let mut text = String::new();
    let mut table = "";
    let (mut chains, mut jumps) = (Vec::new(), Vec::new());
    for line in script.lines() {
        let words = |line: &str| {
            let first = ["--table", table].into_iter().chain(line.split(' '));
            first.map(str::to_owned).collect::<Vec<_>>()
        };
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if line.starts_with("--new-chain ") {
            chains.push(words(line));
        } else if line.starts_with("--insert ") && line.split(' ').count() == 4 {
            jumps.push(words(line));
        } else if line == "COMMIT" {
            for chain in chains.drain(..) {
                text.push_str(&command(program, &chain));
                let jump = jumps.iter().find(|jump| jump.last() == chain.last());
                text.extend(jump.map(|jump| command(program, jump)));
            }
            jumps.clear();
        }
    }
    text
}
