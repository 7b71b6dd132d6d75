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
use super::stream::unix;

/// Programs that serve a user's networks, the first that is found.
const DAEMONS: [&str; 2] = ["oxivirtd", "virtnetworkd"];
/// Where they are, if they are nowhere in the search path: users do not have these in theirs.
const SYSTEM_DIRS: [&str; 2] = ["/usr/local/sbin", "/usr/sbin"];
/// It ends by itself when nobody has used it for so long, as libvirt's does.
const TIMEOUT: &str = "--timeout=120";
/// How long it may take to serve.
const PATIENCE: Duration = Duration::from_secs(30);
const DISTANCE: Duration = Duration::from_millis(10);

/// Connects to a user's daemon, which is started if there is none.
///
/// Of several that are started at once all but one end again; whoever started them waits for the socket.
pub(super) async fn connect(path: &Path, around: &Environment) -> Result<UnixStream> {
    let failed = |error: &io::Error| {
        let what = format!("Failed to connect socket to '{}'", path.display());
        Error::io(ErrorDomain::RPC, error, what)
    };
    let first = match unix(path).await {
        Err(error) if is_absent(&error) && around.starts_daemons() => error,
        other => return other.map_err(|error| failed(&error)),
    };
    let Some(program) = find(around) else { return Err(failed(&first)) };
    start(&program, around).map_err(|error| {
        Error::io(ErrorDomain::RPC, &error, format!("Cannot run '{}'", program.display()))
    })?;
    let begun = Instant::now();
    loop {
        match unix(path).await {
            Err(error) if is_absent(&error) && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(DISTANCE).await;
            }
            other => return other.map_err(|error| failed(&error)),
        }
    }
}

/// Nobody listens: there is no socket, or one of a daemon that has ended.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// The daemon beside this program, in the search path, or where daemons are.
fn find(around: &Environment) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    let searched = around.text("PATH").unwrap_or_default();
    let dirs: Vec<_> = beside
        .into_iter()
        .chain(std::env::split_paths(&searched))
        .chain(SYSTEM_DIRS.map(PathBuf::from))
        .collect();
    DAEMONS
        .iter()
        .find_map(|name| dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file()))
}

fn start(program: &Path, around: &Environment) -> io::Result<()> {
    // It outlives this program, so it is no `util::command`, which kills what it started.
    #[expect(clippy::disallowed_methods, reason = "a daemon that goes on by itself")]
    let mut command = tokio::process::Command::new(program);
    let mut child = command
        .arg(TIMEOUT)
        .env_clear()
        .envs(&around.variables)
        .current_dir("/")
        // ^C at the terminal is not for it.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    drop(tokio::spawn(async move { child.wait().await }));
    Ok(())
}
