//! Steps of making a volume, and what reverts them.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::QemuImg;

/// Where a volume is made: in a directory of its own inside the pool, until it is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The pool's directory.
    pub pool: PathBuf,
    /// Name of the staging directory in it.
    pub staging: String,
    /// Name of the volume.
    pub name: String,
}

impl Place {
    /// Where the volume will be, for messages.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.pool.join(&self.name)
    }
}

/// Permissions of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Mode bits.
    pub mode: u32,
    /// Owner, unchanged without.
    pub owner: Option<u32>,
    /// Group, unchanged without.
    pub group: Option<u32>,
}

/// One change to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes the staging directory.
    MakeStaging(Place),
    /// Makes a file of raw data.
    MakeFile {
        /// Where.
        place: Place,
        /// Its length in bytes.
        capacity: u64,
        /// How many bytes of it take space at once; more than its length extend it.
        allocation: u64,
    },
    /// Makes a directory.
    MakeDirectory(Place),
    /// Runs `qemu-img`.
    RunQemuImg {
        /// Where.
        place: Place,
        /// Its arguments.
        run: QemuImg,
    },
    /// Copies data into a file that was made; holes stay holes.
    CopyData {
        /// Where.
        place: Place,
        /// The file whose data are copied.
        source: PathBuf,
        /// Whether the blocks have to be shared.
        shares_blocks: bool,
    },
    /// Sets permissions and owner, and writes all to the disk.
    Finish {
        /// Where.
        place: Place,
        /// The permissions.
        access: Access,
    },
}

/// What steps make and rely on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A staging directory.
    Staging(String),
    /// A volume in one.
    Volume(String),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Staging(name) => write!(f, "staging directory {name}"),
            Self::Volume(name) => write!(f, "volume {name}"),
        }
    }
}

/// What reverts a step, or deletes a volume. The form is that of journal files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "undo")]
pub enum Undo {
    /// Removes a staging directory and what is in it.
    RemoveStaging {
        /// The pool's directory.
        pool: PathBuf,
        /// Name of the directory in it.
        staging: String,
    },
    /// Removes a volume, if it is the one that was meant.
    RemoveVolume {
        /// The pool's directory.
        pool: PathBuf,
        /// Name of the volume.
        name: String,
        /// Device of the file.
        device: u64,
        /// Its number on the device.
        inode: u64,
    },
}

impl Undo {
    /// The directory of the pool that it works in.
    #[must_use]
    pub fn pool(&self) -> &Path {
        match self {
            Self::RemoveStaging { pool, .. } | Self::RemoveVolume { pool, .. } => pool,
        }
    }
}

impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RemoveStaging { pool, staging } => {
                write!(f, "remove staging directory {}", pool.join(staging).display())
            }
            Self::RemoveVolume { pool, name, .. } => {
                write!(f, "remove volume {}", pool.join(name).display())
            }
        }
    }
}

impl oxivirt_engine::Undo for Undo {}

impl Step {
    /// Where it works.
    #[must_use]
    pub const fn place(&self) -> &Place {
        match self {
            Self::MakeStaging(place)
            | Self::MakeFile { place, .. }
            | Self::MakeDirectory(place)
            | Self::RunQemuImg { place, .. }
            | Self::CopyData { place, .. }
            | Self::Finish { place, .. } => place,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.place().path();
        let path = path.display();
        match self {
            Self::MakeStaging(_) => write!(f, "make staging directory for {path}"),
            Self::MakeFile { .. } => write!(f, "make file {path}"),
            Self::MakeDirectory(_) => write!(f, "make directory {path}"),
            Self::RunQemuImg { run, .. } => {
                write!(f, "run qemu-img {}", run.at(&path.to_string()).join(" "))
            }
            Self::CopyData { source, .. } => write!(f, "copy {} to {path}", source.display()),
            Self::Finish { .. } => write!(f, "set permissions of {path}"),
        }
    }
}

impl oxivirt_engine::Step for Step {
    type Undo = Undo;
    type Resource = Resource;

    fn undo(&self) -> Vec<Undo> {
        let Place { pool, staging, .. } = self.place().clone();
        vec![Undo::RemoveStaging { pool, staging }]
    }

    fn on_failure(&self) -> oxivirt_engine::OnFailure {
        // a part of a file may be there
        oxivirt_engine::OnFailure::UndoStep
    }

    fn creates(&self) -> Option<Resource> {
        match self {
            Self::MakeStaging(place) => Some(Resource::Staging(place.staging.clone())),
            Self::MakeFile { place, .. }
            | Self::MakeDirectory(place)
            | Self::RunQemuImg { place, .. } => Some(Resource::Volume(place.name.clone())),
            Self::CopyData { .. } | Self::Finish { .. } => None,
        }
    }

    fn requires(&self) -> Option<Resource> {
        match self {
            Self::MakeStaging(_) => None,
            Self::MakeFile { place, .. }
            | Self::MakeDirectory(place)
            | Self::RunQemuImg { place, .. } => Some(Resource::Staging(place.staging.clone())),
            Self::CopyData { place, .. } | Self::Finish { place, .. } => {
                Some(Resource::Volume(place.name.clone()))
            }
        }
    }
}
