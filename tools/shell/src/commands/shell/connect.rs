//! `connect`: connect to a URI.

use oxivirt::Access;

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::Failure;
use crate::i18n::mark;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef = CommandDef::new("connect", mark!("connect to a URI"), run)
    .about(mark!("Connects to a URI, or reconnects to the current one."))
    .options(&[
        OptionDef::text("name", mark!("the URI, or an alias from libvirt.conf"))
            .positional()
            .may_be_empty(),
        OptionDef::flag("readonly", mark!("open a read-only connection")),
    ])
    .offline();

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let uri = args.text("name")?;
    let access = match (args.flag("readonly"), &uri) {
        (true, _) => Access::ReadOnly,
        (false, Some(_)) => Access::ReadWrite,
        (false, None) => shell.connection.access,
    };
    shell.connect_to(uri, access)
}
