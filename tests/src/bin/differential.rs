//! Compares our reader and writer with libvirt's: `differential [--seed N] [--count N] [--show N]`.
//!
//! Needs python3-libvirt; the interpreter is `/usr/bin/python3` unless `--python` names another.
//! The last line is the summary. Fails if anything differs that is not meant to.

use std::process::ExitCode;

use oxivirt_tests::differential::{Answer, Generator, Peer, PeerError, Tally, our_schema, ours};

struct Options {
    seed: u64,
    count: u64,
    show: u64,
    python: String,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
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

fn run(options: &Options) -> Result<Tally, PeerError> {
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

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(tally) => {
            println!("{tally}");
            if tally.differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            eprintln!("{error}: {}", source.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}
