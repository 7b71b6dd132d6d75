//! The daemon's life: open, serve, end.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oxivirt::{ListFlags, NetworkDriver as _};
use oxivirt_network::apply::linux::LinuxHost;
use oxivirt_network::{Driver, HookOptions, Options, RestoreSettings, StartWithHost, embed};
use oxivirt_remote::serve::{Daemon, Profile};
use oxivirt_rpc::server::Server;
use oxivirt_sys::file;
use oxivirt_sys::pidfile::{PidFile, PidFileError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::activation::ActivationError;
use crate::args::{Args, Listen, Verbosity};
use crate::config::{Access, Config, ConfigError};
use crate::control::Controls;
use crate::doors::{Doors, Servers};
use crate::log::{Log, LogError, Priority};
use crate::metrics::{self, Metrics, MetricsError, Place, Watched};
use crate::notify;
use crate::paths::{Paths, UserDirs};
use crate::polkit::Polkit;
use crate::ports::PortError;
use crate::sockets::SocketError;

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
    /// Sockets of the service manager cannot be taken.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// A port cannot be opened.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Nobody could watch.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The log is configured wrongly.
    #[error(transparent)]
    Log(#[from] LogError),
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
            Self::Socket(_) | Self::Activation(_) | Self::Port(_) => 6,
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
    let log = start_log(args, &config)?;
    for setting in &config.unknown {
        tracing::warn!(setting, "ignoring unknown setting");
    }
    let place = config.metrics.as_deref().map(Place::parse).transpose()?;
    for dir in [Some(&*config.socket_dir), paths.pid_file.parent()].into_iter().flatten() {
        file::create_dir(dir)?;
    }
    let pid_file = args.pid_file.as_deref().unwrap_or(&paths.pid_file);
    let _pid_file = PidFile::acquire(pid_file)?;
    let signals = Signals::new()?;
    let servers = Servers::new(&config);
    // made before the driver is ready, so that nobody is turned away meanwhile
    let mut doors = Doors::open(&config)?;
    let encryption = match args.listen {
        Listen::Sockets => None,
        Listen::Ports => doors.open_ports(&config).await?,
    };
    let driver = Arc::new(open_driver(paths).await?);
    let metrics = place.map(|place| (place, Arc::new(Metrics::default())));
    let daemon = Arc::new(Daemon {
        profile: Profile::NETWORK,
        driver: Arc::clone(&driver) as _,
        path: paths.uri_path(),
        authority: Some(Arc::new(Polkit)),
        access: (config.access == Access::Polkit).then(|| Arc::new(Polkit) as _),
        observer: metrics.as_ref().map(|(_, metrics)| Arc::clone(metrics) as _),
    });
    let controls = Arc::new(Controls {
        servers: vec![Arc::clone(&servers.admin), Arc::clone(&servers.main)],
        log,
        encryption: encryption.map(|encryption| (encryption, config.tls.clone())),
        timeout: Mutex::new(args.timeout),
        end: Notify::new(),
    });
    let (listeners, files) = doors.listeners(&config, &servers, &daemon, &controls);
    let accepting: Vec<_> =
        listeners.into_iter().map(|listener| tokio::spawn(listener.run())).collect();
    let _watched = match metrics {
        Some((place, metrics)) => {
            let (servers, driver) = (controls.servers.clone(), Arc::clone(&driver));
            let watched = Watched { metrics, servers, driver };
            watched.listen().await;
            Some(metrics::serve(&place, watched).await?)
        }
        None => None,
    };
    let manager = std::env::var_os("NOTIFY_SOCKET");
    notify::notify(manager.as_deref(), notify::READY);
    until_end(signals, &driver, &controls, &servers.main, manager.as_deref()).await;
    notify::notify(manager.as_deref(), notify::STOPPING);
    for task in &accepting {
        task.abort();
    }
    drop(files);
    // what was asked for is done; networks stay
    servers.main.idle().await;
    servers.main.close_all();
    servers.admin.close_all();
    Ok(())
}

fn start_log(args: &Args, config: &Config) -> Result<Log, LogError> {
    let level = match args.verbose {
        Verbosity::More => Priority::INFO,
        Verbosity::Usual => config.log.level.unwrap_or(Priority::WARNING),
    };
    let log = Log::new(level);
    if let Some(filters) = &config.log.filters {
        log.set_filters(filters)?;
    }
    if let Some(outputs) = &config.log.outputs {
        log.set_outputs(outputs)?;
    }
    let subscriber = tracing_subscriber::registry().with(log.clone());
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        tracing::debug!("somebody else logs already");
    }
    Ok(log)
}

/// Serves until a signal, the administrator or idleness ends it.
async fn until_end(
    mut signals: Signals,
    driver: &Driver<LinuxHost>,
    controls: &Controls,
    server: &Server,
    manager: Option<&OsStr>,
) {
    // connections may have been waiting while the driver opened, so that does not count as idle
    let ready = Instant::now();
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ended(&mut signals.ends) => return,
            () = controls.end.notified() => return,
            _ = signals.hangup.recv() => reload(driver, controls, manager).await,
            _ = clock.tick() => {
                let idle = server.idle_since().map(|since| since.max(ready).elapsed());
                let is_over = controls.timeout().zip(idle).is_some_and(|(limit, idle)| idle >= limit);
                if is_over && has_nothing_to_keep(driver).await {
                    tracing::info!("nobody needs the daemon, it ends");
                    return;
                }
            }
        }
    }
}

/// A network that runs keeps the daemon: it may have to repair it.
async fn has_nothing_to_keep(driver: &Driver<LinuxHost>) -> bool {
    let active = driver.list_all_networks(ListFlags::ACTIVE).await;
    active.is_ok_and(|networks| networks.is_empty())
}

struct Signals {
    ends: [Signal; 3],
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            ends: [
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
                signal(SignalKind::quit())?,
            ],
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

async fn ended([first, second, third]: &mut [Signal; 3]) {
    tokio::select! {
        _ = first.recv() => {}
        _ = second.recv() => {}
        _ = third.recv() => {}
    }
}

/// Looks at disk and certificates again, as libvirt does on this signal.
async fn reload(driver: &Driver<LinuxHost>, controls: &Controls, manager: Option<&OsStr>) {
    notify::notify(manager, &notify::reloading(monotonic()));
    if let Err(error) = driver.reload().await {
        tracing::error!(%error, "cannot reload");
    }
    if let Err(error) = controls.reload_certificates() {
        tracing::error!(%error, "the old certificates stay");
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
