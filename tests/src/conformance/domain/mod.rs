//! Suite `domain`: documents of guests, storage and capabilities.
//!
//! Every row of the `cases.toml` files below `domain` is an outcome. A kind of row that nothing here runs is
//! reported as not run. `tests/data/domain-not-yet.txt` lists rows that are known to differ: they count
//! as not run as long as they do, and as failed once they pass, so that the list can only shrink.

mod args;
mod block;
mod capabilities;
mod cases;
mod documents;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use cases::{Case, Kind};

use super::{CasesError, Outcome, Verdict};

/// Rows that are known to differ, one `suite/name` per line.
const NOT_YET: &str = include_str!("../../../data/domain-not-yet.txt");

/// Passed and all rows of a suite, by tier.
type Tally = BTreeMap<String, [(usize, usize); 3]>;

/// What runs a row; the error says what is different.
type Run = fn(&Case) -> Result<(), String>;

/// Every row below `data`, and the figures per suite and tier.
pub(super) fn run(data: &Path) -> Result<(Vec<Outcome>, Vec<String>), CasesError> {
    let mut known: BTreeSet<&str> =
        NOT_YET.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut tally = Tally::new();
    let mut outcomes = Vec::new();
    let cases = cases::load(data)?;
    for case in &cases {
        let mut add = |suite: &str, name: String, run: Option<Run>| {
            let verdict = judge(case, run, known.remove(name.as_str()));
            let tiers = tally.entry(suite.to_owned()).or_default();
            if let Some((passed, total)) = tiers.get_mut(case.tier.clamp(1, 3) - 1) {
                *passed += usize::from(verdict == Verdict::Passed);
                *total += 1;
            }
            outcomes.push(Outcome { name: format!("domain {name}"), verdict });
        };
        let name = format!("{}/{}", case.suite, case.name);
        let run: Option<Run> = (case.kind != Kind::Other).then_some(documents::run);
        if case.kind == Kind::QemuXml {
            add("qemuxmlconf/out", name, run);
            if case.expect != "parse-error" {
                let name = format!("qemuxmlconf/args/{}", case.name);
                add("qemuxmlconf/args", name, Some(args::run));
            }
        } else if case.kind == Kind::Disk {
            add(&case.suite, name, Some(block::run));
        } else {
            add(&case.suite, name, run);
        }
    }
    outcomes.extend(capabilities::round_trips(data)?);
    if !cases.is_empty() {
        outcomes.extend(known.into_iter().map(|name| Outcome {
            name: format!("domain {name}"),
            verdict: Verdict::Failed {
                difference: String::from("listed in domain-not-yet.txt, but there is no such row"),
            },
        }));
    }
    Ok((outcomes, figures(&tally)))
}

fn judge(case: &Case, run: Option<Run>, is_known: bool) -> Verdict {
    let Some(run) = run else {
        return Verdict::NotRun { reason: format!("rows of {} are not run yet", case.suite) };
    };
    match (run(case), is_known) {
        (Ok(()), false) => Verdict::Passed,
        (Ok(()), true) => Verdict::Failed {
            difference: String::from("passes: take it off tests/data/domain-not-yet.txt"),
        },
        (Err(difference), false) => Verdict::Failed { difference },
        (Err(difference), true) => Verdict::NotRun { reason: format!("not yet: {difference}") },
    }
}

fn figures(tally: &Tally) -> Vec<String> {
    let mut lines = Vec::new();
    let mut sums = [(0, 0); 3];
    for (suite, tiers) in tally {
        lines.push(line(suite, tiers));
        for (sum, tier) in sums.iter_mut().zip(tiers) {
            sum.0 += tier.0;
            sum.1 += tier.1;
        }
    }
    if !tally.is_empty() {
        lines.push(line("domain conformance:", &sums));
    }
    lines
}

fn line(head: &str, tiers: &[(usize, usize); 3]) -> String {
    let mut line = head.to_owned();
    for (tier, (passed, total)) in (1..).zip(tiers) {
        // Writing to a String cannot fail.
        if write!(line, " T{tier} {passed}/{total}").is_err() {
            break;
        }
    }
    line
}
