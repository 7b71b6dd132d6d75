//! 500 `qom-get` on a real QEMU: sent in one go, one after another, and as a single query.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "functions that tests share")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::os::unix::net::UnixStream;

use criterion::{Criterion, criterion_group, criterion_main};
use oxivirt_qmp::command::{QomGet, QomList, QueryStatus};
use oxivirt_qmp::{Monitor, Options};
use support::{Qemu, qemu};

const MACHINE: &[&str] = &["-machine", "q35,accel=tcg", "-m", "64", "-cpu", "qemu64"];

fn pipeline(criterion: &mut Criterion) {
    let Some(program) = qemu("bench pipeline") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    for oob in [false, true] {
        let (near, far) = UnixStream::pair().expect("a socket pair");
        let process = Qemu::start(&program, far.into(), "", MACHINE);
        let options = Options { oob, ..Options::default() };
        let opened = runtime.block_on(Monitor::from_fd(near.into(), &options));
        let (monitor, _events) = opened.expect("a monitor");
        let path = String::from("/machine/unattached/device[0]");
        let properties = runtime
            .block_on(monitor.run(&QomList { path: path.clone() }))
            .expect("the properties of a CPU");
        let reads: Vec<QomGet> = properties
            .iter()
            .filter(|property| property.kind == "bool")
            .map(|property| QomGet { path: path.clone(), property: property.name.clone() })
            .cycle()
            .take(500)
            .collect();
        let mut group = criterion.benchmark_group(if oob { "oob" } else { "in-band" });
        group.sample_size(10);
        group.bench_function("500 qom-get pipelined", |bencher| {
            bencher.iter(|| {
                let values = runtime.block_on(monitor.run_all(&reads));
                assert!(values.iter().all(Result::is_ok));
            });
        });
        group.bench_function("500 qom-get one by one", |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    for read in &reads {
                        monitor.run(read).await.expect("a value");
                    }
                });
            });
        });
        group.bench_function("query-status", |bencher| {
            bencher.iter(|| runtime.block_on(monitor.run(&QueryStatus {})).expect("a status"));
        });
        let words = QomGet { path, property: String::from("feature-words") };
        group.bench_function("qom-get feature-words", |bencher| {
            bencher.iter(|| runtime.block_on(monitor.run(&words)).expect("a value"));
        });
        group.finish();
        drop(process);
    }
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
