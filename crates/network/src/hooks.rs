//! When the administrator's scripts run for networks: `/etc/libvirt/hooks/network`.

use oxivirt::Result;
use oxivirt_conf::hook_data;
use oxivirt_conf::port::NetworkPortDef;
use oxivirt_engine::hooks::HookCall;

use crate::apply::Host;
use crate::error;
use crate::network::Network;
use crate::registry::View;
use crate::shared::Shared;

/// What is about to happen or has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookOperation {
    /// Nothing has been created yet.
    Start,
    /// Everything is there.
    Started,
    /// Everything is gone.
    Stopped,
    /// A part of the definition has changed.
    Updated,
    /// A guest's interface has its place.
    PortCreated,
    /// A guest's interface has lost its place.
    PortDeleted,
}

impl HookOperation {
    /// Operation and sub-operation.
    const fn words(self) -> [&'static str; 2] {
        match self {
            Self::Start => ["start", "begin"],
            Self::Started => ["started", "begin"],
            Self::Stopped => ["stopped", "end"],
            Self::Updated => ["updated", "begin"],
            Self::PortCreated => ["port-created", "begin"],
            Self::PortDeleted => ["port-deleted", "begin"],
        }
    }
}

impl<H: Host> Shared<H> {
    /// Runs the hook scripts for a network without ports.
    pub(crate) async fn run_hook(&self, def: &Network, operation: HookOperation) -> Result<()> {
        let view = View::inactive(def.clone(), oxivirt::Lifetime::Transient);
        self.run_view_hook(&view, operation, None).await
    }

    /// Runs the hook scripts, if there are any.
    pub(crate) async fn run_view_hook(
        &self,
        view: &View,
        operation: HookOperation,
        port: Option<&NetworkPortDef>,
    ) -> Result<()> {
        if !self.hooks.exist() {
            return Ok(());
        }
        let document = hook_data(&view.def, &view.counters(), port);
        let operation = operation.words();
        let call = HookCall { object: &view.def.name, operation, extra: None, document: &document };
        self.hooks.run(call).await.map_err(|error| error::hook(&error))
    }
}
