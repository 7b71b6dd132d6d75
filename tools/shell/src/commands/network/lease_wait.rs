//! `net-lease-wait`: wait for the DHCP lease of a guest.

use std::time::{Duration, Instant};

use oxivirt::{DhcpLease, ListFlags, Network};

use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::commands::events::timeout;
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{Format, OBJECT_FORMAT, print_value};
use crate::i18n::{mark, tr};
use crate::inventory::LeaseRecord;
use crate::shell::Shell;

/// Poll interval: lease events do not cross libvirt's protocol.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-lease-wait", mark!("wait for the DHCP lease of a guest"), run)
        .about(mark!(
            "Waits for a DHCP lease of a MAC address and prints the leased addresses, one per line."
        ))
        .options(&[
            OptionDef::text("mac", mark!("MAC address of the guest")).positional().required(),
            OptionDef::text("network", mark!("only this network"))
                .accepted()
                .complete(Completer::Network(ListFlags::ACTIVE.bits())),
            OptionDef::number("timeout", mark!("timeout in seconds")),
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
            return Err(Failure::Message(tr!("timed out waiting for a lease of {mac}", mac = mac)));
        }
        shell.ui.flush()?;
        let interrupted = shell.wait(async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => true,
                () = tokio::time::sleep(POLL_INTERVAL) => false,
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
        let records: Vec<_> =
            found.iter().map(|(network, lease)| LeaseRecord::new(network, lease)).collect();
        return print_value(shell, format, &records);
    }
    for (_, lease) in found {
        shell.ui.print(format!("{}\n", lease.ipaddr))?;
    }
    Ok(())
}
