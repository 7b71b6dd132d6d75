//! The daemon's life: open, serve, end.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oxivirt_network::apply::linux::LinuxHost;
use oxivirt_network::{Driver, HookOptions, Options, RestoreSettings, StartWithHost, embed};
use oxivirt_remote::server::{Authentication, Daemon, Networks};
use oxivirt_rpc::server::accept::Anonymity;
use oxivirt_rpc::server::{Listener, Server, Socket};
use oxivirt_util::file;
use oxivirt_util::pidfile::{PidFile, PidFileError};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Args;
use crate::config::{Config, ConfigError};
use crate::notify;
use crate::paths::{Paths, UserDirs};
use crate::sockets::{self, SocketError, SocketFile};

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RunError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another daemon runs.
    #[error("another daemon is running")]
    PidFile(#[from] PidFileError),
    /// A directory cannot be made.
    #[error(transparent)]
    File(#[from] file::FileError),
    /// A socket cannot be made.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The driver does not open.
    #[error("cannot open the network driver")]
    Driver(#[from] oxivirt::Error),
    /// The kernel cannot be talked to.
    #[error("cannot talk to the kernel")]
    Host(#[from] oxivirt_network::apply::HostError),
    /// Threads, signals.
    #[error("cannot start")]
    System(#[from] std::io::Error),
    /// A user's directories are not known.
    #[error("neither XDG_RUNTIME_DIR nor HOME is set")]
    NoDirectories,
}

impl RunError {
    /// Exit status, as libvirt's daemons have it.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Config(_) => 1,
            Self::PidFile(_) => 2,
            Self::Driver(_) | Self::Host(_) => 3,
            Self::Socket(_) => 6,
            _ => 1,
        }
    }
}

/// Runs the daemon until it is asked to end.
///
/// # Errors
/// [`RunError`]
pub(crate) fn run(args: &Args) -> Result<(), RunError> {
    let paths = paths(args)?;
    let config = read_config(args, &paths)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(args, &paths, config))
}

fn paths(args: &Args) -> Result<Paths, RunError> {
    if args.root.is_some() || nix::unistd::geteuid().is_root() {
        return Ok(Paths::system(args.root.as_deref().unwrap_or_else(|| Path::new("/"))));
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = |below: &str| variable("HOME").map(|home| Path::new(&home).join(below));
    let config = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| home(".config"));
    let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from).or_else(|| home(".cache"));
    match (config, runtime) {
        (Some(config), Some(runtime)) => Ok(Paths::session(&UserDirs { config, runtime })),
        _ => Err(RunError::NoDirectories),
    }
}

/// A configuration that was named must be there; the usual one need not.
fn read_config(args: &Args, paths: &Paths) -> Result<Config, RunError> {
    let path = args.config.as_deref().unwrap_or(&paths.config);
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if args.config.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            String::new()
        }
        Err(source) => return Err(read(source).into()),
    };
    Ok(Config::parse(&path.display().to_string(), &text, paths)?)
}

async fn serve(args: &Args, paths: &Paths, config: Config) -> Result<(), RunError> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for dir in [Some(&*config.socket_dir), paths.pid_file.parent()].into_iter().flatten() {
        file::create_dir(dir)?;
    }
    let pid_file = args.pid_file.as_deref().unwrap_or(&paths.pid_file);
    let _pid_file = PidFile::acquire(pid_file)?;
    let mut terminate = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()]
        .into_iter()
        .map(signal)
        .collect::<Result<Vec<_>, _>>()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let driver = Arc::new(open_driver(paths).await?);
    let daemon = Arc::new(Daemon {
        driver: Arc::clone(&driver) as _,
        path: paths.uri_path(),
        authority: None,
        observer: None,
    });
    let server = Server::new("virtnetworkd", config.server, config.connection);
    let (listeners, files) = listeners(&config, &server, &daemon)?;
    let accepting: Vec<_> = listeners.into_iter().map(|l| tokio::spawn(l.run())).collect();
    let manager = std::env::var_os("NOTIFY_SOCKET");
    notify::notify(manager.as_deref(), notify::READY);
    while let [first, second, third] = &mut terminate[..] {
        tokio::select! {
            _ = first.recv() => break,
            _ = second.recv() => break,
            _ = third.recv() => break,
            _ = hangup.recv() => reload(&driver, manager.as_deref()).await,
        }
    }
    notify::notify(manager.as_deref(), notify::STOPPING);
    for task in &accepting {
        task.abort();
    }
    drop(files);
    server.idle().await;
    server.close_all();
    Ok(())
}

/// Looks at the disk again, as libvirt does on this signal.
async fn reload(driver: &Driver<LinuxHost>, manager: Option<&OsStr>) {
    notify::notify(manager, &notify::reloading(monotonic()));
    if let Err(error) = driver.reload().await {
        tracing::error!(%error, "cannot reload");
    }
    notify::notify(manager, notify::READY);
}

/// The monotonic clock in microseconds, as the service manager reads it.
fn monotonic() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000
}

async fn open_driver(paths: &Paths) -> Result<Driver<LinuxHost>, RunError> {
    let environment: std::collections::BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    let search_path = environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    let program = std::env::current_exe().ok();
    let options = Options {
        layout: paths.layout.clone(),
        lease_helper: embed::lease_helper(program.as_deref()),
        uri: format!("network://{}", paths.uri_path()),
        autostart: StartWithHost::Once,
        restore_settings: RestoreSettings::Never,
        hooks: HookOptions { environment, ..HookOptions::default() },
    };
    Ok(Driver::open(LinuxHost::open(search_path)?, options).await?)
}

fn listeners(
    config: &Config,
    server: &Arc<Server>,
    daemon: &Arc<Daemon>,
) -> Result<(Vec<Listener>, Vec<SocketFile>), RunError> {
    let group = config.group.as_deref().map(sockets::group).transpose()?;
    let (mut listeners, mut files) = (Vec::new(), Vec::new());
    for (name, socket, read_only) in [
        ("virtnetworkd-sock", &config.read_write, false),
        ("virtnetworkd-sock-ro", &config.read_only, true),
    ] {
        let path = config.socket_dir.join(name);
        let (listener, file) = sockets::listen(&path, socket.mode, group, config.backlog)?;
        let authentication = socket.authentication;
        let serves = Networks { daemon: Arc::clone(daemon), authentication };
        files.push(file);
        listeners.push(Listener {
            socket: Socket::Unix(listener),
            server: Arc::clone(server),
            serves: Arc::new(serves),
            read_only,
            anonymity: match authentication {
                Authentication::None => Anonymity::Nobody,
                Authentication::Polkit => Anonymity::AllButRoot,
            },
            only_user: None,
        });
    }
    Ok((listeners, files))
}
