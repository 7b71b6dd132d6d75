//! `net-port-list`: list ports.

use oxivirt::{ListFlags, Uuid};
use serde::Serialize;

use super::network_option;
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::Failure;
use crate::format::{FORMAT, Format, Record, print_records};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::{Table, print_table};

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-port-list", mark!("list network ports"), run)
        .about(mark!("Lists the ports of an active network, which connect guests to it."))
        .options(&[
            network_option(ListFlags::ACTIVE),
            OptionDef::flag("uuid", mark!("UUIDs only")),
            OptionDef::flag("table", mark!("a table (default)")),
            FORMAT,
        ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    if args.flag("uuid") && args.flag("table") {
        return Err(Failure::Message(tr!(
            "Only one argument from --table and --uuid may be specified."
        )));
    }
    let format = Format::of(args)?;
    let network = shell.network(args)?;
    let ports = shell.wait(network.list_all_ports())?;
    let mut uuids: Vec<_> = ports.iter().map(oxivirt::Port::uuid).collect();
    uuids.sort();
    if let Some(format) = format {
        let network = network.name();
        let records: Vec<_> =
            uuids.iter().map(|uuid| PortRecord { network, uuid: *uuid }).collect();
        return print_records(shell, format, &records);
    }
    if args.flag("uuid") {
        for uuid in uuids {
            shell.ui.print(format!("{uuid}\n"))?;
        }
        return Ok(());
    }
    let mut table = Table::new([tr!("UUID")]);
    for uuid in uuids {
        table.push([uuid.to_string()]);
    }
    print_table(shell, &table)
}

/// A port in machine-readable listings.
#[derive(Debug, Serialize)]
struct PortRecord<'n> {
    network: &'n str,
    uuid: Uuid,
}

impl Record for PortRecord<'_> {
    const KEYS: &'static [&'static str] = &["network", "uuid"];

    fn name(&self) -> String {
        self.uuid.to_string()
    }
}
