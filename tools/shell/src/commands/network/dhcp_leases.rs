//! `net-dhcp-leases`: list DHCP leases.

use oxivirt::{DhcpLease, IpAddrType, ListFlags};
use serde::Serialize;

use super::network_option;
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{self, FORMAT, Format, Record, print_records};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::{Table, print_table};

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-dhcp-leases", mark!("list DHCP leases"), run)
        .about(mark!("Lists the current DHCP leases of a network."))
        .options(&[
            network_option(ListFlags::ACTIVE),
            OptionDef::text("mac", mark!("list only the leases of this MAC address"))
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
        let records: Vec<_> =
            leases.into_iter().map(|lease| LeaseRecord::new(network.name(), lease)).collect();
        return print_records(shell, format, &records);
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

/// A lease in machine-readable listings.
#[derive(Debug, Serialize)]
struct LeaseRecord {
    network: String,
    expiry: Option<String>,
    mac: Option<String>,
    iaid: Option<String>,
    protocol: &'static str,
    address: String,
    prefix: u32,
    hostname: Option<String>,
    client_id: Option<String>,
}

impl Record for LeaseRecord {
    const KEYS: &'static [&'static str] = &[
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

    fn name(&self) -> String {
        self.address.clone()
    }
}

impl LeaseRecord {
    fn new(network: &str, lease: DhcpLease) -> Self {
        Self {
            network: network.to_owned(),
            expiry: format::expiry(lease.expiry_time),
            mac: lease.mac,
            iaid: lease.iaid,
            protocol: protocol(lease.addr_type),
            address: lease.ipaddr,
            prefix: lease.prefix,
            hostname: lease.hostname,
            client_id: lease.client_id,
        }
    }
}

fn protocol(addr_type: IpAddrType) -> &'static str {
    if addr_type == IpAddrType::Ipv6 { "ipv6" } else { "ipv4" }
}

/// The cell of an unknown value.
fn unknown() -> String {
    "-".to_owned()
}

fn cells(lease: DhcpLease) -> [String; 6] {
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
