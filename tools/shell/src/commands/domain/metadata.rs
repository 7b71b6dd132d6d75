//! `metadata`: show or change custom XML in the metadata of a domain.

use oxivirt::{
    Domain, DomainAffectFlags, DomainListFlags, DomainMetadataChange, ErrorCode, MetadataType,
};

use super::{CONFIG, CURRENT, LIVE, domain, domain_option, scope};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::editor::{self, EditRequest, Verdict};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("metadata", mark!("show or change custom XML"), run)
        .about(mark!(
            "Shows or changes the custom XML that an application keeps in the metadata of a domain."
        ))
        .options(&[
            domain_option(DomainListFlags::empty()),
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
    for (first, second) in [("edit", "set"), ("remove", "set"), ("remove", "edit")] {
        args.exclusive(first, second)?;
    }
    let flags = scope(args)?;
    let domain = domain(shell, args)?;
    let uri = args.required("uri")?;
    let key = args.text("key")?;
    let set = args.text("set")?;
    if (set.is_some() || args.flag("edit")) && key.is_none() {
        return Err(Failure::Message(tr!("namespace key is required when modifying metadata")));
    }
    let change = |metadata| DomainMetadataChange {
        kind: MetadataType::Element,
        metadata,
        key: key.clone(),
        uri: Some(uri.clone()),
        flags,
    };
    if set.is_some() {
        shell.wait(domain.set_metadata(&change(set)))?;
        shell.ui.extra(tr!("Metadata modified\n"))?;
    } else if args.flag("remove") {
        let removal = DomainMetadataChange { key: None, ..change(None) };
        match shell.wait(domain.set_metadata(&removal)) {
            Err(error) if error.code() != ErrorCode::NO_DOMAIN_METADATA => {
                return Err(error.into());
            }
            _ => shell.ui.extra(tr!("Metadata removed\n"))?,
        }
    } else if args.flag("edit") {
        edit(shell, &domain, &uri, flags, &change)?;
    } else {
        let element = element(shell, &domain, &uri, flags)?.unwrap_or_default();
        shell.ui.print(format!("{element}\n"))?;
    }
    Ok(())
}

fn element(
    shell: &Shell,
    domain: &Domain,
    uri: &str,
    flags: DomainAffectFlags,
) -> Result<Option<String>, Failure> {
    match shell.wait(domain.metadata(MetadataType::Element, Some(uri), flags)) {
        Ok(element) => Ok(Some(element)),
        Err(error) if error.code() == ErrorCode::NO_DOMAIN_METADATA => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn edit(
    shell: &mut Shell,
    domain: &Domain,
    uri: &str,
    flags: DomainAffectFlags,
    change: &dyn Fn(Option<String>) -> DomainMetadataChange,
) -> Result<(), Failure> {
    let fetch = |shell: &mut Shell| {
        let element = element(shell, domain, uri, flags)?;
        Ok(element.unwrap_or_else(|| "\n".to_owned()))
    };
    let apply = |shell: &mut Shell, text: &str| {
        shell.wait(domain.set_metadata(&change(Some(text.to_owned())))).map_err(Into::into)
    };
    match editor::edit(shell, &EditRequest { fetch: &fetch, apply: &apply, preview: None })? {
        Verdict::Unchanged => shell.ui.extra(tr!("Metadata not changed"))?,
        Verdict::Applied(()) => shell.ui.extra(tr!("Metadata modified\n"))?,
    }
    Ok(())
}
