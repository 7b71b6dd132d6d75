//! Our own address and name service as the server of a network: one process for all of them.
//!
//! The specification is `plan::netserv`'s. The service has no files that a network starts with; its journal and
//! libvirt's lease file are its own affair.

use std::fmt;
use std::path::PathBuf;

use oxivirt_netserv_api::NetworkSpec;
use oxivirt_types::link_name::LinkName;
use uuid::Uuid;

use super::{Backend, Bridge, DhcpStep, DhcpUndo, ServiceSteps, StopDnsmasq};
use crate::apply::HostError;
use crate::apply::host::{End, Files, Processes};
use crate::components::{Desired, PlanInputs};
use crate::layout::Layout;
use crate::network::Network;
use crate::plan::{Step, Undo, netserv};

/// The program, which is where the lease helper is.
const PROGRAM: &str = "oxivirt-netservd";

/// Where the service is, and how it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its program.
    pub program: PathBuf,
    /// Its control socket.
    pub socket: PathBuf,
    /// The directory of its journals.
    pub journals: PathBuf,
    /// The directory of libvirt's lease files.
    pub lease_files: PathBuf,
}

/// A network that the service serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builtin {
    /// What it serves; of a network that is there only the generation is known to be so.
    pub spec: Box<NetworkSpec>,
    /// The service.
    pub service: Service,
    /// What may have served it before.
    pub dnsmasq: StopDnsmasq,
}

/// Serve a network, whatever the service serves of it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// What to serve.
    pub spec: Box<NetworkSpec>,
    /// The service.
    pub service: Service,
}

/// Ends the service of a network, and the service if it was the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopServing {
    /// The network.
    pub network: Uuid,
    /// The service's control socket.
    pub socket: PathBuf,
    /// The network's journal, of which nothing is left.
    pub journal: PathBuf,
}

impl Backend for Builtin {
    fn desired(network: &Network, inputs: &PlanInputs<'_>, bridge: &LinkName) -> Desired<Self> {
        let layout = inputs.layout;
        let service = Service {
            program: inputs.lease_helper.with_file_name(PROGRAM),
            socket: layout.netserv_socket(),
            journals: layout.netserv_journals(),
            lease_files: layout.leases_dir(),
        };
        let spec = Box::new(netserv::spec(network, bridge)?);
        Ok(Self { spec, service, dnsmasq: StopDnsmasq::of(network, layout) })
    }

    fn observe<H: Processes + Files>(&self, host: &H) -> Option<Self> {
        let generation = host.served(&self.service.socket, self.spec.uuid)?;
        let mut found = self.clone();
        found.spec.generation = generation;
        Some(found)
    }

    fn diff(&self, have: Option<&Self>, bridge: Bridge) -> ServiceSteps {
        let mut steps = ServiceSteps::default();
        let is_same = have.is_some_and(|have| have.spec.generation == self.spec.generation);
        if is_same && bridge == Bridge::Kept {
            return steps;
        }
        // Beside a bridge that exists a dnsmasq may serve, which was started with other settings.
        if have.is_none() && bridge == Bridge::Kept {
            let stop = DhcpUndo::StopDnsmasq(self.dnsmasq.clone());
            steps.before.push(Step::Undo(Undo::Dhcp(stop)));
        }
        steps.after.push(self.start());
        steps
    }

    fn removal(&self) -> Vec<Step> {
        vec![Step::Undo(Undo::Dhcp(DhcpUndo::StopServing(self.serve().undo())))]
    }

    fn start(&self) -> Step {
        Step::Dhcp(DhcpStep::Serve(self.serve()))
    }

    fn is_running<H: Processes>(&self, host: &H) -> bool {
        host.served(&self.service.socket, self.spec.uuid).is_some()
    }

    /// The service gets the host's name servers with each network, and follows no file.
    fn is_fed(&self) -> bool {
        false
    }

    fn keep_following(&mut self, _: &Self) {}

    fn assume_outdated(&mut self) {
        self.spec.generation = 0;
    }
}

impl Builtin {
    fn serve(&self) -> Serve {
        Serve { spec: self.spec.clone(), service: self.service.clone() }
    }
}

impl Serve {
    pub(super) fn undo(&self) -> StopServing {
        StopServing {
            network: self.spec.uuid,
            socket: self.service.socket.clone(),
            journal: self.service.journals.join(format!("{}.journal", self.spec.uuid)),
        }
    }

    pub(super) async fn run<H: Processes>(&self, host: &H) -> Result<(), HostError> {
        host.serve(self).await
    }
}

impl StopServing {
    /// Of a network, by the paths of its files.
    pub(super) fn of(network: &Network, layout: &Layout) -> Self {
        let uuid = network.uuid();
        let journal = layout.netserv_journals().join(format!("{uuid}.journal"));
        Self { network: uuid, socket: layout.netserv_socket(), journal }
    }

    pub(super) async fn run<H: Processes>(&self, host: &H) -> Result<(), HostError> {
        host.stop_serving(self).await
    }

    pub(super) fn process_end<H: Processes>(&self, host: &H) -> Option<(i32, End)> {
        host.served(&self.socket, self.network)?;
        host.service_end(&self.socket)
    }
}

impl fmt::Display for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "serve addresses and names on {}", self.spec.bridge)
    }
}

impl fmt::Display for StopServing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "end serving addresses and names of {}", self.network)
    }
}
