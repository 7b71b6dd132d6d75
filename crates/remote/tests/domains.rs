//! Calls about domains over a socket: from the client's driver to one in memory, and consoles.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use oxivirt::{
    Access, AddressSource, Autostart, Connect, Connection, ConsoleFlags, CpuStats,
    DomainAffectFlags, DomainCapabilitiesQuery, DomainCreateFlags, DomainDefineFlags,
    DomainDestroyFlags, DomainDriver, DomainEvent, DomainEventId, DomainListFlags,
    DomainMetadataChange, DomainRef, DomainShutdownFlags, DomainState, DomainStream,
    DomainUndefineFlags, DomainXmlFlags, Error, ErrorCode, ErrorDomain, HostDriver, MetadataType,
    OpenOptions, Registry, Result, SecurityLabel, SecurityModel, Uuid,
};
use oxivirt_remote::client::{Environment, register};
use oxivirt_remote::serve::{
    Authentication, Authority, Daemon, Interaction, Networks, Profile, Served,
};
use oxivirt_rpc::identity::Process;
use oxivirt_rpc::limits::{ConnectionLimits, ServerLimits, Workers};
use oxivirt_rpc::server::accept::AuthPolicy;
use oxivirt_rpc::server::{Listener, Server, Socket};
use tempfile::TempDir;
use tokio::io::{AsyncRead as _, AsyncWrite as _, DuplexStream, ReadBuf};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

const SMALL: &str = "<domain type='test'><name>a</name><memory>1024</memory><vcpu>1</vcpu>\
                     <os><type>hvm</type></os></domain>";

/// A daemon that serves one driver under the scheme `test`.
struct Host {
    directory: TempDir,
    server: Arc<Server>,
}

impl Host {
    fn new(driver: Arc<dyn Connection>, access: Option<Arc<dyn Authority>>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let profile = Profile { scheme: "test", driver: "Test", is_hypervisor: true };
        let daemon = Arc::new(Daemon {
            drivers: vec![Served { profile, driver }],
            path: "/default",
            authority: None,
            access,
            observer: None,
        });
        let (limits, connection) = (ServerLimits::default(), ConnectionLimits::default());
        let server = Server::new("test", limits, connection, Workers::default());
        let listener = Listener {
            socket: Socket::Unix(UnixListener::bind(directory.path().join("socket")).unwrap()),
            server: Arc::clone(&server),
            serves: Arc::new(Networks { daemon, authentication: Authentication::None }),
            read_only: false,
            auth_policy: AuthPolicy::None,
            only_user: None,
        };
        drop(tokio::spawn(listener.run()));
        Self { directory, server }
    }

    /// A host with domains of its own.
    async fn with_domains() -> Self {
        Self::new(in_memory().await, None)
    }

    fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("socket")
    }

    async fn connect(&self, access: Access) -> Connect {
        open(&self.socket(), access).await
    }
}

async fn open(socket: &Path, access: Access) -> Connect {
    let mut registry = Registry::new();
    register(&mut registry, Environment::of_process());
    let options = OpenOptions { access, ..OpenOptions::default() };
    let uri = format!("test+unix:///default?socket={}", socket.display());
    Connect::open(&uri, &registry, &options).await.unwrap()
}

/// A driver whose domains no other test has.
async fn in_memory() -> Arc<dyn Connection> {
    let mut registry = Registry::new();
    oxivirt_test::register(&mut registry);
    let file = tempfile::NamedTempFile::new().unwrap();
    io::Write::write_all(&mut file.as_file(), b"<node/>").unwrap();
    let uri = format!("test://{}", file.path().display());
    let connect = Connect::open(&uri, &registry, &OpenOptions::default()).await.unwrap();
    Arc::clone(connect.connection())
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} took too long"))
}

#[track_caller]
fn check<T: std::fmt::Debug>(result: Result<T>, code: ErrorCode, domain: ErrorDomain, text: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.code(), error.domain(), error.message()), (code, domain, text));
}

#[tokio::test]
async fn a_domain_lives_and_goes() {
    let host = Host::with_domains().await;
    let connect = host.connect(Access::ReadWrite).await;
    assert_eq!(connect.driver_type().await.unwrap(), "TEST");
    let a = connect.domain_define_xml(SMALL, DomainDefineFlags::VALIDATE).await.unwrap();
    assert_eq!((a.name(), a.id()), ("a", None));
    let a = a.start().await.unwrap();
    assert_eq!(a.id(), Some(1));
    assert_eq!(connect.domain_lookup_by_id(1).await.unwrap().uuid(), a.uuid());
    assert_eq!(connect.domain_lookup_by_uuid(a.uuid()).await.unwrap().name(), "a");
    let (state, info) = (a.state().await.unwrap(), a.info().await.unwrap());
    assert_eq!(
        (state.state, state.reason, info.state),
        (DomainState::Running, 1, DomainState::Running)
    );
    assert_eq!((info.max_memory_kib, info.n_vcpus), (1024, 1));
    a.suspend().await.unwrap();
    assert_eq!(a.state().await.unwrap().state, DomainState::Paused);
    a.resume().await.unwrap();
    a.reboot(DomainShutdownFlags::empty()).await.unwrap();
    a.reset().await.unwrap();
    assert!(a.is_active().await.unwrap() && a.is_persistent().await.unwrap());
    a.set_autostart(Autostart::Enabled).await.unwrap();
    assert_eq!(a.autostart().await.unwrap(), Autostart::Enabled);
    let live = a.xml_desc(DomainXmlFlags::empty()).await.unwrap();
    assert!(live.contains("<domain type='test' id='1'>"), "{live}");
    assert!(a.interface_addresses(AddressSource::Lease).await.unwrap().is_empty());
    let driver = connect.connection().domains().unwrap();
    assert_eq!(driver.domain_os_type(a.reference()).await.unwrap(), "linux");
    assert_eq!(driver.domain_max_memory(a.reference()).await.unwrap(), 1024);
    assert_eq!(driver.domain_max_vcpus(a.reference()).await.unwrap(), 1);
    assert!(!driver.domain_is_updated(a.reference()).await.unwrap());
    let label = SecurityLabel { label: "libvirt-test".to_owned(), is_enforcing: true };
    assert_eq!(a.security_label().await.unwrap(), label);
    a.shutdown(DomainShutdownFlags::empty()).await.unwrap();
    assert!(!a.is_active().await.unwrap());
    assert_eq!(a.security_label().await.unwrap(), SecurityLabel::default());
    a.rename("b").await.unwrap();
    let all = connect.list_all_domains(DomainListFlags::INACTIVE).await.unwrap();
    assert_eq!(all.iter().map(oxivirt::Domain::name).collect::<Vec<_>>(), ["b"]);
    a.undefine(DomainUndefineFlags::empty()).await.unwrap();
    assert!(connect.list_all_domains(DomainListFlags::empty()).await.unwrap().is_empty());
    let transient = connect.domain_create_xml(SMALL, DomainCreateFlags::empty()).await.unwrap();
    transient.destroy(DomainDestroyFlags::GRACEFUL).await.unwrap();
    let uuid = transient.uuid();
    let gone = format!("Domain not found: no domain with matching uuid '{uuid}' (a)");
    check(transient.info().await, ErrorCode::NO_DOMAIN, ErrorDomain::TEST, &gone);
    check(transient.security_label().await, ErrorCode::NO_DOMAIN, ErrorDomain::TEST, &gone);
}

#[tokio::test]
async fn metadata_is_set_and_read() {
    let host = Host::with_domains().await;
    let connect = host.connect(Access::ReadWrite).await;
    let a = connect.domain_define_xml(SMALL, DomainDefineFlags::empty()).await.unwrap();
    let (flags, uri) = (DomainAffectFlags::empty(), Some("http://x".to_owned()));
    let change = DomainMetadataChange {
        kind: MetadataType::Element,
        metadata: Some("<b/>".to_owned()),
        key: Some("k".to_owned()),
        uri: uri.clone(),
        flags,
    };
    a.set_metadata(&change).await.unwrap();
    let read = a.metadata(MetadataType::Element, uri.as_deref(), flags).await.unwrap();
    assert_eq!(read, "<b/>");
    let missing = "metadata not found: Requested metadata element is not present";
    let title = a.metadata(MetadataType::Title, None, flags).await;
    check(title, ErrorCode::NO_DOMAIN_METADATA, ErrorDomain::DOMAIN, missing);
}

#[tokio::test]
async fn a_read_only_connection_changes_nothing() {
    let host = Host::with_domains().await;
    let writing = host.connect(Access::ReadWrite).await;
    let a = writing.domain_define_xml(SMALL, DomainDefineFlags::empty()).await.unwrap();
    let connect = host.connect(Access::ReadOnly).await;
    // the checks of this side are gone round, so that the daemon's are seen
    let driver = connect.connection().domains().unwrap();
    let denied = |api: &str| format!("operation forbidden: read only access prevents {api}");
    let (code, domain) = (ErrorCode::OPERATION_DENIED, ErrorDomain::DOMAIN);
    let started = driver.domain_create(a.reference(), DomainCreateFlags::empty()).await;
    check(started, code, domain, &denied("virDomainCreate"));
    let defined = driver.domain_define_xml(SMALL, DomainDefineFlags::empty()).await;
    check(defined, code, domain, &denied("virDomainDefineXML"));
    let undefined = driver.domain_undefine(a.reference(), DomainUndefineFlags::NVRAM).await;
    check(undefined, code, domain, &denied("virDomainUndefineFlags"));
    let secret = driver.domain_xml_desc(a.reference(), DomainXmlFlags::SECURE).await;
    let text = "operation forbidden: virDomainGetXMLDesc with secure flag";
    check(secret, code, domain, text);
    assert!(driver.domain_xml_desc(a.reference(), DomainXmlFlags::empty()).await.is_ok());
}

#[tokio::test]
async fn events_name_their_registration() {
    let host = Host::with_domains().await;
    let connect = host.connect(Access::ReadWrite).await;
    let a = connect.domain_define_xml(SMALL, DomainDefineFlags::empty()).await.unwrap();
    let (sender, mut events) = mpsc::unbounded_channel();
    let register = async |domain: Option<&DomainRef>, id, tag: &'static str| {
        let sender = sender.clone();
        let callback = Box::new(move |event: &DomainEvent| drop(sender.send((tag, event.clone()))));
        connect.domain_event_register(domain, id, callback).await.unwrap()
    };
    let all = register(None, DomainEventId::Lifecycle, "all").await;
    register(Some(a.reference()), DomainEventId::Lifecycle, "a").await;
    register(None, DomainEventId::MetadataChange, "metadata").await;
    // no driver of ours has these, but clients register for everything
    register(None, DomainEventId::Graphics, "graphics").await;
    let running = a.start().await.unwrap();
    let started = |tag| {
        let (domain, event) = (running.reference().clone(), oxivirt::DomainLifecycleEvent::Started);
        (tag, DomainEvent::Lifecycle { domain, event, detail: 0 })
    };
    assert_eq!(within("an event", events.recv()).await, Some(started("all")));
    assert_eq!(within("an event", events.recv()).await, Some(started("a")));
    connect.domain_event_deregister(all).await.unwrap();
    let change = DomainMetadataChange {
        kind: MetadataType::Title,
        metadata: Some("t".to_owned()),
        key: None,
        uri: None,
        flags: DomainAffectFlags::empty(),
    };
    a.set_metadata(&change).await.unwrap();
    let (tag, event) = within("an event", events.recv()).await.unwrap();
    assert_eq!((tag, event.domain().name.as_str()), ("metadata", "a"));
    a.destroy(DomainDestroyFlags::empty()).await.unwrap();
    assert_eq!(within("an event", events.recv()).await.unwrap().0, "a");
    let unknown = DomainEventId::from_number(77);
    let callback = Box::new(|_: &DomainEvent| ());
    let refused = connect.domain_event_register(None, unknown, callback).await;
    let text = "internal error: unsupported event ID 77";
    check(refused, ErrorCode::INTERNAL_ERROR, ErrorDomain::RPC, text);
}

#[tokio::test]
async fn a_domain_ends_with_its_connection() {
    let driver = in_memory().await;
    let host = Host::new(Arc::clone(&driver), None);
    let connect = host.connect(Access::ReadWrite).await;
    let a = connect.domain_create_xml(SMALL, DomainCreateFlags::AUTODESTROY).await.unwrap();
    let domains = driver.domains().unwrap();
    assert!(domains.domain_is_active(a.reference()).await.unwrap());
    connect.close().await.unwrap();
    let gone = async {
        while domains.domain_is_active(a.reference()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within("the end of the domain", gone).await;
}

/// Allows some actions and notes what it was asked.
#[derive(Default)]
struct Policy {
    allowed: Vec<&'static str>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Authority for Policy {
    async fn check(
        &self,
        _: Process,
        action: &str,
        details: &[(&str, String)],
        _: Interaction,
    ) -> Result<()> {
        let details = details.iter().map(|(key, value)| format!("{key}={value}"));
        let details = details.collect::<Vec<_>>().join(" ");
        let action = action.strip_prefix("org.libvirt.api.").unwrap();
        self.asked.lock().unwrap().push(format!("{action}: {details}"));
        if self.allowed.contains(&action) {
            return Ok(());
        }
        Err(Error::bare(ErrorCode::AUTH_FAILED, ErrorDomain::ACCESS))
    }
}

#[tokio::test]
async fn a_policy_decides_about_each_domain() {
    let driver = in_memory().await;
    let domains = driver.domains().unwrap();
    let a = domains.domain_define_xml(SMALL, DomainDefineFlags::empty()).await.unwrap();
    let allowed =
        vec!["connect.getattr", "connect.search-domains", "domain.read", "domain.init-control"];
    let policy = Arc::new(Policy { allowed, ..Policy::default() });
    let host = Host::new(Arc::clone(&driver), Some(Arc::clone(&policy) as _));
    let connect = host.connect(Access::ReadWrite).await;
    let client = connect.connection().domains().unwrap();
    let (code, domain) = (ErrorCode::ACCESS_DENIED, ErrorDomain::ACCESS);
    let denied = "access denied: 'Test' denied access";
    assert!(client.list_all_domains(DomainListFlags::empty()).await.unwrap().is_empty());
    check(client.domain_lookup_by_name("a").await, code, domain, denied);
    assert!(client.domain_xml_desc(&a, DomainXmlFlags::empty()).await.is_ok());
    check(client.domain_xml_desc(&a, DomainXmlFlags::SECURE).await, code, domain, denied);
    let started = client.domain_create(&a, DomainCreateFlags::empty()).await;
    check(started, code, domain, denied);
    let agent = client.domain_shutdown(&a, DomainShutdownFlags::GUEST_AGENT).await;
    check(agent, code, domain, denied);
    let shut = client.domain_shutdown(&a, DomainShutdownFlags::empty()).await.unwrap_err();
    assert_eq!(shut.code(), ErrorCode::INTERNAL_ERROR, "the driver was asked: {shut}");
    let defined = client.domain_define_xml(SMALL, DomainDefineFlags::empty()).await;
    check(defined, code, domain, denied);
    let asked = policy.asked.lock().unwrap();
    let details = format!("connect_driver=Test domain_name=a domain_uuid={}", a.uuid);
    assert!(asked.contains(&format!("domain.read-secure: {details}")), "{asked:?}");
    assert!(asked.contains(&format!("domain.start: {details}")), "{asked:?}");
    assert!(asked.contains(&"domain.write: connect_driver=Test domain_name=a".to_owned()));
}

/// A driver that has nothing but a host.
#[derive(Debug)]
struct OneHost;

#[async_trait]
impl Connection for OneHost {
    async fn uri(&self) -> Result<String> {
        Ok("test:///default".to_owned())
    }

    fn host(&self) -> Option<&dyn HostDriver> {
        Some(self)
    }
}

#[async_trait]
impl HostDriver for OneHost {
    async fn domain_capabilities(&self, query: &DomainCapabilitiesQuery<'_>) -> Result<String> {
        Ok(format!("{:?} {:?}", query.emulator, query.virt_type))
    }

    async fn cpu_model_names(&self, arch: &str) -> Result<Vec<String>> {
        Ok(vec![format!("{arch}-v1")])
    }

    async fn security_model(&self) -> Result<SecurityModel> {
        Ok(SecurityModel { model: "none".to_owned(), doi: "0".to_owned() })
    }

    async fn cpu_stats(&self, cpu: Option<u32>) -> Result<CpuStats> {
        let kernel = cpu.map_or(100, u64::from);
        Ok(CpuStats { kernel, user: 2, idle: 3, iowait: 4 })
    }

    async fn memory_stats(&self, cell: Option<u32>) -> Result<Vec<(String, u64)>> {
        Ok(vec![(format!("total of {cell:?}"), 5)])
    }

    async fn free_pages(&self, sizes: &[u32], start: i32, count: u32) -> Result<Vec<u64>> {
        Ok(sizes
            .iter()
            .map(|size| u64::from(size + count) + u64::from(start.unsigned_abs()))
            .collect())
    }
}

#[tokio::test]
async fn figures_of_the_host_are_the_drivers() {
    let served = Host::new(Arc::new(OneHost), None);
    let connect = served.connect(Access::ReadWrite).await;
    let host = connect.connection().host().unwrap();
    let query = DomainCapabilitiesQuery {
        emulator: Some("/usr/bin/qemu"),
        virt_type: Some("kvm"),
        ..DomainCapabilitiesQuery::default()
    };
    let text = host.domain_capabilities(&query).await.unwrap();
    assert_eq!(text, "Some(\"/usr/bin/qemu\") Some(\"kvm\")");
    assert_eq!(host.cpu_model_names("x86_64").await.unwrap(), ["x86_64-v1"]);
    assert_eq!(host.security_model().await.unwrap().model, "none");
    assert_eq!(host.cpu_stats(None).await.unwrap().kernel, 100);
    let stats = host.cpu_stats(Some(7)).await.unwrap();
    assert_eq!((stats.kernel, stats.user, stats.idle, stats.iowait), (7, 2, 3, 4));
    let memory = host.memory_stats(Some(1)).await.unwrap();
    assert_eq!(memory, [("total of Some(1)".to_owned(), 5)]);
    assert_eq!(host.free_pages(&[4, 2048], 1, 2).await.unwrap(), [7, 2051]);
    let reading = served.connect(Access::ReadOnly).await;
    let refused = reading.connection().host().unwrap().domain_capabilities(&query).await;
    assert_eq!(refused.unwrap_err().code(), ErrorCode::OPERATION_DENIED);
}

/// A driver that has nothing but consoles; the far end of each goes to the test.
#[derive(Debug)]
struct Consoles(mpsc::UnboundedSender<DuplexStream>);

/// Bytes of a console that are on their way in each direction.
const PIPE: usize = 64 * 1024;

#[async_trait]
impl Connection for Consoles {
    async fn uri(&self) -> Result<String> {
        Ok("test:///default".to_owned())
    }

    fn domains(&self) -> Option<&dyn DomainDriver> {
        Some(self)
    }
}

#[async_trait]
impl DomainDriver for Consoles {
    async fn domain_open_console(
        &self,
        _: &DomainRef,
        device: Option<&str>,
        _: ConsoleFlags,
    ) -> Result<Box<dyn DomainStream>> {
        if let Some(device) = device {
            let detail = format!("cannot find character device {device}");
            return Err(Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::QEMU, detail));
        }
        let (near, far) = tokio::io::duplex(PIPE);
        self.0.send(far).unwrap();
        Ok(Box::new(Pipe(near)))
    }
}

/// An end of a pipe in the form that drivers have.
#[derive(Debug)]
struct Pipe(DuplexStream);

impl futures::AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let polled = Pin::new(&mut self.0).poll_read(cx, &mut buffer);
        polled.map_ok(|()| buffer.filled().len())
    }
}

impl futures::AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A console of a domain, and its far end.
struct Console {
    host: Host,
    connect: Connect,
    near: Box<dyn DomainStream>,
    far: DuplexStream,
}

fn guest() -> DomainRef {
    DomainRef { name: "g".to_owned(), uuid: Uuid::from_u128(7), id: Some(1) }
}

async fn console() -> Console {
    let (sender, mut opened) = mpsc::unbounded_channel();
    let host = Host::new(Arc::new(Consoles(sender)), None);
    let connect = host.connect(Access::ReadWrite).await;
    let domain = connect.domain(guest());
    let near = domain.open_console(None, ConsoleFlags::empty()).await.unwrap();
    let far = opened.recv().await.unwrap();
    Console { host, connect, near, far }
}

#[tokio::test]
async fn a_console_carries_bytes_both_ways_until_it_is_closed() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let Console { host: _host, connect, mut near, mut far } = console().await;
    futures::AsyncWriteExt::write_all(&mut near, b"root\n").await.unwrap();
    let mut read = [0; 5];
    within("a line", far.read_exact(&mut read)).await.unwrap();
    assert_eq!(&read, b"root\n");
    far.write_all(b"Password: ").await.unwrap();
    let mut read = [0; 10];
    within("a prompt", futures::AsyncReadExt::read_exact(&mut near, &mut read)).await.unwrap();
    assert_eq!(&read, b"Password: ");
    within("the finish", futures::AsyncWriteExt::close(&mut near)).await.unwrap();
    assert_eq!(within("the end", far.read(&mut [0; 1])).await.unwrap(), 0);
    assert!(near.write_all(b"x").await.is_err());
    let missing = connect.domain(guest()).open_console(Some("foo"), ConsoleFlags::empty()).await;
    let text = "internal error: cannot find character device foo";
    check(missing, ErrorCode::INTERNAL_ERROR, ErrorDomain::QEMU, text);
}

#[tokio::test]
async fn a_console_that_ends_has_no_more_data() {
    use tokio::io::AsyncWriteExt as _;
    let Console { host: _host, connect: _connect, mut near, mut far } = console().await;
    far.write_all(b"bye").await.unwrap();
    drop(far);
    let mut read = Vec::new();
    within("the end", near.read_to_end(&mut read)).await.unwrap();
    assert_eq!(read, b"bye");
    within("the finish", near.close()).await.unwrap();
}

#[tokio::test]
async fn a_console_that_is_dropped_is_closed() {
    use tokio::io::AsyncReadExt as _;
    let Console { host: _host, connect, near, mut far } = console().await;
    drop(near);
    assert_eq!(within("the end", far.read(&mut [0; 1])).await.unwrap(), 0);
    assert!(connect.is_alive().await.unwrap());
}

#[tokio::test]
async fn a_console_is_free_when_its_client_has_gone() {
    use tokio::io::AsyncReadExt as _;
    let Console { host, connect, near, mut far } = console().await;
    host.server.close_all();
    assert_eq!(within("the end", far.read(&mut [0; 1])).await.unwrap(), 0);
    let mut near = near;
    assert!(near.read(&mut [0; 1]).await.is_err());
    drop(connect);
}

#[tokio::test]
async fn a_guest_that_does_not_read_stops_its_client_and_no_finish() {
    let Console { host: _host, connect, mut near, far } = console().await;
    // far more than all buffers on the way hold
    let flood = vec![b'x'; 8 << 20];
    let written = tokio::time::timeout(Duration::from_millis(300), near.write_all(&flood)).await;
    assert!(written.is_err(), "nothing bounds what is queued");
    // the client's other calls wait behind its data, which ends with the stream
    drop(far);
    within("an answer", connect.driver_type()).await.unwrap_err();
}

#[tokio::test]
async fn a_guest_that_floods_its_console_waits_for_the_reader() {
    use tokio::io::AsyncWriteExt as _;
    let Console { host: _host, connect, mut near, mut far } = console().await;
    let flood = vec![b'y'; 16 << 20];
    let len = flood.len();
    let guest = tokio::spawn(async move {
        far.write_all(&flood).await.unwrap();
        far
    });
    // other calls are answered meanwhile: the driver here has no type, which is an answer
    within("an answer", connect.driver_type()).await.unwrap_err();
    let mut read = vec![0; len];
    within("all bytes", near.read_exact(&mut read)).await.unwrap();
    assert!(read.iter().all(|byte| *byte == b'y'));
    drop(guest.await.unwrap());
}
