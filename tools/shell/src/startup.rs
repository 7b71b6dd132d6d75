//! From the command line to the first command: global options, then one command, a string of
//! commands, or lines from standard input.
//!
//! virsh: `main`, `virshParseArgv`, tools/virsh.c

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::process::ExitCode;

use oxivirt::{Access, Registry, Version};

use crate::commands::Table;
use crate::environment::Environment;
use crate::grammar::parse::{parse_string, parse_words};
use crate::help;
use crate::i18n::tr;
use crate::log::{Level, Log};
use crate::options::{GlobalOption, Scanner};
use crate::shell::{Outcome, Shell};
use crate::ui::{Timing, Ui, Verbosity};

/// The shell ends at once, with this status.
struct Ended(ExitCode);

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self(ExitCode::FAILURE)
    }
}

/// Runs the shell.
pub(crate) fn run(
    program: &OsStr,
    words: Vec<OsString>,
    environment: Environment,
    registry: Registry,
) -> ExitCode {
    let program = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
    let out: Box<dyn Write> = Box::new(io::stdout());
    let err: Box<dyn Write> = Box::new(io::stderr());
    let ui = Ui::new(out, err, Log::new(&program));
    let mut shell = match Shell::new(ui, environment, registry) {
        Ok(shell) => shell,
        Err((mut ui, error)) => {
            drop(ui.error(&error.to_string()));
            return ExitCode::FAILURE;
        }
    };
    let status = go(&mut shell, &program, words).unwrap_or_else(|Ended(status)| status);
    shell.disconnect();
    match shell.ui.flush() {
        Ok(()) => status,
        // a reader which has seen enough is no failure worth a word
        Err(_) => ExitCode::FAILURE,
    }
}

fn go(shell: &mut Shell, program: &str, words: Vec<OsString>) -> Result<ExitCode, Ended> {
    read_debug_variables(shell)?;
    let mut scanner = Scanner::new(words);
    let mut connect_now = false;
    loop {
        match scanner.next() {
            Ok(None) => break,
            Ok(Some(option)) => connect_now |= apply(shell, program, &option)?,
            Err(error) => return fail(shell, &error.message()),
        }
    }
    let words: Vec<Vec<u8>> = scanner.into_rest().into_iter().map(OsString::into_vec).collect();
    // everything is read before anything is done
    let commands = match words.as_slice() {
        [] => None,
        [text] if text.is_empty() => return Err(Ended(ExitCode::FAILURE)),
        [text] => Some(parse_string(text, &Table)),
        words => Some(parse_words(words, &Table)),
    };
    let commands = match commands.transpose() {
        Ok(commands) => commands,
        Err(error) => return fail(shell, &error.message()),
    };
    if connect_now && !shell.connect_at_start()? {
        return Err(Ended(ExitCode::FAILURE));
    }
    match commands {
        Some(commands) => Ok(match shell.run_all(&commands)? {
            Outcome::Done | Outcome::Quit => ExitCode::SUCCESS,
            Outcome::Failed => ExitCode::FAILURE,
        }),
        None => lines(shell, program),
    }
}

fn fail(shell: &mut Shell, message: &str) -> Result<ExitCode, Ended> {
    shell.ui.error(message)?;
    Err(Ended(ExitCode::FAILURE))
}

/// Does what an option says; tells whether it was the URI to connect to.
fn apply(shell: &mut Shell, program: &str, option: &GlobalOption) -> Result<bool, Ended> {
    let value = option.value.as_deref().unwrap_or_default();
    let text = value.to_string_lossy().into_owned();
    match option.short {
        'c' => {
            shell.set_uri(text);
            return Ok(true);
        }
        'd' => set_debug(shell, &text, &option.spelling)?,
        'e' => check_escape(shell, &text)?,
        'h' => {
            let usage = help::usage(program);
            shell.ui.print(usage)?;
            return Err(Ended(ExitCode::SUCCESS));
        }
        'k' | 'K' => check_keepalive(shell, &text, &option.spelling)?,
        'l' => {
            if shell.ui.log.open(Path::new(value)).is_err() {
                let message = tr!("failed to open the log file. check the log file path");
                fail(shell, &message)?;
            }
        }
        'q' => shell.ui.verbosity = Verbosity::Quiet,
        'r' => shell.set_access(Access::ReadOnly),
        't' => shell.ui.timing = Timing::On,
        'v' if text == "long" => return long_version(shell),
        'V' => return long_version(shell),
        _ => {
            shell.ui.print(format!("{}\n", Version::LIBVIRT))?;
            return Err(Ended(ExitCode::SUCCESS));
        }
    }
    Ok(false)
}

fn long_version(shell: &mut Shell) -> Result<bool, Ended> {
    shell.ui.print(help::long_version())?;
    Err(Ended(ExitCode::SUCCESS))
}

fn set_debug(shell: &mut Shell, text: &str, spelling: &str) -> Result<(), Ended> {
    let Ok(number) = text.trim_start().parse::<i64>() else {
        let message = tr!("option {option} takes a numeric argument", option = spelling);
        return fail(shell, &message).map(drop);
    };
    match Level::from_number(number) {
        Some(level) => shell.ui.log.set_level(level),
        None => {
            let message = tr!("ignoring debug level {level} out of range [0-4]", level = number);
            shell.ui.error(&message)?;
        }
    }
    Ok(())
}

/// The console escape is checked and has no use for networks.
fn check_escape(shell: &mut Shell, text: &str) -> Result<(), Ended> {
    let is_control =
        |c: char| c.is_ascii_lowercase() || "@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_".contains(c);
    let mut chars = text.chars();
    let is_valid = match (chars.next(), chars.next(), chars.next()) {
        (Some('^'), Some(control), None) => is_control(control),
        (Some(single), None, None) => single != '^',
        _ => false,
    };
    if is_valid {
        return Ok(());
    }
    let message = tr!("Invalid string '{text}' for escape sequence", text = text);
    fail(shell, &message).map(drop)
}

/// Connections of this process need no signs of life; the number is checked all the same.
fn check_keepalive(shell: &mut Shell, text: &str, spelling: &str) -> Result<(), Ended> {
    let digits = text.trim_start();
    let number = match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => digits.parse::<i64>().ok(),
    };
    match number {
        None => {
            let message = tr!("Invalid value for option {option}", option = spelling);
            fail(shell, &message).map(drop)
        }
        Some(number) if number < 0 => {
            let message =
                tr!("option {option} requires a positive integer argument", option = spelling);
            fail(shell, &message).map(drop)
        }
        Some(_) => Ok(()),
    }
}

fn read_debug_variables(shell: &mut Shell) -> Result<(), Ended> {
    if let Some(text) = shell.environment.filled("VIRSH_DEBUG").map(str::to_owned) {
        match text.parse().ok().and_then(Level::from_number) {
            Some(level) => shell.ui.log.set_level(level),
            None => shell.ui.error(&tr!("VIRSH_DEBUG not set with a valid numeric value"))?,
        }
    }
    if let Some(path) = shell.environment.filled("VIRSH_LOG_FILE").map(str::to_owned)
        && shell.ui.log.open(Path::new(&path)).is_err()
    {
        let message = tr!("failed to open the log file. check the log file path");
        fail(shell, &message)?;
    }
    Ok(())
}

/// Commands from standard input, a line each.
fn lines(shell: &mut Shell, program: &str) -> Result<ExitCode, Ended> {
    shell.ui.extra(help::banner(program))?;
    let input = io::stdin();
    loop {
        let prompt = shell.prompt();
        shell.ui.print(prompt)?;
        shell.ui.flush()?;
        let mut line = Vec::new();
        if input.lock().read_until(b'\n', &mut line)? == 0 {
            shell.ui.print("\n")?;
            return Ok(ExitCode::SUCCESS);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        // what was typed is shown, as a terminal would
        shell.ui.print(&line)?;
        shell.ui.print("\n")?;
        match parse_string(OsStr::from_bytes(&line).as_bytes(), &Table) {
            Err(error) => shell.ui.error(&error.message())?,
            Ok(commands) => {
                if shell.run_all(&commands)? == Outcome::Quit {
                    shell.ui.print("\n")?;
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
    }
}
