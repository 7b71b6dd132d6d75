//! The driver: the calls of the API, a short method each.
//!
//! Every call that changes something runs as a task of its own: a caller that goes away does not
//! leave it half done.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use oxivirt::{
    Autostart, CallbackId, Callbacks, Connection, CreateFlags, DefineFlags, DhcpLease, Error,
    ErrorCode, ErrorDomain, ListFlags, MetadataChange, MetadataType, NetworkDriver,
    NetworkEventCallback, NetworkEventId, NetworkHealth, NetworkIdentity, NetworkPlan, NetworkRef,
    PlanVerb, PortCreateFlags, PortRef, Result, TypedParam, Update, UpdateFlags, XmlFlags,
};
use oxivirt_conf::network::{Form, NetworkDef};
use oxivirt_conf::port::NetworkPortDef;
use oxivirt_conf::status::FirewallBackend;
use oxivirt_engine::hooks::Hooks;
use oxivirt_engine::{Journal, lock};
use oxivirt_sys::file;
use oxivirt_sys::pidfile::PidFile;
use tokio::sync::mpsc::unbounded_channel;
use uuid::Uuid;

use crate::apply::Host;
use crate::config;
use crate::error;
use crate::layout::Layout;
use crate::leases;
use crate::ports;
use crate::registry::Networks;
use crate::settings::{HostSettings, RestoreSettings};
use crate::shared::Shared;
use crate::store;
use crate::watch::{self, Tasks};

/// How a driver is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where files are.
    pub layout: Layout,
    /// The program that dnsmasq calls for every lease.
    pub lease_helper: PathBuf,
    /// What the driver says its URI is.
    pub uri: String,
    /// Whether networks are started that start with the host.
    pub autostart: StartWithHost,
    /// Whether settings of the whole host go back once no network needs them; `restore_sysctl = 1` in
    /// `network.conf` makes them go back too.
    pub restore_settings: RestoreSettings,
    /// How scripts are run when networks come and go.
    pub hooks: HookOptions,
}

/// How hook scripts are run.
#[derive(Debug, Clone)]
pub struct HookOptions {
    /// The driver's environment, of which scripts get a part.
    pub environment: BTreeMap<OsString, OsString>,
    /// A script that takes longer is killed and counts as failed.
    pub time_limit: Duration,
}

impl Default for HookOptions {
    /// No environment, two minutes.
    fn default() -> Self {
        Self { environment: BTreeMap::new(), time_limit: Duration::from_secs(120) }
    }
}

/// Whether opening a driver starts the networks that start with the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartWithHost {
    /// At the first opening after the host has started.
    Once,
    /// Not at all.
    Never,
}

/// The network driver of a host.
#[derive(Debug)]
pub struct Driver<H: Host> {
    pub(crate) shared: Arc<Shared<H>>,
    tasks: Tasks,
}

impl<H: Host> Driver<H> {
    /// Opens the driver of the directories in `options`: finishes what a driver before it was cut off
    /// in, takes over what runs, starts what starts with the host.
    ///
    /// Must be called in a tokio runtime.
    ///
    /// # Errors
    /// Number 38 if another driver has the directories, or they cannot be used.
    pub async fn open(host: impl Into<Arc<H>>, options: Options) -> Result<Self> {
        let host = host.into();
        let Options { layout, lease_helper, uri, autostart, restore_settings, hooks } = options;
        store::prepare(&layout).map_err(|error| error::store(&error))?;
        let lock =
            PidFile::acquire(&layout.driver_pid()).map_err(|error| error::pid_file(&error))?;
        let config = config::load(&layout)?;
        let layout = layout.with_dhcp_server(config.dhcp_server);
        let firewall = config::firewall(&config, &layout, &*host).await?;
        let is_nftables = firewall.backend == FirewallBackend::Nftables;
        // Without privileges the first network that is started says so.
        let is_owned = if is_nftables { host.is_table_owned().await.ok().flatten() } else { None };
        let remakes_table = is_owned.is_some_and(|is_owned| is_owned != firewall.owns_table);
        if firewall.owns_table
            && let Err(error) = host.claim_table().await
        {
            tracing::warn!(
                error = oxivirt_sys::chain::text(&error),
                "cannot own the firewall table: another process owns it"
            );
        }
        let restore_settings = match config.restore_sysctl {
            true => RestoreSettings::WithLastNetwork,
            false => restore_settings,
        };
        let settings = HostSettings::new(restore_settings, layout.old_settings());
        let environment = |name: &str| hooks.environment.get(OsStr::new(name)).cloned();
        let hooks = Hooks::find(layout.hooks_dir(), "network", environment, hooks.time_limit);
        let journal = Journal::at(layout.journal_dir());
        let (notifications, receiver) = unbounded_channel();
        let shared = Shared {
            host,
            layout,
            lease_helper,
            uri,
            firewall,
            remakes_table: AtomicBool::new(remakes_table),
            networks: Networks::default(),
            reserved: Mutex::default(),
            settings,
            journal,
            hooks,
            callbacks: Callbacks::new(),
            notifications,
            ports_of_bridges: Mutex::default(),
            _lock: lock,
        };
        let shared = Arc::new(shared);
        let interrupted = shared.recover().await;
        shared.load(&interrupted).await;
        shared.settings.restore_unneeded(&*shared.host).await;
        if autostart == StartWithHost::Once {
            shared.start_with_host().await;
        }
        let tasks = watch::start(&shared, config.heal, receiver);
        Ok(Self { shared, tasks })
    }

    /// Looks at the disk again: new definitions appear, what runs is checked, hook scripts are looked
    /// for, and every network that starts with the host is started.
    ///
    /// libvirt 11.3.0: `networkStateReload`
    ///
    /// # Errors
    /// Only if the task ends unexpectedly; what is wrong with one network is logged.
    pub async fn reload(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        self.detached(async move {
            shared.reload().await;
            Ok(())
        })
        .await
    }

    /// The host the driver works on.
    #[must_use]
    pub fn host(&self) -> &H {
        &self.shared.host
    }

    /// Runs an operation as a task of its own.
    async fn detached<T: Send + 'static>(
        &self,
        operation: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        tokio::spawn(lock::checked(operation)).await.unwrap_or_else(|failure| {
            Err(Error::internal(format!("the operation ended unexpectedly: {failure}")))
        })
    }
}

#[async_trait]
impl<H: Host> Connection for Driver<H> {
    async fn uri(&self) -> Result<String> {
        Ok(self.shared.uri.clone())
    }

    async fn driver_type(&self) -> Result<String> {
        Ok("network".to_owned())
    }

    /// Afterwards the driver's directories are free as soon as the driver is dropped; running networks are not
    /// repaired any more.
    async fn close(&self) -> Result<()> {
        self.tasks.end().await;
        Ok(())
    }

    fn networks(&self) -> Option<&dyn NetworkDriver> {
        Some(self)
    }
}

#[async_trait]
impl<H: Host> NetworkDriver for Driver<H> {
    fn network_identity(&self, xml: &str) -> Result<NetworkIdentity> {
        let NetworkDef { name, uuid, .. } = read(xml, false)?;
        Ok(NetworkIdentity { name, uuid })
    }

    fn network_port_identity(&self, xml: &str) -> Result<Option<Uuid>> {
        let def = NetworkPortDef::parse(xml).map_err(|error| Error::classified(&error))?;
        Ok((!def.uuid.is_nil()).then_some(def.uuid))
    }

    async fn list_all_networks(&self, flags: ListFlags) -> Result<Vec<NetworkRef>> {
        flags.check(ListFlags::all(), ErrorDomain::NETWORK, "networkConnectListAllNetworks")?;
        let views = self.shared.networks.all().into_iter().map(|entry| entry.view());
        Ok(views.filter(|view| flags.matches(view.state())).map(|view| view.reference()).collect())
    }

    async fn network_lookup_by_name(&self, name: &str) -> Result<NetworkRef> {
        let entry = self.shared.networks.by_name(name);
        let entry = entry
            .ok_or_else(|| Error::no_network(format!("no network with matching name '{name}'")))?;
        Ok(entry.view().reference())
    }

    async fn network_lookup_by_uuid(&self, uuid: Uuid) -> Result<NetworkRef> {
        let entry = self.shared.networks.get(uuid);
        let entry = entry
            .ok_or_else(|| Error::no_network(format!("no network with matching uuid '{uuid}'")))?;
        Ok(entry.view().reference())
    }

    async fn network_define_xml(&self, xml: &str, flags: DefineFlags) -> Result<NetworkRef> {
        flags.check(DefineFlags::all(), ErrorDomain::NETWORK, "networkDefineXMLFlags")?;
        let def = read(xml, flags.contains(DefineFlags::VALIDATE))?;
        let shared = Arc::clone(&self.shared);
        self.detached(async move { shared.define(def).await }).await
    }

    async fn network_create_xml(&self, xml: &str, flags: CreateFlags) -> Result<NetworkRef> {
        flags.check(CreateFlags::all(), ErrorDomain::NETWORK, "networkCreateXMLFlags")?;
        let def = read(xml, flags.contains(CreateFlags::VALIDATE))?;
        let shared = Arc::clone(&self.shared);
        self.detached(async move { shared.create_xml(def).await }).await
    }

    async fn network_create(&self, network: &NetworkRef) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(network)?);
        self.detached(async move { shared.create(&entry).await }).await
    }

    async fn network_destroy(&self, network: &NetworkRef) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(network)?);
        self.detached(async move { shared.destroy(&entry).await }).await
    }

    async fn network_undefine(&self, network: &NetworkRef) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(network)?);
        self.detached(async move { shared.undefine(&entry).await }).await
    }

    async fn network_update(&self, network: &NetworkRef, update: &Update) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(network)?);
        let update = update.clone();
        self.detached(async move { shared.update(&entry, &update).await }).await
    }

    async fn network_xml_desc(&self, network: &NetworkRef, flags: XmlFlags) -> Result<String> {
        flags.check(XmlFlags::all(), ErrorDomain::NETWORK, "networkGetXMLDesc")?;
        let view = self.shared.entry(network)?.view();
        Ok(if flags.contains(XmlFlags::INACTIVE) {
            view.persistent_def().format(Form::Inactive)
        } else {
            view.def.format(Form::Live(&view.counters()))
        })
    }

    async fn network_bridge_name(&self, network: &NetworkRef) -> Result<String> {
        let view = self.shared.entry(network)?.view();
        view.def.bridge.name.clone().ok_or_else(|| {
            let detail = format!("network '{}' does not have a bridge name.", view.def.name);
            Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NETWORK, detail)
        })
    }

    async fn network_autostart(&self, network: &NetworkRef) -> Result<Autostart> {
        Ok(self.shared.entry(network)?.view().autostart)
    }

    async fn network_set_autostart(
        &self,
        network: &NetworkRef,
        autostart: Autostart,
    ) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(network)?);
        self.detached(async move { shared.set_autostart(&entry, autostart).await }).await
    }

    async fn network_is_active(&self, network: &NetworkRef) -> Result<bool> {
        Ok(self.shared.entry(network)?.view().is_active())
    }

    async fn network_is_persistent(&self, network: &NetworkRef) -> Result<bool> {
        Ok(self.shared.entry(network)?.view().is_persistent())
    }

    async fn network_dhcp_leases(
        &self,
        network: &NetworkRef,
        mac: Option<&str>,
        flags: u32,
    ) -> Result<Vec<DhcpLease>> {
        no_flags(flags, "networkGetDHCPLeases")?;
        let mac = match mac {
            Some(text) => Some(
                text.parse()
                    .map_err(|_| Error::new(ErrorCode::INVALID_MAC, ErrorDomain::NETWORK, text))?,
            ),
            None => None,
        };
        let view = self.shared.entry(network)?.view();
        let Some(bridge) = view.def.bridge() else { return Ok(Vec::new()) };
        let content = file::read(&self.shared.layout.leases(bridge), leases::LIMIT)
            .map_err(|error| error::store(&error.into()))?
            .unwrap_or_default();
        leases::parse(&content, bridge.as_str(), leases::prefixes(&view.def), mac, leases::now())
            .map_err(|error| error::leases(&error))
    }

    async fn network_metadata(
        &self,
        network: &NetworkRef,
        kind: MetadataType,
        uri: Option<&str>,
        flags: UpdateFlags,
    ) -> Result<String> {
        self.shared.metadata(network, kind, uri, flags)
    }

    async fn network_set_metadata(
        &self,
        network: &NetworkRef,
        change: &MetadataChange,
    ) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(network)?);
        let change = change.clone();
        self.detached(async move { shared.set_metadata(&entry, &change).await }).await
    }

    async fn network_health(&self, network: &NetworkRef, flags: u32) -> Result<NetworkHealth> {
        no_flags(flags, "networkHealth")?;
        self.shared.health(&*self.shared.entry(network)?).await
    }

    async fn network_plan(
        &self,
        network: &NetworkRef,
        verb: PlanVerb,
        xml: Option<&str>,
        flags: u32,
    ) -> Result<NetworkPlan> {
        no_flags(flags, "networkPlan")?;
        let def = xml.map(|xml| read(xml, false)).transpose()?;
        self.shared.plan(&*self.shared.entry(network)?, verb, def).await
    }

    async fn network_list_all_ports(
        &self,
        network: &NetworkRef,
        flags: u32,
    ) -> Result<Vec<PortRef>> {
        no_flags(flags, "networkListAllPorts")?;
        self.shared.list_ports(network)
    }

    async fn network_port_lookup_by_uuid(
        &self,
        network: &NetworkRef,
        uuid: Uuid,
    ) -> Result<PortRef> {
        self.shared.port(network, uuid)?;
        let network = self.shared.entry(network)?.view().reference();
        Ok(PortRef { network, uuid })
    }

    async fn network_port_create_xml(
        &self,
        network: &NetworkRef,
        xml: &str,
        flags: PortCreateFlags,
    ) -> Result<PortRef> {
        flags.check(PortCreateFlags::all(), ErrorDomain::NETWORK, "networkPortCreateXML")?;
        let def = match flags.contains(PortCreateFlags::VALIDATE) {
            true => NetworkPortDef::parse_validated(xml),
            false => NetworkPortDef::parse(xml),
        };
        let def = def.map_err(|error| Error::classified(&error))?;
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(network)?);
        self.detached(async move { shared.create_port(&entry, def, flags).await }).await
    }

    async fn network_port_xml_desc(&self, port: &PortRef, flags: u32) -> Result<String> {
        no_flags(flags, "networkPortGetXMLDesc")?;
        Ok(self.shared.port(&port.network, port.uuid)?.format())
    }

    async fn network_port_parameters(&self, port: &PortRef, flags: u32) -> Result<Vec<TypedParam>> {
        no_flags(flags, "networkPortGetParameters")?;
        Ok(ports::parameters(&self.shared.port(&port.network, port.uuid)?))
    }

    async fn network_port_set_parameters(
        &self,
        port: &PortRef,
        params: &[TypedParam],
        flags: u32,
    ) -> Result<()> {
        no_flags(flags, "networkPortSetParameters")?;
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(&port.network)?);
        let (uuid, params) = (port.uuid, params.to_vec());
        self.detached(async move { shared.limit_port(&entry, uuid, &params).await }).await
    }

    async fn network_port_delete(&self, port: &PortRef, flags: u32) -> Result<()> {
        no_flags(flags, "networkPortDelete")?;
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(&port.network)?);
        let uuid = port.uuid;
        self.detached(async move { shared.delete_port(&entry, uuid).await }).await
    }

    async fn network_event_register(
        &self,
        network: Option<&NetworkRef>,
        id: NetworkEventId,
        callback: NetworkEventCallback,
    ) -> Result<CallbackId> {
        Ok(self.shared.callbacks.register(network.map(|net| net.uuid), id, callback))
    }

    async fn network_event_deregister(&self, id: CallbackId) -> Result<()> {
        if self.shared.callbacks.deregister(id) {
            return Ok(());
        }
        Err(Error::invalid_argument(format!("network event callback {} not registered", id.0)))
    }
}

fn no_flags(flags: u32, function: &str) -> Result<()> {
    match flags {
        0 => Ok(()),
        flags => Err(Error::unsupported_flags(ErrorDomain::NETWORK, flags, function)),
    }
}

/// Parses a definition that a client gives.
fn read(xml: &str, is_validated: bool) -> Result<NetworkDef> {
    let def = if is_validated { NetworkDef::parse_validated(xml) } else { NetworkDef::parse(xml) };
    def.map_err(|error| Error::classified(&error))
}
