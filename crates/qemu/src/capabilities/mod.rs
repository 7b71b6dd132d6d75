//! What emulators can do: the prober and its cache.
//!
//! An emulator is started once per change of it or of the host, asked over its monitor, and its answers become
//! the document that libvirt's cache has ([`EmulatorCapabilities`]).
//!
//! | part | does | input and output |
//! |---|---|---|
//! | [`next`] | which questions to ask, given the answers so far | none |
//! | [`evaluate()`] | the capabilities that follow from the answers | none |
//! | [`Capabilities`] | starts emulators, keeps documents in memory and on disk | processes, files |
//!
//! [`Capabilities`] is what a driver has as [`Emulators`].
//!
//! The first run has the fastest accelerator. If that is KVM, a second one learns what TCG offers. The
//! emulator executes no guest: its machine is `none`, and it is stopped.

mod circumstances;
mod conversation;
mod domain;
mod error;
mod evaluate;
mod flags;
mod process;
mod schema;
mod session;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use oxivirt_conf::emulator::EmulatorCapabilities;
use oxivirt_sys::command::is_executable;
use oxivirt_sys::file::{self, Durability};
use tokio::sync::Mutex;

pub use conversation::{Run, next};
pub use domain::{DomainCapabilities, HostSupport, host_model};
pub use error::ProbeError;
pub use evaluate::evaluate;
pub use process::User;
pub use session::{Call, Exchange, Session};

use crate::emulators::Emulators;
use circumstances::Circumstances;

/// Bytes that a document may have; libvirt's largest has 250,000.
const DOCUMENT_MAX: u64 = 10 << 20;

/// Where emulators are probed and their capabilities kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Root of the host's `/proc`, `/sys` and `/dev`.
    pub root: PathBuf,
    /// Directory of the documents, for example `/var/cache/libvirt/qemu/capabilities`.
    pub cache_dir: PathBuf,
    /// Directory in which a run gets one of its own, for example `/var/lib/libvirt/qemu`.
    pub state_dir: PathBuf,
    /// Directories in which QEMU's modules may be; the first that exists counts.
    pub module_dirs: Vec<PathBuf>,
    /// Directories in which emulators are looked for.
    pub program_dirs: Vec<PathBuf>,
    /// Who emulators run as; this process's user if none is given.
    pub user: Option<User>,
}

impl Options {
    /// The places of a system's driver below `root`.
    #[must_use]
    pub fn system(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            cache_dir: root.join("var/cache/libvirt/qemu/capabilities"),
            state_dir: root.join("var/lib/libvirt/qemu"),
            module_dirs: ["usr/lib/x86_64-linux-gnu/qemu", "usr/lib64/qemu", "usr/lib/qemu"]
                .map(|dir| root.join(dir))
                .into(),
            program_dirs: ["usr/local/bin", "usr/bin", "usr/libexec"]
                .map(|dir| root.join(dir))
                .into(),
            user: None,
        }
    }
}

/// An emulator's capabilities and what they were found under.
#[derive(Debug, Clone)]
struct Known {
    circumstances: Circumstances,
    capabilities: Arc<EmulatorCapabilities>,
}

/// What is known of one emulator; locked while it is probed, so that it is probed once.
type Entry = Arc<Mutex<Option<Known>>>;

/// The capabilities of emulators, found when first asked for and again after changes.
///
/// ```no_run
/// use std::path::Path;
///
/// use oxivirt_qemu::capabilities::{Capabilities, Options};
///
/// # async fn example() -> Result<(), oxivirt_qemu::capabilities::ProbeError> {
/// let capabilities = Capabilities::new(Options::system(Path::new("/")));
/// let qemu = capabilities.of(Path::new("/usr/bin/qemu-system-x86_64")).await?;
/// println!("{} has {} features", qemu.version, qemu.flags.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Capabilities {
    options: Options,
    entries: std::sync::Mutex<BTreeMap<PathBuf, Entry>>,
}

impl Capabilities {
    /// Nothing is read or started yet.
    #[must_use]
    pub const fn new(options: Options) -> Self {
        Self { options, entries: std::sync::Mutex::new(BTreeMap::new()) }
    }

    /// What the emulator can do: from memory or disk if that still holds, else by running it.
    ///
    /// A document that cannot be written is logged and found again by the next process.
    ///
    /// # Errors
    /// [`ProbeError`]
    ///
    /// libvirt 11.3.0: `virQEMUCapsCacheLookup`, src/qemu/qemu_capabilities.c
    pub async fn of(&self, emulator: &Path) -> Result<Arc<EmulatorCapabilities>, ProbeError> {
        let entry = {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(entries.entry(emulator.to_owned()).or_default())
        };
        let mut entry = entry.lock().await;
        let options = &self.options;
        let now = Circumstances::read(&options.root, emulator, &options.module_dirs)?;
        if let Some(known) = &*entry
            && known.circumstances == now
        {
            return Ok(Arc::clone(&known.capabilities));
        }
        let found = match self.load(emulator, &now) {
            Some(found) => found,
            None => self.probe(emulator, &now).await?,
        };
        let capabilities = Arc::new(found);
        *entry = Some(Known { circumstances: now, capabilities: Arc::clone(&capabilities) });
        Ok(capabilities)
    }

    async fn probe(
        &self,
        emulator: &Path,
        now: &Circumstances,
    ) -> Result<EmulatorCapabilities, ProbeError> {
        let Options { state_dir, user, .. } = &self.options;
        file::create_dir(state_dir).map_err(ProbeError::File)?;
        tracing::info!(emulator = %emulator.display(), "probing");
        let (best, tcg) = process::probe(emulator, state_dir, *user).await?;
        let mut found = evaluate(&emulator.to_string_lossy(), &best, tcg.as_ref())?;
        found.origin = now.origin.clone();
        found.nesting = found.has("kvm") && now.nesting;
        self.store(emulator, &found);
        Ok(found)
    }

    /// The file of an emulator's document: the SHA-256 of its path in hexadecimal.
    ///
    /// libvirt 11.3.0: `virFileCacheGetFileName`, src/util/virfilecache.c
    #[must_use]
    pub fn document_path(&self, emulator: &Path) -> PathBuf {
        let hash =
            ring::digest::digest(&ring::digest::SHA256, emulator.as_os_str().as_encoded_bytes());
        let mut name = String::new();
        for byte in hash.as_ref() {
            // Writing to a String cannot fail.
            let _: std::fmt::Result = write!(name, "{byte:02x}");
        }
        self.options.cache_dir.join(format!("{name}.xml"))
    }

    fn load(&self, emulator: &Path, now: &Circumstances) -> Option<EmulatorCapabilities> {
        let path = self.document_path(emulator);
        let bytes = match file::read(&path, DOCUMENT_MAX) {
            Ok(bytes) => bytes?,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read capabilities");
                return None;
            }
        };
        let found = EmulatorCapabilities::parse(&String::from_utf8_lossy(&bytes)).ok()?;
        (Path::new(&found.emulator) == emulator && now.confirm(&found)).then_some(found)
    }

    fn store(&self, emulator: &Path, found: &EmulatorCapabilities) {
        let path = self.document_path(emulator);
        let written = file::create_dir(&self.options.cache_dir).and_then(|()| {
            file::replace(&path, found.format().as_bytes(), 0o600, Durability::Regenerated)
        });
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "cannot keep capabilities");
        }
    }
}

#[async_trait]
impl Emulators for Capabilities {
    /// libvirt 11.3.0: `virQEMUCapsGetDefaultEmulator`, src/qemu/qemu_capabilities.c
    fn program(&self, arch: &str) -> Option<PathBuf> {
        let suffix = match arch {
            "i686" => "i386",
            "armv7l" | "armv6l" => "arm",
            other => other,
        };
        let name = format!("qemu-system-{suffix}");
        let dirs = self.options.program_dirs.iter();
        dirs.map(|dir| dir.join(&name)).find(|path| is_executable(path))
    }

    async fn capabilities(&self, program: &Path) -> oxivirt::Result<Arc<EmulatorCapabilities>> {
        self.of(program).await.map_err(|error| error.for_api())
    }
}

#[cfg(test)]
mod tests;
