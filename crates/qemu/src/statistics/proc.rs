//! What `/proc` says about processes, threads and links. Reading is apart from the forms.
//!
//! proc(5); Linux: Documentation/scheduler/sched-stats.rst

use oxivirt::{DomainInterfaceStats, DomainTraffic};
use rustix::thread::{CpuSet, Pid};

/// Figures of a process or of one of its threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Time in programs, in nanoseconds.
    pub(super) user_ns: u64,
    /// Time in the kernel, in nanoseconds.
    pub(super) system_ns: u64,
    /// Resident memory in pages.
    pub(super) rss_pages: u64,
    /// The processor it was on last.
    pub(super) cpu: Option<u32>,
}

impl Usage {
    /// Both times together.
    pub(super) const fn cpu_ns(&self) -> u64 {
        self.user_ns.saturating_add(self.system_ns)
    }

    /// Resident memory in KiB.
    pub(super) fn rss_kib(&self) -> u64 {
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        self.rss_pages.saturating_mul(page / 1024)
    }
}

/// Figures of a process; `None` once it has ended.
pub(super) fn process(pid: i32) -> Option<Usage> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Figures of a thread; `None` once it has ended.
pub(super) fn thread(pid: i32, tid: i32) -> Option<Usage> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok()?)
}

/// How long a thread was ready and another one ran, and how long it waited for a disk, in nanoseconds; 0 where
/// the kernel does not count.
pub(super) fn delays(pid: i32, tid: i32) -> (u64, u64) {
    let read = |name| std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/{name}"));
    let delay = read("schedstat").ok().and_then(|text| {
        text.split_whitespace().nth(1).and_then(|nanoseconds| nanoseconds.parse().ok())
    });
    let wait = read("sched").ok().and_then(|text| parse_wait(&text));
    (delay.unwrap_or(0), wait.unwrap_or(0))
}

/// Traffic of a link as its guest sees it: what the host receives the guest has sent.
pub(super) fn traffic(link: &str) -> Option<DomainInterfaceStats> {
    parse_net_dev(&std::fs::read_to_string("/proc/self/net/dev").ok()?, link)
}

/// The processors of the host that a thread may run on, `n` at most.
pub(super) fn affinity(tid: i32, n: usize) -> Option<Vec<bool>> {
    let set = rustix::thread::sched_getaffinity(Some(Pid::from_raw(tid)?)).ok()?;
    Some((0..n).map(|cpu| cpu < CpuSet::MAX_CPU && set.is_set(cpu)).collect())
}

/// How long virtual processors were looked for work without sleeping, with and without success, in nanoseconds.
pub(super) fn halt_polls(pid: i32) -> [u64; 2] {
    let mut sums = [0_u64; 2];
    let Ok(guests) = std::fs::read_dir("/sys/kernel/debug/kvm") else { return sums };
    let prefix = format!("{pid}-");
    for guest in guests.flatten() {
        if !guest.file_name().to_string_lossy().starts_with(&prefix) {
            continue;
        }
        for vcpu in std::fs::read_dir(guest.path()).into_iter().flatten().flatten() {
            for (sum, file) in sums.iter_mut().zip(["halt_poll_success_ns", "halt_poll_fail_ns"]) {
                let text = std::fs::read_to_string(vcpu.path().join(file)).unwrap_or_default();
                *sum = sum.saturating_add(text.trim().parse().unwrap_or(0));
            }
        }
    }
    sums
}

fn parse_stat(text: &str) -> Option<Usage> {
    // The name, in parentheses, may have blanks and parentheses in it.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let time = |ticks: u64| ticks.saturating_mul(1_000_000_000 / per_second);
    Some(Usage {
        user_ns: time(number(11)?),
        system_ns: time(number(12)?),
        rss_pages: number(21)?,
        cpu: number(36).and_then(|cpu| u32::try_from(cpu).ok()),
    })
}

/// The sum of waiting times, in milliseconds with six decimals.
fn parse_wait(sched: &str) -> Option<u64> {
    let value = sched.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim();
        (name == "wait_sum" || name == "se.statistics.wait_sum").then_some(value.trim())
    })?;
    let (whole, part) = value.split_once('.').unwrap_or((value, "0"));
    let part: u64 = format!("{part:0<6}").get(..6)?.parse().ok()?;
    Some(whole.parse::<u64>().ok()?.saturating_mul(1_000_000).saturating_add(part))
}

fn parse_net_dev(text: &str, link: &str) -> Option<DomainInterfaceStats> {
    let values = text.lines().find_map(|line| {
        let (name, values) = line.split_once(':')?;
        (name.trim() == link).then_some(values)
    })?;
    let numbers: Vec<u64> = values.split_whitespace().map_while(|n| n.parse().ok()).collect();
    let traffic = |first: usize| {
        let number = |at: usize| numbers.get(first + at).copied();
        DomainTraffic { bytes: number(0), packets: number(1), errors: number(2), drops: number(3) }
    };
    Some(DomainInterfaceStats { rx: traffic(8), tx: traffic(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_receives_what_the_host_sends() {
        let text = "Inter-|   Receive                                 |  Transmit\n\
            \u{20}face |bytes    packets errs drop fifo frame compressed multicast|bytes ...\n\
            \u{20}   lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n\
            \u{20} vnet6: 10 20 30 40 0 0 0 0 86 1 2 3 0 0 0 0\n";
        let stats = parse_net_dev(text, "vnet6").unwrap();
        assert_eq!((stats.rx.bytes, stats.rx.drops), (Some(86), Some(3)));
        assert_eq!((stats.tx.bytes, stats.tx.errors), (Some(10), Some(30)));
        assert_eq!(parse_net_dev(text, "vnet"), None);
    }

    #[test]
    fn a_thread_may_have_any_name() {
        let own = i32::try_from(std::process::id()).unwrap();
        let usage = process(own).unwrap();
        assert!(usage.rss_kib() > 0 && usage.cpu.is_some());
        assert!(affinity(own, 4096).unwrap().contains(&true));
        let rest = "0 ".repeat(8);
        let text = format!("7 (CPU 0) KVM) S {rest}0 0 3 4 0 0 0 0 0 0 0 0 9 {}", "1 ".repeat(20));
        let usage = parse_stat(&text).unwrap();
        assert_eq!(usage.rss_pages, 9);
        assert_eq!(usage.user_ns * 4, usage.system_ns * 3);
        assert_eq!(process(0), None);
    }

    #[test]
    fn waiting_times_are_milliseconds() {
        assert_eq!(parse_wait("wait_max : 1.0\nwait_sum   :    12.000345\n"), Some(12_000_345));
        assert_eq!(parse_wait("se.statistics.wait_sum : 1.5"), Some(1_500_000));
        assert_eq!(parse_wait("nr_switches : 1"), None);
    }
}
