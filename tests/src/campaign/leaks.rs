//! Prints the leak matrix (`cargo xtask leaks`): a row for each section of `net-update`, scope and
//! backend, a column for what happens before the destroy, in each cell how many rules, chains, map
//! elements, links, queues and processes are left.
//!
//! `oxivirt-campaign leaks [--step N]` carries out every N-th row.

use std::collections::{BTreeMap, btree_map};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::Backend;
use crate::error::{Error, Result};
use crate::leaks::{Bench, Disturbance, SCOPES, SECTIONS, Upgrade};
use crate::require::{self, Need};

/// A row of the matrix.
#[derive(Debug, Clone, Copy)]
struct Row {
    section: usize,
    scope: &'static str,
    backend: Backend,
}

pub(super) fn run(words: &[String]) -> Result<bool> {
    let step = match words {
        [] => 1,
        [option, number] if option == "--step" => match number.parse() {
            Ok(number) if number > 0 => number,
            _ => return Err(Error::Wrong(format!("'--step' wants a number, not '{number}'"))),
        },
        other => return Err(Error::Wrong(format!("unknown words '{}'", other.join(" ")))),
    };
    let mut rows = Vec::new();
    for backend in Backend::ALL {
        for section in 0..SECTIONS.len() {
            rows.extend(SCOPES.map(|scope| Row { section, scope, backend }));
        }
    }
    let rows: Vec<_> = rows.into_iter().step_by(step).collect();
    let mut columns = Vec::from(Disturbance::ALL);
    if !require::check("leaks: upgrade from libvirt", &[Need::Peer])? {
        columns.retain(|column| *column != Disturbance::Upgrade);
    }
    print!("{:<40}", "section, scope, backend");
    for disturbance in &columns {
        print!("{:>10}", disturbance.as_str());
    }
    println!();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let jobs = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..jobs).map(|_| scope.spawn(|| work(&rows, &columns, &next, &failed))).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(Error::Wrong("a worker panicked".into())))
        })
    })?;
    let failed = failed.into_inner().unwrap_or_default();
    for text in &failed {
        println!("{text}");
    }
    let skipped = rows.len() * (Disturbance::ALL.len() - columns.len());
    let passed = rows.len() * columns.len() - failed.len();
    println!("{passed} passed, {} failed, {skipped} skipped", failed.len());
    Ok(failed.is_empty())
}

fn work(
    rows: &[Row],
    columns: &[Disturbance],
    next: &AtomicUsize,
    failed: &Mutex<Vec<String>>,
) -> Result<()> {
    let mut benches: BTreeMap<Backend, Bench> = BTreeMap::new();
    let mut upgrades: BTreeMap<Backend, Upgrade> = BTreeMap::new();
    while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
        let name = SECTIONS.get(row.section).map_or("", |section| section.0);
        let mut line = format!("{:<40}", format!("{name} {} {}", row.scope, row.backend));
        for &disturbance in columns {
            let left = if disturbance == Disturbance::Upgrade {
                let upgrade = match upgrades.entry(row.backend) {
                    btree_map::Entry::Occupied(entry) => entry.into_mut(),
                    btree_map::Entry::Vacant(entry) => entry.insert(Upgrade::new(row.backend)?),
                };
                upgrade.cell(row.section, row.scope)
            } else {
                let bench = match benches.entry(row.backend) {
                    btree_map::Entry::Occupied(entry) => entry.into_mut(),
                    btree_map::Entry::Vacant(entry) => entry.insert(Bench::new(row.backend)?),
                };
                bench.cell(row.section, row.scope, disturbance)
            };
            let (count, what) = match left {
                Ok(left) => (left.len().to_string(), format!("{left:#?}")),
                Err(error) => ("error".to_owned(), error.chain().to_string()),
            };
            line.push_str(&format!("{count:>10}"));
            if count != "0" {
                let text = format!(
                    "{name} {} {} {}: {what}",
                    row.scope,
                    row.backend,
                    disturbance.as_str()
                );
                failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(text);
                benches.remove(&row.backend);
                upgrades.remove(&row.backend);
            }
        }
        println!("{line}");
    }
    Ok(())
}
