//! `vol-delete`, `vol-resize`, `vol-wipe`: change a volume.

use oxivirt::{StorageVolDeleteFlags, StorageVolResizeFlags, WipeAlgorithm};

use super::{IN_POOL, OF_POOL, VOLUME, volume};
use crate::args::{Args, scaled_bytes};
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const DELETE: CommandDef =
    CommandDef::new("vol-delete", mark!("delete a volume"), delete).options(&[
        VOLUME,
        OF_POOL,
        OptionDef::flag("delete-snapshots", mark!("delete its snapshots as well")),
    ]);

pub(crate) const RESIZE: CommandDef =
    CommandDef::new("vol-resize", mark!("change the size of a volume"), resize)
        .about(mark!("Changes the size of a volume that no running guest uses."))
        .options(&[
            VOLUME,
            OptionDef::text("capacity", mark!("new size, in bytes or with a unit such as 10G"))
                .positional()
                .required(),
            OF_POOL,
            OptionDef::flag("allocate", mark!("allocate the new space at once")),
            OptionDef::flag("delta", mark!("change the size by this much")),
            OptionDef::flag("shrink", mark!("allow a smaller size")),
        ]);

pub(crate) const WIPE: CommandDef =
    CommandDef::new("vol-wipe", mark!("overwrite the data of a volume"), wipe).options(&[
        VOLUME,
        OF_POOL,
        OptionDef::text("algorithm", mark!("how to overwrite the data"))
            .accepted()
            .complete(Completer::Words(ALGORITHMS)),
    ]);

/// Words in the order of libvirt's numbers.
const ALGORITHMS: &[&str] = &[
    "zero",
    "nnsa",
    "dod",
    "bsi",
    "gutmann",
    "schneier",
    "pfitzner7",
    "pfitzner33",
    "random",
    "trim",
];

fn delete(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let volume = volume(shell, args, IN_POOL)?;
    let name = args.required("vol")?;
    let flags = if args.flag("delete-snapshots") {
        StorageVolDeleteFlags::WITH_SNAPSHOTS
    } else {
        StorageVolDeleteFlags::empty()
    };
    shell.wait(volume.delete(flags)).context(|| tr!("Failed to delete vol {name}", name = name))?;
    shell.ui.extra(tr!("Vol {name} deleted\n", name = name))?;
    Ok(())
}

/// virsh: `cmdVolResize`, tools/virsh-volume.c
fn resize(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let mut flags = StorageVolResizeFlags::empty();
    for (option, flag) in [
        ("allocate", StorageVolResizeFlags::ALLOCATE),
        ("delta", StorageVolResizeFlags::DELTA),
        ("shrink", StorageVolResizeFlags::SHRINK),
    ] {
        if args.flag(option) {
            flags |= flag;
        }
    }
    let volume = volume(shell, args, IN_POOL)?;
    let text = args.required("capacity")?;
    let text = match text.trim_start().strip_prefix('-') {
        Some(_) if !args.flag("shrink") => {
            return Err(Failure::Message(tr!("negative size requires --shrink")));
        }
        // less than there is can only be a difference
        Some(size) => {
            flags |= StorageVolResizeFlags::DELTA;
            size.to_owned()
        }
        None => text,
    };
    let capacity = scaled_bytes(&text)?;
    let is_delta = flags.contains(StorageVolResizeFlags::DELTA);
    let name = volume.name();
    shell.wait(volume.resize(capacity, flags)).context(|| {
        if is_delta {
            tr!("Failed to change size of volume '{name}' by {size}", name = name, size = text)
        } else {
            tr!("Failed to change size of volume '{name}' to {size}", name = name, size = text)
        }
    })?;
    shell.ui.extra(if is_delta {
        tr!("Size of volume '{name}' successfully changed by {size}\n", name = name, size = text)
    } else {
        tr!("Size of volume '{name}' successfully changed to {size}\n", name = name, size = text)
    })?;
    Ok(())
}

fn wipe(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let volume = volume(shell, args, IN_POOL)?;
    let name = args.required("vol")?;
    let word = args.text("algorithm")?.unwrap_or_else(|| "zero".to_owned());
    let Some((number, _)) = (0..).zip(ALGORITHMS).find(|(_, known)| **known == word) else {
        return Err(Failure::Message(tr!("Unsupported algorithm '{word}'", word = word)));
    };
    shell
        .wait(volume.wipe(WipeAlgorithm::from_number(number)))
        .context(|| tr!("Failed to wipe vol {name}", name = name))?;
    shell.ui.extra(tr!("Vol {name} wiped\n", name = name))?;
    Ok(())
}
