//! `net-desc`: show or change a network's description or title.

use oxivirt::{ErrorCode, ListFlags, MetadataChange, MetadataType, Network, UpdateFlags};

use super::{CONFIG, CURRENT, LIVE, network_option, scope};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::editor;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-desc", mark!("show or change title or description"), run)
        .about(mark!(
            "Shows the description or title of a network, or replaces it with the given words."
        ))
        .options(&[
            network_option(ListFlags::NONE),
            LIVE,
            CONFIG,
            CURRENT,
            OptionDef::flag("title", mark!("use the title instead of the description")),
            OptionDef::flag("edit", mark!("change the text in an editor")),
            OptionDef::list("new-desc", mark!("the new text")).positional().may_be_empty(),
        ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    args.exclusive("current", "live")?;
    args.exclusive("current", "config")?;
    let flags = scope(args);
    let network = shell.network(args)?;
    let is_title = args.flag("title");
    let kind = if is_title { MetadataType::Title } else { MetadataType::Description };
    let words = args.words("new-desc");
    let given =
        (!words.is_empty()).then(|| String::from_utf8_lossy(&words.join(&b' ')).into_owned());
    if given.is_none() && !args.flag("edit") {
        let stored = stored(shell, &network, kind, flags)?;
        return show(shell, &network, is_title, stored);
    }
    // a driver rejects reading both scopes at once, but not writing them
    let stored = if flags.contains(UpdateFlags::LIVE | UpdateFlags::CONFIG) {
        stored(shell, &network, kind, UpdateFlags::CONFIG).unwrap_or_default()
    } else {
        stored(shell, &network, kind, flags)?
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
                tr!("Network title not changed\n")
            } else {
                tr!("Network description not changed\n")
            };
            shell.ui.extra(line)?;
            return Ok(());
        }
    }
    let change = MetadataChange { kind, metadata: Some(text), key: None, uri: None, flags };
    shell.wait(network.set_metadata(&change)).context(|| {
        if is_title {
            tr!("Failed to set new network title")
        } else {
            tr!("Failed to set new network description")
        }
    })?;
    let done = if is_title {
        tr!("Network title updated successfully")
    } else {
        tr!("Network description updated successfully")
    };
    shell.ui.extra(done)?;
    Ok(())
}

/// The stored text, `None` if there is none.
fn stored(
    shell: &Shell,
    network: &Network,
    kind: MetadataType,
    flags: UpdateFlags,
) -> Result<Option<String>, Failure> {
    match shell.wait(network.metadata(kind, None, flags)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.code() == ErrorCode::NO_NETWORK_METADATA => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn show(
    shell: &mut Shell,
    network: &Network,
    is_title: bool,
    text: Option<String>,
) -> Result<(), Failure> {
    match text {
        Some(text) => shell.ui.print(text)?,
        None => {
            let name = network.name();
            shell.ui.extra(if is_title {
                tr!("No title for network: {name}", name = name)
            } else {
                tr!("No description for network: {name}", name = name)
            })?;
        }
    }
    Ok(())
}
