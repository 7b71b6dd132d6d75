//! `sysinfo`: SMBIOS tables of the host.

use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("sysinfo", mark!("print the SMBIOS tables of the host as XML"), run)
        .about(mark!("Prints the SMBIOS tables of the host as XML."));

fn run(shell: &mut Shell, _: &Args) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let xml = shell.wait(connect.sysinfo()).context(|| tr!("failed to get sysinfo"))?;
    shell.ui.print(xml)?;
    Ok(())
}
