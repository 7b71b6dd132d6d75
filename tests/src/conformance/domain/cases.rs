//! Reads the `cases.toml` files of the domain data.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::CasesError;

/// How a row is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A definition without a driver's defaults.
    Generic,
    /// A definition with those of QEMU.
    QemuXml,
    /// A running guest's document.
    Active,
    /// A running guest's file.
    Status,
    /// A storage pool.
    Pool,
    /// A storage volume.
    Volume,
    /// The arguments of the program that makes one.
    VolumeArguments,
    /// The block nodes of a disk.
    Disk,
    /// A secret.
    Secret,
    /// A device of the host.
    NodeDevice,
    /// What an emulator answered.
    Probe,
    /// Capabilities of guests.
    DomainCapabilities,
    /// Capabilities of a host.
    HostCapabilities,
    /// Nothing here runs it.
    Other,
}

/// One row.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Case {
    /// Directory of the suite.
    #[serde(skip)]
    pub(super) suite: String,
    /// What runs it.
    #[serde(skip, default = "other")]
    pub(super) kind: Kind,
    /// What paths are relative to.
    #[serde(skip)]
    dir: PathBuf,
    /// Its name.
    #[serde(default)]
    pub(super) name: String,
    /// How much of a daemon it needs.
    #[serde(default)]
    pub(super) tier: usize,
    /// `ok`, `parse-error` or `failure`.
    #[serde(default)]
    pub(super) expect: String,
    /// Input document.
    #[serde(rename = "in")]
    pub(super) input: Option<String>,
    /// Expected document.
    pub(super) out: Option<String>,
    /// The host's processor, if it is not the usual one.
    pub(super) host_cpu: Option<String>,
    /// Expected storage of a disk.
    pub(super) out_source_only: Option<String>,
    /// Expected command line.
    pub(super) args: Option<String>,
    /// Settings of the driver that are not the usual ones.
    #[serde(default)]
    pub(super) config: BTreeMap<String, toml::Value>,
    /// Environment of the daemon.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// Expected document of a running guest.
    pub(super) out_live: Option<String>,
    /// Expected definition of a running guest.
    pub(super) out_inactive: Option<String>,
    /// Expected message.
    pub(super) err: Option<String>,
    /// Capabilities of the emulator.
    pub(super) caps: Option<String>,
    /// What an emulator answered.
    pub(super) replies: Option<String>,
    /// Documents with the capabilities of emulators.
    pub(super) caps_glob: Option<String>,
    /// Path of the emulator.
    #[serde(default)]
    pub(super) emulator: String,
    /// Architecture of guests.
    #[serde(default)]
    pub(super) arch: String,
    /// Their machine.
    pub(super) machine: Option<String>,
    /// What runs them.
    #[serde(default)]
    pub(super) virt_type: String,
    /// Versions of TPMs that can be emulated.
    #[serde(default)]
    pub(super) swtpm: String,
    /// Pool of a volume.
    pub(super) pool: Option<String>,
    /// Volume.
    pub(super) volume: Option<String>,
    /// Pool of the volume that is copied.
    pub(super) input_pool: Option<String>,
    /// Volume that is copied.
    pub(super) input_volume: Option<String>,
    /// Whether tables of the format are allocated at once.
    #[serde(default)]
    pub(super) preallocate_metadata: bool,
    /// Expected command lines.
    pub(super) argv: Option<String>,
    /// Features added to the emulator's.
    #[serde(default)]
    pub(super) caps_add: Vec<String>,
    /// Features taken from the emulator's.
    #[serde(default)]
    pub(super) caps_del: Vec<String>,
    /// Interrupt controllers that KVM has.
    pub(super) gic: Option<String>,
    /// Architecture of the host.
    pub(super) host_arch: Option<String>,
    /// Whether machine names stay as they are.
    #[serde(default)]
    pub(super) strip_machine_aliases: bool,
    /// How the input is read.
    #[serde(default)]
    pub(super) parse_flags: Vec<String>,
}

const fn other() -> Kind {
    Kind::Other
}

/// Every row below `data`, suite by suite.
///
/// # Errors
/// [`CasesError`]
pub(super) fn load(data: &Path) -> Result<Vec<Case>, CasesError> {
    let mut suites = Vec::new();
    if data.is_dir() {
        let list = |source| CasesError::List { path: data.to_owned(), source };
        for entry in fs::read_dir(data).map_err(list)? {
            suites.push(entry.map_err(list)?.file_name());
        }
    }
    suites.sort();
    let mut cases = Vec::new();
    for suite in suites {
        let dir = data.join(&suite);
        let path = dir.join("cases.toml");
        if path.is_file() {
            load_file(&path, &dir, &suite.to_string_lossy(), &mut cases)?;
        }
    }
    number_repeats(&mut cases);
    Ok(cases)
}

fn load_file(
    path: &Path,
    dir: &Path,
    suite: &str,
    cases: &mut Vec<Case>,
) -> Result<(), CasesError> {
    let text = fs::read_to_string(path)
        .map_err(|source| CasesError::Read { path: path.to_owned(), source })?;
    let syntax = |source| CasesError::Syntax { path: path.to_owned(), source: Box::new(source) };
    let table: toml::Table = toml::from_str(&text).map_err(syntax)?;
    for (key, rows) in table {
        let toml::Value::Array(rows) = rows else { continue };
        for row in rows {
            let mut case: Case = row.try_into().map_err(syntax)?;
            suite.clone_into(&mut case.suite);
            dir.clone_into(&mut case.dir);
            // Running guests were recorded with the same capabilities as definitions.
            case.strip_machine_aliases |= suite == "active";
            case.kind = match (suite, key.as_str()) {
                ("generic", _) => Kind::Generic,
                ("qemuxmlconf", _) => Kind::QemuXml,
                ("active", _) => Kind::Active,
                ("status", _) => Kind::Status,
                ("storage", "pool") => Kind::Pool,
                ("storage", "volume") => Kind::Volume,
                ("storage", "volume_argv") => Kind::VolumeArguments,
                ("block", "disk") => Kind::Disk,
                ("objects", "secret") => Kind::Secret,
                ("objects", "nodedev") => Kind::NodeDevice,
                ("caps", "probe") => Kind::Probe,
                ("domaincaps", _) => Kind::DomainCapabilities,
                ("hostcaps", _) => Kind::HostCapabilities,
                _ => Kind::Other,
            };
            cases.push(case);
        }
    }
    Ok(())
}

/// Rows that differ in their circumstances only have one name: the second is called `name#2`.
fn number_repeats(cases: &mut [Case]) {
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for case in cases {
        let n = seen.entry((case.suite.clone(), case.name.clone())).or_default();
        *n += 1;
        if *n > 1 {
            case.name = format!("{}#{n}", case.name);
        }
    }
}

impl Case {
    /// The content of a file the row names.
    ///
    /// # Errors
    /// What cannot be read, for people.
    pub(super) fn text(&self, name: Option<&String>) -> Result<String, String> {
        let name = name.ok_or_else(|| String::from("the row names no file"))?;
        fs::read_to_string(self.dir.join(name)).map_err(|error| format!("{name}: {error}"))
    }

    /// The files of a directory by name.
    ///
    /// # Errors
    /// What cannot be read, for people.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<(String, String)>, String> {
        let show = |error: std::io::Error| format!("{name}: {error}");
        let mut files = Vec::new();
        for entry in fs::read_dir(self.dir.join(name)).map_err(show)? {
            let entry = entry.map_err(show)?;
            let text = fs::read_to_string(entry.path()).map_err(show)?;
            files.push((entry.file_name().to_string_lossy().into_owned(), text));
        }
        Ok(files)
    }

    /// A directory beside the row's.
    pub(super) fn sibling(&self, name: &str) -> PathBuf {
        self.dir.join("..").join(name)
    }

    /// Whether the row has a flag.
    pub(super) fn has_flag(&self, flag: &str) -> bool {
        self.parse_flags.iter().any(|given| given == flag)
    }
}
