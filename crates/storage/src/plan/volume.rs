//! Creating and resizing volumes.

use std::path::PathBuf;

use oxivirt_conf::storage::{Permissions, StorageVolumeDef};
use oxivirt_engine::Plan;
use oxivirt_types::storage::StorageVolResizeFlags;

use super::qemu_img::{backing, image_format};
use super::{Access, Place, PlanError, QemuImg, Step, Undo};

/// Mode of a volume unless its document says otherwise.
const MODE: u32 = 0o600;
/// Mode of a volume that is a directory.
const DIRECTORY_MODE: u32 = 0o711;
/// Longest name of a file.
const NAME_MAX: usize = 255;

/// Whether tables of a format are allocated at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Preallocation {
    /// When they are needed.
    #[default]
    None,
    /// At once.
    Metadata,
}

/// Whether a copy shares the blocks of its source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reflink {
    /// If it happens to be possible.
    #[default]
    Optional,
    /// It fails otherwise.
    Required,
}

/// The volume whose data are copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFrom {
    /// Where it is.
    pub path: String,
    /// Its format.
    pub format: String,
    /// Bytes that a guest sees.
    pub capacity: u64,
    /// Whether its data can be read with a key only.
    pub is_encrypted: bool,
}

/// How a volume is created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// Tables of its format.
    pub preallocation: Preallocation,
    /// Blocks of its source.
    pub reflink: Reflink,
    /// Its source.
    pub source: Option<CopyFrom>,
}

/// A creation that has been decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// What is done.
    pub plan: Plan<Step>,
    /// What takes it back.
    pub undo: Plan<Undo>,
}

/// Plans the creation of a volume.
///
/// # Errors
/// [`PlanError`]
///
/// libvirt 11.3.0: `storageVolCreateXML`, src/storage/storage_driver.c;
/// `virStorageBackendVolBuildLocal`, src/storage/storage_util.c
pub fn create(
    def: &StorageVolumeDef,
    pool: PathBuf,
    staging: String,
    options: &CreateOptions,
) -> Result<Creation, PlanError> {
    let name = checked_name(def)?;
    let place = Place { pool, staging, name };
    let format = image_format(def)?;
    let is_encrypted = def.target.as_ref().is_some_and(|target| target.encryption.is_some());
    if is_encrypted || options.source.as_ref().is_some_and(|source| source.is_encrypted) {
        return Err(PlanError::Encryption);
    }
    let default_mode = if format == "dir" { DIRECTORY_MODE } else { MODE };
    let permissions = def.target.as_ref().and_then(|target| target.permissions.as_ref());
    let access = access(permissions, default_mode)?;
    let preallocates = options.preallocation == Preallocation::Metadata;
    let mut steps = vec![Step::MakeStaging(place.clone())];
    match format {
        "dir" => steps.push(Step::MakeDirectory(place.clone())),
        "raw" if preallocates => return Err(PlanError::RawPreallocation),
        "raw" if backing(def).is_some() => return Err(PlanError::RawBacking),
        "raw" => steps.extend(raw(def, &place, options)?),
        _ => steps.extend(image(def, &place, options, format)?),
    }
    steps.push(Step::Finish { place: place.clone(), access });
    let mut plan = Plan::default();
    plan.then(steps);
    let mut undo = Plan::default();
    undo.then([Undo::RemoveStaging { pool: place.pool, staging: place.staging }]);
    Ok(Creation { plan, undo })
}

fn raw(
    def: &StorageVolumeDef,
    place: &Place,
    options: &CreateOptions,
) -> Result<Vec<Step>, PlanError> {
    let capacity = def.capacity.unwrap_or_default().bytes;
    let allocation = def.allocation.unwrap_or_default().bytes;
    let place = place.clone();
    Ok(match &options.source {
        None => vec![Step::MakeFile { place, capacity, allocation }],
        Some(source) if matches!(source.format.as_str(), "raw" | "iso" | "none") => vec![
            Step::MakeFile { place: place.clone(), capacity, allocation: 0 },
            Step::CopyData {
                place,
                source: PathBuf::from(&source.path),
                shares_blocks: options.reflink == Reflink::Required,
            },
        ],
        Some(source) => {
            let run = QemuImg::convert(def, false, &source.format, &source.path)?;
            vec![Step::RunQemuImg { place, run }]
        }
    })
}

fn image(
    def: &StorageVolumeDef,
    place: &Place,
    options: &CreateOptions,
    format: &str,
) -> Result<Vec<Step>, PlanError> {
    let preallocates = options.preallocation == Preallocation::Metadata;
    let place = place.clone();
    let Some(source) = &options.source else {
        return Ok(vec![Step::RunQemuImg { place, run: QemuImg::create(def, preallocates)? }]);
    };
    let run = QemuImg::convert(def, preallocates, &source.format, &source.path)?;
    let mut steps = vec![Step::RunQemuImg { place: place.clone(), run }];
    let capacity = def.capacity.unwrap_or_default().bytes;
    if capacity > source.capacity {
        steps.push(Step::RunQemuImg { place, run: QemuImg::resize(format, capacity, false) });
    }
    Ok(steps)
}

/// The name of a volume, which is one of a file in its pool.
fn checked_name(def: &StorageVolumeDef) -> Result<String, PlanError> {
    let name = def.name.clone().unwrap_or_default();
    if name.contains('/') {
        return Err(PlanError::Slash(name));
    }
    let is_special = matches!(name.as_str(), "" | "." | "..");
    if is_special || name.contains('\0') || name.len() > NAME_MAX || is_staging(&name) {
        return Err(PlanError::Name(name));
    }
    Ok(name)
}

fn is_staging(name: &str) -> bool {
    name.starts_with(crate::dir::STAGING_PREFIX)
}

/// What permissions of a document mean.
///
/// # Errors
/// [`PlanError::Mode`]
pub(crate) fn access(
    permissions: Option<&Permissions>,
    default_mode: u32,
) -> Result<Access, PlanError> {
    let Some(permissions) = permissions else {
        return Ok(Access { mode: default_mode, owner: None, group: None });
    };
    let mode = match &permissions.mode {
        None => default_mode,
        Some(text) => u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777)
            .ok_or_else(|| PlanError::Mode(text.clone()))?,
    };
    let id = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok());
    Ok(Access { mode, owner: id(permissions.owner), group: id(permissions.group) })
}

/// How the size of a volume changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resize {
    /// The length of a file.
    File {
        /// Its new length.
        capacity: u64,
        /// Whether what is added takes space at once.
        allocates: bool,
    },
    /// By `qemu-img`.
    Image(QemuImg),
}

/// Plans a change of size.
///
/// `available` is the free space of the pool, all sizes are in bytes.
///
/// # Errors
/// [`PlanError`]
///
/// libvirt 11.3.0: `storageVolResize`, src/storage/storage_driver.c
pub fn resize(
    format: &str,
    (capacity, allocation): (u64, u64),
    available: u64,
    change: u64,
    flags: StorageVolResizeFlags,
) -> Result<Resize, PlanError> {
    type Flags = StorageVolResizeFlags;
    let wanted = match (flags.contains(Flags::DELTA), flags.contains(Flags::SHRINK)) {
        (true, true) => capacity.saturating_sub(change),
        (true, false) => capacity.saturating_add(change),
        (false, _) => change,
    };
    if wanted < allocation {
        return Err(PlanError::BelowAllocation);
    }
    if wanted < capacity && !flags.contains(Flags::SHRINK) {
        return Err(PlanError::Shrink);
    }
    let allocates = flags.contains(Flags::ALLOCATE);
    if allocates && wanted.saturating_sub(capacity) > available {
        return Err(PlanError::NoSpace);
    }
    match format {
        "raw" | "iso" | "none" => Ok(Resize::File { capacity: wanted, allocates }),
        "dir" => Err(PlanError::NoSize("dir")),
        _ if allocates => Err(PlanError::Preallocate),
        format => Ok(Resize::Image(QemuImg::resize(format, wanted, wanted < capacity))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxivirt_conf::storage::{Capacity, VolumeType};

    fn volume(inside: &str) -> StorageVolumeDef {
        let text = format!("<volume><capacity>1000</capacity>{inside}</volume>");
        StorageVolumeDef::parse(&text, VolumeType::File, Some("raw"), Capacity::Required).unwrap()
    }

    fn plan(inside: &str, options: &CreateOptions) -> Result<Vec<String>, PlanError> {
        let created =
            create(&volume(inside), PathBuf::from("/p"), String::from(".oxivirt-1"), options)?;
        oxivirt_engine::lint::check(&created.plan, &created.undo).unwrap();
        Ok(created.plan.steps().map(ToString::to_string).collect())
    }

    fn source(format: &str) -> CreateOptions {
        let (path, format) = (String::from("/s"), format.to_owned());
        CreateOptions {
            source: Some(CopyFrom { path, format, capacity: 10, is_encrypted: false }),
            ..CreateOptions::default()
        }
    }

    #[test]
    fn every_kind_of_volume_has_a_plan_that_is_undone() {
        let none = CreateOptions::default();
        let [first, last] = ["make staging directory for /p/a", "set permissions of /p/a"];
        let check = |inside: &str, options: &CreateOptions, middle: &[&str]| {
            let found = plan(&format!("<name>a</name>{inside}"), options).unwrap();
            assert_eq!(found, [&[first][..], middle, &[last]].concat());
        };
        check("", &none, &["make file /p/a"]);
        check("", &source("iso"), &["make file /p/a", "copy /s to /p/a"]);
        let convert = "run qemu-img convert -f qcow2 -O raw /s /p/a";
        check("", &source("qcow2"), &[convert]);
        check("<target><format type='dir'/></target>", &none, &["make directory /p/a"]);
        let qcow2 = "<target><format type='qcow2'/></target>";
        check(qcow2, &none, &["run qemu-img create -f qcow2 -o compat=1.1 /p/a 1K"]);
        let steps = [
            "run qemu-img convert -f raw -O qcow2 -o compat=1.1 /s /p/a",
            "run qemu-img resize -f qcow2 /p/a 1K",
        ];
        check(qcow2, &source("raw"), &steps);
    }

    #[test]
    fn names_stay_inside_the_pool() {
        let none = CreateOptions::default();
        let check = |name: &str| plan(&format!("<name>{name}</name>"), &none).unwrap_err();
        assert_eq!(check("../x"), PlanError::Slash(String::from("../x")));
        for name in [".", "..", ".oxivirt-x", &"x".repeat(256)] {
            assert_eq!(check(name), PlanError::Name(name.to_owned()));
        }
    }

    #[test]
    fn refusals() {
        let none = CreateOptions::default();
        let tables = CreateOptions { preallocation: Preallocation::Metadata, ..none.clone() };
        let check = |inside: &str, options: &CreateOptions| {
            plan(&format!("<name>a</name>{inside}"), options).unwrap_err()
        };
        assert_eq!(check("", &tables), PlanError::RawPreallocation);
        let backing = "<backingStore><path>/b</path></backingStore>";
        assert_eq!(check(backing, &none), PlanError::RawBacking);
        let mode = "<target><permissions><mode>99</mode></permissions></target>";
        assert_eq!(check(mode, &none), PlanError::Mode(String::from("99")));
        let encryption = "<target><encryption format='luks'/></target>";
        assert_eq!(check(encryption, &none), PlanError::Encryption);
        let mut encrypted = source("raw");
        encrypted.source.as_mut().unwrap().is_encrypted = true;
        assert_eq!(check("", &encrypted), PlanError::Encryption);
    }

    #[test]
    fn sizes() {
        type Flags = StorageVolResizeFlags;
        let check = |change, flags| resize("raw", (1000, 100), 5000, change, flags);
        let file = |capacity, allocates| Ok(Resize::File { capacity, allocates });
        assert_eq!(check(2000, Flags::empty()), file(2000, false));
        assert_eq!(check(500, Flags::empty()), Err(PlanError::Shrink));
        assert_eq!(check(500, Flags::SHRINK), file(500, false));
        assert_eq!(check(50, Flags::SHRINK), Err(PlanError::BelowAllocation));
        assert_eq!(check(500, Flags::DELTA), file(1500, false));
        assert_eq!(check(500, Flags::DELTA | Flags::SHRINK), file(500, false));
        assert_eq!(check(6001, Flags::ALLOCATE), Err(PlanError::NoSpace));
        assert_eq!(check(6000, Flags::ALLOCATE), file(6000, true));
        let image = |flags| resize("qcow2", (1000, 100), 5000, 2000, flags);
        assert_eq!(image(Flags::ALLOCATE), Err(PlanError::Preallocate));
        let expect = Resize::Image(QemuImg::resize("qcow2", 2000, false));
        assert_eq!(image(Flags::empty()), Ok(expect));
    }
}
