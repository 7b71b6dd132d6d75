//! `undefine`: undefine a domain, and remove the volumes of its disks.

use oxivirt::{
    Connect, Domain, DomainListFlags, DomainUndefineFlags, DomainXmlFlags, StorageVol,
    StorageVolDeleteFlags, WipeAlgorithm,
};
use oxivirt_xml::{self as xml, Blanks, Element};

use super::devices::disk_source;
use super::{domain, domain_option, not_xml};
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
        OptionDef::text("storage", mark!("remove the volumes of these disks, by target or source"))
            .accepted(),
        OptionDef::flag("remove-all-storage", mark!("remove the volumes of all disks")),
        OptionDef::alias("delete-snapshots", SNAPSHOTS, None),
        OptionDef::flag(SNAPSHOTS, mark!("remove the snapshots of these volumes as well")),
        OptionDef::flag("wipe-storage", mark!("overwrite the volumes before")),
        OptionDef::flag("snapshots-metadata", mark!("remove the metadata of snapshots")),
        OptionDef::flag("checkpoints-metadata", mark!("remove the metadata of checkpoints")),
        OptionDef::flag("nvram", mark!("remove the variables of the firmware")),
        OptionDef::flag("keep-nvram", mark!("keep the variables of the firmware")),
        OptionDef::flag("tpm", mark!("remove the state of the TPM")),
        OptionDef::flag("keep-tpm", mark!("keep the state of the TPM")),
    ]);

const SNAPSHOTS: &str = "delete-storage-volume-snapshots";

const FLAGS: [(&str, DomainUndefineFlags); 7] = [
    ("managed-save", DomainUndefineFlags::MANAGED_SAVE),
    ("snapshots-metadata", DomainUndefineFlags::SNAPSHOTS_METADATA),
    ("checkpoints-metadata", DomainUndefineFlags::CHECKPOINTS_METADATA),
    ("nvram", DomainUndefineFlags::NVRAM),
    ("keep-nvram", DomainUndefineFlags::KEEP_NVRAM),
    ("tpm", DomainUndefineFlags::TPM),
    ("keep-tpm", DomainUndefineFlags::KEEP_TPM),
];

/// virsh: `cmdUndefine`, tools/virsh-domain.c
fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let removes_all = args.flag("remove-all-storage");
    if args.flag(SNAPSHOTS) && !removes_all {
        return Err(Failure::Message(tr!(
            "Option --{required} is required by option --{option}",
            required = "remove-all-storage",
            option = SNAPSHOTS
        )));
    }
    args.exclusive("nvram", "keep-nvram")?;
    args.exclusive("tpm", "keep-tpm")?;
    let named = args.text("storage")?;
    let removes = removes_all || named.is_some();
    if args.flag("wipe-storage") && !removes {
        return Err(Failure::Message(tr!(
            "'--wipe-storage' requires '--storage <string>' or '--remove-all-storage'"
        )));
    }
    let domain = domain(shell, args)?;
    let volumes =
        if removes { volumes(shell, &domain, named.as_deref(), removes_all)? } else { Vec::new() };
    let mut flags = DomainUndefineFlags::empty();
    for (option, flag) in FLAGS {
        if args.flag(option) {
            flags |= flag;
        }
    }
    let name = args.required("domain")?;
    shell
        .wait(domain.undefine(flags))
        .context(|| tr!("Failed to undefine domain '{name}'", name = name))?;
    shell.ui.extra(tr!("Domain '{name}' has been undefined\n", name = name))?;
    let mut failed = false;
    for volume in &volumes {
        failed |= !remove(shell, args, volume)?;
    }
    if failed { Err(Failure::Reported) } else { Ok(()) }
}

/// A volume to remove, with the names of the disk that uses it.
struct Used {
    volume: StorageVol,
    target: String,
    source: String,
}

/// The volumes of the disks that are to be removed. Disks that are no volumes are reported and left out.
fn volumes(
    shell: &mut Shell,
    domain: &Domain,
    named: Option<&str>,
    all: bool,
) -> Result<Vec<Used>, Failure> {
    if shell.wait(domain.is_active())? {
        let line = tr!("Storage volume deletion is supported only on stopped domains");
        return Err(Failure::Message(line));
    }
    let connect = shell.connect()?;
    let text = shell.wait(domain.xml_desc(DomainXmlFlags::INACTIVE))?;
    let root = xml::parse(&text, Blanks::Drop).map_err(|error| not_xml(&error))?;
    let mut words: Vec<&str> = named.iter().flat_map(|words| words.split(',')).collect();
    let mut found = Vec::new();
    for disk in root.children("devices").flat_map(|devices| devices.children("disk")) {
        let target = disk.child("target").and_then(|target| target.attribute("dev"));
        let source = disk_source(disk);
        let (Some(target), Some(source)) = (target, source) else { continue };
        let asked = words.iter().position(|word| *word == target || *word == source);
        if let Some(asked) = asked {
            words.remove(asked);
        } else if !all {
            continue;
        }
        let volume = lookup(shell, &connect, disk, (target, source))?;
        let (target, source) = (target.to_owned(), source.to_owned());
        match volume {
            Found::Volume(volume) => found.push(Used { volume, target, source }),
            Found::NoPool => {}
            Found::NoVolume => shell.ui.error(&tr!(
                "Storage volume '{target}'({source}) is not managed by libvirt. Remove it manually.",
                target = target,
                source = source
            ))?,
        }
    }
    if let Some(word) = words.first() {
        let line = tr!("Volume '{word}' was not found in domain's definition.", word = word);
        return Err(Failure::Message(line));
    }
    Ok(found)
}

/// What a disk's source is.
enum Found {
    Volume(StorageVol),
    /// Its pool is not there, which is reported.
    NoPool,
    /// No volume of any pool.
    NoVolume,
}

impl From<Option<StorageVol>> for Found {
    fn from(volume: Option<StorageVol>) -> Self {
        volume.map_or(Self::NoVolume, Self::Volume)
    }
}

/// The volume of a disk.
fn lookup(
    shell: &mut Shell,
    connect: &Connect,
    disk: &Element<'_>,
    (target, source): (&str, &str),
) -> Result<Found, Failure> {
    let pool = disk.child("source").and_then(|source| source.attribute("pool"));
    let Some(pool) = pool else {
        return Ok(shell.wait(connect.storage_vol_lookup_by_path(source)).ok().into());
    };
    match shell.wait(connect.storage_pool_lookup_by_name(pool)) {
        Ok(pool) => Ok(shell.wait(pool.vol_lookup_by_name(source)).ok().into()),
        Err(_) => {
            shell.ui.error(&tr!(
                "Storage pool '{pool}' for volume '{volume}' not found.",
                pool = pool,
                volume = target
            ))?;
            Ok(Found::NoPool)
        }
    }
}

/// Removes a volume; `false` if that failed, which is reported.
fn remove(shell: &mut Shell, args: &Args, used: &Used) -> Result<bool, Failure> {
    let Used { volume, target, source } = used;
    if args.flag("wipe-storage") {
        shell.ui.print(tr!(
            "Wiping volume '{target}'({source}) ... ",
            target = target,
            source = source
        ))?;
        shell.ui.flush()?;
        if let Err(error) = shell.wait(volume.wipe(WipeAlgorithm::Zero)) {
            shell.report(Failure::Context(tr!("Failed! Volume not removed."), error))?;
            return Ok(false);
        }
        shell.ui.print(tr!("Done.\n"))?;
    }
    let flags = if args.flag(SNAPSHOTS) {
        StorageVolDeleteFlags::WITH_SNAPSHOTS
    } else {
        StorageVolDeleteFlags::empty()
    };
    if let Err(error) = shell.wait(volume.delete(flags)) {
        let line = tr!(
            "Failed to remove storage volume '{target}'({source})",
            target = target,
            source = source
        );
        shell.report(Failure::Context(line, error))?;
        return Ok(false);
    }
    shell.ui.print(tr!(
        "Volume '{target}'({source}) removed.\n",
        target = target,
        source = source
    ))?;
    Ok(true)
}
