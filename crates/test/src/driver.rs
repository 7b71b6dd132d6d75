//! The calls of the in-memory driver.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use oxivirt::report::{HealthPart, NetworkHealth, NetworkPlan, PartKind, PlanStep};
use oxivirt::{
    Activity, Autostart, CallbackId, Connection, CpuMap, CpuStats, CreateFlags, DefineFlags,
    DomainCapabilitiesQuery, DomainDriver, Error, ErrorCode, ErrorDomain, HostDriver,
    LifecycleEvent, Lifetime, ListFlags, MetadataChange, MetadataType, NetworkDriver, NetworkEvent,
    NetworkEventCallback, NetworkEventId, NetworkIdentity, NetworkRef, NodeInfo, PlanVerb, Result,
    SecurityModel, StorageDriver, Update, UpdateFlags, Uuid, Version, XmlFlags,
};
use oxivirt_conf::Metadata;
use oxivirt_conf::network::update::{Change, Request, UpdateError, update};
use oxivirt_conf::network::{Form, NetworkDef};

use crate::host;
use crate::state::{Network, State};

/// A connection to domains, networks and storage pools in memory.
#[derive(Debug)]
pub struct TestDriver {
    uri: String,
    state: Arc<State>,
}

type Networks = BTreeMap<Uuid, Network>;

impl TestDriver {
    pub(crate) fn new(uri: &str, state: Arc<State>) -> Self {
        Self { uri: uri.to_owned(), state }
    }

    /// Works on one network.
    fn with<T>(
        &self,
        network: &NetworkRef,
        work: impl FnOnce(&mut Network) -> Result<T>,
    ) -> Result<T> {
        match self.state.lock().get_mut(&network.uuid) {
            Some(found) => work(found),
            None => Err(no_network(&format!("no network with matching name '{}'", network.name))),
        }
    }

    /// What all connections share.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    fn emit(&self, network: &NetworkRef, event: LifecycleEvent) {
        self.state.callbacks.emit(&NetworkEvent::lifecycle(network.clone(), event));
    }

    fn parse(xml: &str, validate: bool) -> Result<NetworkDef> {
        let def = if validate { NetworkDef::parse_validated(xml) } else { NetworkDef::parse(xml) };
        let mut def = def.map_err(|error| Error::classified(&error))?;
        def.uuid.get_or_insert_with(Uuid::new_v4);
        // options for dnsmasq belong to the real driver
        def.dnsmasq_options.clear();
        Ok(def)
    }
}

fn no_network(detail: &str) -> Error {
    Error::new(ErrorCode::NO_NETWORK, ErrorDomain::TEST, detail)
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::OPERATION_INVALID, ErrorDomain::TEST, detail.into())
}

/// Refuses a definition that has the name or the UUID of another network.
fn identify<'n>(networks: &'n mut Networks, def: &NetworkDef) -> Result<Option<&'n mut Network>> {
    let clash = |detail| Err(Error::new(ErrorCode::OPERATION_FAILED, ErrorDomain::NETWORK, detail));
    let uuid = def.uuid.unwrap_or_default();
    if let Some(other) = networks.values().find(|other| other.def.name == def.name) {
        let found = other.reference().uuid;
        if found != uuid {
            return clash(format!("network '{}' already exists with uuid {found}", def.name));
        }
    }
    match networks.get_mut(&uuid) {
        Some(found) if found.def.name != def.name => {
            clash(format!("network '{}' is already defined with uuid {uuid}", found.def.name))
        }
        found => Ok(found),
    }
}

/// Which definition a call is for.
fn affected(network: &Network, flags: UpdateFlags) -> Result<UpdateFlags> {
    let flags = match (flags, network.is_active()) {
        (UpdateFlags::NONE, true) => UpdateFlags::LIVE,
        (UpdateFlags::NONE, false) => UpdateFlags::CONFIG,
        (given, _) => given,
    };
    if flags.contains(UpdateFlags::LIVE) && !network.is_active() {
        return Err(invalid("network is not running"));
    }
    if flags.contains(UpdateFlags::CONFIG) && network.lifetime == Lifetime::Transient {
        return Err(invalid("cannot change persistent config of a transient network"));
    }
    Ok(flags)
}

/// Refuses all flags in the name of `function`.
fn no_flags(flags: u32, function: &str) -> Result<()> {
    match flags {
        0 => Ok(()),
        bits => Err(Error::unsupported_flags(ErrorDomain::TEST, bits, function)),
    }
}

/// What `verb` does to a network: an operation of this driver changes only the network's own state.
///
/// # Errors
/// The error with which the operation would be refused.
fn plan(network: &Network, verb: PlanVerb) -> Result<Vec<PlanStep>> {
    let name = &network.def.name;
    let step = |text| PlanStep { kind: PartKind::State, text, lines: Vec::new(), nft: None };
    match verb {
        PlanVerb::Start if network.is_active() => Err(already_running(name)),
        PlanVerb::Start => Ok(vec![step(format!("mark network {name} active"))]),
        // stopping an inactive network succeeds and changes nothing
        PlanVerb::Destroy if !network.is_active() => Ok(Vec::new()),
        PlanVerb::Destroy => Ok(vec![match network.lifetime {
            Lifetime::Persistent => step(format!("mark network {name} inactive")),
            Lifetime::Transient => step(format!("remove transient network {name}")),
        }]),
        PlanVerb::Unknown(number) => {
            let detail = format!("unknown operation {number}");
            Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::TEST, detail))
        }
    }
}

fn already_running(name: &str) -> Error {
    invalid(format!("Network '{name}' is already running"))
}

/// The definitions that `flags` choose.
fn chosen(network: &mut Network, flags: UpdateFlags) -> Vec<&mut NetworkDef> {
    let Network { def, kept_aside, activity, .. } = network;
    let mut defs = Vec::new();
    if flags.contains(UpdateFlags::CONFIG) && *activity == Activity::Active {
        defs.push(kept_aside.get_or_insert_with(|| def.clone()));
        if flags.contains(UpdateFlags::LIVE) {
            defs.push(def);
        }
    } else {
        defs.push(def);
    }
    defs
}

#[async_trait]
impl Connection for TestDriver {
    async fn uri(&self) -> Result<String> {
        Ok(self.uri.clone())
    }

    async fn driver_type(&self) -> Result<String> {
        Ok("TEST".to_owned())
    }

    async fn hypervisor_version(&self) -> Result<Version> {
        Ok(Version::from_number(2))
    }

    async fn hostname(&self) -> Result<String> {
        let name = nix::unistd::gethostname();
        let name = name.map_err(|errno| {
            Error::system(ErrorDomain::NONE, errno as i32, "failed to determine host name")
        })?;
        Ok(name.to_string_lossy().into_owned())
    }

    fn host(&self) -> Option<&dyn HostDriver> {
        Some(self)
    }

    fn domains(&self) -> Option<&dyn DomainDriver> {
        Some(self)
    }

    fn networks(&self) -> Option<&dyn NetworkDriver> {
        Some(self)
    }

    fn storage(&self) -> Option<&dyn StorageDriver> {
        Some(self)
    }
}

#[async_trait]
impl HostDriver for TestDriver {
    async fn capabilities(&self) -> Result<String> {
        Ok(host::capabilities())
    }

    async fn domain_capabilities(&self, query: &DomainCapabilitiesQuery<'_>) -> Result<String> {
        Ok(host::domain_capabilities(query))
    }

    async fn cpu_stats(&self, _: Option<u32>) -> Result<CpuStats> {
        Ok(host::CPU_STATS)
    }

    async fn sysinfo(&self) -> Result<String> {
        Ok(host::SYSINFO.to_owned())
    }

    async fn cpu_map(&self) -> Result<CpuMap> {
        Ok(CpuMap { online: host::ONLINE.to_vec() })
    }

    async fn free_memory(&self) -> Result<u64> {
        Ok(host::FREE_MEMORY)
    }

    async fn cells_free_memory(&self, start: i32, max: i32) -> Result<Vec<u64>> {
        let cells = usize::try_from(start).ok().and_then(|start| host::CELLS_FREE.get(start..));
        match cells {
            Some(cells) if !cells.is_empty() => {
                Ok(cells.iter().take(usize::try_from(max).unwrap_or(0)).copied().collect())
            }
            _ => {
                let detail = "Range exceeds available cells";
                Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::TEST, detail))
            }
        }
    }

    async fn security_model(&self) -> Result<SecurityModel> {
        Ok(SecurityModel { model: "testSecurity".to_owned(), doi: String::new() })
    }

    async fn max_vcpus(&self, _: Option<&str>) -> Result<u32> {
        Ok(32)
    }

    async fn node_info(&self) -> Result<NodeInfo> {
        Ok(NodeInfo {
            model: "i686".to_owned(),
            memory_kib: 3_145_728,
            cpus: 16,
            mhz: 1400,
            nodes: 2,
            sockets: 2,
            cores: 2,
            threads: 2,
        })
    }
}

#[async_trait]
impl NetworkDriver for TestDriver {
    fn network_identity(&self, xml: &str) -> Result<NetworkIdentity> {
        let NetworkDef { name, uuid, .. } =
            NetworkDef::parse(xml).map_err(|error| Error::classified(&error))?;
        Ok(NetworkIdentity { name, uuid })
    }

    async fn list_all_networks(&self, flags: ListFlags) -> Result<Vec<NetworkRef>> {
        flags.check(ListFlags::all(), ErrorDomain::TEST, "testConnectListAllNetworks")?;
        let networks = self.state.lock();
        let matching = networks.values().filter(|network| flags.matches(network.state()));
        Ok(matching.map(Network::reference).collect())
    }

    async fn network_lookup_by_name(&self, name: &str) -> Result<NetworkRef> {
        let networks = self.state.lock();
        let found = networks.values().find(|network| network.def.name == name);
        let found =
            found.ok_or_else(|| no_network(&format!("no network with matching name '{name}'")))?;
        Ok(found.reference())
    }

    async fn network_lookup_by_uuid(&self, uuid: Uuid) -> Result<NetworkRef> {
        let networks = self.state.lock();
        let found = networks.get(&uuid);
        let found =
            found.ok_or_else(|| no_network(&format!("no network with matching uuid '{uuid}'")))?;
        Ok(found.reference())
    }

    async fn network_define_xml(&self, xml: &str, flags: DefineFlags) -> Result<NetworkRef> {
        flags.check(DefineFlags::all(), ErrorDomain::TEST, "testNetworkDefineXMLFlags")?;
        let def = Self::parse(xml, flags.contains(DefineFlags::VALIDATE))?;
        let (uuid, name) = (def.uuid.unwrap_or_default(), def.name.clone());
        {
            let mut networks = self.state.lock();
            match identify(&mut networks, &def)? {
                Some(network) => {
                    network.lifetime = Lifetime::Persistent;
                    if network.is_active() {
                        network.kept_aside = Some(def);
                    } else {
                        network.def = def;
                    }
                }
                None => {
                    networks
                        .insert(uuid, Network::new(def, Activity::Inactive, Lifetime::Persistent));
                }
            }
        }
        let network = NetworkRef { name, uuid };
        self.emit(&network, LifecycleEvent::Defined);
        Ok(network)
    }

    async fn network_create_xml(&self, xml: &str, flags: CreateFlags) -> Result<NetworkRef> {
        flags.check(CreateFlags::all(), ErrorDomain::TEST, "testNetworkCreateXMLFlags")?;
        let def = Self::parse(xml, flags.contains(CreateFlags::VALIDATE))?;
        let (uuid, name) = (def.uuid.unwrap_or_default(), def.name.clone());
        {
            let mut networks = self.state.lock();
            match identify(&mut networks, &def)? {
                Some(network) if network.is_active() => {
                    return Err(invalid(format!("network is already active as '{name}'")));
                }
                Some(network) => {
                    network.def = def;
                    network.activity = Activity::Active;
                }
                None => {
                    networks.insert(uuid, Network::new(def, Activity::Active, Lifetime::Transient));
                }
            }
        }
        let network = NetworkRef { name, uuid };
        self.emit(&network, LifecycleEvent::Started);
        Ok(network)
    }

    async fn network_create(&self, network: &NetworkRef) -> Result<()> {
        self.with(network, |found| {
            if found.is_active() {
                return Err(already_running(&found.def.name));
            }
            found.activity = Activity::Active;
            Ok(())
        })?;
        self.emit(network, LifecycleEvent::Started);
        Ok(())
    }

    async fn network_destroy(&self, network: &NetworkRef) -> Result<()> {
        let lifetime = self.with(network, |found| {
            found.activity = Activity::Inactive;
            Ok(found.lifetime)
        })?;
        if lifetime == Lifetime::Transient {
            self.state.lock().remove(&network.uuid);
        }
        self.emit(network, LifecycleEvent::Stopped);
        Ok(())
    }

    async fn network_undefine(&self, network: &NetworkRef) -> Result<()> {
        self.with(network, |found| {
            if found.is_active() {
                return Err(invalid(format!("Network '{}' is still running", found.def.name)));
            }
            Ok(())
        })?;
        self.state.lock().remove(&network.uuid);
        self.emit(network, LifecycleEvent::Undefined);
        Ok(())
    }

    async fn network_update(&self, network: &NetworkRef, change: &Update) -> Result<()> {
        change.flags.check(UpdateFlags::all(), ErrorDomain::TEST, "testNetworkUpdate")?;
        self.with(network, |found| {
            let flags = affected(found, change.flags)?;
            let request = Request {
                section: change.section.number(),
                command: change.command.number(),
                parent_index: change.parent_index,
                payload: &change.xml,
            };
            let refuse = |error: UpdateError| Error::classified(&error);
            // all before any: a refusal changes nothing
            let mut copy = found.clone();
            for def in chosen(&mut copy, flags) {
                let change = Change::parse(def, &request).map_err(refuse)?;
                *def = update(def, &change, Form::Inactive).map_err(refuse)?;
            }
            *found = copy;
            Ok(())
        })
    }

    async fn network_xml_desc(&self, network: &NetworkRef, flags: XmlFlags) -> Result<String> {
        flags.check(XmlFlags::NONE, ErrorDomain::TEST, "testNetworkGetXMLDesc")?;
        self.with(network, |found| Ok(found.def.format(Form::LIVE)))
    }

    async fn network_bridge_name(&self, network: &NetworkRef) -> Result<String> {
        self.with(network, |found| {
            found.def.bridge.name.clone().ok_or_else(|| {
                let detail = format!("network '{}' does not have a bridge name.", found.def.name);
                Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::TEST, detail)
            })
        })
    }

    async fn network_autostart(&self, network: &NetworkRef) -> Result<Autostart> {
        self.with(network, |found| Ok(found.autostart))
    }

    async fn network_set_autostart(
        &self,
        network: &NetworkRef,
        autostart: Autostart,
    ) -> Result<()> {
        self.with(network, |found| {
            found.autostart = autostart;
            Ok(())
        })
    }

    async fn network_is_active(&self, network: &NetworkRef) -> Result<bool> {
        self.with(network, |found| Ok(found.is_active()))
    }

    async fn network_is_persistent(&self, network: &NetworkRef) -> Result<bool> {
        self.with(network, |found| Ok(found.lifetime == Lifetime::Persistent))
    }

    async fn network_metadata(
        &self,
        network: &NetworkRef,
        kind: MetadataType,
        uri: Option<&str>,
        flags: UpdateFlags,
    ) -> Result<String> {
        self.with(network, |found| {
            let flags = affected(found, flags)?;
            if flags.contains(UpdateFlags::CONFIG) && found.is_active() {
                // the stored definition of an active network cannot be seen, and nothing says why
                let message = "An error occurred, but the cause is unknown";
                return Err(Error::plain(ErrorCode::INTERNAL_ERROR, ErrorDomain::TEST, message));
            }
            let value = match kind {
                MetadataType::Description => found.def.description.clone(),
                MetadataType::Title => found.def.title.clone(),
                MetadataType::Element => {
                    let metadata = found.def.metadata.as_ref();
                    metadata.and_then(|metadata| metadata.get(uri.unwrap_or_default()))
                }
                MetadataType::Unknown(number) => {
                    let detail = format!("unknown metadata type '{number}'");
                    return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::TEST, detail));
                }
            };
            value.ok_or_else(|| {
                let detail = "Requested metadata element is not present";
                Error::new(ErrorCode::NO_NETWORK_METADATA, ErrorDomain::TEST, detail)
            })
        })
    }

    async fn network_set_metadata(
        &self,
        network: &NetworkRef,
        change: &MetadataChange,
    ) -> Result<()> {
        self.with(network, |found| {
            let flags = affected(found, change.flags)?;
            let mut copy = found.clone();
            for def in chosen(&mut copy, flags) {
                let text = || change.metadata.clone().filter(|text| !text.is_empty());
                match change.kind {
                    MetadataType::Description => def.description = text(),
                    MetadataType::Title => def.title = text(),
                    _ => {
                        let (key, uri) = (change.key.as_deref(), change.uri.as_deref());
                        let set = Metadata::set(
                            def.metadata.as_ref(),
                            key.unwrap_or_default(),
                            uri.unwrap_or_default(),
                            change.metadata.as_deref(),
                        );
                        def.metadata = set.map_err(|error| Error::classified(&error))?;
                    }
                }
            }
            *found = copy;
            Ok(())
        })?;
        let (network, kind, uri) = (network.clone(), change.kind, change.uri.clone());
        self.state.callbacks.emit(&NetworkEvent::MetadataChange { network, kind, uri });
        Ok(())
    }

    async fn network_health(&self, network: &NetworkRef, flags: u32) -> Result<NetworkHealth> {
        no_flags(flags, "testNetworkHealth")?;
        self.with(network, |found| {
            let NetworkRef { name, uuid } = found.reference();
            let active = found.is_active();
            // state in memory cannot get lost
            let state = HealthPart { part: PartKind::State, missing: Vec::new(), nft: Vec::new() };
            let parts = active.then_some(state).into_iter().collect();
            Ok(NetworkHealth { name, uuid, active, parts, ..NetworkHealth::default() })
        })
    }

    async fn network_plan(
        &self,
        network: &NetworkRef,
        verb: PlanVerb,
        xml: Option<&str>,
        flags: u32,
    ) -> Result<NetworkPlan> {
        no_flags(flags, "testNetworkPlan")?;
        // another definition is checked, but changes no step
        xml.map(|xml| Self::parse(xml, false)).transpose()?;
        self.with(network, |found| {
            Ok(NetworkPlan { network: found.def.name.clone(), steps: plan(found, verb)? })
        })
    }

    async fn network_event_register(
        &self,
        network: Option<&NetworkRef>,
        id: NetworkEventId,
        callback: NetworkEventCallback,
    ) -> Result<CallbackId> {
        Ok(self.state.callbacks.register(network.map(|net| net.uuid), id, callback))
    }

    async fn network_event_deregister(&self, id: CallbackId) -> Result<()> {
        if self.state.callbacks.deregister(id) {
            return Ok(());
        }
        let detail = format!("network event callback {} not registered", id.0);
        Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::TEST, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn driver() -> TestDriver {
        TestDriver::new("test:///default", Arc::new(State::with_default()))
    }

    #[track_caller]
    fn check_error<T: std::fmt::Debug>(result: Result<T>, code: i32, message: &str) {
        let error = result.unwrap_err();
        assert_eq!((error.code().0, error.message()), (code, message));
    }

    #[tokio::test]
    async fn begins_with_one_network() {
        let driver = driver();
        let net = driver.network_lookup_by_name("default").await.unwrap();
        assert_eq!(net.uuid.to_string(), "dd8fe884-6c02-601e-7551-cca97df1c5df");
        assert!(driver.network_is_active(&net).await.unwrap());
        assert_eq!(driver.network_bridge_name(&net).await.unwrap(), "virbr0");
        let xml = driver.network_xml_desc(&net, XmlFlags::NONE).await.unwrap();
        assert!(
            xml.contains("<bridge name='virbr0' stp='on' delay='0'/>") && !xml.contains("<mac")
        );
        check_error(
            driver.network_xml_desc(&net, XmlFlags::INACTIVE).await,
            8,
            "unsupported flags (0x1) in function testNetworkGetXMLDesc",
        );
    }

    #[tokio::test]
    async fn states() {
        let driver = driver();
        let net = driver.network_lookup_by_name("default").await.unwrap();
        let message = |text: &str| format!("Requested operation is not valid: {text}");
        check_error(
            driver.network_create(&net).await,
            55,
            &message("Network 'default' is already running"),
        );
        check_error(
            driver.network_undefine(&net).await,
            55,
            &message("Network 'default' is still running"),
        );
        driver.network_destroy(&net).await.unwrap();
        driver.network_destroy(&net).await.unwrap();
        driver.network_undefine(&net).await.unwrap();
        check_error(
            driver.network_lookup_by_name("default").await,
            43,
            "Network not found: no network with matching name 'default'",
        );
        let xml = "<network><name>t</name></network>";
        let net = driver.network_create_xml(xml, CreateFlags::NONE).await.unwrap();
        assert!(!driver.network_is_persistent(&net).await.unwrap());
        driver.network_destroy(&net).await.unwrap();
        assert!(driver.list_all_networks(ListFlags::NONE).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn health_is_that_of_the_state_in_memory() {
        let driver = driver();
        let net = driver.network_lookup_by_name("default").await.unwrap();
        let health = driver.network_health(&net, 0).await.unwrap();
        assert!(health.active && health.is_healthy(), "{health:?}");
        assert_eq!((health.name.as_str(), health.uuid), ("default", net.uuid));
        let kinds: Vec<_> = health.parts.iter().map(|part| part.part.word()).collect();
        assert_eq!(kinds, ["state"]);
        driver.network_destroy(&net).await.unwrap();
        let health = driver.network_health(&net, 0).await.unwrap();
        assert!(!health.active && health.parts.is_empty(), "{health:?}");
        check_error(
            driver.network_health(&net, 4).await,
            8,
            "unsupported flags (0x4) in function testNetworkHealth",
        );
    }

    #[tokio::test]
    async fn a_plan_has_the_steps_and_the_refusals_of_the_operation() {
        let driver = driver();
        let net = driver.network_lookup_by_name("default").await.unwrap();
        let plan = async |net: &NetworkRef, verb| {
            let plan = driver.network_plan(net, verb, None, 0).await?;
            let texts = plan.steps.into_iter().map(|step| step.text);
            Ok::<_, Error>(texts.collect::<Vec<_>>().join("\n"))
        };
        let running = "Requested operation is not valid: Network 'default' is already running";
        check_error(plan(&net, PlanVerb::Start).await, 55, running);
        check_error(driver.network_create(&net).await, 55, running);
        assert_eq!(plan(&net, PlanVerb::Destroy).await.unwrap(), "mark network default inactive");
        assert!(driver.network_is_active(&net).await.unwrap(), "a plan changes nothing");

        driver.network_destroy(&net).await.unwrap();
        assert_eq!(plan(&net, PlanVerb::Start).await.unwrap(), "mark network default active");
        assert_eq!(plan(&net, PlanVerb::Destroy).await.unwrap(), "");

        let xml = "<network><name>t</name></network>";
        let transient = driver.network_create_xml(xml, CreateFlags::NONE).await.unwrap();
        let steps = plan(&transient, PlanVerb::Destroy).await.unwrap();
        assert_eq!(steps, "remove transient network t");

        let unknown = plan(&net, PlanVerb::from_number(9)).await;
        check_error(unknown, 8, "invalid argument: unknown operation 9");
        let broken = driver.network_plan(&net, PlanVerb::Start, Some("<network/>"), 0).await;
        assert_eq!(broken.unwrap_err().code(), ErrorCode::NO_NAME);
        let flags = driver.network_plan(&net, PlanVerb::Start, None, 1).await;
        check_error(flags, 8, "unsupported flags (0x1) in function testNetworkPlan");
    }

    #[tokio::test]
    async fn a_document_is_held_against_the_schema_on_request() {
        let driver = driver();
        let xml = "<network colour='red'><name>t</name></network>";
        let error = driver.network_define_xml(xml, DefineFlags::VALIDATE).await.unwrap_err();
        assert_eq!(error.code().0, 92, "{error:?}");
        let error = driver.network_create_xml(xml, CreateFlags::VALIDATE).await.unwrap_err();
        assert_eq!(error.code().0, 92, "{error:?}");
        driver.network_define_xml(xml, DefineFlags::NONE).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_gives_networks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.xml");
        let text = "<node><network><name>a</name></network><network file='b.xml'/></node>";
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), text.as_bytes())
            .unwrap();
        let error = State::from_file(&path).unwrap_err();
        assert!(error.message().ends_with("b.xml': No such file or directory"), "{error:?}");
        let other = b"<network><name>b</name></network>";
        std::io::Write::write_all(
            &mut std::fs::File::create(dir.path().join("b.xml")).unwrap(),
            other,
        )
        .unwrap();
        let state = State::from_file(&path).unwrap();
        let names: Vec<_> = state.lock().values().map(|network| network.def.name.clone()).collect();
        assert_eq!(names.len(), 2);
    }
}
