//! The command line.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::profile::{Profile, Role};

/// The text of `--help`; NAME stands for the name of the daemon of libvirt, RW, RO and ADMIN for its sockets.
const HELP: &str = "\
Usage:
  oxivirtd [OPTION]...

Serves the API of libvirt's NAME.

Options:
  -h | --help            Show this text and exit
  -v | --verbose         Log informational messages too
  -l | --listen          Listen for TCP and TLS connections as configured
  -t | --timeout SECS    Exit after SECS seconds without clients and running objects
  -f | --config FILE     Read FILE instead of the default configuration
  -V | --version         Show the version and exit
  -p | --pid-file FILE   Write the process ID to FILE
       --root DIR        Use DIR in place of / for all files

Configuration (unless given by -f):
  /etc/libvirt/NAME.conf

Sockets:
  /run/libvirt/RW
  /run/libvirt/RO
  /run/libvirt/ADMIN

Process ID (unless given by -p):
  /run/NAME.pid
";

/// How the daemon is to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Args {
    /// Log more.
    pub(crate) verbose: Verbosity,
    /// Serve ports beside the sockets.
    pub(crate) listen: Listen,
    /// Exit after so long without clients and running objects.
    pub(crate) timeout: Option<Duration>,
    /// Configuration.
    pub(crate) config: Option<PathBuf>,
    /// Where the process ID is written.
    pub(crate) pid_file: Option<PathBuf>,
    /// Directory below which all files are.
    pub(crate) root: Option<PathBuf>,
}

/// Whether the log says more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Verbosity {
    #[default]
    Usual,
    More,
}

/// Whether ports are served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Listen {
    #[default]
    Sockets,
    Ports,
}

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Run(Args),
    Say(String),
    Refuse(String),
}

/// Reads the words after the program's name.
pub(crate) fn parse(profile: &Profile, words: impl IntoIterator<Item = OsString>) -> Request {
    let socket = |role| profile.socket(role);
    let help = HELP
        .replace("NAME", profile.name)
        .replace("RW", &socket(Role::ReadWrite))
        .replace("RO", &socket(Role::ReadOnly))
        .replace("ADMIN", &socket(Role::Admin));
    let mut words = expand(words).into_iter();
    let mut args = Args::default();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .ok_or_else(|| format!("option '{}' requires an argument", word.to_string_lossy()))
        };
        let result = match word.to_str() {
            Some("-h" | "--help") => return Request::Say(help),
            Some("-V" | "--version") => return Request::Say(version()),
            Some("-v" | "--verbose") => {
                args.verbose = Verbosity::More;
                Ok(())
            }
            Some("-l" | "--listen") => {
                args.listen = Listen::Ports;
                Ok(())
            }
            // a service manager would take the end of the first process for that of the daemon
            Some("-d" | "--daemon") => {
                return Request::Refuse(format!(
                    "'{}' is not supported: let a service manager run the daemon",
                    word.to_string_lossy()
                ));
            }
            Some("-f" | "--config") => value().map(|path| args.config = Some(path.into())),
            Some("-p" | "--pid-file") => value().map(|path| args.pid_file = Some(path.into())),
            Some("--root") => value().map(|path| args.root = Some(path.into())),
            Some("-t" | "--timeout") => value().and_then(|text| {
                args.timeout = Some(seconds(&text)?);
                Ok(())
            }),
            _ => Err(format!("unexpected argument '{}'", word.to_string_lossy())),
        };
        if let Err(complaint) = result {
            return Request::Refuse(format!("{complaint}\n\n{help}"));
        }
    }
    match &args.root {
        Some(root) if !root.is_absolute() => {
            Request::Refuse(format!("root directory '{}' is not absolute", root.display()))
        }
        _ => Request::Run(args),
    }
}

/// `--name=value` and `-nvalue` as two words, `-vd` as two options.
fn expand(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut expanded = Vec::new();
    for word in words {
        let Some(text) = word.to_str() else {
            expanded.push(word);
            continue;
        };
        if let Some((name, value)) = text.split_once('=').filter(|_| text.starts_with("--")) {
            expanded.extend([name.into(), value.into()]);
        } else if let Some(letters) = text.strip_prefix('-').filter(|rest| !rest.starts_with('-')) {
            let mut letters = letters.chars();
            while let Some(letter) = letters.next() {
                expanded.push(format!("-{letter}").into());
                let rest = letters.as_str();
                if "ftp".contains(letter) && !rest.is_empty() {
                    expanded.push(rest.into());
                    break;
                }
            }
        } else {
            expanded.push(word);
        }
    }
    expanded
}

fn seconds(text: &OsStr) -> Result<Duration, String> {
    let seconds = text.to_str().and_then(|text| text.parse::<u32>().ok()).filter(|n| *n > 0);
    let seconds = seconds.ok_or_else(|| "Invalid value for timeout".to_owned())?;
    Ok(Duration::from_secs(seconds.into()))
}

fn version() -> String {
    let libvirt = oxivirt::Version::LIBVIRT;
    format!("oxivirtd (oxivirt) {}, behaves as libvirt {libvirt}\n", env!("CARGO_PKG_VERSION"))
}

/// Writes to standard output, which may have been closed.
pub(crate) fn say(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// Writes an error to standard error.
pub(crate) fn complain(text: &str) {
    drop(std::io::stderr().write_all(format!("oxivirtd: {text}\n").as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Request {
        parse(&Profile::NETWORK, line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_in_all_their_forms() {
        let expect = Args {
            verbose: Verbosity::More,
            listen: Listen::Ports,
            timeout: Some(Duration::from_secs(5)),
            config: Some("/f".into()),
            pid_file: Some("/p".into()),
            root: Some("/r".into()),
        };
        for line in [
            "-v -l -t 5 -f /f -p /p --root /r",
            "-vlt5 -f/f --pid-file=/p --root=/r",
            "--verbose --listen --timeout 5 --config /f --pid-file /p --root /r",
        ] {
            assert_eq!(parsed(line), Request::Run(expect.clone()), "{line}");
        }
    }

    #[track_caller]
    fn refused(line: &str, expect: &str) {
        let Request::Refuse(text) = parsed(line) else { panic!("{line} is taken") };
        assert_eq!(text.lines().next(), Some(expect), "{line}");
    }

    #[test]
    fn what_is_refused() {
        refused("-x", "unexpected argument '-x'");
        refused("-d", "'-d' is not supported: let a service manager run the daemon");
        refused("stray", "unexpected argument 'stray'");
        refused("-t", "option '-t' requires an argument");
        refused("-t 0", "Invalid value for timeout");
        refused("--root r", "root directory 'r' is not absolute");
        let help = parsed("-h");
        assert!(matches!(help, Request::Say(text) if text.contains("virtnetworkd-sock-ro\n")));
        assert!(matches!(parsed("-V"), Request::Say(text) if text.contains("libvirt 11.3.0")));
    }
}
