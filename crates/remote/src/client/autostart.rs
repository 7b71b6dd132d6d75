//! Starting a user's own daemon when it is first needed.
//!
//! libvirt 11.3.0: `virNetSocketNewConnectUNIX`, src/rpc/virnetsocket.c

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use oxivirt::{Error, ErrorDomain, Result};
use tokio::net::UnixStream;

use super::environment::Environment;
use super::unix::unix;

/// The program that serves a user's guests, networks and pools, preferred to libvirt's daemon of the socket.
const DAEMON: &str = "oxivirtd";
/// Searched after `PATH`, which does not have these directories for ordinary users.
const SYSTEM_DIRS: [&str; 2] = ["/usr/local/sbin", "/usr/sbin"];
/// Seconds without a client after which the daemon exits; libvirt's value.
const TIMEOUT: &str = "--timeout=120";
/// How long the daemon may take to create its socket.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between attempts to connect.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Connects to a user's daemon, which is started if there is none.
///
/// If several clients start a daemon at once, all daemons but one exit again, and every client waits for the
/// socket of that one.
pub(super) async fn connect(path: &Path, around: &Environment) -> Result<UnixStream> {
    let failed = |error: &io::Error| {
        let what = format!("Failed to connect socket to '{}'", path.display());
        Error::io(ErrorDomain::RPC, error, what)
    };
    let first = match unix(path).await {
        Err(error) if is_absent(&error) && around.starts_daemons() => error,
        other => return other.map_err(|error| failed(&error)),
    };
    let Some(program) = find(path, around) else { return Err(failed(&first)) };
    start(&program, around).map_err(|error| {
        Error::io(ErrorDomain::RPC, &error, format!("Cannot run '{}'", program.display()))
    })?;
    let begun = Instant::now();
    loop {
        match unix(path).await {
            Err(error) if is_absent(&error) && begun.elapsed() < START_TIMEOUT => {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            other => return other.map_err(|error| failed(&error)),
        }
    }
}

/// Whether no daemon listens: there is no socket, or its daemon has exited.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// The daemon of a socket beside this program, in `PATH` or in [`SYSTEM_DIRS`].
fn find(socket: &Path, around: &Environment) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    let searched = around.text("PATH").unwrap_or_default();
    let dirs: Vec<_> = beside
        .into_iter()
        .chain(std::env::split_paths(&searched))
        .chain(SYSTEM_DIRS.map(PathBuf::from))
        .collect();
    let name = socket.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let names = [DAEMON, name.trim_end_matches("-sock")].into_iter();
    names
        .filter(|name| !name.is_empty())
        .find_map(|name| dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file()))
}

fn start(program: &Path, around: &Environment) -> io::Result<()> {
    // not by `oxivirt_sys::command`, which kills the process when it is dropped
    #[expect(clippy::disallowed_methods, reason = "the daemon outlives this program")]
    let mut command = tokio::process::Command::new(program);
    let mut child = command
        .arg(TIMEOUT)
        .env_clear()
        .envs(&around.variables)
        .current_dir("/")
        // an interrupt at the terminal must not reach it
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    drop(tokio::spawn(async move { child.wait().await }));
    Ok(())
}
