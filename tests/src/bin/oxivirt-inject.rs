//! Runs a program under the tracer of [`oxivirt_tests::inject`].
//!
//! `oxivirt-inject REPORT N PROGRAM [ARGUMENT…]` kills PROGRAM at kill point N (0: never) and writes
//! what it did to REPORT, as JSON. The exit status is 0 whatever became of PROGRAM.

use std::path::PathBuf;
use std::process::ExitCode;

use oxivirt_tests::error::{Error, Result};
use oxivirt_tests::inject::trace;
use oxivirt_tests::process::Run;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oxivirt-inject: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "nobody reads the report before this program's end")]
fn run() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = || Error::Wrong("usage: oxivirt-inject REPORT N PROGRAM [ARGUMENT…]".to_owned());
    let report = PathBuf::from(arguments.next().ok_or_else(usage)?);
    let number: usize = arguments
        .next()
        .and_then(|word| word.to_str().and_then(|word| word.parse().ok()))
        .ok_or_else(usage)?;
    let traced = trace(&Run::new(arguments), (number > 0).then_some(number))?;
    let text = serde_json::to_string(&traced)
        .map_err(|error| Error::Format { what: "the report".into(), found: error.to_string() })?;
    std::fs::write(&report, text).map_err(Error::file(&report))
}
