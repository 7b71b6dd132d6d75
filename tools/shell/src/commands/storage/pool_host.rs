//! `pool-capabilities`, `find-storage-pool-sources`, `find-storage-pool-sources-as`: what a host has for pools.

use super::pool_list::TYPES;
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const CAPABILITIES: CommandDef = CommandDef::new(
    "pool-capabilities",
    mark!("print which pools the host supports as XML"),
    capabilities,
);

pub(crate) const SOURCES: CommandDef =
    CommandDef::new("find-storage-pool-sources", mark!("find sources for pools"), sources)
        .about(mark!("Prints the sources for pools of a type as XML."))
        .options(&[
            TYPE,
            OptionDef::text("srcSpec", mark!("file containing XML that says where to look"))
                .accepted()
                .complete(Completer::Path),
        ]);

pub(crate) const SOURCES_AS: CommandDef =
    CommandDef::new("find-storage-pool-sources-as", mark!("find sources for pools"), sources_as)
        .about(mark!("Prints the sources for pools of a type as XML."))
        .options(&[
            TYPE,
            OptionDef::text("host", mark!("host to ask")).accepted(),
            OptionDef::text("port", mark!("its port")).accepted(),
            OptionDef::text("initiator", mark!("IQN of the initiator")).accepted(),
        ]);

const TYPE: OptionDef = OptionDef::text("type", mark!("type of the pool"))
    .positional()
    .required()
    .complete(Completer::Words(&TYPES));

fn capabilities(shell: &mut Shell, _: &Args) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let xml = shell
        .wait(connect.storage_pool_capabilities())
        .context(|| tr!("failed to get storage pool capabilities"))?;
    shell.ui.print(xml)?;
    Ok(())
}

fn sources(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let spec = match args.has_named("srcSpec") {
        true => Some(shell.read_file(args, "srcSpec")?.1),
        false => None,
    };
    find(shell, args, spec.as_deref())
}

/// virsh: `cmdPoolDiscoverSourcesAs`, tools/virsh-pool.c
fn sources_as(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let Some(host) = args.text("host")? else { return find(shell, args, None) };
    let port = args.text("port")?.map(|port| format!(" port='{port}'")).unwrap_or_default();
    let mut spec = format!("<source>\n  <host name='{host}'{port}/>\n");
    if let Some(initiator) = args.text("initiator")? {
        spec += &format!("  <initiator>\n    <iqn name='{initiator}'/>\n  </initiator>\n");
    }
    find(shell, args, Some(&(spec + "</source>\n")))
}

fn find(shell: &mut Shell, args: &Args, spec: Option<&str>) -> Result<(), Failure> {
    let kind = args.required("type")?;
    let connect = shell.connect()?;
    let xml = shell
        .wait(connect.find_storage_pool_sources(&kind, spec))
        .context(|| tr!("Failed to find any {kind} pool sources", kind = kind))?;
    shell.ui.print(xml)?;
    Ok(())
}
