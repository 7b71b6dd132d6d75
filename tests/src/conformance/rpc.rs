//! Recorded conversations of libvirt's clients, held with a daemon of ours.
//!
//! The client's packets are sent as they were recorded, one after another; what comes back has to be what
//! libvirt's daemon answered, but for what differs from run to run ([`mask`]). Beside that, every recorded
//! payload of a procedure that the protocol's list has is read and written again ([`codec`]).

mod codec;
mod mask;
mod replay;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::Value;

use super::{Outcome, Verdict};
use crate::error::{Error, Result};
use crate::require::{self, Need};

/// Conversations with daemons that have no networks, or with parts that this daemon has not; the reason is
/// what the report says.
const ELSEWHERE: [(&str, &str); 8] = [
    ("28", "administration: client numbers are those of the recording"),
    ("29", "encrypted: the packets are those of other conversations"),
    ("30", "SASL"),
    ("31", "guests"),
    ("32", "storage"),
    ("33", "guests"),
    ("34", "storage"),
    ("35", "needs polkit and another user"),
];

/// What happened beside a conversation: its number, the connection before which, what to do.
const BESIDE: [(&str, u64, &str); 1] =
    [("21", 3, "virsh net-port-delete lan0 65a2e59e-425b-4368-ae05-7f89d973c63e")];

/// A recorded conversation.
#[derive(Debug)]
struct Scenario {
    id: String,
    setup: Option<String>,
    lines: Vec<Value>,
}

/// One line of a conversation: a packet or what happened to a connection.
#[derive(Debug)]
struct Line<'a> {
    connection: u64,
    socket: &'a str,
    is_from_client: bool,
    event: Option<&'a str>,
    packet: Vec<u8>,
}

impl Scenario {
    fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::file(path))?;
        let wrong = |found: &str| Error::Format {
            what: path.display().to_string(),
            found: found.chars().take(80).collect(),
        };
        let mut lines = Vec::new();
        for line in text.lines() {
            lines.push(serde_json::from_str::<Value>(line).map_err(|_| wrong(line))?);
        }
        let meta = lines.first().map(|line| line["meta"].clone()).unwrap_or_default();
        let id = meta["id"].as_str().ok_or_else(|| wrong("no id"))?.to_owned();
        let setup = meta["setup"].as_str().map(str::to_owned);
        Ok(Self { id, setup, lines })
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.lines.iter().skip(1).map(|line| Line {
            connection: line["conn"].as_u64().unwrap_or_default(),
            socket: line["socket"].as_str().unwrap_or_default(),
            is_from_client: line["dir"] == "c2s",
            event: line["event"].as_str(),
            packet: unhex(line["hex"].as_str().unwrap_or_default()),
        })
    }

    fn number(&self) -> &str {
        self.id.split('-').next().unwrap_or_default()
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap_or(0)).collect()
}

/// The conversations below a directory, in order.
fn conversations(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    paths
}

/// Runs the suite of conversations about guests on what is below `data`: every payload of a procedure that the
/// lists have, and the number of those that they lack.
pub(super) fn run_domain(data: &Path) -> (Vec<Outcome>, Vec<String>) {
    let mut outcomes = Vec::new();
    let mut counts = codec::Counts::default();
    for path in conversations(&data.join("rpc-domain")) {
        outcomes.push(match Scenario::load(&path) {
            Ok(scenario) => codec::check(&scenario, &mut counts),
            Err(error) => failed(&path.display().to_string(), error.chain()),
        });
    }
    let figures = vec![counts.to_string()];
    (outcomes, figures)
}

/// Runs the suite on what is below `data`; what cannot be read fails by name.
pub(super) fn run(data: &Path) -> Vec<Outcome> {
    let dir = data.join("rpc");
    let dir = dir.canonicalize().unwrap_or(dir);
    let paths = conversations(&dir);
    let mut outcomes = BTreeMap::new();
    let can_replay =
        require::check("conformance of conversations", &[Need::Netns]).unwrap_or(false);
    thread::scope(|scope| {
        let mut running = Vec::new();
        for path in &paths {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let inputs = dir.join("inputs");
            running.push((name, scope.spawn(move || one(path, &inputs, can_replay))));
        }
        for (name, thread) in running {
            let found = thread.join().unwrap_or_else(|_| vec![failed(&name, "panicked".into())]);
            outcomes.insert(name, found);
        }
    });
    outcomes.into_values().flatten().collect()
}

fn failed(name: &str, difference: String) -> Outcome {
    Outcome { name: name.to_owned(), verdict: Verdict::Failed { difference } }
}

/// One conversation: its payloads, then the conversation itself.
fn one(path: &Path, inputs: &Path, can_replay: bool) -> Vec<Outcome> {
    let scenario = match Scenario::load(path) {
        Ok(scenario) => scenario,
        Err(error) => return vec![failed(&path.display().to_string(), error.chain())],
    };
    let mut outcomes = vec![codec::check(&scenario, &mut codec::Counts::default())];
    if let Some((_, why)) = ELSEWHERE.iter().find(|(number, _)| *number == scenario.number()) {
        let verdict = Verdict::NotRun { reason: (*why).to_owned() };
        outcomes.push(Outcome { name: scenario.id.clone(), verdict });
    } else if can_replay {
        match replay::run(&scenario, inputs) {
            Ok(found) => outcomes.extend(found),
            Err(error) => outcomes.push(failed(&scenario.id, error.chain())),
        }
    }
    outcomes
}
