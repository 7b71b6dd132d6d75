//! `desc`: show or change the description or title of a domain.

use oxivirt::{
    Domain, DomainAffectFlags, DomainListFlags, DomainMetadataChange, ErrorCode, MetadataType,
};

use super::{CONFIG, CURRENT, LIVE, domain, domain_option, scope};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::editor;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("desc", mark!("show or change title or description"), run)
        .about(mark!(
            "Shows the description or title of a domain, or replaces it with the given words."
        ))
        .options(&[
            domain_option(DomainListFlags::empty()),
            LIVE,
            CONFIG,
            CURRENT,
            OptionDef::flag("title", mark!("use the title instead of the description")),
            OptionDef::flag("edit", mark!("change the text in an editor")),
            OptionDef::list("new-desc", mark!("the new text")).positional().may_be_empty(),
        ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let flags = scope(args)?;
    let domain = domain(shell, args)?;
    let is_title = args.flag("title");
    let kind = if is_title { MetadataType::Title } else { MetadataType::Description };
    let words = args.words("new-desc");
    let given =
        (!words.is_empty()).then(|| String::from_utf8_lossy(&words.join(&b' ')).into_owned());
    if given.is_none() && !args.flag("edit") {
        let stored = stored(shell, &domain, kind, flags)?;
        return show(shell, &domain, is_title, stored);
    }
    // a driver rejects reading both scopes at once, but not writing them
    let stored = if flags.contains(DomainAffectFlags::LIVE | DomainAffectFlags::CONFIG) {
        stored(shell, &domain, kind, DomainAffectFlags::CONFIG).unwrap_or_default()
    } else {
        stored(shell, &domain, kind, flags)?
    };
    let stored = stored.unwrap_or_default();
    let mut text = given.unwrap_or_else(|| stored.clone());
    if args.flag("edit") {
        text = editor::edit_once(shell, &text)?;
        if text.ends_with('\n') {
            text.pop();
        }
        if text == stored {
            let line = if is_title {
                tr!("Domain title not changed\n")
            } else {
                tr!("Domain description not changed\n")
            };
            shell.ui.extra(line)?;
            return Ok(());
        }
    }
    let change = DomainMetadataChange { kind, metadata: Some(text), key: None, uri: None, flags };
    shell.wait(domain.set_metadata(&change)).context(|| {
        if is_title {
            tr!("Failed to set new domain title")
        } else {
            tr!("Failed to set new domain description")
        }
    })?;
    let done = if is_title {
        tr!("Domain title updated successfully")
    } else {
        tr!("Domain description updated successfully")
    };
    shell.ui.extra(done)?;
    Ok(())
}

/// The stored text, `None` if there is none.
fn stored(
    shell: &Shell,
    domain: &Domain,
    kind: MetadataType,
    flags: DomainAffectFlags,
) -> Result<Option<String>, Failure> {
    match shell.wait(domain.metadata(kind, None, flags)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.code() == ErrorCode::NO_DOMAIN_METADATA => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn show(
    shell: &mut Shell,
    domain: &Domain,
    is_title: bool,
    text: Option<String>,
) -> Result<(), Failure> {
    match text {
        Some(text) => shell.ui.print(text)?,
        None => {
            let name = domain.name();
            shell.ui.extra(if is_title {
                tr!("No title for domain: {name}", name = name)
            } else {
                tr!("No description for domain: {name}", name = name)
            })?;
        }
    }
    Ok(())
}
