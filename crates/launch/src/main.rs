//! `oxivirt_launch`: carries out one launch plan. The library documents the conversation.
//!
//! Called without arguments it starts itself again and exits, so that the guest process is a child of
//! init and survives the daemon without being its child.

mod execute;

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Stdio};

use oxivirt_launch::{Reply, send_reply};

/// Argument of the second start.
const CHILD: &str = "child";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => start_child(),
        Some(CHILD) => child(),
        Some(_) => ExitCode::from(2),
    }
}

/// Starts the process that becomes the guest; it inherits standard input, the socket.
#[expect(clippy::disallowed_methods, reason = "the child is not waited for")]
fn start_child() -> ExitCode {
    let child = std::env::current_exe().and_then(|program| {
        Command::new(program)
            .arg(CHILD)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::inherit())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    });
    match child {
        // Not waited for: this process exits, and init inherits the child.
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn child() -> ExitCode {
    // Standard input becomes /dev/null later, so the socket moves away from descriptor 0.
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let Ok(mut socket) = socket else { return ExitCode::FAILURE };
    let failure = match execute::run(&mut socket) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    if let Some(reply) = failure.reply() {
        // The daemon may have gone; then the exit status is all there is.
        drop(send_reply(&mut socket, &Reply::clone(&reply)));
    }
    ExitCode::FAILURE
}
