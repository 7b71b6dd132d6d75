//! `net-edit`: change a network's XML in an editor.

use oxivirt::{DefineFlags, ErrorCode, ListFlags, Network, XmlFlags};

use super::network_option;
use crate::args::Args;
use crate::command::{CommandDef, Dialect, OptionDef};
use crate::editor::{self, EditRequest, Verdict};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::terminal;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-edit", mark!("change a network's XML in an editor"), run)
        .about(mark!(
            "Opens the stored definition of a network in an editor and stores the result."
        ))
        .options(&[
            network_option(ListFlags::NONE),
            OptionDef::flag("diff", mark!("show the changes and ask before storing them")).ours(),
        ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let network = shell.network(args)?;
    let connect = shell.connect()?;
    let fetch = |shell: &mut Shell| stored_xml(shell, &network);
    let apply = |shell: &mut Shell, text: &str| {
        let defined = shell.wait(connect.network_define_xml(text, DefineFlags::NONE));
        defined.map_err(|error| Failure::Driver(error).hint_for_document(text))
    };
    let preview: Option<&editor::Preview<'_>> = if args.flag("diff") {
        Some(&editor::show_difference)
    } else if shell.dialect == Dialect::Oxish && terminal::shows_results() {
        Some(&show_changes)
    } else {
        None
    };
    let verdict = editor::edit(shell, &EditRequest { fetch: &fetch, apply: &apply, preview })?;
    let line = match verdict {
        Verdict::Unchanged => {
            tr!("Network {name} XML configuration not changed.\n", name = network.name())
        }
        Verdict::Applied(defined) => {
            tr!("Network {name} XML configuration edited.\n", name = defined.name())
        }
    };
    shell.ui.extra(line)?;
    Ok(())
}

fn show_changes(shell: &mut Shell, old: &str, new: &str) -> Result<bool, Failure> {
    editor::show_changes(shell, old, new)?;
    Ok(true)
}

/// The definition used at the next start, or the live one if the driver has no other.
pub(crate) fn stored_xml(shell: &Shell, network: &Network) -> Result<String, Failure> {
    match shell.wait(network.xml_desc(XmlFlags::INACTIVE)) {
        Err(error) if error.code() == ErrorCode::INVALID_ARG => {
            Ok(shell.wait(network.xml_desc(XmlFlags::NONE))?)
        }
        answer => Ok(answer?),
    }
}
