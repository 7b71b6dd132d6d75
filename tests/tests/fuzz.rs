//! Every fuzz target with its seeds and mutations of them, the same in every run.
//!
//! This replays what the targets promise, quickly and without tools; `cargo xtask fuzz` searches with
//! libFuzzer, guided by coverage. An input that it finds belongs to `tests/fuzz/seeds`.

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Mutations per target.
const MUTATIONS: usize = 2000;
/// Largest input in bytes: the targets are not optimised here.
const INPUT_MAX: usize = 1 << 16;

/// What is put into texts, beside other bytes of the seeds.
const TOKENS: [&str; 12] =
    ["<", ">", "</", "/>", "&", "&#9;", "'", "=", "<![CDATA[", "-1", "99999999999999999999", "é"];

fn main() -> ExitCode {
    let trials = targets::TARGETS.map(|(name, target)| {
        Trial::test(name, move || replay(name, target).map_err(Failed::from))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

fn replay(name: &str, target: fn(&[u8])) -> std::io::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut paths = std::fs::read_dir(directory)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    let seeds = paths.iter().map(std::fs::read).collect::<std::io::Result<Vec<_>>>()?;
    assert!(!seeds.is_empty(), "no seeds");
    for (path, seed) in paths.iter().zip(&seeds) {
        check(target, seed, &path.display().to_string());
    }
    let mut rng = StdRng::seed_from_u64(1);
    for number in 0..MUTATIONS {
        let input = mutate(&seeds, &mut rng);
        check(target, &input, &format!("mutation {number}"));
    }
    Ok(())
}

/// Fails with the input, which a panic of the target does not name.
fn check(target: fn(&[u8]), input: &[u8], what: &str) {
    if std::panic::catch_unwind(|| target(input)).is_err() {
        panic!("{what} breaks a promise: {:?}", String::from_utf8_lossy(input));
    }
}

/// One of the seeds with a few changes.
fn mutate(seeds: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let mut input = seeds.choose(rng).cloned().unwrap_or_default();
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=input.len());
        let end = (at + rng.random_range(0..32)).min(input.len());
        match rng.random_range(0..5) {
            0 => drop(input.drain(at..end)),
            1 => {
                let token = TOKENS.choose(rng).copied().unwrap_or_default();
                input.splice(at..end, token.bytes());
            }
            2 => {
                let piece = input.get(at..end).unwrap_or_default();
                let piece = piece.repeat(rng.random_range(1..64));
                input.splice(at..at, piece);
            }
            3 => {
                let other = seeds.choose(rng).cloned().unwrap_or_default();
                let from = rng.random_range(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(other.get(from..).unwrap_or_default());
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = rng.random();
                }
            }
        }
    }
    input.truncate(INPUT_MAX);
    input
}
