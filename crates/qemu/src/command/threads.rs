//! I/O threads and groups that limit disks together.

use std::collections::BTreeSet;

use oxivirt_conf::domain::cpu::IoThread;
use oxivirt_conf::domain::device::disk::IoTune;

use super::Build;
use super::props::Props;

impl Build<'_> {
    /// libvirt 11.3.0: `qemuBuildIOThreadCommandLine`, src/qemu/qemu_command.c
    pub(super) fn io_threads(&mut self) {
        let def = self.def;
        let given = def.iothread_ids.as_ref().map(|ids| ids.threads.as_slice()).unwrap_or_default();
        let wanted = usize::try_from(def.iothreads.unwrap_or(0)).unwrap_or(0);
        let used: BTreeSet<u32> = given.iter().filter_map(|thread| thread.id).collect();
        let missing = wanted.saturating_sub(given.len());
        let added = (1..).filter(|id| !used.contains(id)).take(missing);
        let threads = given.iter().filter_map(|thread| Some((thread.id?, Some(thread))));
        for (id, thread) in threads.chain(added.map(|id| (id, None))) {
            self.object(&io_thread(id, thread));
        }
    }

    /// libvirt 11.3.0: `qemuBuildThrottleGroupCommandLine`, src/qemu/qemu_command.c
    pub(super) fn throttle_groups(&mut self) {
        let def = self.def;
        for group in def.throttle_groups.iter().flat_map(|groups| &groups.groups) {
            let name = group.group_name.as_deref().unwrap_or_default();
            let props = Props::object("throttle-group", format!("throttle-{name}"));
            self.object(&props.with("limits", limits(group)));
        }
    }
}

fn io_thread(id: u32, thread: Option<&IoThread>) -> Props {
    let poll = thread.and_then(|thread| thread.poll.as_ref());
    Props::object("iothread", format!("iothread{id}"))
        .with_opt("poll-max-ns", poll.and_then(|poll| poll.max))
        .with_opt("poll-grow", poll.and_then(|poll| poll.grow))
        .with_opt("poll-shrink", poll.and_then(|poll| poll.shrink))
        .with_opt("thread-pool-min", thread.and_then(|thread| thread.thread_pool_min))
        .with_opt("thread-pool-max", thread.and_then(|thread| thread.thread_pool_max))
}

fn limits(group: &IoTune) -> Props {
    let or_none = |value: Option<u64>| value.unwrap_or(0);
    Props::new()
        .with("bps-total", or_none(group.total_bytes_sec))
        .with("bps-read", or_none(group.read_bytes_sec))
        .with("bps-write", or_none(group.write_bytes_sec))
        .with("iops-total", or_none(group.total_iops_sec))
        .with("iops-read", or_none(group.read_iops_sec))
        .with("iops-write", or_none(group.write_iops_sec))
        .with("bps-total-max", or_none(group.total_bytes_sec_max))
        .with("bps-read-max", or_none(group.read_bytes_sec_max))
        .with("bps-write-max", or_none(group.write_bytes_sec_max))
        .with("iops-total-max", or_none(group.total_iops_sec_max))
        .with("iops-read-max", or_none(group.read_iops_sec_max))
        .with("iops-write-max", or_none(group.write_iops_sec_max))
        .with("iops-size", or_none(group.size_iops_sec))
        .with_nonzero("bps-total-max-length", group.total_bytes_sec_max_length)
        .with_nonzero("bps-read-max-length", group.read_bytes_sec_max_length)
        .with_nonzero("bps-write-max-length", group.write_bytes_sec_max_length)
        .with_nonzero("iops-total-max-length", group.total_iops_sec_max_length)
        .with_nonzero("iops-read-max-length", group.read_iops_sec_max_length)
        .with_nonzero("iops-write-max-length", group.write_iops_sec_max_length)
}
