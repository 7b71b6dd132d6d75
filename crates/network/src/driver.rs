//! The driver: the calls of the API, a short method each.
//!
//! Every call that changes something runs as a task of its own: a caller that goes away does not
//! leave it half done.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use oxivirt::{
    Autostart, CallbackId, Callbacks, Connection, CreateFlags, DefineFlags, DhcpLease, Error,
    ErrorCode, ErrorDomain, ListFlags, MetadataChange, MetadataType, NetworkDriver, NetworkEvent,
    NetworkEventCallback, NetworkEventId, NetworkHealth, NetworkIdentity, NetworkPlan, NetworkRef,
    PlanVerb, PortCreateFlags, PortRef, Result, TypedParam, Update, UpdateFlags, XmlFlags,
};
use oxivirt_conf::network::{Form, IpDef, NetworkDef};
use oxivirt_conf::port::NetworkPortDef;
use oxivirt_conf::status::FirewallBackend;
use oxivirt_engine::hooks::Hooks;
use oxivirt_engine::lock::{OrderedMutex, Rank};
use oxivirt_engine::{Journal, lock};
use oxivirt_sys::file;
use oxivirt_sys::pidfile::PidFile;
use oxivirt_types::ip::Family;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use uuid::Uuid;

use crate::apply::Host;
use crate::config;
use crate::error;
use crate::heal::{Notification, PortsOfBridges};
use crate::layout::Layout;
use crate::leases::{self, Prefixes};
use crate::plan::Undo;
use crate::ports;
use crate::registry::{Entry, Networks, Reservations};
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

/// What becomes of settings of the whole host, as IP forwarding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RestoreSettings {
    /// They stay, as in libvirt: others may rely on them by now.
    #[default]
    Never,
    /// What the driver changed goes back with the last network that needs it.
    WithLastNetwork,
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
    pub(crate) inner: Arc<Inner<H>>,
    _tasks: Tasks,
}

/// What the operations share.
#[derive(Debug)]
pub(crate) struct Inner<H> {
    pub(crate) host: Arc<H>,
    pub(crate) layout: Layout,
    pub(crate) lease_helper: PathBuf,
    pub(crate) uri: String,
    pub(crate) firewall: config::Firewall,
    /// Whether the table of rules is not as the settings want it, so that all rules are loaded again.
    pub(crate) remakes_table: AtomicBool,
    pub(crate) networks: Networks,
    pub(crate) reserved: Mutex<Reservations>,
    /// Held while settings of the whole host change.
    pub(crate) settings: OrderedMutex,
    pub(crate) journal: Journal<Undo>,
    pub(crate) restore_settings: RestoreSettings,
    pub(crate) hooks: Hooks,
    pub(crate) callbacks: Callbacks<NetworkEvent>,
    /// Tells the task that repairs networks.
    pub(crate) notifications: UnboundedSender<Notification>,
    pub(crate) ports_of_bridges: Mutex<PortsOfBridges>,
    _lock: PidFile,
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
                "another process has the firewall table"
            );
        }
        let restore_settings = match config.restore_sysctl {
            true => RestoreSettings::WithLastNetwork,
            false => restore_settings,
        };
        let environment = |name: &str| hooks.environment.get(OsStr::new(name)).cloned();
        let hooks = Hooks::find(layout.hooks_dir(), "network", environment, hooks.time_limit);
        let journal = Journal::at(layout.journal_dir());
        let (notifications, receiver) = unbounded_channel();
        let inner = Inner {
            host,
            layout,
            lease_helper,
            uri,
            firewall,
            remakes_table: AtomicBool::new(remakes_table),
            networks: Networks::default(),
            reserved: Mutex::default(),
            settings: OrderedMutex::new(Rank::Settings),
            journal,
            restore_settings,
            hooks,
            callbacks: Callbacks::new(),
            notifications,
            ports_of_bridges: Mutex::default(),
            _lock: lock,
        };
        let inner = Arc::new(inner);
        let interrupted = inner.recover().await;
        inner.load(&interrupted).await;
        inner.restore_settings().await;
        if autostart == StartWithHost::Once {
            inner.start_with_host().await;
        }
        let tasks = watch::start(&inner, config.heal, receiver);
        Ok(Self { inner, _tasks: tasks })
    }

    /// Looks at the disk again: new definitions appear, what runs is checked, hook scripts are looked
    /// for, and every network that starts with the host is started.
    ///
    /// libvirt 11.3.0: `networkStateReload`
    ///
    /// # Errors
    /// Only if the task ends unexpectedly; what is wrong with one network is logged.
    pub async fn reload(&self) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        self.detached(async move {
            inner.reload().await;
            Ok(())
        })
        .await
    }

    /// The host the driver works on.
    #[must_use]
    pub fn host(&self) -> &H {
        &self.inner.host
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

impl<H: Host> Inner<H> {
    /// The network a call is about.
    pub(crate) fn entry(&self, network: &NetworkRef) -> Result<Arc<Entry>> {
        self.networks.get(network.uuid).ok_or_else(|| {
            let NetworkRef { name, uuid } = network;
            Error::no_network(format!("no network with matching uuid '{uuid}' ({name})"))
        })
    }

    pub(crate) fn reserved(&self) -> std::sync::MutexGuard<'_, Reservations> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    now.ok().and_then(|now| i64::try_from(now.as_secs()).ok()).unwrap_or_default()
}

/// Prefix lengths leases are shown with: IPv4 in effect, IPv6 as written.
pub(crate) fn prefixes(def: &NetworkDef) -> Prefixes {
    let first = |family| def.ips.iter().find(|ip| ip.family() == family);
    let ipv4 = first(Family::Ipv4).and_then(IpDef::effective_prefix);
    let ipv6 = first(Family::Ipv6).and_then(|ip| ip.prefix);
    Prefixes { ipv4: ipv4.map_or(0, u32::from), ipv6: ipv6.map_or(0, u32::from) }
}

#[async_trait]
impl<H: Host> Connection for Driver<H> {
    async fn uri(&self) -> Result<String> {
        Ok(self.inner.uri.clone())
    }

    async fn driver_type(&self) -> Result<String> {
        Ok("network".to_owned())
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
        let def = NetworkPortDef::parse(xml).map_err(|error| error::parse(&error))?;
        Ok((!def.uuid.is_nil()).then_some(def.uuid))
    }

    async fn list_all_networks(&self, flags: ListFlags) -> Result<Vec<NetworkRef>> {
        flags.check(ListFlags::ALL, ErrorDomain::NETWORK, "networkConnectListAllNetworks")?;
        let views = self.inner.networks.all().into_iter().map(|entry| entry.view());
        Ok(views.filter(|view| flags.matches(view.state())).map(|view| view.reference()).collect())
    }

    async fn network_lookup_by_name(&self, name: &str) -> Result<NetworkRef> {
        let entry = self.inner.networks.by_name(name);
        let entry = entry
            .ok_or_else(|| Error::no_network(format!("no network with matching name '{name}'")))?;
        Ok(entry.view().reference())
    }

    async fn network_lookup_by_uuid(&self, uuid: Uuid) -> Result<NetworkRef> {
        let entry = self.inner.networks.get(uuid);
        let entry = entry
            .ok_or_else(|| Error::no_network(format!("no network with matching uuid '{uuid}'")))?;
        Ok(entry.view().reference())
    }

    async fn network_define_xml(&self, xml: &str, flags: DefineFlags) -> Result<NetworkRef> {
        flags.check(DefineFlags::ALL, ErrorDomain::NETWORK, "networkDefineXMLFlags")?;
        let def = read(xml, flags.contains(DefineFlags::VALIDATE))?;
        let inner = Arc::clone(&self.inner);
        self.detached(async move { inner.define(def).await }).await
    }

    async fn network_create_xml(&self, xml: &str, flags: CreateFlags) -> Result<NetworkRef> {
        flags.check(CreateFlags::ALL, ErrorDomain::NETWORK, "networkCreateXMLFlags")?;
        let def = read(xml, flags.contains(CreateFlags::VALIDATE))?;
        let inner = Arc::clone(&self.inner);
        self.detached(async move { inner.create_xml(def).await }).await
    }

    async fn network_create(&self, network: &NetworkRef) -> Result<()> {
        let (inner, entry) = (Arc::clone(&self.inner), self.inner.entry(network)?);
        self.detached(async move { inner.create(&entry).await }).await
    }

    async fn network_destroy(&self, network: &NetworkRef) -> Result<()> {
        let (inner, entry) = (Arc::clone(&self.inner), self.inner.entry(network)?);
        self.detached(async move { inner.destroy(&entry).await }).await
    }

    async fn network_undefine(&self, network: &NetworkRef) -> Result<()> {
        let (inner, entry) = (Arc::clone(&self.inner), self.inner.entry(network)?);
        self.detached(async move { inner.undefine(&entry).await }).await
    }

    async fn network_update(&self, network: &NetworkRef, update: &Update) -> Result<()> {
        let (inner, entry) = (Arc::clone(&self.inner), self.inner.entry(network)?);
        let update = update.clone();
        self.detached(async move { inner.update(&entry, &update).await }).await
    }

    async fn network_xml_desc(&self, network: &NetworkRef, flags: XmlFlags) -> Result<String> {
        flags.check(XmlFlags::ALL, ErrorDomain::NETWORK, "networkGetXMLDesc")?;
        let view = self.inner.entry(network)?.view();
        Ok(if flags.contains(XmlFlags::INACTIVE) {
            view.persistent_def().format(Form::Inactive)
        } else {
            view.def.format(Form::Live(&view.counters()))
        })
    }

    async fn network_bridge_name(&self, network: &NetworkRef) -> Result<String> {
        let view = self.inner.entry(network)?.view();
        view.def.bridge.name.clone().ok_or_else(|| {
            let detail = format!("network '{}' does not have a bridge name.", view.def.name);
            Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NETWORK, detail)
        })
    }

    async fn network_autostart(&self, network: &NetworkRef) -> Result<Autostart> {
        Ok(self.inner.entry(network)?.view().autostart)
    }

    async fn network_set_autostart(
        &self,
        network: &NetworkRef,
        autostart: Autostart,
    ) -> Result<()> {
        let (inner, entry) = (Arc::clone(&self.inner), self.inner.entry(network)?);
        self.detached(async move { inner.set_autostart(&entry, autostart).await }).await
    }

    async fn network_is_active(&self, network: &NetworkRef) -> Result<bool> {
        Ok(self.inner.entry(network)?.view().is_active())
    }

    async fn network_is_persistent(&self, network: &NetworkRef) -> Result<bool> {
        Ok(self.inner.entry(network)?.view().is_persistent())
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
        let view = self.inner.entry(network)?.view();
        let Some(bridge) = &view.def.bridge.name else { return Ok(Vec::new()) };
        let content = file::read(&self.inner.layout.leases(bridge), leases::LIMIT)
            .map_err(|error| error::store(&error.into()))?
            .unwrap_or_default();
        leases::parse(&content, bridge, prefixes(&view.def), mac, now())
            .map_err(|error| error::leases(&error))
    }

    async fn network_metadata(
        &self,
        network: &NetworkRef,
        kind: MetadataType,
        uri: Option<&str>,
        flags: UpdateFlags,
    ) -> Result<String> {
        self.inner.metadata(network, kind, uri, flags)
    }

    async fn network_set_metadata(
        &self,
        network: &NetworkRef,
        change: &MetadataChange,
    ) -> Result<()> {
        let (inner, entry) = (Arc::clone(&self.inner), self.inner.entry(network)?);
        let change = change.clone();
        self.detached(async move { inner.set_metadata(&entry, &change).await }).await
    }

    async fn network_health(&self, network: &NetworkRef, flags: u32) -> Result<NetworkHealth> {
        no_flags(flags, "networkHealth")?;
        self.inner.health(&*self.inner.entry(network)?).await
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
        self.inner.plan(&*self.inner.entry(network)?, verb, def).await
    }

    async fn network_list_all_ports(
        &self,
        network: &NetworkRef,
        flags: u32,
    ) -> Result<Vec<PortRef>> {
        no_flags(flags, "networkListAllPorts")?;
        self.inner.list_ports(network)
    }

    async fn network_port_lookup_by_uuid(
        &self,
        network: &NetworkRef,
        uuid: Uuid,
    ) -> Result<PortRef> {
        self.inner.port(network, uuid)?;
        let network = self.inner.entry(network)?.view().reference();
        Ok(PortRef { network, uuid })
    }

    async fn network_port_create_xml(
        &self,
        network: &NetworkRef,
        xml: &str,
        flags: PortCreateFlags,
    ) -> Result<PortRef> {
        flags.check(PortCreateFlags::ALL, ErrorDomain::NETWORK, "networkPortCreateXML")?;
        let def = match flags.contains(PortCreateFlags::VALIDATE) {
            true => NetworkPortDef::parse_validated(xml),
            false => NetworkPortDef::parse(xml),
        };
        let def = def.map_err(|error| error::parse(&error))?;
        let (inner, entry) = (Arc::clone(&self.inner), self.inner.entry(network)?);
        self.detached(async move { inner.create_port(&entry, def, flags).await }).await
    }

    async fn network_port_xml_desc(&self, port: &PortRef, flags: u32) -> Result<String> {
        no_flags(flags, "networkPortGetXMLDesc")?;
        Ok(self.inner.port(&port.network, port.uuid)?.format())
    }

    async fn network_port_parameters(&self, port: &PortRef, flags: u32) -> Result<Vec<TypedParam>> {
        no_flags(flags, "networkPortGetParameters")?;
        Ok(ports::parameters(&self.inner.port(&port.network, port.uuid)?))
    }

    async fn network_port_set_parameters(
        &self,
        port: &PortRef,
        params: &[TypedParam],
        flags: u32,
    ) -> Result<()> {
        no_flags(flags, "networkPortSetParameters")?;
        let (inner, entry) = (Arc::clone(&self.inner), self.inner.entry(&port.network)?);
        let (uuid, params) = (port.uuid, params.to_vec());
        self.detached(async move { inner.limit_port(&entry, uuid, &params).await }).await
    }

    async fn network_port_delete(&self, port: &PortRef, flags: u32) -> Result<()> {
        no_flags(flags, "networkPortDelete")?;
        let (inner, entry) = (Arc::clone(&self.inner), self.inner.entry(&port.network)?);
        let uuid = port.uuid;
        self.detached(async move { inner.delete_port(&entry, uuid).await }).await
    }

    async fn network_event_register(
        &self,
        network: Option<&NetworkRef>,
        id: NetworkEventId,
        callback: NetworkEventCallback,
    ) -> Result<CallbackId> {
        Ok(self.inner.callbacks.register(network.map(|net| net.uuid), id, callback))
    }

    async fn network_event_deregister(&self, id: CallbackId) -> Result<()> {
        if self.inner.callbacks.deregister(id) {
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

/// Reads a definition that somebody gives.
fn read(xml: &str, is_validated: bool) -> Result<NetworkDef> {
    let def = if is_validated { NetworkDef::parse_validated(xml) } else { NetworkDef::parse(xml) };
    def.map_err(|error| error::parse(&error))
}
