//! `domifaddr`: show addresses of a running guest.

use oxivirt::{AddressSource, DomainListFlags, IpAddrType};

use super::{domain, domain_option};
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

const SOURCES: &[&str] = &["lease", "agent", "arp"];

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("domifaddr", mark!("show the addresses of a running guest"), run).options(&[
        domain_option(DomainListFlags::ACTIVE),
        OptionDef::text("interface", mark!("only this interface")).positional(),
        OptionDef::flag("full", mark!("repeat names and MAC addresses")),
        OptionDef::text("source", mark!("source of the addresses: lease, agent or arp"))
            .complete(Completer::Words(SOURCES)),
    ]);

/// virsh: `cmdDomIfAddr`, tools/virsh-domain-monitor.c
fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let source = match args.text("source")?.as_deref() {
        None | Some("lease") => AddressSource::Lease,
        Some("agent") => AddressSource::Agent,
        Some("arp") => AddressSource::Arp,
        Some(other) => {
            return Err(Failure::Message(tr!("Unknown data source '{text}'", text = other)));
        }
    };
    let domain = domain(shell, args)?;
    let only = args.text("interface")?;
    let interfaces = shell
        .wait(domain.interface_addresses(source))
        .context(|| tr!("Failed to query for interfaces addresses"))?;
    let (name, mac, protocol, address) =
        (tr!("Name"), tr!("MAC address"), tr!("Protocol"), tr!("Address"));
    let rule = "-".repeat(79);
    shell.ui.extra(format!(" {name:<10} {mac:<20} {protocol:<8}     {address}\n{rule}\n"))?;
    for interface in interfaces {
        if only.as_ref().is_some_and(|only| *only != interface.name) {
            continue;
        }
        let (name, mac) = (interface.name.as_str(), interface.mac.as_deref().unwrap_or("N/A"));
        if interface.addresses.is_empty() {
            shell.ui.print(format!(" {name:<10} {mac:<17}    {:<12} N/A\n", "N/A"))?;
        }
        for (at, address) in interface.addresses.iter().enumerate() {
            let (name, mac) = if at == 0 || args.flag("full") { (name, mac) } else { ("-", "-") };
            let protocol = if address.addr_type == IpAddrType::Ipv6 { "ipv6" } else { "ipv4" };
            let (text, prefix) = (&address.address, address.prefix);
            let line = format!(" {name:<10} {mac:<17}    {protocol:<12} {text}/{prefix}\n");
            shell.ui.print(line)?;
        }
    }
    Ok(())
}
