//! Figures of memory.
//!
//! libvirt 11.3.0: `qemuMonitorJSONGetMemoryStats`, src/qemu/qemu_monitor_json.c

use std::time::Duration;

use oxivirt::DomainMemoryStat;
use oxivirt_conf::domain::DomainDef;
use oxivirt_conf::domain::device::memballoon::{Memballoon, MemballoonModel};
use oxivirt_qmp::Monitor;
use oxivirt_qmp::command::{QomGet, QueryBalloon};
use serde_json::Value;

use super::params::Params;
use super::proc;
use crate::registry::View;

/// Tags of figures (`virDomainMemoryStatTags`) and their names in groups.
const ACTUAL: i32 = 6;
const RSS: i32 = 7;
const NAMES: [(i32, &str); 12] = [
    (0, "swap_in"),
    (1, "swap_out"),
    (2, "major_fault"),
    (3, "minor_fault"),
    (4, "unused"),
    (5, "available"),
    (RSS, "rss"),
    (8, "usable"),
    (9, "last-update"),
    (10, "disk_caches"),
    (11, "hugetlb_pgalloc"),
    (12, "hugetlb_pgfail"),
];
/// What the guest's driver reports: tag, name in the emulator, unit in bytes.
const REPORTED: [(i32, &str, u64); 11] = [
    (0, "stat-swap-in", 1024),
    (1, "stat-swap-out", 1024),
    (2, "stat-major-faults", 1),
    (3, "stat-minor-faults", 1),
    (4, "stat-free-memory", 1024),
    (5, "stat-total-memory", 1024),
    (8, "stat-available-memory", 1024),
    (9, "last-update", 1),
    (10, "stat-disk-caches", 1024),
    (11, "stat-htlb-pgalloc", 1),
    (12, "stat-htlb-pgfail", 1),
];

/// The balloon, if the guest has one.
pub(crate) fn balloon(def: &DomainDef) -> Option<&Memballoon> {
    let balloons = def.devices.as_ref()?.memballoons.iter();
    balloons.into_iter().find(|balloon| balloon.model != Some(MemballoonModel::None))
}

/// Where the emulator has the balloon.
pub(crate) fn balloon_path(balloon: &Memballoon) -> Option<String> {
    let alias = balloon.info.alias.as_ref()?.name.as_deref()?;
    Some(format!("/machine/peripheral/{alias}"))
}

/// Memory that a guest has, in KiB.
pub(crate) fn current_kib(view: &View) -> u64 {
    let live = view.running.as_ref().and_then(|running| running.live.balloon_kib());
    live.unwrap_or_else(|| view.def.memory_kib())
}

/// Asks for all figures; what is not answered in time is left out.
pub(super) async fn ask(
    view: &View,
    monitor: &Monitor,
    deadline: Duration,
) -> Vec<DomainMemoryStat> {
    let mut stats = Vec::new();
    if let Some(balloon) = balloon(view.def.def()) {
        let reported = async {
            let (path, property) = (balloon_path(balloon)?, "guest-stats".to_owned());
            monitor.run_within(&QomGet { path, property }, deadline).await.ok()
        };
        let (actual, reported) =
            futures::join!(monitor.run_within(&QueryBalloon {}, deadline), reported);
        if let Ok(actual) = actual {
            stats.push(DomainMemoryStat { tag: ACTUAL, value: actual.actual / 1024 });
        }
        stats.extend(reported.iter().flat_map(figures));
    }
    let process = view.running.as_ref().and_then(|running| running.live.process());
    if let Some(usage) = process.and_then(|process| proc::process(process.pid())) {
        stats.push(DomainMemoryStat { tag: RSS, value: usage.rss_kib() });
    }
    stats
}

/// The guest's report; what it has not reported is the largest number.
fn figures(report: &Value) -> Vec<DomainMemoryStat> {
    let figure = |name: &str| match name {
        "last-update" => report.get(name)?.as_u64(),
        _ => report.get("stats")?.get(name)?.as_u64(),
    };
    let found = REPORTED.iter().filter_map(|(tag, name, unit)| {
        let value = figure(name).filter(|value| *value != u64::MAX)?;
        Some(DomainMemoryStat { tag: *tag, value: value / unit })
    });
    found.collect()
}

/// The group `balloon` without its first two figures.
pub(super) fn group(stats: &[DomainMemoryStat], to: &mut Params) {
    for stat in stats {
        if let Some((_, name)) = NAMES.iter().find(|(tag, _)| *tag == stat.tag) {
            to.ulong(format!("balloon.{name}"), stat.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guest_has_not_reported_is_left_out() {
        let report = serde_json::json!({
            "last-update": 7,
            "stats": {
                "stat-free-memory": 4096,
                "stat-major-faults": 3,
                "stat-swap-in": u64::MAX,
            },
        });
        let found: Vec<_> = figures(&report).iter().map(|stat| (stat.tag, stat.value)).collect();
        assert_eq!(found, [(2, 3), (4, 4), (9, 7)]);
        assert_eq!(figures(&Value::Null), []);
    }
}
