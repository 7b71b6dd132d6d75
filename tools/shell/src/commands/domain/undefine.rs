//! `undefine`: undefine a domain.

use oxivirt::{DomainListFlags, DomainUndefineFlags};

use super::{domain, domain_option};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef = CommandDef::new("undefine", mark!("undefine a domain"), run)
    .about(mark!("Removes the stored definition of a domain; a running domain becomes transient."))
    .options(&[
        domain_option(DomainListFlags::PERSISTENT),
        OptionDef::flag("managed-save", mark!("remove the saved state")),
        OptionDef::flag("snapshots-metadata", mark!("remove the metadata of snapshots")),
        OptionDef::flag("checkpoints-metadata", mark!("remove the metadata of checkpoints")),
        OptionDef::flag("nvram", mark!("remove the variables of the firmware")),
        OptionDef::flag("keep-nvram", mark!("keep the variables of the firmware")),
        OptionDef::flag("tpm", mark!("remove the state of the TPM")),
        OptionDef::flag("keep-tpm", mark!("keep the state of the TPM")),
    ]);

const FLAGS: [(&str, DomainUndefineFlags); 7] = [
    ("managed-save", DomainUndefineFlags::MANAGED_SAVE),
    ("snapshots-metadata", DomainUndefineFlags::SNAPSHOTS_METADATA),
    ("checkpoints-metadata", DomainUndefineFlags::CHECKPOINTS_METADATA),
    ("nvram", DomainUndefineFlags::NVRAM),
    ("keep-nvram", DomainUndefineFlags::KEEP_NVRAM),
    ("tpm", DomainUndefineFlags::TPM),
    ("keep-tpm", DomainUndefineFlags::KEEP_TPM),
];

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    args.exclusive("nvram", "keep-nvram")?;
    args.exclusive("tpm", "keep-tpm")?;
    let domain = domain(shell, args)?;
    let mut flags = DomainUndefineFlags::empty();
    for (option, flag) in FLAGS {
        if args.flag(option) {
            flags |= flag;
        }
    }
    let name = domain.name();
    shell
        .wait(domain.undefine(flags))
        .context(|| tr!("Failed to undefine domain '{name}'", name = name))?;
    shell.ui.extra(tr!("Domain '{name}' has been undefined\n", name = name))?;
    Ok(())
}
