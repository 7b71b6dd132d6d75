//! The thread that writes: journals, and libvirt's lease files.
//!
//! It takes all jobs that wait, appends all records and then syncs each journal once, so that the confirmations of
//! many clients cost one sync. Lease files are written afterwards: they can be made again from the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use oxivirt_netserv_api::lease_file::Database;
use oxivirt_netserv_api::message::LeaseInfo;
use oxivirt_sys::file::{self, Durability};
use rustix::event::{EventfdFlags, eventfd};
use uuid::Uuid;

use crate::lease::journal::{self, State};

/// Largest journal and lease file that are read, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Where the files are.
#[derive(Debug, Clone)]
pub struct Directories {
    /// Journals: `UUID.journal`.
    pub journals: PathBuf,
    /// libvirt's lease files: `BRIDGE.status`.
    pub lease_files: PathBuf,
}

impl Directories {
    fn journal(&self, uuid: Uuid) -> PathBuf {
        self.journals.join(format!("{uuid}.journal"))
    }

    fn lease_file(&self, bridge: &str) -> PathBuf {
        self.lease_files.join(format!("{bridge}.status"))
    }

    /// What the files of a network say.
    ///
    /// # Errors
    /// The system's reason; a file that is damaged counts as far as it can be read.
    pub(super) fn load(&self, uuid: Uuid, bridge: &str) -> io::Result<State> {
        let read = |path: &Path| file::read(path, MAX_FILE).map_err(io::Error::other);
        let journal = read(&self.journal(uuid))?.unwrap_or_default();
        let journal = journal::read(&journal);
        let mut state = if journal.is_foreign { State::default() } else { journal.state };
        let status = read(&self.lease_file(bridge))?.unwrap_or_default();
        match Database::parse(&status, None) {
            Ok(database) => state.merge(database.leases(), database.server_duid()),
            Err(error) => tracing::warn!(bridge, %error, "a lease file is not read"),
        }
        Ok(state)
    }
}

/// Something to write.
#[derive(Debug)]
pub(super) enum Job {
    /// Records of a network; done when they are durable.
    Append { uuid: Uuid, number: u64, bytes: Vec<u8> },
    /// A journal in the place of the one of a network; done when it is durable.
    Rewrite { uuid: Uuid, number: u64, bytes: Vec<u8> },
    /// The lease file of a bridge; done when readers see it.
    LeaseFile {
        uuid: Uuid,
        number: u64,
        bridge: String,
        leases: Vec<LeaseInfo>,
        duid: Option<Vec<u8>>,
    },
    /// A network is not served any longer.
    Close { uuid: Uuid, deletes: bool },
    /// Nothing follows.
    Stop,
}

/// A job that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) uuid: Uuid,
    pub(super) number: u64,
    pub(super) is_written: bool,
}

/// The thread, and the way to it.
#[derive(Debug)]
pub(super) struct Disk {
    jobs: Sender<Job>,
    done: Arc<Mutex<Vec<Done>>>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl AsFd for Disk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Disk {
    pub(super) fn start(directories: Directories) -> io::Result<Self> {
        let (jobs, waiting) = channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let done = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer {
            directories,
            journals: BTreeMap::new(),
            done: Arc::clone(&done),
            wake: Arc::clone(&wake),
        };
        let run = move || writer.run(&waiting);
        let thread = std::thread::Builder::new().name("disk".to_owned()).spawn(run)?;
        Ok(Self { jobs, done, wake, thread: Some(thread) })
    }

    pub(super) fn give(&self, job: Job) {
        // The thread ends only after `Stop`, which is sent last.
        if self.jobs.send(job).is_err() {
            tracing::error!("the thread that writes leases is gone");
        }
    }

    /// What has been done since the last call.
    pub(super) fn take_done(&self) -> Vec<Done> {
        let mut count = [0; 8];
        // Only the descriptor's readiness matters.
        let _read = rustix::io::read(&*self.wake, &mut count);
        std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.give(Job::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes leases has failed");
        }
    }
}

struct Writer {
    directories: Directories,
    journals: BTreeMap<Uuid, File>,
    done: Arc<Mutex<Vec<Done>>>,
    wake: Arc<OwnedFd>,
}

impl Writer {
    fn run(mut self, waiting: &Receiver<Job>) {
        while let Ok(first) = waiting.recv() {
            let jobs: Vec<Job> = std::iter::once(first).chain(waiting.try_iter()).collect();
            let stops = jobs.iter().any(|job| matches!(job, Job::Stop));
            self.batch(jobs);
            if stops {
                return;
            }
        }
    }

    fn batch(&mut self, jobs: Vec<Job>) {
        let mut touched = BTreeSet::new();
        let mut failed = BTreeSet::new();
        let mut records = Vec::new();
        let mut later = Vec::new();
        for job in jobs {
            match job {
                Job::Append { uuid, number, bytes } => {
                    let written = self.append(uuid, &bytes);
                    self.note(uuid, written, &mut failed);
                    touched.insert(uuid);
                    records.push((uuid, number));
                }
                Job::Rewrite { uuid, number, bytes } => {
                    let written = self.rewrite(uuid, &bytes);
                    self.note(uuid, written, &mut failed);
                    records.push((uuid, number));
                }
                Job::Close { .. } | Job::LeaseFile { .. } => later.push(job),
                Job::Stop => {}
            }
        }
        for uuid in touched {
            let synced = self.journals.get(&uuid).map_or(Ok(()), File::sync_data);
            self.note(uuid, synced, &mut failed);
        }
        let done = |(uuid, number)| Done { uuid, number, is_written: !failed.contains(&uuid) };
        self.report(records.into_iter().map(done).collect());
        let files = later.into_iter().filter_map(|job| self.later(job)).collect();
        self.report(files);
    }

    fn note(&self, uuid: Uuid, written: io::Result<()>, failed: &mut BTreeSet<Uuid>) {
        if let Err(error) = written {
            tracing::error!(%uuid, %error, path = %self.directories.journal(uuid).display(), "leases are not written");
            failed.insert(uuid);
        }
    }

    fn report(&self, done: Vec<Done>) {
        if done.is_empty() {
            return;
        }
        self.done.lock().unwrap_or_else(PoisonError::into_inner).extend(done);
        if let Err(error) = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes()) {
            tracing::error!(%error, "the network thread is not woken");
        }
    }

    fn append(&mut self, uuid: Uuid, bytes: &[u8]) -> io::Result<()> {
        if !self.journals.contains_key(&uuid) {
            let file = self.open(uuid)?;
            self.journals.insert(uuid, file);
        }
        match self.journals.get_mut(&uuid) {
            Some(file) => file.write_all(bytes),
            None => Ok(()),
        }
    }

    /// Opens a journal for appending, without what was cut off at its end.
    fn open(&self, uuid: Uuid) -> io::Result<File> {
        let path = self.directories.journal(uuid);
        let old = file::read(&path, MAX_FILE).map_err(io::Error::other)?.unwrap_or_default();
        let read = journal::read(&old);
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let n_valid = if read.is_foreign { 0 } else { read.n_valid };
        if n_valid < old.len() {
            tracing::warn!(%uuid, n_bytes = old.len() - n_valid, "the end of a journal is cut off");
            file.set_len(u64::try_from(n_valid).map_err(io::Error::other)?)?;
        }
        if old.is_empty() {
            // The new name is durable, too.
            File::open(&self.directories.journals)?.sync_all()?;
        }
        Ok(file)
    }

    fn rewrite(&mut self, uuid: Uuid, bytes: &[u8]) -> io::Result<()> {
        let path = self.directories.journal(uuid);
        self.journals.remove(&uuid);
        file::replace(&path, bytes, 0o600, Durability::Synced).map_err(io::Error::other)
    }

    /// Jobs that no reply to a client depends on.
    fn later(&mut self, job: Job) -> Option<Done> {
        match job {
            Job::LeaseFile { uuid, number, bridge, leases, duid } => {
                let path = self.directories.lease_file(&bridge);
                let text = Database::of(&leases, duid.as_deref()).to_json();
                let written = file::replace(&path, text.as_bytes(), 0o644, Durability::Regenerated);
                if let Err(error) = &written {
                    tracing::error!(%error, "a lease file is not written");
                }
                Some(Done { uuid, number, is_written: written.is_ok() })
            }
            Job::Close { uuid, deletes } => {
                self.journals.remove(&uuid);
                let path = self.directories.journal(uuid);
                if deletes
                    && let Err(error) = fs::remove_file(&path)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    tracing::error!(path = %path.display(), %error, "a journal is not removed");
                }
                None
            }
            Job::Append { .. } | Job::Rewrite { .. } | Job::Stop => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;

    fn lease(last: u8) -> LeaseInfo {
        LeaseInfo {
            address: [10, 0, 0, last].into(),
            mac: Some([2, 0, 0, 0, 0, last]),
            client_id: None,
            iaid: None,
            hostname: None,
            resolves: true,
            expiry: Some(2_000_000_000),
        }
    }

    fn wait(disk: &Disk, n_jobs: usize) -> Vec<Done> {
        let mut done = Vec::new();
        while done.len() < n_jobs {
            let mut fds = [rustix::event::PollFd::new(disk, rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut fds, None).unwrap();
            done.extend(disk.take_done());
        }
        done
    }

    #[test]
    fn a_network_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_path_buf();
        let directories = Directories { journals: path.clone(), lease_files: path };
        let uuid = Uuid::from_u128(5);
        let grant = |last| journal::encode(&Record::Grant(lease(last)));
        let disk = Disk::start(directories.clone()).unwrap();
        disk.give(Job::Append { uuid, number: 1, bytes: grant(1) });
        disk.give(Job::LeaseFile {
            uuid,
            number: 2,
            bridge: "b0".to_owned(),
            leases: vec![lease(1), lease(3)],
            duid: None,
        });
        let done = wait(&disk, 2);
        assert!(done.iter().all(|done| done.is_written), "{done:?}");
        drop(disk);
        // A crash in the middle of a record.
        let journal = directories.journal(uuid);
        let mut torn = fs::read(&journal).unwrap();
        torn.extend(&grant(2)[..9]);
        file::replace(&journal, &torn, 0o600, Durability::Regenerated).unwrap();
        let state = directories.load(uuid, "b0").unwrap();
        assert_eq!(state.leases.len(), 2);
        // What is appended afterwards is read.
        let disk = Disk::start(directories.clone()).unwrap();
        disk.give(Job::Append { uuid, number: 1, bytes: grant(4) });
        wait(&disk, 1);
        assert_eq!(directories.load(uuid, "none").unwrap().leases.len(), 2);
        disk.give(Job::Close { uuid, deletes: true });
        drop(disk);
        assert!(!journal.exists());
    }

    #[test]
    fn what_cannot_be_written_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none");
        let disk = Disk::start(Directories { journals: path.clone(), lease_files: path }).unwrap();
        disk.give(Job::Append { uuid: Uuid::nil(), number: 7, bytes: vec![1] });
        assert_eq!(wait(&disk, 1), [Done { uuid: Uuid::nil(), number: 7, is_written: false }]);
    }
}
