//! `net-status`: whether a network is healthy.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use oxivirt::{ListFlags, Network, XmlFlags};
use oxivirt_network::preview::{self, Health, LastHeal, Place};
use serde_json::json;

use super::network_option;
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::Failure;
use crate::format::{Format, OBJECT_FORMAT, print_value};
use crate::i18n::{mark, tr};
use crate::inventory;
use crate::shell::Shell;
use crate::table::print_fields;
use crate::ui::Style;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-status", mark!("show whether a network is healthy"), run)
        .about(mark!(
            "Shows whether everything that a running network needs is in place: bridge, addresses, rules, routes, DHCP and DNS; how many addresses are left; and which rules of others may drop its traffic. The status is 1 if something is missing."
        ))
        .options(&[network_option(ListFlags::NONE), OBJECT_FORMAT]);

/// What was found.
struct Status {
    active: bool,
    health: Option<Health>,
    leases: Option<usize>,
    addresses: u128,
}

impl Status {
    fn is_well(&self) -> bool {
        let all_there = |health: &Health| health.parts.iter().all(|part| part.missing.is_empty());
        !self.active || self.health.as_ref().is_none_or(all_there)
    }
}

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let format = Format::of_object(args)?;
    let network = shell.network(args)?;
    let status = look(shell, &network)?;
    match format {
        Some(format) => print_value(shell, format, &value(&network, &status))?,
        None => print(shell, &network, &status)?,
    }
    if status.is_well() { Ok(()) } else { Err(Failure::Reported) }
}

fn look(shell: &mut Shell, network: &Network) -> Result<Status, Failure> {
    let active = shell.wait(network.is_active())?;
    let xml = shell.wait(network.xml_desc(XmlFlags::NONE))?;
    let uri = shell.wait(network.connect().uri())?;
    let place = Place::of_uri(&uri, &shell.surroundings).filter(|_| active);
    let health = match place {
        Some(place) => Some(shell.wait(preview::health(&xml, &place))?),
        None => None,
    };
    let leases = shell.wait(network.dhcp_leases(None)).ok().map(|leases| leases.len());
    Ok(Status { active, health, leases, addresses: inventory::dhcp_size(&xml) })
}

fn value(network: &Network, status: &Status) -> serde_json::Value {
    let parts = status.health.as_ref().map(|health| {
        let parts = health.parts.iter().map(|part| {
            json!({"part": part.kind, "ok": part.missing.is_empty(), "missing": part.missing})
        });
        parts.collect::<Vec<_>>()
    });
    json!({
        "name": network.name(),
        "uuid": network.uuid().to_string(),
        "active": status.active,
        "healthy": status.health.as_ref().map(|_| status.is_well()),
        "parts": parts,
        "leases_used": status.leases,
        "addresses": u64::try_from(status.addresses).unwrap_or(u64::MAX),
        "last_heal": status.health.as_ref().and_then(|health| {
            let heal = health.last_heal.as_ref()?;
            Some(json!({"time": time_of(heal).to_string(), "steps": heal.steps}))
        }),
        "foreign_drops": status.health.as_ref().map(|health| health.foreign.clone()),
    })
}

fn print(shell: &mut Shell, network: &Network, status: &Status) -> Result<(), Failure> {
    let well = |shell: &Shell, yes: bool| {
        if yes {
            shell.ui.styled(Style::Added, &tr!("ok"))
        } else {
            shell.ui.styled(Style::Removed, &tr!("missing"))
        }
    };
    let yes_no = |yes| if yes { tr!("yes") } else { tr!("no") };
    let mut fields =
        vec![(tr!("Name:"), network.name().to_owned()), (tr!("Active:"), yes_no(status.active))];
    for part in status.health.iter().flat_map(|health| &health.parts) {
        fields.push((label(part.kind), well(shell, part.missing.is_empty())));
        fields.extend(part.missing.iter().map(|step| (String::new(), step.clone())));
    }
    if let Some(used) = status.leases {
        let (used, total) = (used, status.addresses);
        fields
            .push((tr!("Leases:"), tr!("{used} of {total} addresses", used = used, total = total)));
    }
    if let Some(heal) = status.health.as_ref().and_then(|health| health.last_heal.as_ref()) {
        let time = time_of(heal).to_zoned(TimeZone::system());
        fields.push((tr!("Last repair:"), time.strftime("%Y-%m-%d %H:%M:%S").to_string()));
        fields.extend(heal.steps.iter().map(|step| (String::new(), step.clone())));
    }
    if status.active && status.health.is_none() {
        fields.push((tr!("Host:"), tr!("not looked at: the network is not on this host")));
    }
    for chain in status.health.iter().flat_map(|health| &health.foreign) {
        fields.push((
            shell.ui.styled(Style::Notice, &tr!("Beware:")),
            tr!("chain {chain} drops what it does not accept", chain = chain),
        ));
    }
    print_fields(shell, 15, &fields)
}

fn time_of(heal: &LastHeal) -> Timestamp {
    let seconds = i64::try_from(heal.time).ok();
    seconds.and_then(|time| Timestamp::from_second(time).ok()).unwrap_or_default()
}

fn label(kind: &str) -> String {
    match kind {
        "link" => tr!("Bridge:"),
        "address" => tr!("Addresses:"),
        "setting" => tr!("Settings:"),
        "rules" => tr!("Rules:"),
        "route" => tr!("Routes:"),
        "queue" => tr!("Rate limits:"),
        "zone" => tr!("Zone:"),
        _ => tr!("DHCP and DNS:"),
    }
}
