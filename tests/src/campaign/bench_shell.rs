//! How long the shell takes from its start to its first output, next to virsh: `oxivirt-campaign bench-shell [RUNS]`.
//!
//! Both list the network in memory, in turns, so that whatever else the machine does meets both. The figure that
//! counts is the ratio of the medians.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::host::program;
use crate::process::{Run, find};

const RUNS: usize = 50;

fn time(shell: &str) -> Result<Duration> {
    let run = Run::new([shell, "-c", "test:///default", "net-list"]);
    let begun = Instant::now();
    run.stdout()?;
    Ok(begun.elapsed())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn measure(runs: usize) -> Result<()> {
    let ours = program("oxish")?.display().to_string();
    let Some(virsh) = find("virsh") else {
        println!("not run: virsh is not installed");
        return Ok(());
    };
    let virsh = virsh.display().to_string();
    let (mut our_times, mut virsh_times) = (Vec::new(), Vec::new());
    for _ in 0..runs.max(1) {
        our_times.push(time(&ours)?);
        virsh_times.push(time(&virsh)?);
    }
    let (ours, virsh) = (median(&mut our_times), median(&mut virsh_times));
    let share = ours.as_secs_f64() / virsh.as_secs_f64();
    println!("oxish {ours:?}, virsh {virsh:?}: {share:.2} of virsh's time, medians of {runs} runs");
    Ok(())
}

pub(super) fn run(words: &[String]) -> Result<bool> {
    measure(words.first().and_then(|word| word.parse().ok()).unwrap_or(RUNS))?;
    Ok(true)
}
