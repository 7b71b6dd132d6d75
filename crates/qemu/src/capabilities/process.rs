//! Runs an emulator to ask it.

use std::fs::Permissions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use oxivirt_qmp::{Monitor, Options as MonitorOptions, QmpError, Request};
use oxivirt_sys::command::{Command, CommandError};
use tokio::net::UnixListener;

use super::conversation::{Run, has_kvm, next};
use super::error::ProbeError;
use super::session::{Call, Exchange, Session};

/// Time for one run of an emulator; the usual is below a second.
const DEADLINE: Duration = Duration::from_secs(60);
/// Rounds of questions after which a run ends: an emulator cannot keep the daemon asking.
const ROUNDS: usize = 8;

/// User and group of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id; the one that may open `/dev/kvm`.
    pub gid: u32,
}

/// Asks an emulator everything: the session with the fastest accelerator, and one with TCG if that was KVM.
///
/// # Errors
/// [`ProbeError`]
pub(super) async fn probe(
    emulator: &Path,
    state_dir: &Path,
    user: Option<User>,
) -> Result<(Session, Option<Session>), ProbeError> {
    let best = converse(emulator, state_dir, user, Run::Best).await?;
    let tcg = if has_kvm(&best) {
        Some(converse(emulator, state_dir, user, Run::Tcg(&best)).await?)
    } else {
        None
    };
    Ok((best, tcg))
}

/// One run. The emulator connects to a socket in a directory of its own, so there is no moment at which
/// it runs and cannot be reached; it is killed when the conversation is over, however that ends.
async fn converse(
    emulator: &Path,
    state_dir: &Path,
    user: Option<User>,
    run: Run<'_>,
) -> Result<Session, ProbeError> {
    let directory = |source| ProbeError::Directory { path: state_dir.to_owned(), source };
    let dir = tempfile::Builder::new()
        .prefix("qmp-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(state_dir)
        .map_err(directory)?;
    let socket = dir.path().join("qmp.monitor");
    let listener = UnixListener::bind(&socket).map_err(directory)?;
    if let Some(user) = user {
        for path in [dir.path(), &socket] {
            chown(path, Some(user.uid), Some(user.gid)).map_err(directory)?;
        }
    }
    let command = command(emulator, dir.path(), &socket, user, run);
    tokio::select! {
        ended = command.run() => Err(exited(emulator, ended)),
        session = talk(&listener, run) => session,
    }
}

fn command(
    emulator: &Path,
    dir: &Path,
    socket: &Path,
    user: Option<User>,
    run: Run<'_>,
) -> Command {
    let accelerators = match run {
        Run::Best => "none,accel=kvm:tcg",
        Run::Tcg(_) => "none,accel=tcg",
    };
    let chardev = format!("socket,id=monitor,path={}", socket.display());
    let mut command = Command::new(emulator)
        .args(["-S", "-no-user-config", "-nodefaults", "-nographic", "-machine", accelerators])
        .args(["-chardev", &chardev, "-mon", "chardev=monitor,mode=control"])
        .env("LC_ALL", "C")
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .deadline(DEADLINE);
    // Nothing of the user's configuration is read or written.
    for (name, below) in [
        ("HOME", ""),
        ("XDG_DATA_HOME", ".local/share"),
        ("XDG_CACHE_HOME", ".cache"),
        ("XDG_CONFIG_HOME", ".config"),
    ] {
        command = command.env(name, dir.join(below));
    }
    match user {
        Some(user) => command.user(user.uid, user.gid),
        None => command,
    }
}

fn exited(
    emulator: &Path,
    ended: Result<oxivirt_sys::command::CommandOutput, CommandError>,
) -> ProbeError {
    match ended {
        Ok(output) => ProbeError::Exited { output: output.complaint() },
        Err(CommandError::Spawn { program, source }) => {
            ProbeError::Binary { path: program, source }
        }
        Err(source) => ProbeError::Run { emulator: PathBuf::from(emulator), source },
    }
}

async fn talk(listener: &UnixListener, run: Run<'_>) -> Result<Session, ProbeError> {
    let io = |source| ProbeError::Monitor(QmpError::Descriptor(source));
    let (stream, _) = listener.accept().await.map_err(io)?;
    let socket = OwnedFd::from(stream.into_std().map_err(io)?);
    let options = MonitorOptions { oob: false, ..MonitorOptions::default() };
    let (monitor, _events) =
        Monitor::from_fd(socket, &options).await.map_err(ProbeError::Monitor)?;
    let mut session = Session::new();
    for _ in 0..ROUNDS {
        let calls = next(&session, run);
        if calls.is_empty() {
            break;
        }
        ask(&monitor, calls, &mut session).await?;
    }
    Ok(session)
}

/// Asks questions without waiting for one answer before the next question.
async fn ask(monitor: &Monitor, calls: Vec<Call>, session: &mut Session) -> Result<(), ProbeError> {
    let mut tickets = Vec::with_capacity(calls.len());
    for call in calls {
        let request = Request::raw(&call.command, &call.arguments).map_err(ProbeError::Monitor)?;
        let ticket = monitor.submit(request.deadline(DEADLINE)).await;
        tickets.push((call, ticket.map_err(ProbeError::Monitor)?));
    }
    for (call, ticket) in tickets {
        let answer = match ticket.reply().await {
            Ok(value) => Ok(value),
            Err(QmpError::Rejected { description, .. }) => Err(description),
            Err(error) => return Err(ProbeError::Monitor(error)),
        };
        session.push(Exchange { call, answer });
    }
    Ok(())
}
