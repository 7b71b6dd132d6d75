//! The command line: global options, then one command, a command string, or lines from standard input.
//!
//! virsh: `main`, `virshParseArgv`, tools/virsh.c

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use oxivirt::{Access, Registry};

use crate::args::Value;
use crate::command::{ConnectionUse, Dialect, Kind};
use crate::commands::Table;
use crate::environment::Environment;
use crate::grammar::parse::{Command, parse_string, parse_words};
use crate::help;
use crate::i18n::tr;
use crate::interactive;
use crate::log::{Level, Log};
use crate::options::{GlobalOption, Scanner};
use crate::shell::{Outcome, Shell};
use crate::terminal;
use crate::ui::{Colors, Hints, Progress, Timing, Ui, Verbosity};

/// The shell exits immediately with this status.
struct Exit(ExitCode);

impl From<io::Error> for Exit {
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
    let dialect = Dialect::of_program(&program);
    let mut shell = match Shell::new(ui, dialect, environment, registry) {
        Ok(shell) => shell,
        Err((mut ui, error)) => {
            drop(ui.error(&error.to_string()));
            return ExitCode::FAILURE;
        }
    };
    if dialect == Dialect::Oxish
        && terminal::shows_results()
        && shell.environment.filled("NO_COLOR").is_none()
        && shell.environment.text("TERM").is_some_and(|kind| kind != "dumb")
    {
        shell.ui.colors = Colors::Shown;
    }
    if dialect == Dialect::Oxish {
        shell.ui.hints = Hints::Shown;
        if io::stderr().is_terminal() {
            shell.ui.progress = Progress::Shown;
        }
    }
    let status =
        run_command_line(&mut shell, &program, words).unwrap_or_else(|Exit(status)| status);
    shell.disconnect();
    match shell.ui.flush() {
        Ok(()) => status,
        // a closed pipe needs no message
        Err(_) => ExitCode::FAILURE,
    }
}

fn run_command_line(
    shell: &mut Shell,
    program: &str,
    words: Vec<OsString>,
) -> Result<ExitCode, Exit> {
    read_debug_level(shell, BadValue::Report)?;
    read_log_variable(shell)?;
    let mut scanner = Scanner::new(words);
    let mut connect_now = false;
    loop {
        match scanner.next() {
            Ok(None) => break,
            Ok(Some(option)) => connect_now |= apply(shell, program, &option)?,
            Err(error) => {
                shell.ui.error(&error.message())?;
                if let Some(hint) = error.hint() {
                    shell.ui.hint(&hint)?;
                }
                return Err(Exit(ExitCode::FAILURE));
            }
        }
    }
    let words: Vec<Vec<u8>> = scanner.into_rest().into_iter().map(OsString::into_vec).collect();
    // everything is parsed before anything runs
    let table = Table::of(shell.dialect);
    let commands = match words.as_slice() {
        [] => None,
        [text] if text.is_empty() => return Err(Exit(ExitCode::FAILURE)),
        [text] => {
            let line = format!("commands: \"{}\"", String::from_utf8_lossy(text));
            shell.ui.debug(Level::Info, &line)?;
            Some(parse_string(text, &table))
        }
        words => Some(parse_words(words, &table)),
    };
    let commands = match commands.transpose() {
        Ok(commands) => commands,
        Err(error) => {
            shell.report_parse_error(&error)?;
            return Err(Exit(ExitCode::FAILURE));
        }
    };
    match &commands {
        Some(commands) => trace(shell, commands)?,
        None => shell.use_background_thread()?,
    }
    if !shell.ui.log.wants(Level::Warning) {
        read_debug_level(shell, BadValue::Ignore)?;
    }
    let may_connect = commands.as_ref().is_none_or(|commands| {
        commands.iter().any(|command| command.def.connection != ConnectionUse::Forbidden)
    });
    if connect_now && may_connect && !shell.connect_at_start()? {
        return Err(Exit(ExitCode::FAILURE));
    }
    match commands {
        Some(commands) => Ok(match shell.run_all(&commands)? {
            Outcome::Done | Outcome::Quit => ExitCode::SUCCESS,
            Outcome::Failed => ExitCode::FAILURE,
        }),
        None => Ok(interactive::run(shell, program)?),
    }
}

/// Prints the parsed commands as debug messages.
pub(crate) fn trace(shell: &mut Shell, commands: &[Command]) -> io::Result<()> {
    if !shell.ui.log.wants(Level::Info) {
        return Ok(());
    }
    for command in commands {
        let mut place_in_list = 0;
        for parsed in command.args.parsed() {
            let Some(option) = command.def.options.get(parsed.index) else { continue };
            let (command, name) = (command.def.name, option.name);
            let line = match &parsed.value {
                Value::Flag => format!("{command}: {name}(bool)"),
                Value::Text(text) => {
                    let text = String::from_utf8_lossy(text);
                    if option.kind == Kind::List {
                        place_in_list += 1;
                        format!("{command}: {name}(argv: {}): {text}", place_in_list - 1)
                    } else {
                        format!("{command}: {name}(optdata): {text}")
                    }
                }
            };
            shell.ui.debug(Level::Info, &line)?;
        }
    }
    Ok(())
}

fn fail(shell: &mut Shell, message: &str) -> Result<ExitCode, Exit> {
    shell.ui.error(message)?;
    Err(Exit(ExitCode::FAILURE))
}

/// Applies a global option; returns whether it was `-c`.
fn apply(shell: &mut Shell, program: &str, option: &GlobalOption) -> Result<bool, Exit> {
    let value = option.value.as_deref().unwrap_or_default();
    let text = value.to_string_lossy().into_owned();
    match option.short {
        'c' => {
            shell.connection.uri = Some(text);
            return Ok(true);
        }
        'd' => set_debug(shell, &text, &option.spelling)?,
        'e' => check_escape(shell, &text)?,
        'h' => {
            let usage = help::usage(program, shell.dialect);
            shell.ui.print(usage)?;
            return Err(Exit(ExitCode::SUCCESS));
        }
        'k' | 'K' => set_keepalive(shell, option.short, &text, &option.spelling)?,
        'l' => {
            if shell.ui.log.open(Path::new(value)).is_err() {
                let message = tr!("failed to open the log file. check the log file path");
                fail(shell, &message)?;
            }
        }
        'q' => shell.ui.verbosity = Verbosity::Quiet,
        'r' => shell.connection.access = Access::ReadOnly,
        't' => shell.ui.timing = Timing::On,
        'v' if text == "long" => return long_version(shell),
        'V' => return long_version(shell),
        _ => {
            shell.ui.print(help::short_version(shell.dialect))?;
            return Err(Exit(ExitCode::SUCCESS));
        }
    }
    Ok(false)
}

fn long_version(shell: &mut Shell) -> Result<bool, Exit> {
    shell.ui.print(help::long_version(shell.dialect))?;
    Err(Exit(ExitCode::SUCCESS))
}

fn set_debug(shell: &mut Shell, text: &str, spelling: &str) -> Result<(), Exit> {
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

/// Takes the escape character of consoles.
fn check_escape(shell: &mut Shell, text: &str) -> Result<(), Exit> {
    let is_control =
        |c: char| c.is_ascii_lowercase() || "@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_".contains(c);
    let mut chars = text.chars();
    let is_valid = match (chars.next(), chars.next(), chars.next()) {
        (Some('^'), Some(control), None) => is_control(control),
        (Some(single), None, None) => single != '^',
        _ => false,
    };
    if is_valid {
        text.clone_into(&mut shell.escape);
        return Ok(());
    }
    let message = tr!("Invalid string '{text}' for escape sequence", text = text);
    fail(shell, &message).map(drop)
}

fn set_keepalive(shell: &mut Shell, short: char, text: &str, spelling: &str) -> Result<(), Exit> {
    let Some(number) = read_c_integer(text) else {
        let message = tr!("Invalid value for option {option}", option = spelling);
        return fail(shell, &message).map(drop);
    };
    let Ok(number) = u32::try_from(number) else {
        let message =
            tr!("option {option} requires a positive integer argument", option = spelling);
        return fail(shell, &message).map(drop);
    };
    let keepalive = &mut shell.connection.keepalive;
    keepalive.explicit = true;
    if short == 'k' {
        keepalive.interval = Duration::from_secs(number.into());
    } else {
        keepalive.count = number;
    }
    Ok(())
}

/// Parses a C integer: decimal, hexadecimal after `0x`, octal after `0`.
fn read_c_integer(text: &str) -> Option<i32> {
    let text = text.trim_start();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    let is_digits = digits.chars().all(|c| c.is_digit(radix));
    is_digits.then(|| i32::from_str_radix(&format!("{sign}{digits}"), radix).ok()).flatten()
}

/// Whether a bad value of `VIRSH_DEBUG` is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BadValue {
    Report,
    /// It has been reported.
    Ignore,
}

/// The variable applies at level 4, which is also the level without `-d`.
fn read_debug_level(shell: &mut Shell, on_bad_value: BadValue) -> Result<(), Exit> {
    if let Some(text) = shell.environment.filled("VIRSH_DEBUG").map(str::to_owned) {
        match text.parse().ok().and_then(Level::from_number) {
            Some(level) => shell.ui.log.set_level(level),
            None if on_bad_value == BadValue::Ignore => {}
            None => shell.ui.error(&tr!("VIRSH_DEBUG not set with a valid numeric value"))?,
        }
    }
    Ok(())
}

fn read_log_variable(shell: &mut Shell) -> Result<(), Exit> {
    if let Some(path) = shell.environment.filled("VIRSH_LOG_FILE").map(str::to_owned)
        && shell.ui.log.open(Path::new(&path)).is_err()
    {
        let message = tr!("failed to open the log file. check the log file path");
        fail(shell, &message)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_c_does() {
        for (text, expect) in [
            ("5", Some(5)),
            (" +5", Some(5)),
            ("-5", Some(-5)),
            ("0x1F", Some(31)),
            ("017", Some(15)),
            ("0", Some(0)),
            ("09", None),
            ("5s", None),
            ("", None),
            ("--5", None),
            ("99999999999", None),
        ] {
            assert_eq!(read_c_integer(text), expect, "{text}");
        }
    }
}
