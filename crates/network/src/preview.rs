//! What an operation would do, and whether what it did is still there: for looking, nothing is changed.
//!
//! The same planner as for the real thing, fed from a document, so a preview needs no running driver
//! and no lock. What it cannot know is which layer other networks left for translated subnets: it takes
//! the lowest for a plan, and accepts any when it looks.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use oxivirt::Result;
use oxivirt_conf::network::NetworkDef;
use oxivirt_conf::status::FirewallBackend;
use oxivirt_nft::Passage;
use oxivirt_nft::iptables::{self, Rule};
use oxivirt_nft::text::script;
use oxivirt_sys::{chain, file};
use oxivirt_types::mac::MacAddr;

use crate::apply::Host as _;
use crate::apply::linux::LinuxHost;
use crate::config;
use crate::embed::{self, Environment};
use crate::error;
pub use crate::heal::LastHeal;
use crate::layout::Layout;
use crate::plan::nftables::{Layer, MAX_LAYER};
use crate::plan::provision::{self, PlanInputs};
use crate::plan::stop::{self, Keep};
use crate::plan::{Firewall, HostFacts, Plan, Provision, Rules, RulesChange, Step, Undo, start};
use crate::plan::{SavedRemoval, traffic};
use crate::store;

/// The host and the directories that are looked at.
#[derive(Debug, Clone)]
pub struct Place {
    layout: Layout,
    search_path: OsString,
    lease_helper: PathBuf,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewStep {
    /// What it is about: `link`, `address`, `setting`, `rules`, `zone`, `file`, `process`, `route`, `queue`
    /// or `resolver`.
    pub kind: &'static str,
    /// The step in words.
    pub text: String,
    /// Content of a file, rules, a command line.
    pub lines: Vec<String>,
}

/// Whether the parts of a running network are in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// In the order in which a start makes them.
    pub parts: Vec<Part>,
    /// Rules of others which drop what they do not accept, as `FAMILY TABLE CHAIN (hook)`.
    pub foreign: Vec<String>,
    /// What was repaired last since the network was started.
    pub last_heal: Option<LastHeal>,
}

/// A network that runs under another program, and what taking it over would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeOver {
    /// Its name.
    pub network: String,
    /// Nothing if it stays as it is.
    pub steps: Vec<PreviewStep>,
}

/// A part of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// As [`PreviewStep::kind`].
    pub kind: &'static str,
    /// What would have to be done; nothing if the part is in place.
    pub missing: Vec<String>,
}

impl Place {
    /// The place of a connection; none if it is not on this host, or in memory.
    #[must_use]
    pub fn of_uri(uri: &str, environment: &Environment) -> Option<Self> {
        let uri: oxivirt::Uri = uri.parse().ok()?;
        if uri.host().is_some() || !matches!(uri.driver(), "network" | "qemu") {
            return None;
        }
        let root = match uri.path() {
            // That of a daemon, which may have been told one.
            "/system" => uri.param("root").unwrap_or("/"),
            "/embed" => uri.param("root")?,
            _ => return None,
        };
        Some(Self {
            layout: Layout::below(root),
            search_path: environment.search_path(),
            lease_helper: embed::lease_helper(environment.program.as_deref()),
        })
    }

    /// The place with this root directory.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>, environment: &Environment) -> Self {
        Self { layout: Layout::below(root), ..Self::assumed(environment) }
    }

    /// A place that is not looked at: what a plan depends on is assumed.
    #[must_use]
    pub fn assumed(environment: &Environment) -> Self {
        Self {
            layout: Layout::below("/"),
            search_path: environment.search_path(),
            lease_helper: embed::lease_helper(environment.program.as_deref()),
        }
    }

    /// What the administrator chose here.
    async fn settings(&self, host: &LinuxHost) -> Result<config::Firewall> {
        config::firewall(&config::load(&self.layout)?, &self.layout, host).await
    }

    fn provision(
        &self,
        def: &NetworkDef,
        facts: &HostFacts,
        firewall: config::Firewall,
        layer: Layer,
    ) -> Result<Provision> {
        let layers = vec![layer; traffic::translated(def).len()];
        let inputs = PlanInputs {
            layout: &self.layout,
            lease_helper: &self.lease_helper,
            dnsmasq: facts.dnsmasq.as_deref(),
            servers: None,
            firewall: Firewall {
                backend: firewall.backend,
                owns_table: firewall.owns_table,
                has_checksum: facts.has_checksum,
                user_chains: &facts.user_chains,
            },
            firewalld: facts.firewalld.zones(),
            layers: &layers,
            floors: &crate::plan::port::floors(&Default::default()),
        };
        provision::provision(def, &inputs).map_err(|error| error::plan(&error))
    }
}

fn parse(xml: &str) -> Result<NetworkDef> {
    let mut def = NetworkDef::parse(xml).map_err(|error| error::parse(&error))?;
    // a start makes one up
    def.mac.get_or_insert(MacAddr([0x52, 0x54, 0, 0, 0, 0]));
    Ok(def)
}

/// How rules are set if nobody is asked.
const ASSUMED: config::Firewall = config::Firewall {
    backend: FirewallBackend::Nftables,
    finds_passages: false,
    owns_table: false,
};

/// What a host without surprises answers.
fn assumed_facts() -> HostFacts {
    HostFacts {
        dnsmasq: Some(PathBuf::from("/usr/sbin/dnsmasq")),
        inotify_limit: 128,
        is_privileged: true,
        ..HostFacts::default()
    }
}

/// What starting the network of a document would do on the host of `place`; on an assumed one if
/// there is none.
///
/// # Errors
/// What is wrong with the document, and why the start would be refused.
pub async fn start(
    xml: &str,
    place: Option<&Place>,
    environment: &Environment,
) -> Result<Vec<PreviewStep>> {
    let def = traffic::live(&parse(xml)?);
    let planned = |error| error::plan(&error);
    let (facts, firewall) = match place {
        None => (assumed_facts(), ASSUMED),
        Some(place) => {
            let host = open(place)?;
            let firewall = place.settings(&host).await?;
            let query = firewall.query_of_start(&def).map_err(planned)?;
            (host.facts(&query).await.map_err(|error| error::host(&error))?, firewall)
        }
    };
    start::check(&def, &facts).map_err(planned)?;
    let assumed = Place::assumed(environment);
    let want = place.unwrap_or(&assumed).provision(&def, &facts, firewall, 0)?;
    let plan = provision::difference(&Provision::default(), &want, &[]);
    Ok(plan.steps().map(step).collect())
}

/// What destroying the network of a document would do.
///
/// # Errors
/// What is wrong with the document.
pub async fn destroy(
    xml: &str,
    is_persistent: bool,
    place: Option<&Place>,
    environment: &Environment,
) -> Result<Vec<PreviewStep>> {
    let def = parse(xml)?;
    let assumed = Place::assumed(environment);
    let firewall = match place {
        Some(place) => place.settings(&open(place)?).await?,
        None => ASSUMED,
    };
    let place = place.unwrap_or(&assumed);
    let want = place.provision(&def, &assumed_facts(), firewall, 0)?;
    let removal = want.rules.as_ref().map(Rules::removal);
    let keep = if is_persistent { Keep::Leases } else { Keep::Nothing };
    let rules = removal.iter().flat_map(SavedRemoval::undo).collect();
    let plan: Plan<Undo> = stop::plan(&def, rules, &place.layout, keep);
    Ok(plan.steps().map(undo).collect())
}

/// Whether everything that the running network of a document needs is in place.
///
/// # Errors
/// What is wrong with the document, or why the host cannot be asked.
pub async fn health(xml: &str, place: &Place) -> Result<Health> {
    let def = parse(xml)?;
    let host = open(place)?;
    let firewall = place.settings(&host).await?;
    let query = firewall.query_of_running([&def]).with_drops();
    let found = host.facts(&query).await.map_err(|error| error::host(&error))?;
    let facts = HostFacts {
        has_checksum: found.has_checksum,
        user_chains: found.user_chains,
        drops: found.drops,
        firewalld: found.firewalld,
        ..assumed_facts()
    };
    let mut best: Option<(Provision, Provision)> = None;
    for layer in 0..=MAX_LAYER {
        let want = place.provision(&def, &facts, firewall, layer)?;
        let have = host.observe(&[&want]).await.map_err(|error| error::host(&error))?;
        let have = have.into_iter().next().unwrap_or_default();
        let is_found = have.rules == want.rules;
        if is_found || best.is_none() {
            best = Some((have, want));
        }
        if is_found || traffic::translated(&def).is_empty() {
            break;
        }
    }
    let (have, want) = best.unwrap_or_default();
    let plan = provision::difference(&have, &want, &[]);
    // a process that runs with other arguments than we would give it is still alive
    let conf = place.layout.dnsmasq_conf(&def.name);
    let alive = host
        .runs_dnsmasq(&conf, &place.layout.dnsmasq_pid(&def.name))
        .await
        .map_err(|error| error::host(&error))?;
    let missing: Vec<PreviewStep> = plan.steps().map(step).collect();
    let part = |kind: &'static str, wanted: bool| {
        let of_kind = missing.iter().filter(|step| step.kind == kind);
        let missing = of_kind.map(|step| step.text.clone()).collect();
        wanted.then_some(Part { kind, missing })
    };
    let mut parts: Vec<Part> = [
        part("link", want.link.is_some()),
        part("address", want.link.as_ref().is_some_and(|link| !link.addresses.is_empty())),
        part("setting", want.link.is_some()),
        part("rules", want.rules.is_some()),
        part("zone", want.zone.is_some()),
        part("route", !want.routes.is_empty()),
        part("queue", want.shaping.is_some()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if want.dnsmasq.is_some() {
        let missing =
            if alive { Vec::new() } else { vec![format!("start dnsmasq with {}", conf.display())] };
        parts.push(Part { kind: "process", missing });
    }
    let foreign = facts.drops.iter().map(ToString::to_string).collect();
    let last_heal = file::read(&place.layout.last_heal(&def.name), HEAL_LIMIT).ok().flatten();
    let last_heal = last_heal.and_then(|text| serde_json::from_slice(&text).ok());
    Ok(Health { parts, foreign, last_heal })
}

/// What opening a driver would do to networks that run, under whichever program.
///
/// Status files that cannot be read are told as the driver would: it leaves such networks alone.
///
/// # Errors
/// The host cannot be asked, or the settings are wrong.
pub async fn take_over(place: &Place) -> Result<Vec<TakeOver>> {
    let statuses = store::load_statuses(&place.layout);
    if statuses.is_empty() {
        return Ok(Vec::new());
    }
    let host = open(place)?;
    let firewall = place.settings(&host).await?;
    let defs = statuses.iter().flatten().map(|status| &status.def);
    let query = firewall.query_of_running(defs);
    let facts = host.facts(&query).await.map_err(|error| error::host(&error))?;
    let mut found = Vec::new();
    for status in statuses {
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                tracing::warn!(
                    error = chain::text(&error),
                    "skipping network: its status file cannot be read"
                );
                continue;
            }
        };
        let def = traffic::live(&status.def);
        let want = place.provision(&def, &facts, firewall, 0)?;
        let have = host.observe(&[&want]).await.map_err(|error| error::host(&error))?;
        let mut have = have.into_iter().next().unwrap_or_default();
        // What cannot be read is logged when a driver loads it.
        let saved = status.removal.as_ref().map(|removal| SavedRemoval::parse(removal).0);
        if saved != want.rules.as_ref().map(Rules::removal) {
            have.rules = None;
        }
        let known = stop::known_rules(&def, saved.as_ref());
        let plan = provision::difference(&have, &want, &known);
        let loads = |step: &Step| matches!(step, Step::LoadRules(RulesChange::Nftables(_)));
        // It goes in the transaction in which ours come.
        let in_the_same = |undo: &&Undo| matches!(undo, Undo::RemoveLibvirtRules(_));
        let libvirts = known.iter().filter(in_the_same).filter(|_| plan.steps().any(loads));
        let steps = libvirts.map(undo).chain(plan.steps().map(step)).collect();
        found.push(TakeOver { network: def.name, steps });
    }
    Ok(found)
}

/// A longer note is none of ours.
const HEAL_LIMIT: u64 = 1 << 20;

fn open(place: &Place) -> Result<LinuxHost> {
    LinuxHost::open(place.search_path.clone()).map_err(|error| error::host(&error))
}

pub(crate) fn step(step: &Step) -> PreviewStep {
    let no_lines = Vec::new;
    let (kind, lines) = match step {
        Step::CreateBridge(_)
        | Step::SetMtu { .. }
        | Step::SetUp(_)
        | Step::AttachPorts { .. }
        | Step::FilterVlans(_) => ("link", no_lines()),
        Step::Sysctl(_) => ("setting", no_lines()),
        Step::LoadRules(change) => ("rules", rules(change)),
        Step::AddAddress { .. } | Step::RemoveAddress { .. } => ("address", no_lines()),
        Step::AddRoute { .. } | Step::RemoveRoute { .. } => ("route", no_lines()),
        Step::Shape { .. } => ("queue", no_lines()),
        Step::RegisterDomain { .. } => ("resolver", no_lines()),
        Step::JoinZone { .. } => ("zone", no_lines()),
        Step::WriteFile(file) => {
            let content = String::from_utf8_lossy(&file.content);
            ("file", content.lines().map(str::to_owned).collect())
        }
        Step::StartDnsmasq { .. } | Step::ReloadDnsmasq { .. } => ("process", no_lines()),
        Step::Undo(step) => return undo(step),
    };
    PreviewStep { kind, text: step.to_string(), lines }
}

fn rules(change: &RulesChange) -> Vec<String> {
    match change {
        RulesChange::Nftables(load) => {
            let lines = script(&load.transaction);
            let passage = |passage: &Passage| {
                let (family, from) = (passage.family, passage.from.join(", "));
                format!("accept {family} packets of {} in {from}", passage.bridge)
            };
            let passages = load.passages.iter().map(passage);
            lines.lines().map(str::to_owned).chain(passages).collect()
        }
        RulesChange::Iptables { add, .. } => {
            add.iter().map(|rule| rule.insertion().join(" ")).collect()
        }
    }
}

pub(crate) fn undo(undo: &Undo) -> PreviewStep {
    let (kind, lines) = match undo {
        Undo::StopDnsmasq { .. } => ("process", Vec::new()),
        Undo::DeleteBridge { .. } => ("link", Vec::new()),
        Undo::RemoveRules(removal) => ("rules", changes(&removal.words())),
        Undo::RemoveIptables(rules) => ("rules", rules.iter().map(deletion).collect()),
        Undo::RemoveUserChainJump(target) => ("rules", vec![target.words().join(" ")]),
        Undo::RemoveLibvirtRules(_) | Undo::RunRemoval(_) => ("rules", Vec::new()),
        Undo::ClearShaping { .. } => ("queue", Vec::new()),
        Undo::LeaveZone { .. } => ("zone", Vec::new()),
        Undo::RemoveDir { .. } | Undo::RemoveFile { .. } | Undo::RemoveIfEmpty { .. } => {
            ("file", Vec::new())
        }
    };
    PreviewStep { kind, text: undo.to_string(), lines }
}

fn deletion(rule: &Rule) -> String {
    format!("{} {}", iptables::program(rule.family), rule.deletion().join(" "))
}

/// The changes of one `nft` call, a line each. A `;` between braces belongs to its change.
fn changes(words: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    let mut depth = 0_usize;
    for word in words {
        match word.as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => {
                lines.push(std::mem::take(&mut line).join(" "));
                continue;
            }
            _ => {}
        }
        line.push(word.as_str());
    }
    lines.push(line.join(" "));
    lines
}

/// The files of a place, for messages.
impl Place {
    /// The directory above which nothing is.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.layout.root()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAT: &str = "<network><name>lab</name><forward mode='nat'/><bridge name='virbr7'/>\
        <ip address='10.7.0.1' prefix='24'><dhcp><range start='10.7.0.2' end='10.7.0.9'/></dhcp></ip></network>";

    #[tokio::test]
    async fn a_start_and_its_end() {
        let environment = Environment::default();
        let steps = start(NAT, None, &environment).await.unwrap();
        let texts: Vec<_> = steps.iter().map(|step| step.text.as_str()).collect();
        assert!(texts.contains(&"create bridge virbr7"), "{texts:?}");
        assert!(texts.contains(&"add address 10.7.0.1/24 to virbr7"), "{texts:?}");
        let rules = steps.iter().find(|step| step.kind == "rules").unwrap();
        assert!(rules.lines.iter().any(|line| line.contains("masquerade")), "{rules:?}");
        let steps = destroy(NAT, true, None, &environment).await.unwrap();
        let kinds: Vec<_> = steps.iter().map(|step| step.kind).collect();
        assert_eq!(kinds[..6], ["file", "file", "file", "process", "link", "rules"]);
        let error =
            start("<network><name>x</name></network>", None, &environment).await.unwrap_err();
        assert!(error.message().contains("bridge"), "{error:?}");
    }

    #[test]
    fn a_call_is_split_between_its_changes() {
        let words =
            "add map m { type a ; flags b ; } ; delete chain c".split(' ').map(str::to_owned);
        let lines = changes(&words.collect::<Vec<_>>());
        assert_eq!(lines, ["add map m { type a ; flags b ; }", "delete chain c"]);
    }

    #[test]
    fn only_places_on_this_host_are_looked_at() {
        let environment = Environment::default();
        let root =
            |uri: &str| Place::of_uri(uri, &environment).map(|place| place.root().to_owned());
        assert_eq!(root("network:///system"), Some("/".into()));
        assert_eq!(root("network:///embed?root=/srv"), Some("/srv".into()));
        assert_eq!(root("test:///default"), None);
        assert_eq!(root("network+ssh://host/system"), None);
    }
}
