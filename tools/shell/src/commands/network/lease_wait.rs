//! `net-lease-wait`: wait until a guest has an address.

use std::time::{Duration, Instant};

use oxivirt::{DhcpLease, ListFlags, Network};

use super::event::timeout;
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{Format, OBJECT_FORMAT, print_value};
use crate::i18n::{mark, tr};
use crate::inventory;
use crate::shell::Shell;

/// A driver without lease events is asked this often.
const AGAIN: Duration = Duration::from_millis(250);

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-lease-wait", mark!("wait until a guest has an address"), run)
        .about(mark!(
            "Waits until the guest with a MAC address has a DHCP lease, and prints its addresses, one a line."
        ))
        .options(&[
            OptionDef::text("mac", mark!("MAC address of the guest")).positional().required(),
            OptionDef::text("network", mark!("only this network"))
                .accepted()
                .complete(Completer::Network(ListFlags::ACTIVE.bits())),
            OptionDef::number("timeout", mark!("seconds to wait")),
            OBJECT_FORMAT,
        ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let mac = args.required("mac")?;
    let timeout = timeout(args)?;
    let format = Format::of_object(args)?;
    let networks = if args.has_named("network") {
        vec![shell.network(args)?]
    } else {
        let connect = shell.connect()?;
        shell
            .wait(connect.list_all_networks(ListFlags::ACTIVE))
            .context(|| tr!("Failed to list networks"))?
    };
    let end = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let found = leases(shell, &networks, &mac)?;
        if !found.is_empty() {
            return print(shell, format, &found);
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            return Err(Failure::Message(tr!("no lease for {mac} in time", mac = mac)));
        }
        shell.ui.flush()?;
        let interrupted = shell.wait(async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => true,
                () = tokio::time::sleep(AGAIN) => false,
            }
        });
        if interrupted {
            return Err(Failure::Message(tr!("interrupted")));
        }
    }
}

fn leases(
    shell: &Shell,
    networks: &[Network],
    mac: &str,
) -> Result<Vec<(String, DhcpLease)>, Failure> {
    let mut found = Vec::new();
    for network in networks {
        let name = network.name();
        let leases = shell
            .wait(network.dhcp_leases(Some(mac)))
            .context(|| tr!("Failed to get leases info for {name}", name = name))?;
        found.extend(leases.into_iter().map(|lease| (name.to_owned(), lease)));
    }
    Ok(found)
}

fn print(
    shell: &mut Shell,
    format: Option<Format>,
    found: &[(String, DhcpLease)],
) -> Result<(), Failure> {
    if let Some(format) = format {
        let values = found.iter().map(|(network, lease)| inventory::lease_value(network, lease));
        return print_value(shell, format, &values.collect::<Vec<_>>().into());
    }
    for (_, lease) in found {
        shell.ui.print(format!("{}\n", lease.ipaddr))?;
    }
    Ok(())
}
