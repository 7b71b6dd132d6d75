//! Plans and health reports of networks, as the driver makes them.

use oxivirt::report::{NetworkHealth, NetworkPlan};
use oxivirt::{Error, ErrorCode, Network, PlanVerb};

use crate::failure::Failure;
use crate::i18n::tr;
use crate::shell::Shell;

impl Shell {
    /// What `verb` would do to the driver's host.
    ///
    /// # Errors
    /// `line`, and why the operation would be refused or cannot be planned.
    pub(crate) fn plan(
        &self,
        network: &Network,
        verb: PlanVerb,
        line: impl FnOnce() -> String,
    ) -> Result<NetworkPlan, Failure> {
        self.wait(network.plan(verb)).map_err(|error| failure(line(), error))
    }

    /// Health of a network on the driver's host.
    ///
    /// # Errors
    /// `line`, and why the host cannot be examined.
    pub(crate) fn health(
        &self,
        network: &Network,
        line: impl FnOnce() -> String,
    ) -> Result<NetworkHealth, Failure> {
        self.wait(network.health()).map_err(|error| failure(line(), error))
    }
}

/// Adds the command's own line, and a hint if the driver lacks the call.
fn failure(line: String, error: Error) -> Failure {
    let is_unsupported = error.code() == ErrorCode::NO_SUPPORT;
    let hint = is_unsupported.then(|| {
        tr!("only Oxivirt's driver, embedded or in oxivirtd, can examine its host and plan operations")
    });
    Failure::Context(line, error).hint(hint)
}
