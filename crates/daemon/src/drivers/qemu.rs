//! The driver of QEMU guests in the daemon.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use oxivirt::{Connection, DomainDriver as _, Result};
use oxivirt_qemu::capabilities::{Capabilities, Options as ProbeOptions};
use oxivirt_qemu::layout::Layout;
use oxivirt_qemu::{Driver as Inner, Options, StartWithHost};
use oxivirt_sys::command::is_executable;
use oxivirt_types::domain::DomainListFlags;
use prometheus::proto::{MetricFamily, MetricType};

use super::{Driver, Networks, OpenError};
use crate::metrics::family;
use crate::paths::{Paths, Scope};

/// The program that becomes an emulator.
const LAUNCHER: &str = "oxivirt_launch";
/// Where packages install it.
const LIBEXEC: &str = "/usr/libexec";

#[derive(Debug)]
struct Guests(Inner);

/// Opens the driver of this host.
///
/// # Errors
/// [`OpenError`]
pub(super) async fn open(
    paths: &Paths,
    networks: Option<Networks>,
) -> std::result::Result<Box<dyn Driver>, OpenError> {
    let environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    let layout = match &paths.scope {
        Scope::System { root } => Layout::below(root),
        Scope::Session => Layout::session(&paths.config_dir, &paths.runtime_dir, &paths.cache_dir),
    };
    // Emulators are the host's, whatever root files are below.
    let probe = ProbeOptions {
        cache_dir: layout.capabilities_dir(),
        state_dir: layout.lib_dir(),
        ..ProbeOptions::system(Path::new("/"))
    };
    let program = std::env::current_exe().ok();
    let options = Options {
        layout,
        uri: format!("qemu://{}", paths.uri_path()),
        emulators: Arc::new(Capabilities::new(probe)),
        launcher: launcher(program.as_deref()),
        networks,
        environment,
        autostart: StartWithHost::Once,
    };
    Ok(Box::new(Guests(Inner::open(options).await?)))
}

/// The launcher beside the program, beside its directory, or where packages install it.
fn launcher(program: Option<&Path>) -> PathBuf {
    let dirs = program.into_iter().flat_map(|program| program.ancestors().skip(1).take(2));
    let found = dirs.map(|dir| dir.join(LAUNCHER)).find(|path| is_executable(path));
    found.unwrap_or_else(|| Path::new(LIBEXEC).join(LAUNCHER))
}

#[async_trait]
impl Driver for Guests {
    fn connection(&self) -> &dyn Connection {
        &self.0
    }

    async fn reload(&self) -> Result<()> {
        self.0.reload().await
    }

    async fn is_active(&self) -> bool {
        // their events and their end are handled here
        let active = self.0.list_all_domains(DomainListFlags::ACTIVE).await;
        active.map_or(true, |guests| !guests.is_empty())
    }

    async fn metrics(&self) -> Vec<MetricFamily> {
        let mut guests = Vec::new();
        let states = [("active", DomainListFlags::ACTIVE), ("inactive", DomainListFlags::INACTIVE)];
        for (state, flags) in states {
            let found = self.0.list_all_domains(flags).await.unwrap_or_default();
            guests.push((vec![("state", state.to_owned())], found.len() as u64));
        }
        family("oxivirt_domains", "Domains.", MetricType::GAUGE, guests).into_iter().collect()
    }
}
