//! `net-dhcp-leases`: list DHCP leases.

use oxivirt::{DhcpLease, IpAddrType, ListFlags};

use super::network_option;
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{Failure, OrElse as _};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::Table;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-dhcp-leases", mark!("list DHCP leases"), run)
        .about(mark!("Lists the addresses that guests of a network have now."))
        .options(&[
            network_option(ListFlags::ACTIVE),
            OptionDef::text("mac", mark!("only the guest with this MAC address"))
                .accepted()
                .complete(Completer::Mac),
        ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let mac = args.text("mac")?;
    let network = shell.network(args)?;
    let name = args.required("network")?;
    let mut leases = shell
        .wait(network.dhcp_leases(mac.as_deref()))
        .or_else_say(|| tr!("Failed to get leases info for {name}", name = name))?;
    leases.sort_by_key(|lease| lease.mac.clone().unwrap_or_default().to_ascii_lowercase());
    let mut table = Table::new([
        tr!("Expiry Time"),
        tr!("MAC address"),
        tr!("Protocol"),
        tr!("IP address"),
        tr!("Hostname"),
        tr!("Client ID or DUID"),
    ]);
    for lease in leases {
        table.push(cells(lease));
    }
    let text = if shell.ui.is_quiet() { table.render_quiet() } else { table.render() };
    shell.ui.print(text)?;
    Ok(())
}

fn cells(lease: DhcpLease) -> [String; 6] {
    let unknown = || "-".to_owned();
    let protocol = if lease.addr_type == IpAddrType::Ipv6 { "ipv6" } else { "ipv4" };
    [
        local_time(lease.expiry_time),
        lease.mac.unwrap_or_else(unknown),
        protocol.to_owned(),
        format!("{}/{}", lease.ipaddr, lease.prefix),
        lease.hostname.unwrap_or_else(unknown),
        lease.client_id.unwrap_or_else(unknown),
    ]
}

/// Seconds since 1970 in the time zone of the user.
fn local_time(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => {
            let zoned = time.to_zoned(jiff::tz::TimeZone::system());
            zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
        }
        Err(_) => seconds.to_string(),
    }
}
