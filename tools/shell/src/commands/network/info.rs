//! `net-info`: show a network's state.

use oxivirt::{Autostart, ListFlags, Uuid};
use serde::Serialize;

use super::{network_option, yes_no};
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::Failure;
use crate::format::{Format, OBJECT_FORMAT, print_value};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::print_fields;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-info", mark!("show a network's state"), run)
        .about(mark!("Shows the state of a network."))
        .options(&[network_option(ListFlags::NONE), OBJECT_FORMAT]);

/// The machine-readable result.
#[derive(Debug, Serialize)]
struct InfoRecord {
    name: String,
    uuid: Uuid,
    active: Option<bool>,
    persistent: Option<bool>,
    autostart: Option<bool>,
    bridge: Option<String>,
}

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let format = Format::of_object(args)?;
    let network = shell.network(args)?;
    if let Some(format) = format {
        let autostart = shell.wait(network.autostart()).ok();
        let record = InfoRecord {
            name: network.name().to_owned(),
            uuid: network.uuid(),
            active: shell.wait(network.is_active()).ok(),
            persistent: shell.wait(network.is_persistent()).ok(),
            autostart: autostart.map(|autostart| autostart == Autostart::Enabled),
            bridge: shell.wait(network.bridge_name()).ok(),
        };
        return print_value(shell, format, &record);
    }
    let mut lines =
        vec![(tr!("Name:"), network.name().to_owned()), (tr!("UUID:"), network.uuid().to_string())];
    if let Ok(active) = shell.wait(network.is_active()) {
        lines.push((tr!("Active:"), yes_no(active)));
    }
    let persistent = shell.wait(network.is_persistent());
    lines.push((tr!("Persistent:"), persistent.map_or_else(|_| tr!("unknown"), yes_no)));
    let autostart = shell.wait(network.autostart());
    let autostart = autostart.map(|autostart| yes_no(autostart == Autostart::Enabled));
    lines.push((tr!("Autostart:"), autostart.unwrap_or_else(|_| tr!("no autostart"))));
    if let Ok(bridge) = shell.wait(network.bridge_name()) {
        lines.push((tr!("Bridge:"), bridge));
    }
    print_fields(shell, 15, &lines)
}
