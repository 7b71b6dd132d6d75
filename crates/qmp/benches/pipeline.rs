//! 500 `qom-get` on a real QEMU: sent in one go, one after another, and as a single query.

#![expect(clippy::expect_used, reason = "a benchmark without its QEMU has failed")]

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use criterion::{Criterion, criterion_group, criterion_main};
use oxivirt_qmp::command::{QomGet, QomList, QueryStatus};
use oxivirt_qmp::{Monitor, Options};

const MACHINE: &[&str] = &["-machine", "q35,accel=tcg", "-m", "64", "-cpu", "qemu64"];

/// A QEMU whose guest does not run. It is killed with the value.
struct Qemu(Child);

impl Qemu {
    /// Starts it with its monitor on `socket`.
    fn start(socket: OwnedFd) -> Self {
        #[expect(clippy::disallowed_methods, reason = "runs beside the benchmark")]
        let mut command = std::process::Command::new("qemu-system-x86_64");
        let child = command
            .args(["-S", "-no-user-config", "-nodefaults", "-display", "none"])
            .args(["-chardev", "socket,id=mon,fd=0", "-mon", "chardev=mon,mode=control"])
            .args(MACHINE)
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("qemu-system-x86_64"))
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn pipeline(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    for oob in [false, true] {
        let (near, far) = UnixStream::pair().expect("a socket pair");
        let process = Qemu::start(far.into());
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
