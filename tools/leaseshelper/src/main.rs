//! dnsmasq's lease script: keeps the lease file of a bridge in libvirt's format.
//!
//! dnsmasq runs without a lease file of its own and starts this program for every lease it grants
//! (`add`), renews (`old`) or revokes (`del`), and once when it starts (`init`), to read the leases
//! back. The file is a public interface: the driver, the host's name-service modules and scripts read it.
//!
//! Every network start waits for `init`, so the program does as little as possible. [`request`] parses
//! the call, [`Database`] is changed in memory, [`lock`] serialises writers; this file does the
//! input and output. The program knows no networks.

mod lock;
mod request;

use lock::WriteLock;
use oxivirt_netserv_api::lease_file::{Database, LeaseError};
use oxivirt_sys::file::{self, Durability, FileError};
use request::{Action, Request, RequestError};
use std::{
    env,
    error::Error as _,
    ffi::OsString,
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Root directory of all paths, set by a driver that runs below one.
const ROOT_VARIABLE: &str = "OXIVIRT_ROOT";
/// Limit on the size of a database (libvirt: `VIR_NETWORK_DHCP_LEASE_FILE_SIZE_MAX`).
const SIZE_LIMIT: u64 = 32 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
enum HelperError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot create '{path}'")]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("'{path}' is not usable")]
    Database {
        path: PathBuf,
        #[source]
        source: LeaseError,
    },
    #[error("cannot lock '{path}'")]
    Lock {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot print the leases")]
    Print(#[source] io::Error),
}

/// Where things are.
struct Paths {
    database: PathBuf,
    lock: PathBuf,
}

impl Paths {
    fn new(root: &Path, bridge: &str) -> Self {
        Self {
            database: root.join("var/lib/libvirt/dnsmasq").join(format!("{bridge}.status")),
            lock: root.join("run/leaseshelper.pid"),
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Prints the error and its causes in one line on stderr.
fn report(error: &HelperError) {
    let mut line = format!("oxivirt_leaseshelper: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line.push('\n');
    // a failure of stderr cannot be reported
    let _ignored = io::stderr().write_all(line.as_bytes());
}

fn run() -> Result<(), HelperError> {
    // invalid UTF-8 would make the JSON database unreadable, so it is replaced
    let text = |word: OsString| word.to_string_lossy().into_owned();
    let args: Vec<String> = env::args_os().skip(1).map(text).collect();
    let request = Request::parse(&args, |name| env::var_os(name).map(text))?;
    let root = env::var_os(ROOT_VARIABLE).filter(|root| !root.is_empty());
    let root = root.map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let paths = Paths::new(&root, request.bridge.as_str());
    match &request.action {
        Action::Print => print(&paths, &request),
        _ => change(&root, &paths, request),
    }
}

fn print(paths: &Paths, request: &Request) -> Result<(), HelperError> {
    create(&paths.database)?;
    let text = load(&paths.database, request.server_duid.clone())?.to_dnsmasq();
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(HelperError::Print)
}

fn change(root: &Path, paths: &Paths, request: Request) -> Result<(), HelperError> {
    if root != Path::new("/") {
        file::create_dir(&root.join("run"))?;
    }
    let fail = |source| HelperError::Lock { path: paths.lock.clone(), source };
    let lock = WriteLock::acquire(&paths.lock, &request.bridge).map_err(fail)?;
    let mut database = load(&paths.database, request.server_duid.clone())?;
    match request.action {
        Action::Store(lease) => database.store(lease, request.server_duid),
        Action::Remove { ip } => database.remove(&ip),
        Action::Rewrite | Action::Print => {}
    }
    let text = database.to_json();
    file::replace(&paths.database, text.as_bytes(), 0o644, Durability::Synced)?;
    drop(lock);
    Ok(())
}

/// Creates an empty database if there is none, so that readers find one as soon as dnsmasq runs.
fn create(path: &Path) -> Result<(), HelperError> {
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).mode(0o644).open(path);
    opened.map(drop).map_err(|source| HelperError::Create { path: path.to_owned(), source })
}

fn load(path: &Path, server_duid: Option<String>) -> Result<Database, HelperError> {
    let bytes = file::read(path, SIZE_LIMIT)?.unwrap_or_default();
    let fail = |source| HelperError::Database { path: path.to_owned(), source };
    Database::parse(&bytes, server_duid).map_err(fail)
}
