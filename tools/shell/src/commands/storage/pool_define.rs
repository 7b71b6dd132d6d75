//! `pool-create`, `pool-create-as`, `pool-define`, `pool-define-as`: pools from documents and from options.

use oxivirt::StoragePoolDefineFlags;

use super::pool_state::{BUILD_FLAG, NO_OVERWRITE, OVERWRITE, building};
use super::{PRINT_XML, VALIDATE, file_option};
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

use super::pool_list::TYPES;

pub(crate) const CREATE: CommandDef =
    CommandDef::new("pool-create", mark!("create and start a pool from an XML file"), create)
        .options(&[file_option(FILE), BUILD_FLAG, NO_OVERWRITE, OVERWRITE]);

pub(crate) const DEFINE: CommandDef =
    CommandDef::new("pool-define", mark!("define a pool from an XML file"), define)
        .options(&[file_option(FILE), VALIDATE]);

pub(crate) const CREATE_AS: CommandDef =
    CommandDef::new("pool-create-as", mark!("create and start a pool from options"), create_as)
        .options(&CREATE_OPTIONS);

pub(crate) const DEFINE_AS: CommandDef =
    CommandDef::new("pool-define-as", mark!("define a pool from options"), define_as)
        .options(&DEFINE_OPTIONS);

const FILE: &str = mark!("file containing an XML pool description");

const fn part(name: &'static str, help: &'static str) -> OptionDef {
    OptionDef::text(name, help).accepted()
}

/// Those of `pool-define-as`, to which `pool-create-as` adds what a start is to build.
macro_rules! description {
    ($($more:expr),*) => {[
        OptionDef::text("name", mark!("name of the pool")).positional().required(),
        OptionDef::text("type", mark!("type of the pool"))
            .positional()
            .required()
            .complete(Completer::Words(&TYPES)),
        PRINT_XML,
        part("source-host", mark!("host of the source")),
        part("source-path", mark!("directory of the source")),
        part("source-dev", mark!("device of the source")),
        part("source-name", mark!("name of the source")),
        part("target", mark!("where the volumes are")),
        part("source-format", mark!("format of the source")),
        part("auth-type", mark!("kind of authentication")),
        part("auth-username", mark!("user of the authentication")),
        part("secret-usage", mark!("usage of the secret of the authentication")),
        part("secret-uuid", mark!("UUID of the secret of the authentication")),
        part("adapter-name", mark!("name of the adapter")),
        part("adapter-wwnn", mark!("WWNN of the adapter")),
        part("adapter-wwpn", mark!("WWPN of the adapter")),
        part("adapter-parent", mark!("parent of the adapter")),
        part("adapter-parent-wwnn", mark!("WWNN of the adapter's parent")),
        part("adapter-parent-wwpn", mark!("WWPN of the adapter's parent")),
        part("adapter-parent-fabric-wwn", mark!("fabric WWN of the adapter's parent")),
        part("source-protocol-ver", mark!("version of NFS for a mount")),
        part("source-initiator", mark!("IQN of the initiator")),
        $($more,)*
    ]};
}

const DEFINE_OPTIONS: [OptionDef; 22] = description!();
const CREATE_OPTIONS: [OptionDef; 25] = description!(BUILD_FLAG, NO_OVERWRITE, OVERWRITE);

fn create(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let flags = building(args)?;
    let connect = shell.connect()?;
    let (file, xml) = shell.read_file(args, "file")?;
    let pool = shell
        .wait(connect.storage_pool_create_xml(&xml, flags))
        .context(|| tr!("Failed to create pool from {file}", file = file))?;
    let name = pool.name();
    shell.ui.extra(tr!("Pool {name} created from {file}\n", name = name, file = file))?;
    Ok(())
}

fn define(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let (file, xml) = shell.read_file(args, "file")?;
    let flags = if args.flag("validate") {
        StoragePoolDefineFlags::VALIDATE
    } else {
        StoragePoolDefineFlags::empty()
    };
    let pool = shell
        .wait(connect.storage_pool_define_xml(&xml, flags))
        .context(|| tr!("Failed to define pool from {file}", file = file))?;
    let name = pool.name();
    shell.ui.extra(tr!("Pool {name} defined from {file}\n", name = name, file = file))?;
    Ok(())
}

fn create_as(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    args.exclusive("secret-usage", "secret-uuid")?;
    let flags = building(args)?;
    let (name, xml) = (args.required("name")?, document(args)?);
    if args.flag("print-xml") {
        shell.ui.print(xml)?;
        return Ok(());
    }
    let connect = shell.connect()?;
    let pool = shell
        .wait(connect.storage_pool_create_xml(&xml, flags))
        .context(|| tr!("Failed to create pool {name}", name = name))?;
    shell.ui.extra(tr!("Pool {name} created\n", name = pool.name()))?;
    Ok(())
}

fn define_as(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    args.exclusive("secret-usage", "secret-uuid")?;
    let (name, xml) = (args.required("name")?, document(args)?);
    if args.flag("print-xml") {
        shell.ui.print(xml)?;
        return Ok(());
    }
    let connect = shell.connect()?;
    let pool = shell
        .wait(connect.storage_pool_define_xml(&xml, StoragePoolDefineFlags::empty()))
        .context(|| tr!("Failed to define pool {name}", name = name))?;
    shell.ui.extra(tr!("Pool {name} defined\n", name = pool.name()))?;
    Ok(())
}

/// The document that the options describe. Values stand in it as they were typed, as in virsh: a document
/// that is not XML is refused by the driver.
///
/// virsh: `virshBuildPoolXML`, tools/virsh-pool.c
fn document(args: &Args) -> Result<String, Failure> {
    let (name, kind) = (args.required("name")?, args.required("type")?);
    let source = source(args)?;
    let mut xml = format!("<pool type='{kind}'>\n  <name>{name}</name>\n");
    if !source.is_empty() {
        xml += &format!("  <source>\n{source}  </source>\n");
    }
    if let Some(target) = args.text("target")? {
        xml += &format!("  <target>\n    <path>{target}</path>\n  </target>\n");
    }
    Ok(xml + "</pool>\n")
}

fn source(args: &Args) -> Result<String, Failure> {
    let mut xml = String::new();
    let mut add = |line: String| xml += &format!("    {line}\n");
    if let Some(host) = args.text("source-host")? {
        add(format!("<host name='{host}'/>"));
    }
    if let Some(path) = args.text("source-path")? {
        add(format!("<dir path='{path}'/>"));
    }
    if let Some(device) = args.text("source-dev")? {
        add(format!("<device path='{device}'/>"));
    }
    let worldwide = (args.text("adapter-wwnn")?, args.text("adapter-wwpn")?);
    if let Some(name) = args.text("adapter-name")? {
        add(format!("<adapter type='scsi_host' name='{name}'/>"));
    } else if let (Some(node), Some(port)) = worldwide {
        let parent = parent(args)?;
        add(format!("<adapter type='fc_host'{parent} wwnn='{node}' wwpn='{port}'/>"));
    }
    if let Some(initiator) = args.text("source-initiator")? {
        add(format!("<initiator>\n      <iqn name='{initiator}'/>\n    </initiator>"));
    }
    let secret = match (args.text("secret-usage")?, args.text("secret-uuid")?) {
        (Some(usage), _) => Some(format!("usage='{usage}'")),
        (None, uuid) => uuid.map(|uuid| format!("uuid='{uuid}'")),
    };
    let user = args.text("auth-type")?.zip(args.text("auth-username")?);
    // who may use the source does not make a source
    let named = !xml.is_empty() || args.has_named("source-format") || args.has_named("source-name");
    let mut add = |line: String| xml += &format!("    {line}\n");
    if let Some(((kind, user), secret)) = user.zip(secret).filter(|_| named) {
        add(format!(
            "<auth type='{kind}' username='{user}'>\n      <secret {secret}/>\n    </auth>"
        ));
    }
    if let Some(format) = args.text("source-format")? {
        add(format!("<format type='{format}'/>"));
    }
    if let Some(name) = args.text("source-name")? {
        add(format!("<name>{name}</name>"));
    }
    if let Some(version) = args.text("source-protocol-ver")?.filter(|_| named) {
        add(format!("<protocol ver='{version}'/>"));
    }
    Ok(xml)
}

/// The attribute that says which adapter a virtual one is made on.
fn parent(args: &Args) -> Result<String, Failure> {
    if let Some(parent) = args.text("adapter-parent")? {
        return Ok(format!(" parent='{parent}'"));
    }
    let worldwide = (args.text("adapter-parent-wwnn")?, args.text("adapter-parent-wwpn")?);
    if let (Some(node), Some(port)) = worldwide {
        return Ok(format!(" parent_wwnn='{node}' parent_wwpn='{port}'"));
    }
    let fabric = args.text("adapter-parent-fabric-wwn")?;
    Ok(fabric.map(|fabric| format!(" parent_fabric_wwn='{fabric}'")).unwrap_or_default())
}
