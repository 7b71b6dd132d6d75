//! How long a NAT network takes to start and to be destroyed (`cargo xtask bench start`).
//!
//! `oxivirt-campaign bench-start [--peer PATH] [--rounds N]` measures the embedded driver through one open
//! connection and, where PATH names the script that runs a libvirt, libvirt through one open
//! connection, call by call in turn, so that both see the same machine.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::{Backend, Host, Subject};
use crate::session::Session;

const NETWORK: &str = include_str!("../../data/networks/default.xml");
const NAME: &str = "default";

/// Rounds before the measured ones: the first start makes files and loads what is loaded once.
const WARM_UP: usize = 3;
const ROUNDS: usize = 30;

/// How much faster than libvirt we mean to be.
const GOALS: [(&str, f64); 2] = [("start", 6.0), ("destroy", 4.0)];

/// One of the two, with its times of start and of destroy.
struct Candidate {
    host: Host,
    session: Session,
    times: [Vec<Duration>; 2],
}

impl Candidate {
    fn new(host: Host) -> Result<Self> {
        let mut session = Session::open(&host)?;
        session.call("define", NAME, NETWORK)?;
        Ok(Self { host, session, times: [Vec::new(), Vec::new()] })
    }

    fn round(&mut self) -> Result<()> {
        for (times, (verb, _)) in self.times.iter_mut().zip(GOALS) {
            times.push(self.session.call(verb, NAME, "")?);
        }
        Ok(())
    }

    /// What was measured while warming up does not count.
    fn forget(&mut self) {
        self.times.iter_mut().for_each(Vec::clear);
    }

    fn name(&self) -> String {
        self.host.subject().to_string()
    }
}

pub(super) fn run(words: &[String]) -> Result<bool> {
    let mut peer = None;
    let mut rounds = ROUNDS;
    let mut words = words.iter().cloned();
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_default();
        match word.as_str() {
            "--peer" => peer = Some(PathBuf::from(value)),
            "--rounds" => {
                rounds = value.parse().ok().filter(|rounds| *rounds > 0).ok_or_else(|| {
                    Error::Wrong(format!("--rounds wants a number, not '{value}'"))
                })?;
            }
            other => return Err(Error::Wrong(format!("unknown option '{other}'"))),
        }
    }
    let mut candidates = vec![Candidate::new(Host::new(Subject::Oxivirt)?)?];
    if let Some(script) = peer {
        candidates.push(Candidate::new(Host::libvirt(&script, Backend::Nftables)?)?);
    }
    for _ in 0..WARM_UP {
        candidates.iter_mut().try_for_each(Candidate::round)?;
    }
    candidates.iter_mut().for_each(Candidate::forget);
    for _ in 0..rounds {
        candidates.iter_mut().try_for_each(Candidate::round)?;
    }
    println!("default NAT network, {rounds} rounds, one open connection each, in turn");
    println!("{:<10}{:<10}{:>12}{:>12}{:>12}", "", "", "median", "10 %", "90 %");
    for candidate in &mut candidates {
        for (at, (verb, _)) in GOALS.iter().enumerate() {
            candidate.times[at].sort_unstable();
            let [median, low, high] =
                [50, 10, 90].map(|share| percentile(&candidate.times[at], share));
            let name = candidate.name();
            println!("{verb:<10}{name:<10}{:>12}{:>12}{:>12}", ms(median), ms(low), ms(high));
        }
    }
    if let [ours, theirs] = &candidates[..] {
        for (at, (verb, goal)) in GOALS.iter().enumerate() {
            let [ours, theirs] =
                [ours, theirs].map(|candidate| percentile(&candidate.times[at], 50).as_secs_f64());
            println!("{verb}: {:.1} times faster than libvirt (goal: {goal})", theirs / ours);
        }
    }
    Ok(true)
}

/// The time that `share` per cent of the sorted times stay below.
fn percentile(sorted: &[Duration], share: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * share / 100).copied().unwrap_or_default()
}

/// The median in milliseconds.
pub(super) fn median_ms(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    percentile(times, 50).as_secs_f64() * 1e3
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(times: &[u64], share: usize, expect: u64) {
        let times: Vec<Duration> = times.iter().copied().map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, share), Duration::from_millis(expect));
    }

    #[test]
    fn percentiles() {
        check(&[1, 2, 3], 50, 2);
        check(&[1, 2, 3], 10, 1);
        check(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 90, 10);
        check(&[7], 90, 7);
        check(&[], 50, 0);
    }
}
