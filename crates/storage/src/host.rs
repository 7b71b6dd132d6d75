//! Carrying out steps on this host.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oxivirt_engine::Executor;
use oxivirt_sys::command::{Command, CommandError, find_in_path};
use rustix::fs::{self, FallocateFlags, Gid, Mode, OFlags, SeekFrom, Uid};
use rustix::io::Errno;

use crate::dir::Dir;
use crate::plan::{Access, Place, QemuImg, Step, Undo};

/// How long `qemu-img` may take: copying a large image takes hours.
const DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes that are written or copied at a time.
const CHUNK: usize = 1 << 20;

/// Why the host refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    /// The system refused.
    #[error("{what}")]
    System {
        /// What was done.
        what: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The name is taken.
    #[error("volume '{name}' exists")]
    Exists {
        /// The name.
        name: String,
    },
    /// The program is not installed.
    #[error("unable to find qemu-img")]
    NoProgram,
    /// The program failed.
    #[error("Child process ({line}) unexpected exit status {status}: {stderr}")]
    Program {
        /// How it was called.
        line: String,
        /// Its exit status.
        status: i32,
        /// What it complained about.
        stderr: String,
    },
    /// The program could not be run to its end.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A task ended without a result.
    #[error("the operation ended unexpectedly")]
    Task(#[from] tokio::task::JoinError),
}

/// This host.
#[derive(Debug)]
pub(crate) struct Host {
    /// Where programs are looked for.
    search_path: OsString,
}

impl Host {
    /// `search_path` has the form of `$PATH`.
    #[must_use]
    pub(crate) const fn new(search_path: OsString) -> Self {
        Self { search_path }
    }

    /// Runs `qemu-img`; `real` is the path of the image in messages, `path` the one that it is given.
    pub(crate) async fn run_qemu_img(
        &self,
        run: &QemuImg,
        path: &str,
        real: &Path,
    ) -> Result<(), HostError> {
        let program = find_in_path("qemu-img", &self.search_path).ok_or(HostError::NoProgram)?;
        let command = Command::new(&program).args(run.at(path)).env("LC_ALL", "C");
        let output = command.deadline(DEADLINE).run().await?;
        if output.status.success() {
            return Ok(());
        }
        let real = real.to_string_lossy();
        let line = Command::new(program).args(run.at(&real)).line();
        let status = output.status.code().unwrap_or(-1);
        // a path below /proc says nothing to a user
        let stderr = String::from_utf8_lossy(&output.stderr).replace(path, &real);
        Err(HostError::Program { line, status, stderr })
    }
}

impl Executor<Step> for Host {
    type Error = HostError;

    async fn run(&self, step: &Step) -> Result<(), HostError> {
        if let Step::RunQemuImg { place, run } = step {
            // open until the program has ended: it finds the image from the descriptor
            let staging = open_staging(place)?;
            let path = staging.path_for_programs(&place.name);
            return self.run_qemu_img(run, &path, &place.path()).await;
        }
        let step = step.clone();
        tokio::task::spawn_blocking(move || run_blocking(&step)).await?
    }

    async fn undo(&self, undo: &Undo) -> Result<(), HostError> {
        let undo = undo.clone();
        tokio::task::spawn_blocking(move || undo_blocking(&undo)).await?
    }
}

/// Says what was done in the error.
pub(crate) trait Context<T> {
    /// `what` is called if it failed.
    fn context(self, what: impl FnOnce() -> String) -> Result<T, HostError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, HostError> {
        self.map_err(|source| HostError::System { what: what(), source })
    }
}

impl<T> Context<T> for rustix::io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, HostError> {
        self.map_err(io::Error::from).context(what)
    }
}

/// Opens a pool's directory.
pub(crate) fn open_pool(path: &Path) -> Result<Dir, HostError> {
    Dir::open(path).context(|| format!("cannot open directory '{}'", path.display()))
}

fn open_staging(place: &Place) -> Result<Dir, HostError> {
    let pool = open_pool(&place.pool)?;
    pool.open_staging(&place.staging).context(|| {
        format!("cannot open directory '{}'", place.pool.join(&place.staging).display())
    })
}

fn run_blocking(step: &Step) -> Result<(), HostError> {
    let place = step.place();
    let path = place.path();
    let path = path.display();
    match step {
        Step::MakeStaging(_) => {
            let pool = open_pool(&place.pool)?;
            let made = pool.make_staging(&place.staging);
            made.context(|| format!("cannot create path '{path}'")).map(drop)
        }
        Step::MakeFile { capacity, allocation, .. } => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
            let file = open_staging(place)?
                .open_inside(&place.name, flags, 0o600)
                .context(|| format!("cannot create path '{path}'"))?;
            file.set_len(*capacity).context(|| format!("cannot extend file '{path}'"))?;
            allocate(&file, 0, *allocation)
                .context(|| format!("cannot allocate {allocation} bytes in file '{path}'"))
        }
        Step::MakeDirectory(_) => open_staging(place)?
            .make_dir(&place.name, 0o700)
            .context(|| format!("cannot create path '{path}'")),
        Step::CopyData { source, shares_blocks, .. } => {
            let target = open_volume(place)?;
            let from = source.display();
            let source =
                File::open(source).context(|| format!("could not open input path '{from}'"))?;
            if *shares_blocks {
                return fs::ioctl_ficlone(&target, &source)
                    .context(|| format!("failed to clone files from '{from}'"));
            }
            copy(&source, &target).context(|| format!("failed writing to file '{path}'"))
        }
        Step::Finish { access, .. } => finish(place, *access),
        // a program, which run() has started
        Step::RunQemuImg { .. } => Ok(()),
    }
}

fn open_volume(place: &Place) -> Result<File, HostError> {
    let opened = open_staging(place)?.open_for_writing(&place.name);
    opened.context(|| format!("cannot open file '{}'", place.path().display()))
}

fn finish(place: &Place, access: Access) -> Result<(), HostError> {
    let path = place.path();
    let path = path.display();
    let file = open_staging(place)?
        .open_inside(&place.name, OFlags::RDONLY | OFlags::NONBLOCK, 0)
        .context(|| format!("cannot open file '{path}'"))?;
    let (owner, group) = (access.owner.map(Uid::from_raw), access.group.map(Gid::from_raw));
    if owner.is_some() || group.is_some() {
        fs::fchown(&file, owner, group).context(|| {
            let id = |id: Option<u32>| id.map_or(-1, i64::from);
            let (owner, group) = (id(access.owner), id(access.group));
            format!("cannot chown '{path}' to ({owner}, {group})")
        })?;
    }
    fs::fchmod(&file, Mode::from_raw_mode(access.mode))
        .context(|| format!("cannot set mode of '{path}' to {:04o}", access.mode))?;
    file.sync_all().context(|| format!("cannot sync data to file '{path}'"))
}

fn undo_blocking(undo: &Undo) -> Result<(), HostError> {
    let pool = match Dir::open(undo.pool()) {
        // with its directory everything in it has gone
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.context(|| format!("cannot open directory '{}'", undo.pool().display()))?,
    };
    match undo {
        Undo::RemoveStaging { staging, .. } => pool.remove_staging(staging).context(|| {
            format!("cannot remove directory '{}'", undo.pool().join(staging).display())
        }),
        Undo::RemoveVolume { name, device, inode, .. } => {
            let path = undo.pool().join(name);
            match pool.lstat(name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => {
                    Err(error).context(|| format!("cannot stat file '{}'", path.display()))
                }
                // another file has the name now
                Ok(stat) if (stat.st_dev, stat.st_ino) != (*device, *inode) => Ok(()),
                Ok(_) => {
                    pool.remove(name).context(|| format!("cannot unlink file '{}'", path.display()))
                }
            }
        }
    }
}

/// Gives a finished volume its name.
pub(crate) fn adopt(place: &Place) -> Result<(), HostError> {
    let pool = open_pool(&place.pool)?;
    let staging = pool.open_staging(&place.staging);
    let path = || place.path().display().to_string();
    let staging = staging.context(|| format!("cannot open file '{}'", path()))?;
    match pool.adopt(&staging, &place.name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(HostError::Exists { name: place.name.clone() });
        }
        other => other.context(|| format!("cannot create path '{}'", path()))?,
    }
    pool.sync().context(|| format!("cannot sync data to file '{}'", path()))
}

/// Removes the directory in which a volume was made. The volume is complete in any case.
pub(crate) fn clean_up(place: &Place) {
    let removed = open_pool(&place.pool).map(|pool| pool.remove_staging(&place.staging));
    if !matches!(removed, Ok(Ok(()))) {
        let path = place.pool.join(&place.staging);
        tracing::warn!(path = %path.display(), "cannot remove a staging directory");
    }
}

/// Makes a part of a file take space; it becomes longer if the part ends behind it.
pub(crate) fn allocate(file: &File, offset: u64, length: u64) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    match fs::fallocate(file, FallocateFlags::empty(), offset, length) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => zero(file, offset, length),
        other => Ok(other?),
    }
}

/// Writes zeros.
pub(crate) fn zero(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let zeros = vec![0; CHUNK];
    let end = offset.saturating_add(length);
    let mut at = offset;
    while at < end {
        let n = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
        file.write_all_at(zeros.get(..n).unwrap_or_default(), at)?;
        at += n as u64;
    }
    Ok(())
}

/// Copies data; holes of the source are not written.
fn copy(source: &File, target: &File) -> io::Result<()> {
    let size = fs::seek(source, SeekFrom::End(0))?;
    let mut at = 0;
    let mut buffer = vec![0; CHUNK];
    let length = target.metadata()?.len();
    if length < size {
        target.set_len(size)?;
    }
    while at < size {
        let Some((data, end)) = next_data(source, at, size)? else { break };
        at = data;
        while at < end {
            let n = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            let part = buffer.get_mut(..n).unwrap_or_default();
            let n = source.read_at(part, at)?;
            if n == 0 {
                return Ok(());
            }
            target.write_all_at(buffer.get(..n).unwrap_or_default(), at)?;
            at += n as u64;
        }
    }
    let mut target = target;
    target.flush()
}

/// Where data begin and end from a place on; `None` if a hole lasts to `size`.
pub(crate) fn next_data(file: &File, at: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    let data = match fs::seek(file, SeekFrom::Data(at)) {
        Err(Errno::NXIO) => return Ok(None),
        // a device or file system without holes
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((at, size))),
        other => other?,
    };
    if data >= size {
        return Ok(None);
    }
    let end = fs::seek(file, SeekFrom::Hole(data))?;
    Ok(Some((data, end.min(size))))
}

/// Makes the directories of a path, the last with permissions.
///
/// libvirt 11.3.0: `virStorageBackendBuildLocal`, src/storage/storage_util.c
pub(crate) fn make_pool_directory(
    path: &Path,
    access: Access,
    sets_mode: bool,
) -> Result<(), HostError> {
    let shown = path.display();
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .context(|| format!("cannot create path '{}'", parent.display()))?;
    }
    let made = fs::mkdir(path, Mode::from_raw_mode(0o700));
    let is_new = match made {
        Err(Errno::EXIST) => false,
        other => {
            other.context(|| format!("failed to create directory '{shown}'")).map(|()| true)?
        }
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = fs::open(path, flags, Mode::empty())
        .context(|| format!("failed to create directory '{shown}'"))?;
    let (owner, group) = (access.owner.map(Uid::from_raw), access.group.map(Gid::from_raw));
    if owner.is_some() || group.is_some() {
        fs::fchown(&dir, owner, group)
            .context(|| format!("cannot chown '{shown}' to the owner of the pool"))?;
    }
    if is_new || sets_mode {
        fs::fchmod(&dir, Mode::from_raw_mode(access.mode))
            .context(|| format!("cannot set mode of '{shown}' to {:04o}", access.mode))?;
    }
    Ok(())
}

/// Removes the directory of a pool, which has to be empty.
pub(crate) fn remove_pool_directory(path: &Path) -> Result<(), HostError> {
    std::fs::remove_dir(path).context(|| format!("failed to remove pool '{}'", path.display()))
}

/// The path of a pool.
pub(crate) fn pool_path(pool: &crate::pool::Pool) -> PathBuf {
    PathBuf::from(pool.path())
}
