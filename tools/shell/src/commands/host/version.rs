//! `version`: versions of library, driver and hypervisor.

use oxivirt::Version;

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::{Shell, is_unsupported};

pub(crate) const COMMAND: CommandDef = CommandDef::new("version", mark!("show versions"), run)
    .about(mark!("Shows the versions of the library, the driver and the hypervisor."))
    .options(&[OptionDef::flag("daemon", mark!("also show the version of the daemon"))]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let driver =
        shell.wait(connect.driver_type()).context(|| tr!("failed to get hypervisor type"))?;
    let library = Version::LIBVIRT;
    shell.ui.print(tr!("Compiled against library: libvirt {version}\n", version = library))?;
    shell.ui.print(tr!("Using library: libvirt {version}\n", version = library))?;
    shell.ui.print(tr!("Using API: {driver} {version}\n", driver = driver, version = library))?;
    match shell.wait(connect.hypervisor_version()) {
        Ok(version) => {
            let line =
                tr!("Running hypervisor: {driver} {version}\n", driver = driver, version = version);
            shell.ui.print(line)?;
        }
        Err(error) if is_unsupported(&error) => {}
        Err(error) => {
            return Err(Failure::Context(tr!("failed to get the hypervisor version"), error));
        }
    }
    if args.flag("daemon") {
        match shell.wait(connect.lib_version()) {
            Ok(version) => {
                shell.ui.print(tr!("Running against daemon: {version}\n", version = version))?;
            }
            Err(_) => shell.ui.error(&tr!("failed to get the daemon version"))?,
        }
    }
    Ok(())
}
