//! `test:///default`: domains, networks and storage pools in memory, to try programs without privileges.
//!
//! Behaves as libvirt's test driver does, also where that differs from the real one: a start only
//! sets a flag, no bridge name or MAC address is made up, an active network cannot be undefined. All
//! connections of a process to `test:///default` share one state; `test:///absolute/path.xml` has a
//! state of its own that begins with the networks of that file.
//!
//! libvirt 11.3.0: src/test/test_driver.c
//!
//! `examples/in_memory.rs` lists the networks of `test:///default`.

mod domain;
mod driver;
mod host;
mod state;
mod storage;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use oxivirt::{
    Connection, DriverOpener, Error, ErrorCode, ErrorDomain, OpenOptions, Registry, Result, Uri,
};
use state::State;

pub use driver::TestDriver;

/// Adds the in-memory driver to the drivers of a program.
pub fn register(registry: &mut Registry) {
    registry.register(Opener);
}

/// What all connections to `test:///default` of this process share.
static DEFAULT: LazyLock<Arc<State>> = LazyLock::new(|| Arc::new(State::with_default()));

/// Refuses bits outside `supported` in the name of `function`.
pub(crate) fn check_flags(bits: u32, supported: u32, function: &str) -> Result<()> {
    match bits & !supported {
        0 => Ok(()),
        unknown => Err(Error::unsupported_flags(ErrorDomain::TEST, unknown, function)),
    }
}

struct Opener;

#[async_trait]
impl DriverOpener for Opener {
    fn name(&self) -> &str {
        "test"
    }

    fn accepts(&self, uri: &Uri) -> bool {
        uri.driver() == "test" && uri.transport().is_none() && uri.host().is_none()
    }

    async fn open(&self, uri: &Uri, _: &OpenOptions) -> Result<Arc<dyn Connection>> {
        let state = match uri.path() {
            "" | "/" => {
                let detail = "testOpen: supply a path or use test:///default";
                return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::TEST, detail));
            }
            "/default" => Arc::clone(&DEFAULT),
            path => Arc::new(State::from_file(Path::new(path))?),
        };
        Ok(Arc::new(TestDriver::new(uri.as_str(), state)))
    }
}
