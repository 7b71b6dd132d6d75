//! Reads the transcripts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::super::CasesError;

/// One file of transcripts.
#[derive(Debug, Deserialize)]
pub(super) struct TranscriptFile {
    /// Its name without the ending.
    #[serde(skip)]
    pub(super) label: String,
    /// Files that every case of it finds in its directory.
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) common: Common,
    #[serde(default, rename = "case")]
    pub(super) cases: Vec<Case>,
}

/// What is the same for all cases of a file.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Common {
    /// Commands after every case.
    #[serde(default)]
    pub(super) cleanup: Vec<String>,
}

/// One transcript.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Case {
    pub(super) id: String,
    /// Words behind the program's name.
    pub(super) argv: Vec<String>,
    /// Commands before the last word, on the same connection.
    pub(super) setup: Vec<String>,
    /// Commands before the case, on a connection of their own.
    pub(super) prepare: Vec<String>,
    /// Commands of a second client while the case waits.
    pub(super) during: Vec<String>,
    pub(super) stdin: String,
    pub(super) env: BTreeMap<String, String>,
    pub(super) files: BTreeMap<String, String>,
    /// Files of the daemon's host.
    pub(super) host_files: BTreeMap<String, String>,
    /// Standard error went where standard output goes.
    pub(super) merge: bool,
    /// On a terminal.
    pub(super) pty: bool,
    pub(super) keys: Vec<String>,
    stdout: String,
    stderr: String,
    status: i32,
    /// The fault of virsh that it shows.
    pub(super) bug: Option<String>,
    fixed: Option<Answer>,
}

/// What a shell answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) status: i32,
}

impl Case {
    /// What virsh answered.
    pub(super) fn recorded(&self) -> Answer {
        Answer { stdout: self.stdout.clone(), stderr: self.stderr.clone(), status: self.status }
    }

    /// What a repaired shell answers, if the recording shows a fault.
    pub(super) fn fixed(&self) -> Option<Answer> {
        self.fixed.clone()
    }
}

impl TranscriptFile {
    /// Whether its cases need a daemon.
    pub(super) fn needs_daemon(&self) -> bool {
        self.label == "daemon"
    }
}

/// All files of a directory by name; none if there is no directory.
///
/// # Errors
/// [`CasesError`]
pub(super) fn load(dir: &Path) -> Result<Vec<TranscriptFile>, CasesError> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let list = |source| CasesError::List { path: dir.to_owned(), source };
    let entries = fs::read_dir(dir).map_err(list)?.collect::<Result<Vec<_>, _>>().map_err(list)?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<TranscriptFile, CasesError> {
    let text = fs::read_to_string(path)
        .map_err(|source| CasesError::Read { path: path.to_owned(), source })?;
    let mut file: TranscriptFile = toml::from_str(&text)
        .map_err(|source| CasesError::Syntax { path: path.to_owned(), source: Box::new(source) })?;
    file.label = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(file)
}
