//! Random histories against a model (`cargo xtask model`).
//!
//! `oxivirt-campaign model [--steps N] [--kernel N] [--seed N]` runs N steps on the host that only keeps
//! books, then N on the real kernel, and prints how often each kind of operation succeeded. The seed is
//! printed: the same one gives the same histories. `--serve URI` is the process with the driver.

use std::time::{Instant, SystemTime};

use crate::error::{Error, Result};
use crate::model::kernel::{self, Kernel};
use crate::model::recorder::Recorded;
use crate::model::{self, Counts};
use oxivirt::{Connect, OpenOptions, Registry};
use oxivirt_network::embed::Environment;

const USAGE: &str =
    "usage: oxivirt-campaign model [--steps N] [--kernel N] [--seed N] | --serve URI";
/// Steps unless said otherwise.
const STEPS: u64 = 150_000;
const KERNEL_STEPS: u64 = 500;

pub(super) fn run(words: &[String]) -> Result<bool> {
    let done = match words {
        [flag, uri] if flag == "--serve" => serve(uri),
        words => judge(words),
    };
    done.map(|()| true).map_err(Error::Wrong)
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
