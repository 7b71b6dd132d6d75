//! `net-destroy`: stop a network.

use oxivirt::{ListFlags, XmlFlags};
use oxivirt_network::preview::{self, Place};

use super::network_option;
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::dry_run;
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{Format, OBJECT_FORMAT};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef = CommandDef::new("net-destroy", mark!("stop a network"), run)
    .about(mark!("Stops a running network; a stored one stays defined."))
    .options(&[
        network_option(ListFlags::ACTIVE),
        OptionDef::flag("dry-run", mark!("show what would be done")).ours(),
        OBJECT_FORMAT,
    ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let format = Format::of_object(args)?;
    let network = shell.network(args)?;
    let name = args.required("network")?;
    let line = || tr!("Failed to destroy network {name}", name = name);
    if args.flag("dry-run") {
        let xml = shell.wait(network.xml_desc(XmlFlags::NONE))?;
        let persistent = shell.wait(network.is_persistent())?;
        let uri = shell.wait(network.connect().uri())?;
        let place = Place::of_uri(&uri, &shell.surroundings);
        let plan = preview::destroy(&xml, persistent, place.as_ref(), &shell.surroundings);
        let steps = shell.wait(plan).context(line)?;
        return dry_run::print(shell, format, network.name(), &steps);
    }
    shell.wait(network.destroy()).context(line)?;
    shell.ui.extra(tr!("Network {name} destroyed\n", name = name))?;
    Ok(())
}
