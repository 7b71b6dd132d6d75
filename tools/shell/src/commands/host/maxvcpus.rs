//! `maxvcpus`: most virtual processors of a guest.

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::Failure;
use crate::i18n::mark;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("maxvcpus", mark!("print how many processors a guest may have"), run)
        .about(mark!("Prints the largest number of virtual processors of one guest."))
        .options(&[OptionDef::text("type", mark!("kind of guest")).accepted()]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let kind = args.text("type")?;
    let connect = shell.connect()?;
    let count = shell.wait(connect.max_vcpus(kind.as_deref()))?;
    shell.ui.print(format!("{count}\n"))?;
    Ok(())
}
