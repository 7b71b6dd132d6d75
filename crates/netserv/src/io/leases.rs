//! What waits for the disk: records, confirmations that follow them, and libvirt's lease files.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::time::Duration;

use oxivirt_netserv_api::message::{Event, Reply};
use uuid::Uuid;

use super::Service;
use super::disk::Job;
use crate::lease::journal;
use crate::out::Datagram;
use crate::{Now, Record};

/// How long a confirmation waits for the disk.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often a lease file is written at most.
const FILE_INTERVAL: Duration = Duration::from_millis(100);
/// When writing is tried again after it failed.
const RETRY: Duration = Duration::from_secs(1);
/// A journal up to this size is not written anew, in bytes.
const MIN_JOURNAL: u64 = 64 * 1024;
/// About what a lease takes in a journal, in bytes.
const LEASE_SIZE: u64 = 100;

/// A datagram that follows records.
#[derive(Debug)]
struct Held {
    uuid: Uuid,
    number: u64,
    since: Duration,
    datagram: Datagram,
}

/// A control request that is answered when a file is written.
#[derive(Debug)]
struct Flush {
    number: u64,
    connection: u64,
    id: u32,
    reply: Reply,
}

/// What waits for the disk.
#[derive(Debug, Default)]
pub(super) struct Writing {
    next: u64,
    held: VecDeque<Held>,
    flushes: Vec<Flush>,
    /// When the lease file of a network is written.
    files: BTreeMap<Uuid, Duration>,
    last_files: BTreeMap<Uuid, Duration>,
    /// When a journal that could not be written is tried again.
    retries: BTreeMap<Uuid, Duration>,
    /// Rewrites that are on their way: what they repair.
    rewrites: BTreeMap<Uuid, u64>,
    sizes: BTreeMap<Uuid, u64>,
    kept: Vec<OwnedFd>,
}

impl Writing {
    /// Keeps a descriptor as long as the service.
    pub(super) fn keep(&mut self, fd: OwnedFd) {
        self.kept.push(fd);
    }

    fn number(&mut self) -> u64 {
        self.next = self.next.saturating_add(1);
        self.next
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let held = self.held.front().map(|held| held.since.saturating_add(PATIENCE));
        let file = self.files.values().min().copied();
        let retry = self.retries.values().min().copied();
        [held, file, retry].into_iter().flatten().min()
    }

    /// Forgets a network.
    pub(super) fn forget(&mut self, uuid: Uuid) {
        self.held.retain(|held| held.uuid != uuid);
        self.files.remove(&uuid);
        self.last_files.remove(&uuid);
        self.retries.remove(&uuid);
        self.rewrites.remove(&uuid);
        self.sizes.remove(&uuid);
    }
}

impl Service {
    /// Writes records; the datagrams follow when they are durable.
    pub(super) fn record(
        &mut self,
        now: Now,
        uuid: Uuid,
        records: &[Record],
        datagrams: Vec<Datagram>,
    ) {
        if records.is_empty() {
            return;
        }
        let number = self.writing.number();
        let bytes: Vec<u8> = records.iter().flat_map(journal::encode).collect();
        let size = self.writing.sizes.entry(uuid).or_default();
        *size = size.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.disk.give(Job::Append { uuid, number, bytes });
        let held = |datagram| Held { uuid, number, since: now.boot, datagram };
        self.writing.held.extend(datagrams.into_iter().map(held));
        let last = self.writing.last_files.get(&uuid).copied().unwrap_or_default();
        let due = last.saturating_add(FILE_INTERVAL).max(now.boot);
        self.writing.files.entry(uuid).or_insert(due);
        self.shorten(now, uuid);
    }

    /// Writes a journal anew when most of it is history.
    fn shorten(&mut self, now: Now, uuid: Uuid) {
        let size = self.writing.sizes.get(&uuid).copied().unwrap_or_default();
        if size < MIN_JOURNAL || self.writing.rewrites.contains_key(&uuid) {
            return;
        }
        let n_leases = self.engine.leases(uuid, now).map_or(0, |leases| leases.len());
        let live = u64::try_from(n_leases).unwrap_or(u64::MAX).saturating_mul(LEASE_SIZE);
        if size > live.saturating_mul(4) {
            self.rewrite(now, uuid);
        }
    }

    fn rewrite(&mut self, now: Now, uuid: Uuid) {
        let Some(state) = self.engine.state(uuid, now) else { return };
        let number = self.writing.number();
        let bytes = journal::checkpoint(&state);
        self.writing.sizes.insert(uuid, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.writing.rewrites.insert(uuid, number);
        self.disk.give(Job::Rewrite { uuid, number, bytes });
    }

    /// Writes the lease file of a network now; returns the number of the job.
    fn write_file(&mut self, now: Now, uuid: Uuid) -> Option<u64> {
        self.writing.files.remove(&uuid);
        let leases = self.engine.leases(uuid, now)?;
        let bridge = self.engine.spec(uuid)?.bridge.clone();
        let number = self.writing.number();
        self.writing.last_files.insert(uuid, now.boot);
        let duid = self.engine.duid(uuid);
        self.disk.give(Job::LeaseFile { uuid, number, bridge, leases, duid });
        Some(number)
    }

    /// Answers a request when the lease file of a network is on disk.
    pub(super) fn flush(
        &mut self,
        now: Now,
        uuid: Uuid,
        (connection, id): (u64, u32),
        reply: Reply,
    ) {
        match self.write_file(now, uuid) {
            Some(number) => self.writing.flushes.push(Flush { number, connection, id, reply }),
            None => self.reply(connection, id, &Reply::Unknown),
        }
    }

    /// Writes what is due, and sends what has waited for too long.
    pub(super) fn write_due(&mut self, now: Now) {
        let is_due = |(uuid, at): (&Uuid, &Duration)| (*at <= now.boot).then_some(*uuid);
        let files: Vec<Uuid> = self.writing.files.iter().filter_map(is_due).collect();
        for uuid in files {
            self.write_file(now, uuid);
        }
        let retries: Vec<Uuid> = self.writing.retries.iter().filter_map(is_due).collect();
        for uuid in retries {
            self.writing.retries.remove(&uuid);
            self.rewrite(now, uuid);
        }
        while let Some(held) = self.writing.held.front()
            && held.since.saturating_add(PATIENCE) <= now.boot
        {
            let Some(held) = self.writing.held.pop_front() else { return };
            self.degraded(held.uuid, true);
            self.send(held.uuid, &held.datagram);
        }
    }

    /// Goes on with what has been written.
    pub(super) fn written(&mut self, now: Now) {
        for done in self.disk.take_done() {
            let flushes = std::mem::take(&mut self.writing.flushes);
            let (ready, waiting) =
                flushes.into_iter().partition(|flush| flush.number == done.number);
            self.writing.flushes = waiting;
            let ready: Vec<Flush> = ready;
            for flush in ready {
                self.reply(flush.connection, flush.id, &flush.reply);
            }
            let was_rewrite = self.writing.rewrites.get(&done.uuid) == Some(&done.number);
            if was_rewrite {
                self.writing.rewrites.remove(&done.uuid);
            }
            if !done.is_written {
                self.degraded(done.uuid, true);
                self.writing.retries.insert(done.uuid, now.boot.saturating_add(RETRY));
            } else if was_rewrite {
                self.degraded(done.uuid, false);
            }
            self.release_held(done.uuid, done.number);
        }
    }

    fn release_held(&mut self, uuid: Uuid, number: u64) {
        let held = std::mem::take(&mut self.writing.held);
        let (ready, waiting): (VecDeque<Held>, VecDeque<Held>) =
            held.into_iter().partition(|held| held.uuid == uuid && held.number <= number);
        self.writing.held = waiting;
        for held in ready {
            self.send(held.uuid, &held.datagram);
        }
    }

    /// Notes whether leases can be written, and tells the drivers. A journal that was too slow is written anew, so
    /// that it is known to be whole.
    fn degraded(&mut self, uuid: Uuid, is_degraded: bool) {
        if self.engine.set_degraded(uuid, is_degraded) {
            tracing::warn!(%uuid, is_degraded, "whether leases are written in time has changed");
            self.announce(&Event::Degraded(uuid, is_degraded));
            if is_degraded {
                self.writing.retries.entry(uuid).or_insert(Duration::ZERO);
            }
        }
    }

    /// Writes all lease files at the end; the disk's thread finishes its jobs before it ends.
    pub(super) fn finish(&mut self, now: Now) {
        let networks: Vec<Uuid> = self.networks.keys().copied().collect();
        for uuid in networks {
            self.write_file(now, uuid);
        }
    }

    /// Writes the lease file and forgets a network.
    pub(super) fn close_leases(
        &mut self,
        now: Now,
        uuid: Uuid,
        deletes: bool,
        (connection, id): (u64, u32),
    ) {
        self.flush(now, uuid, (connection, id), Reply::Removed);
        self.disk.give(Job::Close { uuid, deletes });
        self.writing.forget(uuid);
    }
}
