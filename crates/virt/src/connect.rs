//! Connections: opening one, and the calls of the connection itself.
//!
//! [`Connect`] applies the policy that is the same for every driver: a read-only connection changes
//! nothing, and arguments that no driver could accept are rejected. A daemon that serves a driver
//! uses it too, so local and remote clients meet the same checks. Calls about the host and calls that
//! find networks are in a file each below; [`Network`](crate::Network) has the calls of one network.

mod domain;
mod host;
mod network;
mod storage;

pub(crate) use network::not_a_uuid;

use crate::report::NetworkPlan;
use crate::{
    Access, Authenticator, CloseCallback, Connection, Error, ErrorCode, ErrorDomain, OpenOptions,
    Registry, Result, Uri, Version,
};
use std::{sync::Arc, time::Duration};

/// An open connection. Clones are the same connection.
///
/// libvirt: `virConnectPtr`
#[derive(Debug, Clone)]
pub struct Connect {
    connection: Arc<dyn Connection>,
    access: Access,
}

/// Opens a connection with options; see [`Connect::builder`].
#[derive(Debug, Clone)]
pub struct ConnectBuilder<'a> {
    registry: &'a Registry,
    options: OpenOptions,
}

impl ConnectBuilder<'_> {
    /// Opens the connection read-only.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.options.access = Access::ReadOnly;
        self
    }

    /// Answers questions of the peer with `authenticator`.
    #[must_use]
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.options.authenticator = Some(authenticator);
        self
    }

    /// Lets a call to a daemon take at most `deadline`; see [`OpenOptions::deadline`].
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = Some(deadline);
        self
    }

    /// Opens `uri`.
    ///
    /// # Errors
    /// Those of [`Connect::open`].
    pub async fn open(self, uri: &str) -> Result<Connect> {
        Connect::open(uri, self.registry, &self.options).await
    }
}

impl Connect {
    /// Opens connections with the drivers of `registry`:
    ///
    /// ```
    /// # use oxivirt::{Connect, Registry, Result};
    /// # use std::time::Duration;
    /// # async fn example(registry: &Registry) -> Result<Connect> {
    /// let deadline = Duration::from_secs(10);
    /// Connect::builder(registry).read_only().deadline(deadline).open("network:///system").await
    /// # }
    /// ```
    #[must_use]
    pub fn builder(registry: &Registry) -> ConnectBuilder<'_> {
        ConnectBuilder { registry, options: OpenOptions::default() }
    }

    /// Opens `uri` with the first driver of `registry` that accepts it.
    ///
    /// An empty name is not resolved here: the default connection depends on the environment and on
    /// configuration files, which belong to the program.
    ///
    /// # Errors
    /// [`ErrorCode::NO_CONNECT`] if no driver accepts `uri`, [`ErrorCode::INTERNAL_ERROR`] if it is
    /// not a URI, and the error of the driver that cannot open it.
    ///
    /// libvirt: `virConnectOpenInternal`, src/libvirt.c
    pub async fn open(uri: &str, registry: &Registry, options: &OpenOptions) -> Result<Self> {
        let uri: Uri = uri.parse()?;
        refuse_missing_slash(&uri)?;
        let connection = registry.opener(&uri)?.open(&uri, options).await?;
        Ok(Self::new(connection, options.access))
    }

    /// What opening `uri` would change on the host of its driver, one plan per network that the
    /// driver would take over. Nothing is opened or changed.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver makes no such plans, and those of [`Connect::open`].
    pub async fn plan_open(uri: &str, registry: &Registry) -> Result<Vec<NetworkPlan>> {
        let uri: Uri = uri.parse()?;
        refuse_missing_slash(&uri)?;
        registry.opener(&uri)?.plan_open(&uri).await
    }

    /// Wraps a connection that is open already.
    #[must_use]
    pub fn new(connection: Arc<dyn Connection>, access: Access) -> Self {
        Self { connection, access }
    }

    /// The connection of the driver. Its calls skip the checks of this layer.
    #[must_use]
    pub fn connection(&self) -> &Arc<dyn Connection> {
        &self.connection
    }

    /// Whether the connection may change anything.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// The URI of the connection.
    ///
    /// # Errors
    /// [`ErrorCode::SYSTEM_ERROR`] or [`ErrorCode::INTERNAL_ERROR`] if a daemon's connection is
    /// lost.
    pub async fn uri(&self) -> Result<String> {
        self.connection.uri().await
    }

    /// Type of the driver: `network`, `TEST`.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver has no type.
    pub async fn driver_type(&self) -> Result<String> {
        self.connection.driver_type().await
    }

    /// Version of the hypervisor.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver has no hypervisor.
    pub async fn hypervisor_version(&self) -> Result<Version> {
        self.connection.hypervisor_version().await
    }

    /// libvirt release that the driver is compatible with.
    ///
    /// # Errors
    /// [`ErrorCode::SYSTEM_ERROR`] or [`ErrorCode::INTERNAL_ERROR`] if a daemon's connection is
    /// lost.
    pub async fn lib_version(&self) -> Result<Version> {
        self.connection.lib_version().await
    }

    /// Name of the host the driver works on.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver does not know it.
    pub async fn hostname(&self) -> Result<String> {
        self.connection.hostname().await
    }

    /// Whether the connection can still be used.
    ///
    /// # Errors
    /// None of the drivers of this project fails; another driver may.
    pub async fn is_alive(&self) -> Result<bool> {
        self.connection.is_alive().await
    }

    /// Whether no other process or host can read the conversation.
    ///
    /// # Errors
    /// [`ErrorCode::SYSTEM_ERROR`] or [`ErrorCode::INTERNAL_ERROR`] if a daemon's connection is
    /// lost.
    pub async fn is_secure(&self) -> Result<bool> {
        self.connection.is_secure().await
    }

    /// Whether the conversation is encrypted.
    ///
    /// # Errors
    /// None of the drivers of this project fails; another driver may.
    pub async fn is_encrypted(&self) -> Result<bool> {
        self.connection.is_encrypted().await
    }

    /// Sends a keepalive ping after each `interval` of silence and closes the connection after
    /// `count` unanswered ones; a zero interval stops it.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver has no peer, [`ErrorCode::INTERNAL_ERROR`] if the
    /// peer does not answer pings.
    pub async fn set_keepalive(&self, interval: Duration, count: u32) -> Result<()> {
        self.connection.set_keepalive(interval, count).await
    }

    /// Calls `callback` when the connection ends without [`Connect::close`].
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver's connections do not end by themselves.
    pub async fn register_close_callback(&self, callback: CloseCallback) -> Result<()> {
        self.connection.register_close_callback(callback).await
    }

    /// Ends the connection, also for its clones.
    ///
    /// # Errors
    /// [`ErrorCode::SYSTEM_ERROR`] or [`ErrorCode::INTERNAL_ERROR`] if the peer did not confirm;
    /// the connection cannot be used any more in either case.
    pub async fn close(&self) -> Result<()> {
        self.connection.close().await
    }
}

/// Names of the drivers for which libvirt suspects a forgotten slash.
const SUSPECTED: [&str; 3] = ["qemu", "vbox", "vz"];

/// `qemu://system` names a host where `qemu:///system` was meant.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Autostart, CreateFlags, DefineFlags, DriverOpener, MetadataChange, MetadataType, Network,
        NetworkDriver, NetworkRef, UpdateFlags, XmlFlags,
    };
    use async_trait::async_trait;
    use futures::executor::block_on;
    use uuid::Uuid;

    #[derive(Debug)]
    struct Echo(String);

    #[async_trait]
    impl Connection for Echo {
        async fn uri(&self) -> Result<String> {
            Ok(self.0.clone())
        }

        fn networks(&self) -> Option<&dyn NetworkDriver> {
            Some(self)
        }
    }

    #[async_trait]
    impl NetworkDriver for Echo {
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

        async fn open(&self, uri: &Uri, _: &OpenOptions) -> Result<Arc<dyn Connection>> {
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
    fn first_driver_that_accepts_the_uri_opens_it() {
        let connect = open("echo:///x", Access::ReadWrite).unwrap();
        assert_eq!(block_on(connect.uri()).unwrap(), "echo:///x by first");
    }

    #[test]
    fn uris_without_driver() {
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
    fn missing_calls_are_not_supported() {
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
    fn read_only_connection_changes_nothing() {
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
    fn metadata_arguments_must_fit_their_kind() {
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
    fn invalid_uuid_is_rejected() {
        let network = network(Access::ReadWrite);
        let lookup = network.connect().network_lookup_by_uuid_string("no");
        let message = "uuidstr in virNetworkLookupByUUIDString must be a valid UUID";
        check(block_on(lookup), 8, message);
    }
}
