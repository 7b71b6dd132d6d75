//! `network:///embed?root=DIR`: the driver in the caller's process.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use oxivirt::report::{NetworkPlan, PlanStep};
use oxivirt::{
    Connection, DriverOpener, Error, ErrorCode, ErrorDomain, OpenOptions, Registry, Result, Uri,
};
use oxivirt_sys::command::is_executable;

use crate::apply::linux::LinuxHost;
use crate::driver::{Driver, HookOptions, Options, StartWithHost};
use crate::error;
use crate::layout::Layout;
use crate::preview::{self, Place, TakeOver};
use crate::settings::RestoreSettings;

/// Name of the lease helper program.
const LEASE_HELPER: &str = "oxivirt_leaseshelper";
/// Where packages install it.
const LIBEXEC: &str = "/usr/libexec";

/// What the program knows of its surroundings.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The program itself; the lease helper is looked for beside it.
    pub program: Option<PathBuf>,
    /// Its environment: where programs are looked for, and what hook scripts get a part of.
    pub variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self { program: std::env::current_exe().ok(), variables: std::env::vars_os().collect() }
    }

    pub(crate) fn search_path(&self) -> OsString {
        self.variables.get(OsStr::new("PATH")).cloned().unwrap_or_default()
    }
}

/// Adds the embedded driver to the drivers of a program.
pub fn register(registry: &mut Registry, environment: Environment) {
    registry.register(Embedded { environment });
}

struct Embedded {
    environment: Environment,
}

#[async_trait]
impl DriverOpener for Embedded {
    fn name(&self) -> &str {
        "network"
    }

    fn accepts(&self, uri: &Uri) -> bool {
        uri.driver() == "network"
            && uri.transport().is_none()
            && uri.host().is_none()
            && uri.path() == "/embed"
    }

    async fn open(&self, uri: &Uri, _: &OpenOptions) -> Result<Arc<dyn Connection>> {
        let root = root(uri)?;
        if let Some(closed) = closed_to_others(root) {
            let closed = closed.display();
            tracing::warn!(%closed, "dnsmasq's user cannot enter directory: changed DHCP and DNS hosts will not be read");
        }
        let host = LinuxHost::open(self.environment.search_path());
        let driver = Driver::open(
            host.map_err(|error| error::host(&error))?,
            Options {
                layout: Layout::below(root),
                lease_helper: lease_helper(self.environment.program.as_deref()),
                uri: uri.as_str().to_owned(),
                autostart: StartWithHost::Once,
                restore_settings: RestoreSettings::Never,
                hooks: HookOptions {
                    environment: self.environment.variables.clone(),
                    ..HookOptions::default()
                },
            },
        );
        Ok(Arc::new(driver.await?))
    }

    async fn plan_open(&self, uri: &Uri) -> Result<Vec<NetworkPlan>> {
        let place = Place::at(root(uri)?, &self.environment);
        let found = preview::take_over(&place).await?.into_iter();
        Ok(found
            .map(|TakeOver { network, steps }| NetworkPlan {
                network,
                steps: steps.into_iter().map(PlanStep::from).collect(),
            })
            .collect())
    }
}

/// The root directory that a URI names.
fn root(uri: &Uri) -> Result<&Path> {
    let fail = |detail: String| Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NETWORK, detail);
    let root =
        uri.param("root").ok_or_else(|| fail("URI lacks the 'root' parameter".to_owned()))?;
    let root = Path::new(root);
    if !root.is_absolute() {
        return Err(fail(format!("root directory '{}' is not absolute", root.display())));
    }
    Ok(root)
}

/// The first directory on the way to `root` that only its owner and group may enter.
///
/// dnsmasq reads its hosts files as an unprivileged user.
fn closed_to_others(root: &Path) -> Option<&Path> {
    let others_may_enter = |dir: &Path| {
        dir.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0) || !dir.exists()
    };
    root.ancestors().filter(|dir| !others_may_enter(dir)).last()
}

/// The lease helper beside the program, beside its directory (as test programs have it), or where
/// packages install it.
#[must_use]
pub fn lease_helper(program: Option<&Path>) -> PathBuf {
    let dirs = program.into_iter().flat_map(|program| program.ancestors().skip(1).take(2));
    let found = dirs.map(|dir| dir.join(LEASE_HELPER)).find(|path| is_executable(path));
    found.unwrap_or_else(|| Path::new(LIBEXEC).join(LEASE_HELPER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_dnsmasq_cannot_enter_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let open =
            |mode| std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode));
        open(0o700).unwrap();
        assert_eq!(closed_to_others(&dir.path().join("not/yet/there")), Some(dir.path()));
        open(0o755).unwrap();
        assert_eq!(closed_to_others(dir.path()), None);
    }
}
