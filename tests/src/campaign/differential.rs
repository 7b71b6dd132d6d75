//! Compares our reader and writer with libvirt's: `oxivirt-campaign differential [--seed N] [--count N] [--show N]`.
//!
//! Needs python3-libvirt; the interpreter is `/usr/bin/python3` unless `--python` names another.
//! The last line is the summary. Fails if anything differs that is not meant to.

use crate::differential::{Answer, Generator, Peer, PeerError, Tally, our_schema, ours};
use crate::error::{Error, Result};

struct Options {
    seed: u64,
    count: u64,
    show: u64,
    python: String,
}

fn options(mut words: impl Iterator<Item = String>) -> std::result::Result<Options, String> {
    let mut options =
        Options { seed: 1, count: 20_000, show: 20, python: String::from("/usr/bin/python3") };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{word}: {error}"));
        match word.as_str() {
            "--seed" => options.seed = number()?,
            "--count" => options.count = number()?,
            "--show" => options.show = number()?,
            "--python" => options.python = value,
            _ => return Err(format!("unknown option '{word}'")),
        }
    }
    Ok(options)
}

/// Answers that say nothing about the document: another network is in the way, or the binding is.
const NO_ANSWER: [i32; 2] = [9, -1];

fn compare(options: &Options) -> std::result::Result<Tally, PeerError> {
    let mut peer = Peer::start(&options.python)?;
    let mut generator = Generator::new(options.seed);
    let mut tally = Tally::default();
    while tally.documents < options.count {
        let document = generator.document();
        let (theirs, their_schema) = peer.ask(&document)?;
        if matches!(theirs, Answer::Refused { code, .. } if NO_ANSWER.contains(&code)) {
            continue;
        }
        let differences = [
            tally.compare(&document, &ours(&document), &theirs),
            tally.compare_schema(&document, our_schema(&document), their_schema),
        ];
        for difference in differences.into_iter().flatten() {
            if tally.differences <= options.show {
                println!("==== difference {}\n{difference}", tally.differences);
            }
        }
    }
    Ok(tally)
}

pub(super) fn run(words: &[String]) -> Result<bool> {
    let options = options(words.iter().cloned()).map_err(Error::Wrong)?;
    let tally = compare(&options).map_err(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        Error::Wrong(format!("{error}: {}", source.unwrap_or_default()))
    })?;
    println!("{tally}");
    Ok(tally.differences == 0)
}
