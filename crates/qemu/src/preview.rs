//! What a start would execute, without anything being done.

use oxivirt::report::DomainPlan;
use oxivirt::{Error, NetworkRef, PlanVerb, Result};
use oxivirt_conf::domain::DomainDef;
use oxivirt_conf::network::NetworkDef;
use oxivirt_conf::port::{BridgePlug, NetworkPortDef, Plug};

use crate::apply::on_thread;
use crate::command::{self, CommandLine};
use crate::error;
use crate::guest::Guest;
use crate::registry::Entry;
use crate::resolve::{self, PortRequest, connect_port};
use crate::shared::Shared;

impl Shared {
    /// What `verb` would execute for a guest, or for `other` in place of its definition.
    ///
    /// # Errors
    /// That of the operation.
    pub(crate) async fn preview(
        &self,
        entry: &Entry,
        verb: PlanVerb,
        other: Option<Box<DomainDef>>,
    ) -> Result<DomainPlan> {
        if verb != PlanVerb::Start {
            let detail = format!("unknown operation {}", verb.number());
            return Err(Error::invalid_argument(detail));
        }
        let _operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        if view.is_active() {
            return Err(error::invalid("domain is already running"));
        }
        let guest = match other {
            Some(def) => self.complete(def).await?,
            None => view.def.clone(),
        };
        let displays = (guest.uuid(), self.reserved_ports().get(&guest.uuid()).cloned());
        let command = Box::pin(self.preview_command(&guest)).await;
        // the ports of displays are free again
        match displays {
            (uuid, Some(ports)) => drop(self.reserved_ports().insert(uuid, ports)),
            (uuid, None) => self.release_ports(uuid),
        }
        let command = command?;
        let program = command.program.to_string_lossy().into_owned();
        let environment = command.environment.iter();
        Ok(DomainPlan {
            domain: guest.name().to_owned(),
            environment: environment.map(|(name, value)| format!("{name}={value}")).collect(),
            command: std::iter::once(program).chain(command.arguments).collect(),
        })
    }

    async fn preview_command(&self, guest: &Guest) -> Result<CommandLine> {
        let emulator = self.emulator(guest.def()).await?;
        self.check_start(guest, &emulator)?;
        let mut def = guest.def().clone();
        for request in self.port_requests(guest).await? {
            self.foresee_port(&mut def, &request).await?;
        }
        self.reserve_ports(guest.uuid(), &mut def)?;
        let credentials = self.config.credentials.as_ref();
        let (uid, gid) = credentials.map_or((0, 0), |user| (user.uid, user.gid));
        let found =
            on_thread(move || Ok(resolve::find_chains(&mut def, uid, gid).map(|()| Box::new(def))));
        let mut def = found.await.map_err(|error| error::host(&error))??;
        let facts = self.command_facts(self.foreseen_id(), &def, &emulator);
        command::prepare(&mut def, &emulator, &facts).map_err(|error| error::plan(&error))?;
        command::command_line(&def, &emulator, &facts).map_err(|error| error::plan(&error))
    }

    /// Notes the bridge that a network would give an interface.
    async fn foresee_port(&self, def: &mut DomainDef, request: &PortRequest) -> Result<()> {
        let Some(networks) = self.host.networks.as_deref() else { return Ok(()) };
        let network: &NetworkRef = &request.network;
        let xml = networks.network_xml_desc(network, oxivirt::XmlFlags::NONE).await?;
        let network = NetworkDef::parse(&xml).map_err(|error| error::parse(&error))?;
        let port = NetworkPortDef::parse(&request.xml).map_err(|error| error::parse(&error))?;
        let Some(bridge) = network.bridge.name.clone() else { return Ok(()) };
        let mac_table_manager = network.bridge.mac_table_manager;
        let plug = Plug::Network(BridgePlug { bridge, mac_table_manager });
        let mut interfaces = def.devices.iter_mut().flat_map(|devices| &mut devices.interfaces);
        match interfaces.nth(request.interface) {
            Some(interface) => connect_port(interface, NetworkPortDef { plug, ..port }),
            None => Ok(()),
        }
    }
}
