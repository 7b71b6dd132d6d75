//! `define`: define a domain from an XML file.

use oxivirt::DomainDefineFlags;

use super::{VALIDATE, file_option};
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("define", mark!("define a domain from an XML file"), run)
        .options(&[file_option(), VALIDATE]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let (file, xml) = shell.read_file(args, "file")?;
    let flags = if args.flag("validate") {
        DomainDefineFlags::VALIDATE
    } else {
        DomainDefineFlags::empty()
    };
    let domain = shell
        .wait(connect.domain_define_xml(&xml, flags))
        .context(|| tr!("Failed to define domain from {file}", file = file))?;
    let name = domain.name();
    shell.ui.extra(tr!("Domain '{name}' defined from {file}\n", name = name, file = file))?;
    Ok(())
}
