//! `net-dhcp-leases`: list DHCP leases.

use oxivirt::{DhcpLease, IpAddrType, ListFlags};
use serde_json::Value;

use super::network_option;
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{self, FORMAT, Format, Records};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::{Table, print_table};

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-dhcp-leases", mark!("list DHCP leases"), run)
        .about(mark!("Lists the addresses that guests of a network have now."))
        .options(&[
            network_option(ListFlags::ACTIVE),
            OptionDef::text("mac", mark!("only the guest with this MAC address"))
                .accepted()
                .complete(Completer::Mac),
            FORMAT,
        ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let mac = args.text("mac")?;
    let format = Format::of(args)?;
    let network = shell.network(args)?;
    let name = args.required("network")?;
    let mut leases = shell
        .wait(network.dhcp_leases(mac.as_deref()))
        .context(|| tr!("Failed to get leases info for {name}", name = name))?;
    leases.sort_by_key(|lease| lease.mac.clone().unwrap_or_default().to_ascii_lowercase());
    if let Some(format) = format {
        return records(network.name(), leases).print(shell, format);
    }
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
    print_table(shell, &table)
}

fn records(network: &str, leases: Vec<DhcpLease>) -> Records {
    const KEYS: &[&str] = &[
        "network",
        "expiry",
        "mac",
        "iaid",
        "protocol",
        "address",
        "prefix",
        "hostname",
        "client_id",
    ];
    let mut records = Records::new(KEYS, "address");
    for lease in leases {
        // a lease without an end
        let expiry = match lease.expiry_time {
            0 => Value::Null,
            seconds => format::time(seconds),
        };
        records.push([
            network.into(),
            expiry,
            lease.mac.into(),
            lease.iaid.into(),
            protocol(lease.addr_type).into(),
            lease.ipaddr.into(),
            lease.prefix.into(),
            lease.hostname.into(),
            lease.client_id.into(),
        ]);
    }
    records
}

fn protocol(addr_type: IpAddrType) -> &'static str {
    if addr_type == IpAddrType::Ipv6 { "ipv6" } else { "ipv4" }
}

fn cells(lease: DhcpLease) -> [String; 6] {
    let unknown = || "-".to_owned();
    [
        local_time(lease.expiry_time),
        lease.mac.unwrap_or_else(unknown),
        protocol(lease.addr_type).to_owned(),
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
