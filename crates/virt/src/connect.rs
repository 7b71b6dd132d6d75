//! Connections: opening one, asking about the host, finding and making networks.
//!
//! This is where the policy lives that is the same for every driver: a read-only connection
//! changes nothing, and arguments which no driver could take are refused. A daemon which serves
//! a driver to others calls it through here, so both kinds of client meet the same checks.

use crate::{
    Access, CallbackId, CloseCallback, CpuMap, CreateFlags, DefineFlags, Error, ErrorCode,
    ErrorDomain, EventCallback, EventId, EventStream, ListFlags, Network, NetworkDriver,
    NetworkRef, NodeInfo, OpenOptions, Registry, Result, Uri, Version, parse_uuid,
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// An open connection. Clones are the same connection.
///
/// libvirt: `virConnectPtr`
#[derive(Debug, Clone)]
pub struct Connect {
    driver: Arc<dyn NetworkDriver>,
    access: Access,
}

impl Connect {
    /// Opens `uri` with the first driver of `registry` which takes it.
    ///
    /// An empty name is not resolved here: which connection is meant by no name depends on the
    /// environment and on configuration files, which belong to the program.
    ///
    /// # Errors
    /// Number 5 without a driver for `uri`, 1 if it is no URI, and what the driver says.
    ///
    /// libvirt: `virConnectOpenInternal`, src/libvirt.c
    pub async fn open(uri: &str, registry: &Registry, options: &OpenOptions) -> Result<Self> {
        let uri: Uri = uri.parse()?;
        refuse_missing_slash(&uri)?;
        let driver = registry.opener(&uri)?.open(&uri, options).await?;
        Ok(Self::new(driver, options.access))
    }

    /// A connection over a driver that is open already.
    #[must_use]
    pub fn new(driver: Arc<dyn NetworkDriver>, access: Access) -> Self {
        Self { driver, access }
    }

    /// The driver behind the connection. Its calls skip the checks of this layer.
    #[must_use]
    pub fn driver(&self) -> &Arc<dyn NetworkDriver> {
        &self.driver
    }

    /// Whether the connection may change anything.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Refuses `api` on a read-only connection.
    pub(crate) fn may_change(&self, api: &str) -> Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Error::new(
                ErrorCode::OPERATION_DENIED,
                ErrorDomain::NETWORK,
                format!("read only access prevents {api}"),
            )),
        }
    }

    fn network(&self, reference: NetworkRef) -> Network {
        Network::new(self.clone(), reference)
    }

    /// The URI of the connection.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn uri(&self) -> Result<String> {
        self.driver.uri().await
    }

    /// What kind of driver answers.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn driver_type(&self) -> Result<String> {
        self.driver.driver_type().await
    }

    /// Version of what runs guests.
    ///
    /// # Errors
    /// Number 3 if nothing does.
    pub async fn hypervisor_version(&self) -> Result<Version> {
        self.driver.hypervisor_version().await
    }

    /// libvirt release whose behaviour the other side has.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn lib_version(&self) -> Result<Version> {
        self.driver.lib_version().await
    }

    /// Name of the host the driver works on.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn hostname(&self) -> Result<String> {
        self.driver.hostname().await
    }

    /// Whether the connection can still be used.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn is_alive(&self) -> Result<bool> {
        self.driver.is_alive().await
    }

    /// Whether nobody else can read the conversation.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn is_secure(&self) -> Result<bool> {
        self.driver.is_secure().await
    }

    /// Whether the conversation is encrypted.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn is_encrypted(&self) -> Result<bool> {
        self.driver.is_encrypted().await
    }

    /// Sends a sign of life every `interval` and gives up after `count` unanswered ones.
    ///
    /// # Errors
    /// Number 3 if the driver cannot.
    pub async fn set_keepalive(&self, interval: Duration, count: u32) -> Result<()> {
        self.driver.set_keepalive(interval, count).await
    }

    /// Asks to be told when the connection ends.
    ///
    /// # Errors
    /// Number 3 if the driver's connections do not end by themselves.
    pub async fn register_close_callback(&self, callback: CloseCallback) -> Result<()> {
        self.driver.register_close_callback(callback).await
    }

    /// Ends the connection, also for its clones.
    ///
    /// # Errors
    /// What the driver says; the connection is not usable any more in either case.
    pub async fn close(&self) -> Result<()> {
        self.driver.close().await
    }

    /// What the host can do, as XML.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn capabilities(&self) -> Result<String> {
        self.driver.capabilities().await
    }

    /// Firmware tables of the host, as XML.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn sysinfo(&self) -> Result<String> {
        self.driver.sysinfo().await
    }

    /// Most virtual processors a guest of `domain_type` may have.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn max_vcpus(&self, domain_type: Option<&str>) -> Result<u32> {
        self.driver.max_vcpus(domain_type).await
    }

    /// Processor and memory of the host.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn node_info(&self) -> Result<NodeInfo> {
        self.driver.node_info().await
    }

    /// Processors present and online.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn cpu_map(&self) -> Result<CpuMap> {
        self.driver.cpu_map().await
    }

    /// Free memory of the host in bytes.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn free_memory(&self) -> Result<u64> {
        self.driver.free_memory().await
    }

    /// Free memory of at most `max` NUMA cells from `start`, in bytes.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn cells_free_memory(&self, start: i32, max: i32) -> Result<Vec<u64>> {
        const API: &str = "virNodeGetCellsFreeMemory";
        let refused =
            |message: String| Err(Error::plain(ErrorCode::INVALID_ARG, ErrorDomain::NONE, message));
        if start < 0 {
            return refused(format!("startCell in {API} must be zero or greater"));
        }
        if max <= 0 {
            return refused(format!("maxCells in {API} must be greater than zero"));
        }
        self.driver.cells_free_memory(start, max).await
    }

    /// The networks which pass the filter, in no particular order.
    ///
    /// # Errors
    /// Number 8 for an unknown flag.
    pub async fn list_all_networks(&self, flags: ListFlags) -> Result<Vec<Network>> {
        let references = self.driver.list_all_networks(flags).await?;
        Ok(references.into_iter().map(|reference| self.network(reference)).collect())
    }

    /// Names of at most `max` running networks.
    ///
    /// # Errors
    /// What the driver says.
    ///
    /// libvirt: `virConnectListNetworks`
    pub async fn list_networks(&self, max: usize) -> Result<Vec<String>> {
        self.names(ListFlags::ACTIVE, max).await
    }

    /// Names of at most `max` stored networks which do not run.
    ///
    /// # Errors
    /// What the driver says.
    ///
    /// libvirt: `virConnectListDefinedNetworks`
    pub async fn list_defined_networks(&self, max: usize) -> Result<Vec<String>> {
        self.names(ListFlags::INACTIVE, max).await
    }

    async fn names(&self, flags: ListFlags, max: usize) -> Result<Vec<String>> {
        let references = self.driver.list_all_networks(flags).await?;
        Ok(references.into_iter().take(max).map(|reference| reference.name).collect())
    }

    /// The network of this name.
    ///
    /// # Errors
    /// Number 43 if there is none.
    pub async fn network_lookup_by_name(&self, name: &str) -> Result<Network> {
        Ok(self.network(self.driver.network_lookup_by_name(name).await?))
    }

    /// The network with this UUID.
    ///
    /// # Errors
    /// Number 43 if there is none.
    pub async fn network_lookup_by_uuid(&self, uuid: Uuid) -> Result<Network> {
        Ok(self.network(self.driver.network_lookup_by_uuid(uuid).await?))
    }

    /// The network with this UUID, given as text.
    ///
    /// # Errors
    /// Number 8 if the text is no UUID, 43 if there is no such network.
    pub async fn network_lookup_by_uuid_string(&self, text: &str) -> Result<Network> {
        let Some(uuid) = parse_uuid(text) else {
            return Err(not_a_uuid("virNetworkLookupByUUIDString"));
        };
        self.network_lookup_by_uuid(uuid).await
    }

    /// Stores a definition, new or in place of the old one.
    ///
    /// # Errors
    /// Number 29 on a read-only connection, else what the driver says.
    pub async fn network_define_xml(&self, xml: &str, flags: DefineFlags) -> Result<Network> {
        // the variant with flags is a function of its own, but read-only refusals name them apart
        self.may_change(if flags == DefineFlags::NONE {
            "virNetworkDefineXML"
        } else {
            "virNetworkDefineXMLFlags"
        })?;
        Ok(self.network(self.driver.network_define_xml(xml, flags).await?))
    }

    /// Starts a network from XML without storing it.
    ///
    /// # Errors
    /// Number 29 on a read-only connection, else what the driver says.
    pub async fn network_create_xml(&self, xml: &str, flags: CreateFlags) -> Result<Network> {
        self.may_change(if flags == CreateFlags::NONE {
            "virNetworkCreateXML"
        } else {
            "virNetworkCreateXMLFlags"
        })?;
        Ok(self.network(self.driver.network_create_xml(xml, flags).await?))
    }

    /// Calls `callback` for events of kind `id`, of one network or of all.
    ///
    /// # Errors
    /// Number 3 if the driver has no events.
    pub async fn network_event_register(
        &self,
        network: Option<&Network>,
        id: EventId,
        callback: EventCallback,
    ) -> Result<CallbackId> {
        let network = network.map(Network::reference);
        self.driver.network_event_register(network, id, callback).await
    }

    /// The events of kind `id`, of one network or of all, as a stream.
    ///
    /// # Errors
    /// Number 3 if the driver has no events.
    pub async fn network_events(
        &self,
        network: Option<&Network>,
        id: EventId,
    ) -> Result<EventStream> {
        let network = network.map(Network::reference);
        EventStream::register(Arc::clone(&self.driver), network, id).await
    }

    /// Forgets a registration.
    ///
    /// # Errors
    /// Number 8 if there is no such registration.
    pub async fn network_event_deregister(&self, id: CallbackId) -> Result<()> {
        self.driver.network_event_deregister(id).await
    }
}

/// Names of the drivers for which libvirt suspects a forgotten slash.
const SUSPECTED: [&str; 3] = ["qemu", "vbox", "vz"];

/// `qemu://system` names a host; whoever writes it means the path.
fn refuse_missing_slash(uri: &Uri) -> Result<()> {
    let host_is_a_path = matches!(uri.host(), Some("system" | "session"));
    if SUSPECTED.contains(&uri.driver()) && uri.transport().is_none() && host_is_a_path {
        let detail = format!(
            "invalid URI {uri} (maybe you want {}:///{})",
            uri.driver(),
            uri.host().unwrap_or_default()
        );
        return Err(Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NONE, detail));
    }
    Ok(())
}

/// libvirt: `virCheckNonNullArg` and its like print the parameter and the function.
pub(crate) fn not_a_uuid(api: &str) -> Error {
    Error::plain(
        ErrorCode::INVALID_ARG,
        ErrorDomain::NETWORK,
        format!("uuidstr in {api} must be a valid UUID"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Autostart, DriverOpener, MetadataChange, MetadataType, UpdateFlags, XmlFlags};
    use async_trait::async_trait;
    use futures::executor::block_on;

    #[derive(Debug)]
    struct Echo(String);

    #[async_trait]
    impl NetworkDriver for Echo {
        async fn uri(&self) -> Result<String> {
            Ok(self.0.clone())
        }

        async fn network_lookup_by_name(&self, name: &str) -> Result<NetworkRef> {
            Ok(NetworkRef { name: name.to_owned(), uuid: Uuid::nil() })
        }

        async fn network_destroy(&self, _network: &NetworkRef) -> Result<()> {
            Ok(())
        }
    }

    struct EchoOpener(&'static str);

    #[async_trait]
    impl DriverOpener for EchoOpener {
        fn name(&self) -> &str {
            self.0
        }

        fn accepts(&self, uri: &Uri) -> bool {
            uri.driver() == "echo"
        }

        async fn open(&self, uri: &Uri, _: &OpenOptions) -> Result<Arc<dyn NetworkDriver>> {
            Ok(Arc::new(Echo(format!("{} by {}", uri, self.0))))
        }
    }

    fn open(uri: &str, access: Access) -> Result<Connect> {
        let mut registry = Registry::new();
        registry.register(EchoOpener("first"));
        registry.register(EchoOpener("second"));
        let options = OpenOptions { access, ..OpenOptions::default() };
        block_on(Connect::open(uri, &registry, &options))
    }

    fn network(access: Access) -> Network {
        let connect = open("echo:///", access).unwrap();
        block_on(connect.network_lookup_by_name("n")).unwrap()
    }

    #[track_caller]
    fn check<T: std::fmt::Debug>(result: Result<T>, code: i32, message: &str) {
        let error = result.unwrap_err();
        assert_eq!((error.code().0, error.message()), (code, message));
    }

    #[test]
    fn the_first_driver_which_takes_the_uri_opens_it() {
        let connect = open("echo:///x", Access::ReadWrite).unwrap();
        assert_eq!(block_on(connect.uri()).unwrap(), "echo:///x by first");
    }

    #[test]
    fn uris_nobody_takes() {
        check(
            open("odd:///x", Access::ReadWrite),
            5,
            "no connection driver available for odd:///x",
        );
        check(
            open("qemu://system/x", Access::ReadWrite),
            1,
            "internal error: invalid URI qemu://system/x (maybe you want qemu:///system)",
        );
        let uri = "qemu+ssh://system";
        check(
            open(uri, Access::ReadWrite),
            5,
            &format!("no connection driver available for {uri}"),
        );
    }

    #[test]
    fn a_driver_lacks_what_it_does_not_write() {
        let network = network(Access::ReadWrite);
        let lacks = "this function is not supported by the connection driver: ";
        check(block_on(network.create()), 3, &format!("{lacks}virNetworkCreate"));
        let xml = network.xml_desc(XmlFlags::NONE);
        check(block_on(xml), 3, &format!("{lacks}virNetworkGetXMLDesc"));
        let error = block_on(network.connect().hostname()).unwrap_err();
        assert_eq!(error.domain(), ErrorDomain::DOMAIN);
        block_on(network.destroy()).unwrap();
    }

    #[test]
    fn a_read_only_connection_changes_nothing() {
        let network = network(Access::ReadOnly);
        let connect = network.connect();
        let update = crate::Update {
            command: crate::UpdateCommand::Delete,
            section: crate::UpdateSection::DnsHost,
            parent_index: -1,
            xml: String::new(),
            flags: UpdateFlags::NONE,
        };
        let change = change(MetadataType::Title, None, None, None);
        let port = crate::PortCreateFlags::NONE;
        let denied: Vec<(&str, Error)> = vec![
            ("Create", block_on(network.create()).unwrap_err()),
            ("Destroy", block_on(network.destroy()).unwrap_err()),
            ("Undefine", block_on(network.undefine()).unwrap_err()),
            ("Update", block_on(network.update(&update)).unwrap_err()),
            ("SetAutostart", block_on(network.set_autostart(Autostart::Enabled)).unwrap_err()),
            ("SetMetadata", block_on(network.set_metadata(&change)).unwrap_err()),
            ("PortCreateXML", block_on(network.port_create_xml("", port)).unwrap_err()),
            ("DefineXML", block_on(connect.network_define_xml("", DefineFlags::NONE)).unwrap_err()),
            ("CreateXML", block_on(connect.network_create_xml("", CreateFlags::NONE)).unwrap_err()),
            (
                "DefineXMLFlags",
                block_on(connect.network_define_xml("", DefineFlags::VALIDATE)).unwrap_err(),
            ),
        ];
        for (call, error) in denied {
            let message =
                format!("operation forbidden: read only access prevents virNetwork{call}");
            assert_eq!((error.code().0, error.message()), (29, &*message));
        }
    }

    fn change(
        kind: MetadataType,
        metadata: Option<&str>,
        key: Option<&str>,
        uri: Option<&str>,
    ) -> MetadataChange {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let (metadata, key, uri) = (own(metadata), own(key), own(uri));
        MetadataChange { kind, metadata, key, uri, flags: UpdateFlags::NONE }
    }

    #[test]
    fn metadata_arguments_fit_their_kind() {
        use MetadataType::{Element, Title};
        let network = network(Access::ReadWrite);
        let set = |change| block_on(network.set_metadata(&change));
        let not_here =
            "this function is not supported by the connection driver: virNetworkSetMetadata";
        check(set(change(Title, Some("a"), None, None)), 3, not_here);
        check(set(change(Element, None, None, Some("u"))), 3, not_here);
        let title = "metadata title can't contain newlines";
        check(set(change(Title, Some("a\nb"), None, None)), 8, title);
        let key = "key in virNetworkSetMetadata must not be NULL";
        check(set(change(Element, Some("<a/>"), None, Some("u"))), 8, key);
        let uri = "uri in virNetworkSetMetadata must be NULL";
        check(set(change(Title, Some("a"), None, Some("u"))), 8, uri);
        let both = UpdateFlags::LIVE | UpdateFlags::CONFIG;
        let error = block_on(network.metadata(Title, None, both)).unwrap_err();
        assert_eq!(error.code().0, 8);
        let uri = "uri in virNetworkGetMetadata must not be NULL";
        check(block_on(network.metadata(Element, None, UpdateFlags::NONE)), 8, uri);
    }

    #[test]
    fn a_uuid_must_be_one() {
        let network = network(Access::ReadWrite);
        let lookup = network.connect().network_lookup_by_uuid_string("no");
        let message = "uuidstr in virNetworkLookupByUUIDString must be a valid UUID";
        check(block_on(lookup), 8, message);
    }
}
