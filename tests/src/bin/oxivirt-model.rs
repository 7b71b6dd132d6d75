//! Random histories against a model (`cargo xtask model`).
//!
//! `oxivirt-model [--steps N] [--kernel N] [--seed N]` runs N steps on the host that only keeps
//! books, then N on the real kernel, and prints how often each kind of operation succeeded. The seed is
//! printed: the same one gives the same histories. `--serve URI` is the process with the driver.

use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use oxivirt::{Connect, OpenOptions, Registry};
use oxivirt_network::embed::Environment;
use oxivirt_tests::model::kernel::{self, Kernel};
use oxivirt_tests::model::recorder::Recorded;
use oxivirt_tests::model::{self, Counts};

const USAGE: &str = "usage: oxivirt-model [--steps N] [--kernel N] [--seed N] | --serve URI";
/// Steps unless said otherwise.
const STEPS: u64 = 150_000;
const KERNEL_STEPS: u64 = 500;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.as_slice() {
        [flag, uri] if flag == "--serve" => serve(uri),
        words => judge(words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("oxivirt-model: FAILED: {message}");
            ExitCode::FAILURE
        }
    }
}

fn judge(words: &[String]) -> Result<(), String> {
    let (mut steps, mut kernel_steps) = (STEPS, KERNEL_STEPS);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let mut seed = now.map_or(0, |now| now.as_secs());
    for pair in words.chunks(2) {
        let [name, value] = pair else { return Err(USAGE.to_owned()) };
        let value = value.parse().map_err(|_| USAGE.to_owned())?;
        match name.as_str() {
            "--steps" => steps = value,
            "--kernel" => kernel_steps = value,
            "--seed" => seed = value,
            _ => return Err(USAGE.to_owned()),
        }
    }
    println!("seed {seed}");
    if steps > 0 {
        let begin = Instant::now();
        print("recorder", &model::run(steps, seed, Recorded::new)?, begin);
    }
    if kernel_steps > 0 {
        let begin = Instant::now();
        print("kernel", &model::run(kernel_steps, seed, Kernel::new)?, begin);
    }
    Ok(())
}

fn print(system: &str, counts: &Counts, begin: Instant) {
    let list: Vec<_> = counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!("{system}: {} in {:.0?}", list.join(", "), begin.elapsed());
}

fn serve(uri: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut registry = Registry::new();
        oxivirt_network::register(&mut registry, Environment::of_process());
        let connect = Connect::open(uri, &registry, &OpenOptions::default()).await;
        let connect = connect.map_err(|error| error.to_string())?;
        let networks = connect.connection().network_driver("virConnectListAllNetworks");
        kernel::serve(networks.map_err(|error| error.to_string())?).await;
        Ok(())
    })
}
