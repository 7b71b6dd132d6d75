//! Reads `cases.toml` files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oxivirt_conf::ParseError;
use oxivirt_conf::network::Form;
use serde::Deserialize;

use super::Verdict;

/// Why the cases of a suite cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CasesError {
    /// A directory cannot be listed.
    #[error("cannot list '{path}'")]
    List {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read '{path}'")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("'{path}' is not a list of cases")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<toml::de::Error>,
    },
}

/// One `cases.toml`.
#[derive(Debug)]
pub(super) struct CasesFile {
    /// Where it is, as shown to people: the path below the data directory.
    pub(super) label: String,
    /// What paths in it are relative to.
    pub(super) dir: PathBuf,
    /// Rows in the order of the file, kind by kind.
    pub(super) rows: Vec<Row>,
    /// `[assumptions]`.
    pub(super) assumptions: Assumptions,
}

/// What texts of a file depend on beside their input.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Assumptions {
    /// Directory of dnsmasq's files.
    #[serde(default)]
    pub(super) state_dir: String,
    /// Its pid file; empty means none is named.
    #[serde(default)]
    pub(super) pid_file: String,
    /// Commands that make the chains of all networks.
    pub(super) base_iptables: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Toml {
    #[serde(default)]
    assumptions: Assumptions,
    #[serde(default)]
    roundtrip: Vec<Row>,
    #[serde(default)]
    update: Vec<Row>,
    #[serde(default)]
    status: Vec<Row>,
    #[serde(default)]
    conf: Vec<Row>,
    #[serde(default)]
    firewall: Vec<Row>,
}

/// One case. Which keys are set depends on its kind; `README.md` of the data documents them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Row {
    /// The list it is in: `roundtrip`, `update`, `status`, `conf` or `firewall`.
    #[serde(skip)]
    pub(super) kind: &'static str,
    /// Its name.
    pub(super) name: String,
    /// `ok` or what has to go wrong.
    pub(super) expect: String,
    /// Error number.
    pub(super) error_code: Option<i32>,
    /// Error number of a row that also has the message.
    pub(super) code: Option<i32>,
    /// How the message of an error ends.
    pub(super) message: Option<String>,
    /// Error domain number.
    pub(super) error_domain: Option<i32>,
    /// Formatting flags.
    pub(super) flags: Vec<String>,
    /// Whether the schema takes the input: `valid` or `invalid`.
    pub(super) schema: Option<String>,
    /// A known oddity of the recorded result.
    pub(super) quirk: Option<String>,
    /// Input document.
    #[serde(rename = "in")]
    pub(super) input: Option<String>,
    /// Expected document.
    pub(super) out: Option<String>,
    /// Name the input is loaded under.
    pub(super) filename: Option<String>,
    /// Document an update starts from.
    pub(super) base: Option<String>,
    /// File with the payload of an update.
    pub(super) payload: Option<String>,
    /// The payload itself.
    pub(super) payload_xml: Option<String>,
    /// Section number.
    pub(super) section_id: u32,
    /// Command number.
    pub(super) command_id: u32,
    /// Which address is meant.
    pub(super) parent_index: i32,
    /// The update works on the section and fails on the whole with this number.
    pub(super) recheck_error_code: Option<i32>,
    /// The result reads as something else than it was.
    pub(super) reparse_differs: bool,
    /// Expected configuration.
    pub(super) conf: Option<String>,
    /// Expected fixed hosts.
    pub(super) hostsfile: Option<String>,
    /// Expected extra names.
    pub(super) addnhosts: Option<String>,
    /// Expected iptables commands.
    pub(super) iptables: Option<String>,
    /// Expected saved removal of them.
    pub(super) removal_iptables: Option<String>,
}

/// What running a row gave: the output, or an error's number, domain and text.
pub(super) type RowResult = Result<Vec<Compared>, Refused>;

/// An output and what it should be.
#[derive(Debug)]
pub(super) struct Compared {
    /// What is compared.
    pub(super) what: &'static str,
    /// What came out.
    pub(super) found: String,
    /// What was recorded.
    pub(super) expected: String,
}

/// An error that the project reported.
#[derive(Debug)]
pub(super) struct Refused {
    /// Its number.
    pub(super) code: i32,
    /// Its domain.
    pub(super) domain: i32,
    /// Its text.
    pub(super) message: String,
}

/// Reads every `cases.toml` of a suite's directory, its own first; none if there is no directory.
///
/// # Errors
/// [`CasesError`]
pub(super) fn load(suite: &Path) -> Result<Vec<CasesFile>, CasesError> {
    let mut files = Vec::new();
    if suite.is_dir() {
        let label = suite.file_name().unwrap_or_default().to_string_lossy();
        load_below(suite, &label, &mut files)?;
    }
    Ok(files)
}

fn load_below(dir: &Path, label: &str, files: &mut Vec<CasesFile>) -> Result<(), CasesError> {
    let path = dir.join("cases.toml");
    if path.is_file() {
        files.push(CasesFile::read(&path, dir, label)?);
    }
    let list = |source| CasesError::List { path: dir.to_owned(), source };
    let mut children = Vec::new();
    for entry in fs::read_dir(dir).map_err(list)? {
        let entry = entry.map_err(list)?;
        if entry.path().is_dir() {
            children.push(entry.file_name());
        }
    }
    children.sort();
    for child in children {
        load_below(&dir.join(&child), &format!("{label}/{}", child.to_string_lossy()), files)?;
    }
    Ok(())
}

impl CasesFile {
    fn read(path: &Path, dir: &Path, label: &str) -> Result<Self, CasesError> {
        let text = fs::read_to_string(path)
            .map_err(|source| CasesError::Read { path: path.to_owned(), source })?;
        let toml: Toml = toml::from_str(&text).map_err(|source| CasesError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let lists = [
            ("roundtrip", toml.roundtrip),
            ("update", toml.update),
            ("status", toml.status),
            ("conf", toml.conf),
            ("firewall", toml.firewall),
        ];
        let rows = lists
            .into_iter()
            .flat_map(|(kind, rows)| rows.into_iter().map(move |row| Row { kind, ..row }));
        Ok(Self {
            label: label.to_owned(),
            dir: dir.to_owned(),
            rows: rows.collect(),
            assumptions: toml.assumptions,
        })
    }

    /// The content of a file a row names.
    ///
    /// # Errors
    /// A [`Refused`] that no row expects, so that the row fails with the reason.
    pub(super) fn text(&self, name: Option<&String>) -> Result<String, Refused> {
        let broken = |message: String| Refused { code: -1, domain: -1, message };
        let name = name.ok_or_else(|| broken(String::from("the row names no file")))?;
        fs::read_to_string(self.dir.join(name)).map_err(|error| broken(format!("{name}: {error}")))
    }

    /// The content of a file a row may name; nothing is zero bytes.
    ///
    /// # Errors
    /// As [`CasesFile::text`].
    pub(super) fn text_or_empty(&self, name: Option<&String>) -> Result<String, Refused> {
        if name.is_some() { self.text(name) } else { Ok(String::new()) }
    }
}

/// Quirks that an implementation may or may not share.
const OPTIONAL: [&str; 7] = [
    "ill-formed-output",
    "signed-delay",
    "negative-wrap",
    "misplaced-driver",
    "mac-trailing-text",
    "native-repeated",
    // The specification's quirk Q1: a defect whose fix is recommended.
    "wrong-entry-deleted",
];

/// The quirk that must not be matched, and the number of the refusal that is expected instead.
const REFUSED: (&str, i32) = ("later-rejected", 35);

impl Row {
    /// The form its flags ask for.
    #[must_use]
    pub(super) fn form(&self) -> Form<'static> {
        if self.flags.iter().any(|flag| flag == "inactive") { Form::Inactive } else { Form::LIVE }
    }

    /// Refuses if a strict reader and the row do not agree on whether the input is in the schema.
    ///
    /// # Errors
    /// A [`Refused`] that no row expects.
    pub(super) fn check_schema(&self, strict: Option<&ParseError>) -> Result<(), Refused> {
        // What cannot be read at all or is another kind of document is refused as that.
        let is_outside = matches!(
            strict,
            Some(ParseError::Schema(_) | ParseError::NotWellFormed(_) | ParseError::Root { .. })
        );
        let found = if is_outside { "invalid" } else { "valid" };
        match &self.schema {
            Some(expected) if expected != found => {
                let detail = strict.map(ParseError::to_string).unwrap_or_default();
                let message = format!("schema: found {found}, expected {expected}: {detail}");
                Err(Refused { code: -1, domain: -1, message })
            }
            _ => Ok(()),
        }
    }

    /// Compares what a row gave with what was recorded.
    #[must_use]
    pub(super) fn judge(&self, result: RowResult) -> Verdict {
        let Some(difference) = self.difference(result) else {
            return Verdict::Passed;
        };
        match &self.quirk {
            Some(quirk) if OPTIONAL.contains(&quirk.as_str()) => {
                Verdict::Optional { quirk: quirk.clone(), difference }
            }
            _ => Verdict::Failed { difference },
        }
    }

    fn difference(&self, result: RowResult) -> Option<String> {
        let must_refuse = self.quirk.as_deref() == Some(REFUSED.0);
        match result {
            Err(refused) if must_refuse => (refused.code != REFUSED.1).then(|| refused.describe()),
            Ok(_) if must_refuse => Some(String::from("accepted what has to be refused")),
            Err(refused) => {
                let found = (Some(refused.code), Some(refused.domain));
                let expected = self.message.as_deref().zip(self.code);
                let as_recorded = self.expect != "ok"
                    && match expected {
                        Some((message, code)) => {
                            refused.code == code && refused.message.ends_with(message)
                        }
                        None => found == (self.error_code, self.error_domain),
                    };
                (!as_recorded).then(|| {
                    let (code, domain) = (self.error_code, self.error_domain);
                    format!("expected {} {code:?}/{domain:?}, {}", self.expect, refused.describe())
                })
            }
            Ok(_) if self.expect != "ok" => {
                Some(format!("accepted, expected {} {:?}", self.expect, self.error_code))
            }
            Ok(compared) => compared.iter().find_map(Compared::difference),
        }
    }
}

impl Refused {
    fn describe(&self) -> String {
        format!("refused with {}/{}: {}", self.code, self.domain, self.message)
    }
}

impl Compared {
    fn difference(&self) -> Option<String> {
        if self.found == self.expected {
            return None;
        }
        let what = self.what;
        let lines = self.found.lines().zip(self.expected.lines()).enumerate();
        let first = lines.into_iter().find(|(_, (found, expected))| found != expected);
        Some(match first {
            Some((at, (found, expected))) => {
                format!("{what} line {}: found {found:?}, expected {expected:?}", at + 1)
            }
            None => format!(
                "{what}: found {} bytes, expected {}",
                self.found.len(),
                self.expected.len()
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(expect: &str, code: Option<i32>, quirk: Option<&str>) -> Row {
        Row {
            expect: expect.to_owned(),
            error_code: code,
            error_domain: code.map(|_| 19),
            quirk: quirk.map(str::to_owned),
            ..Row::default()
        }
    }

    fn printed(found: &str) -> RowResult {
        let (found, expected) = (found.to_owned(), String::from("a\nb\n"));
        Ok(vec![Compared { what: "document", found, expected }])
    }

    fn refused(code: i32) -> RowResult {
        Err(Refused { code, domain: 19, message: String::new() })
    }

    #[track_caller]
    fn check(row: &Row, result: RowResult, expect: &str) {
        let verdict = match row.judge(result) {
            Verdict::Passed => "passed",
            Verdict::Optional { .. } => "optional",
            Verdict::Failed { .. } | Verdict::NotRun { .. } => "failed",
        };
        assert_eq!(verdict, expect);
    }

    #[test]
    fn verdicts() {
        check(&row("ok", None, None), printed("a\nb\n"), "passed");
        check(&row("ok", None, None), printed("a\nc\n"), "failed");
        check(&row("ok", None, None), printed("a\nb"), "failed");
        check(&row("ok", None, None), refused(27), "failed");
        check(&row("parse-error", Some(27), None), refused(27), "passed");
        check(&row("parse-error", Some(27), None), refused(35), "failed");
        check(&row("parse-error", Some(27), None), printed("a\nb\n"), "failed");
    }

    #[test]
    fn quirks() {
        check(&row("ok", None, Some("signed-delay")), printed("x"), "optional");
        check(&row("ok", None, Some("signed-delay")), printed("a\nb\n"), "passed");
        check(&row("ok", None, Some("empty-bandwidth")), printed("x"), "failed");
        check(&row("ok", None, Some("later-rejected")), refused(35), "passed");
        check(&row("ok", None, Some("later-rejected")), refused(27), "failed");
        check(&row("ok", None, Some("later-rejected")), printed("a\nb\n"), "failed");
    }
}
