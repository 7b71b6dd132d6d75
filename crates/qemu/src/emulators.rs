//! The emulators of a host.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use oxivirt::Result;
use oxivirt_conf::emulator::EmulatorCapabilities;

/// Finds emulators and knows what they can do.
#[async_trait]
pub trait Emulators: Send + Sync + Debug {
    /// The installed emulator of an architecture, `x86_64` for example.
    fn program(&self, arch: &str) -> Option<PathBuf>;

    /// What an emulator can do; from a cache as long as the program does not change.
    ///
    /// # Errors
    /// [`ErrorCode::SYSTEM_ERROR`](oxivirt::ErrorCode::SYSTEM_ERROR) if it does not exist, and whatever
    /// prevents it from being asked.
    async fn capabilities(&self, program: &Path) -> Result<Arc<EmulatorCapabilities>>;
}
