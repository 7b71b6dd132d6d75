//! Prints the leak matrix (`cargo xtask leaks`): a row for each section of `net-update`, scope and
//! backend, a column for what happens before the destroy, in each cell how many rules, chains, map
//! elements, links, queues and processes are left.
//!
//! `oxivirt-leaks [--step N]` carries out every N-th row.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use oxivirt_tests::Backend;
use oxivirt_tests::error::{Error, Result};
use oxivirt_tests::leaks::{Bench, Disturbance, SCOPES, SECTIONS};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("oxivirt-leaks: FAILED: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

/// A row of the matrix.
#[derive(Debug, Clone, Copy)]
struct Row {
    section: usize,
    scope: &'static str,
    backend: Backend,
}

fn run() -> Result<bool> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let step = match words.as_slice() {
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
    print!("{:<40}", "section, scope, backend");
    for disturbance in Disturbance::ALL {
        print!("{:>9}", disturbance.as_str());
    }
    println!();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let jobs = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..jobs).map(|_| scope.spawn(|| work(&rows, &next, &failed))).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(Error::Wrong("a worker panicked".into())))
        })
    })?;
    let failed = failed.into_inner().unwrap_or_default();
    for text in &failed {
        println!("{text}");
    }
    let cells = rows.len() * Disturbance::ALL.len();
    println!("{} passed, {} failed, 0 skipped", cells - failed.len(), failed.len());
    Ok(failed.is_empty())
}

fn work(rows: &[Row], next: &AtomicUsize, failed: &Mutex<Vec<String>>) -> Result<()> {
    let mut benches: Vec<(Backend, Bench)> = Vec::new();
    while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
        let name = SECTIONS.get(row.section).map_or("", |section| section.0);
        let mut line = format!("{:<40}", format!("{name} {} {}", row.scope, row.backend));
        for disturbance in Disturbance::ALL {
            if benches.iter().all(|(backend, _)| *backend != row.backend) {
                benches.push((row.backend, Bench::new(row.backend)?));
            }
            let bench = benches.iter().find(|(backend, _)| *backend == row.backend);
            let Some((_, bench)) = bench else { continue };
            let left = bench.cell(row.section, row.scope, disturbance);
            let (count, what) = match left {
                Ok(left) => (left.len().to_string(), format!("{left:#?}")),
                Err(error) => ("error".to_owned(), error.chain().to_string()),
            };
            line.push_str(&format!("{count:>9}"));
            if count != "0" {
                let text = format!(
                    "{name} {} {} {}: {what}",
                    row.scope,
                    row.backend,
                    disturbance.as_str()
                );
                failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(text);
                benches.retain(|(backend, _)| *backend != row.backend);
            }
        }
        println!("{line}");
    }
    Ok(())
}
