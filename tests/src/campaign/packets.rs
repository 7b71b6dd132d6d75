//! Packet probes through running networks (`cargo xtask packets`).
//!
//! `oxivirt-campaign packets [--subject oxivirt|libvirt] [DIRECTORY…]` judges the data sets in the
//! directories; without any, our own one and that of `../shared`.

use std::path::PathBuf;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::packets::{Verdict, judge};
use crate::require::{self, Need, shared, workspace};
use crate::{Backend, Subject};

pub(super) fn run(words: &[String]) -> Result<bool> {
    let mut subject = Subject::Oxivirt;
    let mut directories = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--subject" => subject = words.next().map_or("", String::as_str).parse()?,
            option if option.starts_with('-') => {
                return Err(Error::Wrong(format!("unknown option '{option}'")));
            }
            directory => directories.push(PathBuf::from(directory)),
        }
    }
    let mut skipped = 0;
    if directories.is_empty() {
        directories.push(workspace().join("tests/data/packets"));
        if require::check("packets of ../shared/data/firewall/semantics", &[Need::Shared])? {
            directories.push(shared().join("data/firewall/semantics"));
        } else {
            skipped += 1;
        }
    }
    let (mut passed, mut failed) = (0, 0);
    for directory in directories {
        let begin = Instant::now();
        let verdict = judge(subject, &directory)?;
        println!("{} under {subject}:", directory.display());
        failed += show(subject, &verdict);
        passed += verdict.agreed + verdict.deviations.len();
        println!("  {:.1} s", begin.elapsed().as_secs_f32());
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed == 0)
}

/// Prints a verdict; returns how many checks failed.
fn show(subject: Subject, verdict: &Verdict) -> usize {
    let Verdict { agreed, deviations, disagreements, one_way_heard, one_way_silent } = verdict;
    println!(
        "  {agreed} rows agree, {} differ as registered, {} differ",
        deviations.len(),
        disagreements.len()
    );
    for (name, list) in [("registered", deviations), ("differs", disagreements)] {
        for (expected, found) in list {
            println!("  {name}: expected {expected}\n  {:>1$} found    {found}", "", name.len());
        }
    }
    println!(
        "  datagrams to routed networks that arrive one way: {} of {}",
        one_way_heard.len(),
        one_way_heard.len() + one_way_silent.len()
    );
    // The rules of iptables are libvirt's, with this hole.
    let is_ours =
        subject == Subject::Oxivirt && matches!(Backend::from_environment(), Ok(Backend::Nftables));
    let leaks = if is_ours { one_way_heard.as_slice() } else { &[] };
    for row in leaks {
        println!("  arrives one way: {row}");
    }
    disagreements.len() + leaks.len()
}
