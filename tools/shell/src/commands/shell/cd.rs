//! `cd`: change the current directory.

use std::io;
use std::path::PathBuf;

use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::{Shell, errno_text};

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("cd", mark!("change the current directory"), run)
        .about(mark!("Changes the directory that relative file names refer to."))
        .options(&[OptionDef::text("dir", mark!("the directory (default: home directory)"))
            .positional()
            .may_be_empty()
            .complete(Completer::Path)])
        .offline();

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let given = args.path("dir")?.filter(|path| !path.as_os_str().is_empty());
    let dir = match given {
        Some(dir) => dir.to_owned(),
        None => shell.environment.home().unwrap_or_else(|| PathBuf::from("/")),
    };
    std::env::set_current_dir(&dir).map_err(|error: io::Error| {
        let (reason, dir) = (errno_text(&error), dir.display());
        Failure::Message(tr!("cd: {reason}: {dir}", reason = reason, dir = dir))
    })
}
