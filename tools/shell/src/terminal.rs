//! The controlling terminal: detection, modes and size.

use std::io::{IsTerminal as _, stdin, stdout};
use std::os::fd::AsFd as _;

use nix::sys::termios::{LocalFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// Whether stdin is a terminal, so that questions can be answered.
pub(crate) fn is_interactive() -> bool {
    stdin().is_terminal()
}

/// Whether stdout is a terminal.
pub(crate) fn shows_results() -> bool {
    stdout().is_terminal()
}

/// Saved terminal modes, restored when dropped.
#[derive(Debug)]
pub(crate) struct Modes(Termios);

impl Drop for Modes {
    fn drop(&mut self) {
        // fails if the terminal is gone
        let _gone = tcsetattr(stdin().as_fd(), SetArg::TCSADRAIN, &self.0);
    }
}

/// Raw mode: keys arrive immediately and unchanged, without echo.
pub(crate) fn raw() -> Option<Modes> {
    changed(cfmakeraw)
}

/// Keys arrive immediately and without echo or signals; output processing stays on.
pub(crate) fn keys() -> Option<Modes> {
    changed(|modes| {
        modes.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
    })
}

/// Disables echo.
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

/// Columns of the terminal.
pub(crate) fn columns() -> usize {
    use std::io::stderr;
    // 80 if there is no terminal or it reports no size
    rustix::termios::tcgetwinsize(stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(stderr()))
        .map_or(80, |size| usize::from(size.ws_col).max(20))
}

/// Rows of the terminal, 24 if unknown.
pub(crate) fn rows() -> usize {
    rustix::termios::tcgetwinsize(stdout()).map_or(24, |size| usize::from(size.ws_row).max(5))
}
