//! The terminal the shell was started on: whether there is one, its modes and its size.

use std::io::{IsTerminal as _, stdin, stdout};
use std::os::fd::AsFd as _;

use nix::sys::termios::{LocalFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// Whether a person can answer a question.
pub(crate) fn is_interactive() -> bool {
    stdin().is_terminal()
}

/// Whether a person reads the results.
pub(crate) fn shows_results() -> bool {
    stdout().is_terminal()
}

/// Modes of the terminal as they were; given back when dropped.
#[derive(Debug)]
pub(crate) struct Modes(Termios);

impl Drop for Modes {
    fn drop(&mut self) {
        // a terminal that went away needs no modes
        let _gone = tcsetattr(stdin().as_fd(), SetArg::TCSADRAIN, &self.0);
    }
}

/// Every key arrives at once and unchanged, nothing is shown by itself.
pub(crate) fn raw() -> Option<Modes> {
    changed(cfmakeraw)
}

/// Keys arrive at once and are not shown; output is still the terminal's, and so is ^C while
/// nothing is read.
pub(crate) fn keys() -> Option<Modes> {
    changed(|modes| {
        modes.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
    })
}

/// What is typed is not shown.
pub(crate) fn hide_input() -> Option<Modes> {
    changed(|modes| modes.local_flags.remove(LocalFlags::ECHO))
}

fn changed(change: impl FnOnce(&mut Termios)) -> Option<Modes> {
    let stdin = stdin();
    let before = tcgetattr(stdin.as_fd()).ok()?;
    let mut modes = before.clone();
    change(&mut modes);
    tcsetattr(stdin.as_fd(), SetArg::TCSADRAIN, &modes).ok()?;
    Some(Modes(before))
}

/// Columns of the terminal that results go to.
pub(crate) fn columns() -> usize {
    use std::io::stderr;
    // without one, or with one that does not say, what everybody assumes
    rustix::termios::tcgetwinsize(stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(stderr()))
        .map_or(80, |size| usize::from(size.ws_col).max(20))
}

/// Rows of the terminal that results go to.
pub(crate) fn rows() -> usize {
    rustix::termios::tcgetwinsize(stdout()).map_or(24, |size| usize::from(size.ws_row).max(5))
}
