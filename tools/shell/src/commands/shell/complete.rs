//! `complete`: what an unfinished command line can go on with, for the completion of other shells.

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::complete::{CompletionMode, candidates};
use crate::failure::Failure;
use crate::i18n::mark;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("complete", mark!("list what a command line can go on with"), run)
        .about(mark!("Prints what can follow its words, a candidate a line."))
        .options(&[
            OptionDef::list("string", mark!("the words so far, the last one unfinished"))
                .positional()
                .may_be_empty(),
            OptionDef::flag("values", mark!("values for an empty word, too")).ours(),
        ])
        .offline()
        .hidden();

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let words = args.words("string");
    let text = words.last().copied().unwrap_or_default().to_vec();
    let line = words.join(&b' ');
    let caller =
        if args.flag("values") { CompletionMode::LineEditor } else { CompletionMode::Virsh };
    // nobody reads what goes wrong while a word is completed
    let errors = shell.ui.silence_errors();
    let found = candidates(shell, &line, &text, caller);
    shell.ui.restore_errors(errors);
    if found.is_empty() {
        return Err(Failure::Reported);
    }
    for candidate in found {
        shell.ui.print(format!("{candidate}\n"))?;
    }
    Ok(())
}
