//! Runs a program under the tracer of [`crate::inject`].
//!
//! `oxivirt-campaign inject [--input] REPORT N PROGRAM [ARGUMENT…]` kills PROGRAM at kill point N (0: never) and
//! writes what it did to REPORT, as JSON. With `--input` calls count once PROGRAM reads its standard input. The
//! exit status is 0 whatever became of PROGRAM.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::inject::{Begin, trace};
use crate::process::Run;

/// Option: calls count once the program reads its standard input.
pub(crate) const INPUT: &str = "--input";

#[expect(clippy::disallowed_methods, reason = "the report is read after this program's end")]
pub(super) fn run(words: &[String]) -> Result<bool> {
    let (begin, words) = match words.split_first() {
        Some((first, rest)) if first == INPUT => (Begin::AtInput, rest),
        _ => (Begin::AtOnce, words),
    };
    let mut arguments = words.iter();
    let usage = || {
        let text = "usage: oxivirt-campaign inject [--input] REPORT N PROGRAM [ARGUMENT…]";
        Error::Wrong(text.to_owned())
    };
    let report = PathBuf::from(arguments.next().ok_or_else(usage)?);
    let number: usize = arguments.next().and_then(|word| word.parse().ok()).ok_or_else(usage)?;
    let traced = trace(&Run::new(arguments), (number > 0).then_some(number), begin)?;
    let text = serde_json::to_string(&traced)
        .map_err(|error| Error::Format { what: "the report".into(), found: error.to_string() })?;
    std::fs::write(&report, text).map_err(Error::file(&report))?;
    Ok(true)
}
