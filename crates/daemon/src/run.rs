//! The daemon's life: open, serve, end.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oxivirt_remote::serve::{Daemon, Served};
use oxivirt_rpc::server::Server;
use oxivirt_sys::file;
use oxivirt_sys::pidfile::{PidFile, PidFileError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::args::{Args, Verbosity};
use crate::config::{Access, Config, ConfigError};
use crate::control::Controls;
use crate::drivers::{Drivers, OpenError};
use crate::listeners::{ListenError, Listeners, Servers};
use crate::log::{Log, LogError, Priority};
use crate::metrics::{Calls, Endpoint, EndpointError, Metrics, Place};
use crate::notify;
use crate::paths::{Paths, UserDirs};
use crate::polkit::Polkit;
use crate::profile::Profile;

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
    /// A daemon runs whose sockets are to be served.
    #[error(
        "{name} is running: stop it (systemctl disable --now {name}.socket {name}-ro.socket \
         {name}-admin.socket {name}.service), or leave \"{driver}\" out of 'drivers' in '{config}'"
    )]
    Sibling {
        name: &'static str,
        driver: String,
        config: PathBuf,
        #[source]
        source: PidFileError,
    },
    /// The setting `drivers` leaves none of the daemon's.
    #[error("'drivers' names no driver that {name} has")]
    NoDriver { name: &'static str },
    /// A directory cannot be created.
    #[error(transparent)]
    File(#[from] file::FileError),
    /// A socket or port cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Metrics cannot be served.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Metrics cannot be defined.
    #[error("cannot define metrics")]
    Metrics(#[from] prometheus::Error),
    /// The log is configured wrongly.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A driver does not open.
    #[error("cannot open the {name} driver")]
    Driver {
        name: &'static str,
        #[source]
        source: OpenError,
    },
    /// Threads or signal handlers cannot be set up.
    #[error("cannot start the runtime")]
    System(#[from] std::io::Error),
    /// A user's directories are not known.
    #[error("neither XDG_RUNTIME_DIR nor HOME is set")]
    NoDirectories,
}

impl RunError {
    /// Exit status, as libvirt's daemons have it (`VIR_DAEMON_ERR_*`).
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::PidFile(_) | Self::Sibling { .. } => 2,
            Self::Driver { .. } => 3,
            Self::Listen(_) => 6,
            _ => 1,
        }
    }
}

/// Runs the daemon until it is asked to end.
///
/// # Errors
/// [`RunError`]
pub(crate) fn run(profile: &Profile, args: &Args) -> Result<(), RunError> {
    let paths = paths(profile, args)?;
    let config = read_config(args, &paths)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(profile, args, &paths, config))
}

fn paths(profile: &Profile, args: &Args) -> Result<Paths, RunError> {
    if args.root.is_some() || nix::unistd::geteuid().is_root() {
        let root = args.root.as_deref().unwrap_or_else(|| Path::new("/"));
        return Ok(Paths::system(profile.name, root));
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = |below: &str| variable("HOME").map(|home| Path::new(&home).join(below));
    let config = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| home(".config"));
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| home(".cache"));
    let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from).or_else(|| home(".cache"));
    match (config, runtime) {
        (Some(config), Some(runtime)) => {
            let cache = cache.unwrap_or_else(|| runtime.join("cache"));
            Ok(Paths::session(profile.name, &UserDirs { config, runtime, cache }))
        }
        _ => Err(RunError::NoDirectories),
    }
}

/// A file named on the command line has to exist; the default one need not.
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

async fn serve(
    profile: &Profile,
    args: &Args,
    paths: &Paths,
    config: Config,
) -> Result<(), RunError> {
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
    let servers = Servers::new(profile, &config);
    let endpoint = match &place {
        Some(place) => Some(Endpoint::open(place).await?),
        None => None,
    };
    let chosen = || profile.drivers.iter().filter(|entry| config.opens(entry));
    if chosen().next().is_none() {
        return Err(RunError::NoDriver { name: profile.name });
    }
    let siblings = siblings(profile, &config, args, paths)?;
    let names: Vec<&str> = siblings.iter().map(|(name, _)| *name).collect();
    let listeners = Listeners::open(profile, &config, args.listen, &names).await?;
    let drivers = Drivers::open(chosen(), paths).await;
    let drivers = drivers.map_err(|(name, source)| RunError::Driver { name, source })?;
    let drivers = Arc::new(drivers);
    let calls = endpoint.as_ref().map(|_| Calls::new()).transpose()?.map(Arc::new);
    let daemon = Arc::new(Daemon {
        drivers: served(profile, &drivers),
        path: paths.uri_path(),
        authority: Some(Arc::new(Polkit)),
        access: (config.access == Access::Polkit).then(|| Arc::new(Polkit) as _),
        observer: calls.clone().map(|calls| calls as _),
    });
    let encryption = listeners.encryption.clone();
    let controls = Arc::new(Controls {
        servers: servers.all(),
        log,
        encryption: encryption.map(|encryption| (encryption, config.tls.clone())),
        timeout: Mutex::new(args.timeout),
        end: Notify::new(),
    });
    let (listeners, files) = listeners.serve(&config, &servers, &daemon, &controls);
    let mut tasks: Vec<_> =
        listeners.into_iter().map(|listener| tokio::spawn(listener.run())).collect();
    if let (Some(endpoint), Some(calls)) = (endpoint, calls) {
        let metrics = Metrics { calls, servers: servers.all(), drivers: Arc::clone(&drivers) };
        tasks.push(tokio::spawn(endpoint.serve(Arc::new(metrics))));
    }
    let manager = std::env::var_os("NOTIFY_SOCKET");
    notify::notify(manager.as_deref(), notify::READY);
    until_end(signals, &drivers, &controls, &servers.main, manager.as_deref()).await;
    notify::notify(manager.as_deref(), notify::STOPPING);
    for task in &tasks {
        task.abort();
    }
    drop(files);
    // running calls are completed; the drivers' objects go on
    servers.main.idle().await;
    servers.admin.idle().await;
    servers.main.close_all();
    servers.admin.close_all();
    Ok(())
}

/// The siblings whose sockets are served. None of them runs, and none can be started as long as their pid
/// files are held.
///
/// # Errors
/// [`RunError::Sibling`]
fn siblings(
    profile: &Profile,
    config: &Config,
    args: &Args,
    paths: &Paths,
) -> Result<Vec<(&'static str, PidFile)>, RunError> {
    let chosen = profile.siblings.iter().filter(|(_, driver)| {
        profile.drivers.iter().any(|entry| entry.name == *driver && config.opens(entry))
    });
    let held = chosen.map(|(name, driver)| {
        let path = paths.pid_file.with_file_name(format!("{name}.pid"));
        let failed = |source| RunError::Sibling {
            name,
            driver: driver.to_ascii_lowercase(),
            config: args.config.clone().unwrap_or_else(|| paths.config.clone()),
            source,
        };
        Ok((*name, PidFile::acquire(&path).map_err(failed)?))
    });
    held.collect()
}

/// What answers the connections of each URI scheme.
fn served(profile: &Profile, drivers: &Drivers) -> Vec<Served> {
    let schemes = profile.served.iter();
    let served = schemes.filter_map(|(remote, first)| {
        let driver = Arc::new(drivers.led_by(first)?);
        Some(Served { profile: *remote, driver })
    });
    served.collect()
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
        tracing::debug!("keeping the subscriber that is installed already");
    }
    Ok(log)
}

/// Serves until a signal, an administrator or the timeout ends the daemon.
async fn until_end(
    mut signals: Signals,
    drivers: &Drivers,
    controls: &Controls,
    server: &Server,
    manager: Option<&OsStr>,
) {
    // connections may have been waiting while the drivers opened, so that does not count as idle
    let ready = Instant::now();
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ended(&mut signals.ends) => return,
            () = controls.end.notified() => return,
            _ = signals.hangup.recv() => reload(drivers, controls, manager).await,
            _ = clock.tick() => {
                let idle = server.idle_since().map(|since| since.max(ready).elapsed());
                let Some((timeout, idle)) = controls.timeout().zip(idle) else { continue };
                if idle >= timeout && !drivers.is_active().await {
                    let timeout_s = timeout.as_secs();
                    tracing::info!(timeout_s, "stopping: no client is connected and nothing runs");
                    return;
                }
            }
        }
    }
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

/// Reads definitions and certificates again, as libvirt does on this signal.
async fn reload(drivers: &Drivers, controls: &Controls, manager: Option<&OsStr>) {
    notify::notify(manager, &notify::reloading(monotonic()));
    drivers.reload().await;
    if let Err(error) = controls.reload_certificates() {
        tracing::error!(%error, "cannot reload certificates: new connections use the old ones");
    }
    notify::notify(manager, notify::READY);
}

/// The monotonic clock in microseconds, as the service manager reads it.
fn monotonic() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000
}
