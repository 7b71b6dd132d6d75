//! DHCP and DNS: the server of a network, whichever program or task it is.
//!
//! A server is a `Backend` in a file of its own and a variant in the three enums here, for its state, its
//! steps and what ends it; the compiler asks for the rest. The planner, the executors, reports and recovery
//! know the enums only.

mod builtin;
mod dnsmasq;

use std::fmt;
use std::path::PathBuf;

use oxivirt_conf::DhcpServer;
use oxivirt_types::link_name::LinkName;

use super::{Desired, NetworkState, PlanInputs};
use crate::apply::HostError;
use crate::apply::host::{End, Files, Processes};
use crate::layout::Layout;
use crate::network::Network;
use crate::plan::{Step, Undo, netserv};

pub use self::builtin::{Builtin, Serve, Service, StopServing};
pub use self::dnsmasq::{Dnsmasq, DnsmasqStep, StopDnsmasq};
pub use crate::plan::dnsmasq::{is_needed, is_resolver};

/// What a server of addresses and names does for the planner and for reports.
pub(crate) trait Backend: Clone + PartialEq {
    /// The server that a definition wants.
    ///
    /// # Errors
    /// [`PlanError`](crate::plan::error::PlanError) if it is not installed, or cannot express the definition.
    fn desired(network: &Network, inputs: &PlanInputs<'_>, bridge: &LinkName) -> Desired<Self>;

    /// What is there of a server; nothing unless it runs.
    fn observe<H: Processes + Files>(&self, host: &H) -> Option<Self>;

    /// The steps to this server from another state of it; from none if it does not run.
    fn diff(&self, have: Option<&Self>, bridge: Bridge) -> ServiceSteps;

    /// The steps that end the server and remove its files.
    fn removal(&self) -> Vec<Step>;

    /// The step that starts it.
    fn start(&self) -> Step;

    /// Whether it runs, with whatever arguments.
    fn is_running<H: Processes>(&self, host: &H) -> bool;

    /// Whether the driver writes the host's name servers for it.
    fn is_fed(&self) -> bool;

    /// Goes on following the host's name servers by itself, if `running` does and needs no restart.
    fn keep_following(&mut self, running: &Self);

    /// Counts what can be read again without a restart as changed.
    fn assume_outdated(&mut self);
}

/// What became of the bridge that a server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bridge {
    /// It is there; a server that nothing knows of may serve it.
    Kept,
    /// It is created anew; a server that runs has its sockets on the old one.
    New,
}

/// The steps of a server: before its files change, the files, and after.
#[derive(Debug, Default)]
pub(crate) struct ServiceSteps {
    /// Before anything else.
    pub(crate) before: Vec<Step>,
    /// Beside the changes of the bridge.
    pub(crate) files: Vec<Step>,
    /// On the bridge.
    pub(crate) after: Vec<Step>,
}

/// A server and the files it was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Server {
    /// dnsmasq, a process for each network.
    Dnsmasq(Dnsmasq),
    /// Our own service, one for all networks.
    Builtin(Builtin),
}

/// A change of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DhcpStep {
    /// Of dnsmasq.
    Dnsmasq(DnsmasqStep),
    /// Of our own service.
    Serve(Serve),
}

/// What ends a server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DhcpUndo {
    /// Stops dnsmasq.
    StopDnsmasq(StopDnsmasq),
    /// Ends our own service of the network.
    StopServing(StopServing),
}

/// The server that a definition wants, if it needs one.
pub(super) fn desired(
    network: &Network,
    inputs: &PlanInputs<'_>,
    bridge: &LinkName,
) -> Desired<Option<Server>> {
    if !is_needed(network) {
        return Ok(None);
    }
    match choice(network, inputs.layout)? {
        DhcpServer::Dnsmasq => Dnsmasq::desired(network, inputs, bridge).map(Server::Dnsmasq),
        DhcpServer::Builtin => Builtin::desired(network, inputs, bridge).map(Server::Builtin),
    }
    .map(Some)
}

/// The server of a network that needs one: dnsmasq also if our own service cannot serve all of it yet.
fn choice(network: &Network, layout: &Layout) -> Desired<DhcpServer> {
    let wanted = netserv::server(network, layout.dhcp_server())?;
    match netserv::unserved(network).filter(|_| wanted == DhcpServer::Builtin) {
        Some(reason) => {
            tracing::debug!(
                network = network.name,
                reason,
                "dnsmasq serves, as the service cannot"
            );
            Ok(DhcpServer::Dnsmasq)
        }
        None => Ok(wanted),
    }
}

pub(super) fn observe<H: Processes + Files>(
    host: &H,
    wanted: &[&NetworkState],
    found: &mut [NetworkState],
) {
    for (want, found) in wanted.iter().zip(found) {
        let Some(server) = &want.dhcp else { continue };
        found.dhcp = server.observe(host);
    }
}

pub(super) fn diff(have: Option<&Server>, want: Option<&Server>, bridge: Bridge) -> ServiceSteps {
    match (have, want) {
        (None, None) => ServiceSteps::default(),
        (Some(have), None) => ServiceSteps { before: have.removal(), ..ServiceSteps::default() },
        (Some(have @ Server::Builtin(_)), Some(Server::Dnsmasq(want))) => {
            after_removal(have, want.diff(None, bridge))
        }
        (Some(have @ Server::Dnsmasq(_)), Some(Server::Builtin(want))) => {
            after_removal(have, want.diff(None, bridge))
        }
        (Some(Server::Dnsmasq(have)), Some(Server::Dnsmasq(want))) => want.diff(Some(have), bridge),
        (Some(Server::Builtin(have)), Some(Server::Builtin(want))) => want.diff(Some(have), bridge),
        (None, Some(Server::Dnsmasq(want))) => want.diff(None, bridge),
        (None, Some(Server::Builtin(want))) => want.diff(None, bridge),
    }
}

/// The steps to a server after the end of one of another kind.
fn after_removal(have: &Server, steps: ServiceSteps) -> ServiceSteps {
    let mut before = have.removal();
    before
        .extend(steps.before.into_iter().filter(|step| !before.contains(step)).collect::<Vec<_>>());
    ServiceSteps { before, ..steps }
}

impl Server {
    fn observe<H: Processes + Files>(&self, host: &H) -> Option<Self> {
        match self {
            Self::Dnsmasq(server) => {
                let other = || {
                    let other = server.other.as_ref()?;
                    other.observe(host).map(Self::Builtin)
                };
                server.observe(host).map(Self::Dnsmasq).or_else(other)
            }
            Self::Builtin(server) => server.observe(host).map(Self::Builtin),
        }
    }

    fn removal(&self) -> Vec<Step> {
        match self {
            Self::Dnsmasq(server) => server.removal(),
            Self::Builtin(server) => server.removal(),
        }
    }

    /// The step that starts it.
    pub(crate) fn start(&self) -> Step {
        match self {
            Self::Dnsmasq(server) => server.start(),
            Self::Builtin(server) => server.start(),
        }
    }

    /// Whether it runs, with whatever arguments.
    pub(crate) fn is_running<H: Processes>(&self, host: &H) -> bool {
        match self {
            Self::Dnsmasq(server) => server.is_running(host),
            Self::Builtin(server) => server.is_running(host),
        }
    }

    /// Whether the driver writes the host's name servers for it.
    pub(crate) fn is_fed(&self) -> bool {
        match self {
            Self::Dnsmasq(server) => server.is_fed(),
            Self::Builtin(server) => server.is_fed(),
        }
    }

    /// Goes on following the host's name servers by itself, if `running` does and needs no restart.
    pub(crate) fn keep_following(&mut self, running: &Self) {
        match (self, running) {
            (Self::Dnsmasq(server), Self::Dnsmasq(running)) => server.keep_following(running),
            (Self::Builtin(server), Self::Builtin(running)) => server.keep_following(running),
            _ => {}
        }
    }

    /// Counts what can be read again without a restart as changed.
    pub(crate) fn assume_outdated(&mut self) {
        match self {
            Self::Dnsmasq(server) => server.assume_outdated(),
            Self::Builtin(server) => server.assume_outdated(),
        }
    }
}

/// What ends the server of a network, whatever runs of it.
pub(crate) fn undo(network: &Network, layout: &Layout) -> Vec<Undo> {
    let mut undos = Vec::new();
    if is_needed(network) {
        if choice(network, layout).is_ok_and(|choice| choice == DhcpServer::Builtin) {
            undos.push(Undo::Dhcp(DhcpUndo::StopServing(StopServing::of(network, layout))));
        }
        // One that was started before the choice changed, or the wanted one.
        undos.push(Undo::Dhcp(DhcpUndo::StopDnsmasq(StopDnsmasq::of(network, layout))));
    }
    undos
}

/// Files of a stopped server that hold nothing a start would not write again.
pub(crate) fn generated_files(network: &Network, layout: &Layout) -> Vec<PathBuf> {
    dnsmasq::generated_files(network, layout)
}

/// The pid of the process that serves a network, and what waits for its end.
pub(crate) fn process_end<H: Processes>(
    host: &H,
    network: &Network,
    layout: &Layout,
) -> Option<(i32, End)> {
    if !is_needed(network) {
        return None;
    }
    let dnsmasq = StopDnsmasq::of(network, layout).process_end(host);
    dnsmasq.or_else(|| StopServing::of(network, layout).process_end(host))
}

impl DhcpStep {
    /// What reverts the step.
    pub(crate) fn undo(&self) -> Option<DhcpUndo> {
        match self {
            Self::Dnsmasq(step) => step.undo().map(DhcpUndo::StopDnsmasq),
            Self::Serve(step) => Some(DhcpUndo::StopServing(step.undo())),
        }
    }

    /// Whether a step that failed may have had a part of its effect.
    pub(crate) const fn is_undone_on_failure(&self) -> bool {
        match self {
            Self::Dnsmasq(step) => step.is_undone_on_failure(),
            Self::Serve(_) => true,
        }
    }

    pub(crate) async fn run<H: Processes>(&self, host: &H) -> Result<(), HostError> {
        match self {
            Self::Dnsmasq(step) => step.run(host).await,
            Self::Serve(step) => step.run(host).await,
        }
    }
}

impl DhcpUndo {
    pub(crate) async fn run<H: Processes>(&self, host: &H) -> Result<(), HostError> {
        match self {
            Self::StopDnsmasq(stop) => stop.run(host).await,
            Self::StopServing(stop) => stop.run(host).await,
        }
    }
}

impl fmt::Display for DhcpStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dnsmasq(step) => step.fmt(f),
            Self::Serve(step) => step.fmt(f),
        }
    }
}

impl fmt::Display for DhcpUndo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StopDnsmasq(stop) => stop.fmt(f),
            Self::StopServing(stop) => stop.fmt(f),
        }
    }
}
