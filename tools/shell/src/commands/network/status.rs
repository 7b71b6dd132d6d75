//! `net-status`: health and address usage of a network.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use oxivirt::report::{HealRecord, HealthPart, NetworkHealth, PartKind};
use oxivirt::{ListFlags, Network, Uuid, XmlFlags};
use serde::Serialize;

use super::{network_option, yes_no};
use crate::args::Args;
use crate::command::CommandDef;
use crate::dhcp_pool;
use crate::failure::Failure;
use crate::format::{Format, OBJECT_FORMAT, print_value};
use crate::i18n::{mark, tr, trn};
use crate::shell::Shell;
use crate::table::print_fields;
use crate::ui::Style;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-status", mark!("show whether a network is healthy"), run)
        .about(mark!(
            "Shows whether everything that a running network needs is in place on the driver's host: bridge, addresses, rules, routes, DHCP and DNS; how many DHCP addresses are in use; and which chains of other programs may drop its packets. The exit status is 1 if something is missing."
        ))
        .options(&[network_option(ListFlags::NONE), OBJECT_FORMAT]);

/// Everything the command shows.
struct Status {
    health: NetworkHealth,
    leases: Option<usize>,
    addresses: u128,
}

/// The machine-readable result.
#[derive(Debug, Serialize)]
struct StatusRecord<'s> {
    name: &'s str,
    uuid: Uuid,
    active: bool,
    healthy: Option<bool>,
    parts: Option<Vec<PartRecord<'s>>>,
    leases_used: Option<usize>,
    addresses: u64,
    last_heal: Option<HealOutput<'s>>,
    foreign_drops: Option<&'s [String]>,
}

#[derive(Debug, Serialize)]
struct PartRecord<'s> {
    part: &'s PartKind,
    ok: bool,
    missing: &'s [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    nft: &'s [String],
}

impl<'s> PartRecord<'s> {
    fn new(part: &'s HealthPart) -> Self {
        Self { part: &part.part, ok: part.is_ok(), missing: &part.missing, nft: &part.nft }
    }
}

#[derive(Debug, Serialize)]
struct HealOutput<'s> {
    /// RFC 3339.
    time: String,
    steps: &'s [String],
}

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let format = Format::of_object(args)?;
    let network = shell.network(args)?;
    let status = gather(shell, &network)?;
    match format {
        Some(format) => print_value(shell, format, &record(&network, &status))?,
        None => print(shell, &network, &status)?,
    }
    if status.health.is_healthy() { Ok(()) } else { Err(Failure::Reported) }
}

fn gather(shell: &mut Shell, network: &Network) -> Result<Status, Failure> {
    let health =
        shell.health(network, || tr!("Failed to examine network {name}", name = network.name()))?;
    let xml = shell.wait(network.xml_desc(XmlFlags::NONE))?;
    let leases = shell.wait(network.dhcp_leases(None)).ok().map(|leases| leases.len());
    Ok(Status { health, leases, addresses: dhcp_pool::size(&xml) })
}

fn record<'s>(network: &'s Network, status: &'s Status) -> StatusRecord<'s> {
    let Status { health, leases, addresses } = status;
    // the host of an inactive network is not examined
    let examined = health.active;
    StatusRecord {
        name: network.name(),
        uuid: network.uuid(),
        active: health.active,
        healthy: examined.then(|| health.is_healthy()),
        parts: examined.then(|| health.parts.iter().map(PartRecord::new).collect()),
        leases_used: *leases,
        addresses: u64::try_from(*addresses).unwrap_or(u64::MAX),
        last_heal: health
            .last_heal
            .as_ref()
            .map(|heal| HealOutput { time: time_of(heal).to_string(), steps: &heal.steps }),
        foreign_drops: examined.then_some(&health.foreign_drops),
    }
}

fn print(shell: &mut Shell, network: &Network, status: &Status) -> Result<(), Failure> {
    let health = &status.health;
    let mut fields =
        vec![(tr!("Name:"), network.name().to_owned()), (tr!("Active:"), yes_no(health.active))];
    for part in &health.parts {
        let state = if part.is_ok() {
            shell.ui.styled(Style::Added, &tr!("ok"))
        } else {
            shell.ui.styled(Style::Removed, &tr!("missing"))
        };
        fields.push((label(&part.part), state));
        fields.extend(part.missing.iter().map(|step| (String::new(), step.clone())));
    }
    if let Some(used) = status.leases {
        let usage = trn!(
            "{used} of {count} address",
            "{used} of {count} addresses",
            count = status.addresses,
            used = used
        );
        fields.push((tr!("Leases:"), usage));
    }
    if let Some(heal) = &health.last_heal {
        let time = time_of(heal).to_zoned(TimeZone::system());
        fields.push((tr!("Last repair:"), time.strftime("%Y-%m-%d %H:%M:%S").to_string()));
        fields.extend(heal.steps.iter().map(|step| (String::new(), step.clone())));
    }
    for chain in &health.foreign_drops {
        fields.push((
            shell.ui.styled(Style::Notice, &tr!("Warning:")),
            tr!("chain {chain} drops packets that it does not accept", chain = chain),
        ));
    }
    print_fields(shell, 15, &fields)
}

fn time_of(heal: &HealRecord) -> Timestamp {
    let seconds = i64::try_from(heal.time).ok();
    seconds.and_then(|time| Timestamp::from_second(time).ok()).unwrap_or_default()
}

fn label(part: &PartKind) -> String {
    match part {
        PartKind::Link => tr!("Bridge:"),
        PartKind::Address => tr!("Addresses:"),
        PartKind::Setting => tr!("Settings:"),
        PartKind::Rules => tr!("Rules:"),
        PartKind::Route => tr!("Routes:"),
        PartKind::Queue => tr!("Rate limits:"),
        PartKind::Zone => tr!("Zone:"),
        PartKind::Process => tr!("DHCP and DNS:"),
        PartKind::File => tr!("Files:"),
        PartKind::Resolver => tr!("Resolver:"),
        PartKind::State => tr!("State:"),
        other => format!("{other}:"),
    }
}
