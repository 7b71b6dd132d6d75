//! `net-metadata`: show or change custom XML in a network's metadata.

use oxivirt::{ErrorCode, ListFlags, MetadataChange, MetadataType, Network, UpdateFlags};

use super::{CONFIG, CURRENT, LIVE, network_option, scope};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::editor::{self, EditRequest, Verdict};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef = CommandDef::new(
    "net-metadata",
    mark!("show or change custom XML"),
    run,
)
.about(mark!(
    "Shows or changes the custom XML that an application keeps in the metadata of a network."
))
.options(&[
    network_option(ListFlags::NONE),
    OptionDef::text("uri", mark!("namespace of the element")).positional().required(),
    LIVE,
    CONFIG,
    CURRENT,
    OptionDef::flag("edit", mark!("change the element in an editor")),
    OptionDef::text("key", mark!("prefix of the namespace in the XML")).accepted(),
    OptionDef::text("set", mark!("the new element")).accepted(),
    OptionDef::flag("remove", mark!("remove the element")),
]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    for (first, second) in [
        ("current", "live"),
        ("current", "config"),
        ("edit", "set"),
        ("remove", "set"),
        ("remove", "edit"),
    ] {
        args.exclusive(first, second)?;
    }
    let flags = scope(args);
    let network = shell.network(args)?;
    let uri = args.required("uri")?;
    let key = args.text("key")?;
    let set = args.text("set")?;
    if (set.is_some() || args.flag("edit")) && key.is_none() {
        return Err(Failure::Message(tr!("namespace key is required when modifying metadata")));
    }
    let change = |metadata| MetadataChange {
        kind: MetadataType::Element,
        metadata,
        key: key.clone(),
        uri: Some(uri.clone()),
        flags,
    };
    if set.is_some() {
        shell.wait(network.set_metadata(&change(set)))?;
        shell.ui.extra(tr!("Metadata modified\n"))?;
    } else if args.flag("remove") {
        let removal = MetadataChange { key: None, ..change(None) };
        match shell.wait(network.set_metadata(&removal)) {
            Err(error) if error.code() != ErrorCode::NO_NETWORK_METADATA => {
                return Err(error.into());
            }
            _ => shell.ui.extra(tr!("Metadata removed\n"))?,
        }
    } else if args.flag("edit") {
        edit(shell, &network, &uri, flags, &change)?;
    } else {
        let element = element(shell, &network, &uri, flags)?.unwrap_or_default();
        shell.ui.print(format!("{element}\n"))?;
    }
    Ok(())
}

fn element(
    shell: &Shell,
    network: &Network,
    uri: &str,
    flags: UpdateFlags,
) -> Result<Option<String>, Failure> {
    match shell.wait(network.metadata(MetadataType::Element, Some(uri), flags)) {
        Ok(element) => Ok(Some(element)),
        Err(error) if error.code() == ErrorCode::NO_NETWORK_METADATA => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn edit(
    shell: &mut Shell,
    network: &Network,
    uri: &str,
    flags: UpdateFlags,
    change: &dyn Fn(Option<String>) -> MetadataChange,
) -> Result<(), Failure> {
    let fetch = |shell: &mut Shell| {
        let element = element(shell, network, uri, flags)?;
        Ok(element.unwrap_or_else(|| "\n".to_owned()))
    };
    let apply = |shell: &mut Shell, text: &str| {
        shell.wait(network.set_metadata(&change(Some(text.to_owned())))).map_err(Into::into)
    };
    match editor::edit(shell, &EditRequest { fetch: &fetch, apply: &apply, preview: None })? {
        Verdict::Unchanged => shell.ui.extra(tr!("Metadata not changed"))?,
        Verdict::Applied(()) => shell.ui.extra(tr!("Metadata modified\n"))?,
    }
    Ok(())
}
