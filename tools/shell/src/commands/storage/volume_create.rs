//! `vol-create`, `vol-create-as`, `vol-create-from`, `vol-clone`: make volumes.

use oxivirt::{StoragePool, StoragePoolListFlags, StorageVol, StorageVolCreateFlags};
use oxivirt_xml::{self as xml, Blanks};
use oxivirt_xpath::{self as xpath, Form};

use super::{
    IN_POOL, OF_POOL, PREALLOC_METADATA, PRINT_XML, REFLINK, VALIDATE, VOLUME, VolumeKeys,
    any_pool, file_option, pool, pool_option, volume,
};
use crate::args::{Args, scaled_bytes};
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::log::Level;
use crate::shell::Shell;

pub(crate) const CREATE: CommandDef =
    CommandDef::new("vol-create", mark!("create a volume from an XML file"), create).options(&[
        pool_option(StoragePoolListFlags::ACTIVE),
        file_option(FILE),
        PREALLOC_METADATA,
        VALIDATE,
    ]);

pub(crate) const CREATE_AS: CommandDef =
    CommandDef::new("vol-create-as", mark!("create a volume from options"), create_as).options(&[
        pool_option(StoragePoolListFlags::ACTIVE),
        OptionDef::text("name", mark!("name of the volume")).positional().required(),
        OptionDef::text("capacity", mark!("size, in bytes or with a unit such as 10G"))
            .positional()
            .required(),
        OptionDef::text("allocation", mark!("space to allocate at once, like the size")).accepted(),
        OptionDef::text("format", mark!("format of the file, such as raw or qcow2"))
            .accepted()
            .complete(Completer::Words(FORMATS)),
        OptionDef::text("backing-vol", mark!("volume with the data that this one starts from"))
            .accepted()
            .complete(Completer::Volume),
        OptionDef::text("backing-vol-format", mark!("format of that volume"))
            .accepted()
            .complete(Completer::Words(FORMATS)),
        PREALLOC_METADATA,
        PRINT_XML,
    ]);

pub(crate) const CREATE_FROM: CommandDef = CommandDef::new(
    "vol-create-from",
    mark!("create a volume with the data of another one"),
    create_from,
)
.options(&[
    pool_option(StoragePoolListFlags::ACTIVE),
    file_option(FILE),
    VOLUME,
    any_pool("inputpool", StoragePoolListFlags::ACTIVE).accepted(),
    PREALLOC_METADATA,
    REFLINK,
    VALIDATE,
]);

pub(crate) const CLONE: CommandDef = CommandDef::new("vol-clone", mark!("copy a volume"), clone)
    .about(mark!("Copies a volume within its pool."))
    .options(&[
        VOLUME,
        OptionDef::text("newname", mark!("name of the copy")).positional().required(),
        OF_POOL,
        PREALLOC_METADATA,
        REFLINK,
        PRINT_XML,
    ]);

const FILE: &str = mark!("file containing an XML volume description");

/// Formats of files that volumes are created in.
const FORMATS: &[&str] = &["raw", "bochs", "qcow", "qcow2", "qed", "vmdk"];

fn flags(args: &Args, options: &[(&str, StorageVolCreateFlags)]) -> StorageVolCreateFlags {
    let mut flags = StorageVolCreateFlags::empty();
    for (option, flag) in options {
        if args.flag(option) {
            flags |= *flag;
        }
    }
    flags
}

const PREALLOC: (&str, StorageVolCreateFlags) =
    ("prealloc-metadata", StorageVolCreateFlags::PREALLOC_METADATA);
const VALIDATED: (&str, StorageVolCreateFlags) = ("validate", StorageVolCreateFlags::VALIDATE);
const SHARED: (&str, StorageVolCreateFlags) = ("reflink", StorageVolCreateFlags::REFLINK);

fn create(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let flags = flags(args, &[PREALLOC, VALIDATED]);
    let pool = pool(shell, args)?;
    let (file, xml) = shell.read_file(args, "file")?;
    let volume = shell
        .wait(pool.vol_create_xml(&xml, flags))
        .context(|| tr!("Failed to create vol from {file}", file = file))?;
    let name = volume.name();
    shell.ui.extra(tr!("Vol {name} created from {file}\n", name = name, file = file))?;
    Ok(())
}

/// virsh: `cmdVolCreateAs`, tools/virsh-volume.c
fn create_as(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let flags = flags(args, &[PREALLOC]);
    let pool = pool(shell, args)?;
    let name = args.required("name")?;
    let capacity = scaled_bytes(&args.required("capacity")?)?;
    let mut xml = format!("<volume>\n  <name>{name}</name>\n  <capacity>{capacity}</capacity>\n");
    if let Some(text) = args.text("allocation")? {
        xml += &format!("  <allocation>{}</allocation>\n", scaled_bytes(&text)?);
    }
    if let Some(format) = args.text("format")? {
        xml += &format!("  <target>\n    <format type='{format}'/>\n  </target>\n");
    }
    if let Some(text) = args.text("backing-vol")? {
        let backing = backing(shell, args, &pool, &text)?;
        let path = shell.wait(backing.path())?;
        xml += &format!("  <backingStore>\n    <path>{path}</path>\n");
        if let Some(format) = args.text("backing-vol-format")? {
            xml += &format!("    <format type='{format}'/>\n");
        }
        xml += "  </backingStore>\n";
    }
    xml += "</volume>\n";
    if args.flag("print-xml") {
        shell.ui.print(xml)?;
        return Ok(());
    }
    shell
        .wait(pool.vol_create_xml(&xml, flags))
        .context(|| tr!("Failed to create vol {name}", name = name))?;
    shell.ui.extra(tr!("Vol {name} created\n", name = name))?;
    Ok(())
}

/// The volume that a new one starts from, by name in the same pool, by key or by path.
fn backing(
    shell: &mut Shell,
    args: &Args,
    pool: &StoragePool,
    text: &str,
) -> Result<StorageVol, Failure> {
    let connect = shell.connect()?;
    let command = args.command().name;
    let line = format!("{command}: Look up backing store volume '{text}'");
    shell.ui.debug(Level::Debug, &line)?;
    if let Ok(volume) = shell.wait(pool.vol_lookup_by_name(text)) {
        return Ok(volume);
    }
    if let Ok(volume) = shell.wait(connect.storage_vol_lookup_by_key(text)) {
        return Ok(volume);
    }
    shell
        .wait(connect.storage_vol_lookup_by_path(text))
        .context(|| tr!("failed to get vol '{text}'", text = text))
}

fn create_from(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let flags = flags(args, &[PREALLOC, SHARED, VALIDATED]);
    let pool = pool(shell, args)?;
    let source = volume(shell, args, VolumeKeys { pool: Some("inputpool") })?;
    let (file, xml) = shell.read_file(args, "file")?;
    let made = shell
        .wait(pool.vol_create_xml_from(&xml, &source, flags))
        .context(|| tr!("Failed to create vol from {file}", file = file))?;
    let (name, source) = (made.name(), source.name());
    shell.ui.extra(tr!(
        "Vol {name} created from input vol {source}\n",
        name = name,
        source = source
    ))?;
    Ok(())
}

/// virsh: `cmdVolClone`, tools/virsh-volume.c
fn clone(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let flags = flags(args, &[PREALLOC, SHARED]);
    let source = volume(shell, args, IN_POOL)?;
    let pool = shell.wait(source.pool()).context(|| tr!("failed to get parent pool"))?;
    let name = args.required("newname")?;
    let document = shell.wait(source.xml_desc())?;
    let document = renamed(&document, source.name(), &name)?;
    if args.flag("print-xml") {
        shell.ui.print(document)?;
        return Ok(());
    }
    let made = shell
        .wait(pool.vol_create_xml_from(&document, &source, flags))
        .context(|| tr!("Failed to clone vol from {name}", name = source.name()))?;
    let (name, source) = (made.name(), source.name());
    shell.ui.extra(tr!("Vol {name} cloned from {source}\n", name = name, source = source))?;
    Ok(())
}

/// The document of a volume with another name, as virsh's XML library writes it.
fn renamed(document: &str, old: &str, new: &str) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::Message(tr!("cannot parse the XML: {error}", error = error))
    };
    xml::parse(document, Blanks::Drop).map_err(|error| failed(&error))?;
    let element = |name: &str| {
        let mut element = "<name>".to_owned();
        xml::escape(&mut element, name);
        element + "</name>"
    };
    let document = document.replacen(&element(old), &element(new), 1);
    let selected = xpath::select(&document, "/volume", Form::Lines);
    let text = selected.map_err(|error| failed(&error))?.unwrap_or_default();
    Ok(text.trim_end().to_owned())
}
