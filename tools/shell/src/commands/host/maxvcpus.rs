//! `maxvcpus`: maximum number of virtual CPUs of a guest.

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::Failure;
use crate::i18n::mark;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("maxvcpus", mark!("print the maximum number of virtual CPUs of a guest"), run)
        .about(mark!("Prints how many virtual CPUs a guest can have at most."))
        .options(&[OptionDef::text("type", mark!("domain type")).accepted()]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let kind = args.text("type")?;
    let connect = shell.connect()?;
    let count = shell.wait(connect.max_vcpus(kind.as_deref()))?;
    shell.ui.print(format!("{count}\n"))?;
    Ok(())
}
