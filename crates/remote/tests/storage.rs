//! Calls about pools and volumes over a socket: from the client's driver to the one of a directory, and transfers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::future::poll_fn;
use std::os::unix::fs::MetadataExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use oxivirt::{
    Access, Autostart, Connect, Connection, ErrorCode, OpenOptions, Registry, StorageEvent,
    StoragePool, StoragePoolBuildFlags, StoragePoolCreateFlags, StoragePoolDefineFlags,
    StoragePoolDeleteFlags, StoragePoolEventId, StoragePoolListFlags, StoragePoolState, StorageVol,
    StorageVolCreateFlags, StorageVolDeleteFlags, StorageVolInfoFlags, StorageVolResizeFlags,
    StorageVolTransferFlags, StorageXmlFlags, VolumeRange, VolumeStream, WipeAlgorithm,
};
use oxivirt_remote::client::{Environment, register};
use oxivirt_remote::serve::{Authentication, Daemon, Networks, Profile, Served};
use oxivirt_rpc::limits::{ConnectionLimits, ServerLimits, Workers};
use oxivirt_rpc::server::accept::AuthPolicy;
use oxivirt_rpc::server::{Listener, Server, Socket};
use oxivirt_storage::layout::Layout;
use oxivirt_storage::{Driver, Options, StartWithHost};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(20);
const ALL: VolumeRange = VolumeRange { offset: 0, length: 0 };
const DENSE: StorageVolTransferFlags = StorageVolTransferFlags::empty();
const SPARSE: StorageVolTransferFlags = StorageVolTransferFlags::SPARSE_STREAM;

/// A daemon of pools.
struct Host {
    directory: TempDir,
}

impl Host {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            layout: Layout::below(directory.path()),
            uri: String::from("storage:///system"),
            search_path: std::env::var_os("PATH").unwrap_or_default(),
            autostart: StartWithHost::Never,
        };
        let driver = Driver::open(options).await.unwrap();
        Self::serve(directory, Arc::new(driver), Profile::STORAGE)
    }

    fn serve(directory: TempDir, driver: Arc<dyn Connection>, profile: Profile) -> Self {
        let daemon = Arc::new(Daemon {
            drivers: vec![Served { profile, driver }],
            path: "/system",
            authority: None,
            access: None,
            observer: None,
        });
        let (limits, connection) = (ServerLimits::default(), ConnectionLimits::default());
        let server = Server::new("test", limits, connection, Workers::default());
        let listener = Listener {
            socket: Socket::Unix(UnixListener::bind(directory.path().join("socket")).unwrap()),
            server,
            serves: Arc::new(Networks { daemon, authentication: Authentication::None }),
            read_only: false,
            auth_policy: AuthPolicy::None,
            only_user: None,
        };
        drop(tokio::spawn(listener.run()));
        Self { directory }
    }

    async fn connect(&self, access: Access) -> Connect {
        let mut registry = Registry::new();
        register(&mut registry, Environment::of_process());
        let options = OpenOptions { access, ..OpenOptions::default() };
        let socket = self.directory.path().join("socket");
        let uri = format!("storage+unix:///system?socket={}", socket.display());
        Connect::open(&uri, &registry, &options).await.unwrap()
    }

    fn xml(&self) -> String {
        let path = self.path();
        let path = path.display();
        format!("<pool type='dir'><name>images</name><target><path>{path}</path></target></pool>")
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("images")
    }

    async fn started(&self) -> (Connect, StoragePool) {
        let connect = self.connect(Access::ReadWrite).await;
        let flags = StoragePoolCreateFlags::WITH_BUILD;
        let pool = connect.storage_pool_create_xml(&self.xml(), flags).await.unwrap();
        (connect, pool)
    }
}

async fn make(pool: &StoragePool, name: &str, capacity: u64) -> StorageVol {
    let xml = format!(
        "<volume><name>{name}</name><capacity>{capacity}</capacity><allocation>0</allocation></volume>"
    );
    pool.vol_create_xml(&xml, StorageVolCreateFlags::empty()).await.unwrap()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} took too long"))
}

#[tokio::test]
async fn a_pool_lives_and_goes() {
    let host = Host::new().await;
    let connect = host.connect(Access::ReadWrite).await;
    assert_eq!(connect.driver_type().await.unwrap(), "storage");
    let (sender, mut events) = mpsc::unbounded_channel();
    for id in [StoragePoolEventId::Lifecycle, StoragePoolEventId::Refresh] {
        let sender = sender.clone();
        let note = move |event: &StorageEvent| sender.send(format!("{event:?}")).unwrap();
        connect.storage_pool_event_register(None, id, Box::new(note)).await.unwrap();
    }
    let none = StoragePoolDefineFlags::empty();
    let pool = connect.storage_pool_define_xml(&host.xml(), none).await.unwrap();
    pool.build(StoragePoolBuildFlags::empty()).await.unwrap();
    pool.create(StoragePoolCreateFlags::empty()).await.unwrap();
    pool.set_autostart(Autostart::Enabled).await.unwrap();
    assert_eq!(pool.autostart().await.unwrap(), Autostart::Enabled);
    assert!(pool.is_active().await.unwrap() && pool.is_persistent().await.unwrap());
    let info = pool.info().await.unwrap();
    assert_eq!(info.state, StoragePoolState::Running);
    assert_eq!(info.capacity, info.allocation + info.available);
    let xml = pool.xml_desc(StorageXmlFlags::empty()).await.unwrap();
    assert!(xml.contains("<name>images</name>"), "{xml}");
    let path = host.path();
    let found = connect.storage_pool_lookup_by_target_path(path.to_str().unwrap()).await.unwrap();
    assert_eq!(found.uuid(), pool.uuid());
    let found = connect.storage_pool_lookup_by_uuid_string(&pool.uuid().to_string()).await;
    assert_eq!(found.unwrap().name(), "images");
    let list = connect.list_all_storage_pools(StoragePoolListFlags::ACTIVE).await.unwrap();
    assert_eq!(list.len(), 1);
    pool.refresh().await.unwrap();
    pool.destroy().await.unwrap();
    pool.delete(StoragePoolDeleteFlags::empty()).await.unwrap();
    pool.undefine().await.unwrap();
    let error = connect.storage_pool_lookup_by_name("images").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NO_STORAGE_POOL);
    for expect in ["Defined", "Created", "Started", "Refresh", "Stopped", "Deleted", "Undefined"] {
        let event = within(expect, events.recv()).await.unwrap();
        assert!(event.contains(expect), "{event} is not {expect}");
    }
}

#[tokio::test]
async fn volumes_are_made_found_changed_and_deleted() {
    let host = Host::new().await;
    let (connect, pool) = host.started().await;
    let vol = make(&pool, "a", 1 << 20).await;
    let path = vol.path().await.unwrap();
    assert_eq!(connect.storage_vol_lookup_by_path(&path).await.unwrap().name(), "a");
    assert_eq!(connect.storage_vol_lookup_by_key(vol.key()).await.unwrap().name(), "a");
    assert_eq!(pool.vol_lookup_by_name("a").await.unwrap().key(), path);
    assert_eq!(vol.pool().await.unwrap().uuid(), pool.uuid());
    vol.resize(2 << 20, StorageVolResizeFlags::empty()).await.unwrap();
    let info = vol.info(StorageVolInfoFlags::GET_PHYSICAL).await.unwrap();
    assert_eq!((info.capacity, info.allocation), (2 << 20, 2 << 20));
    assert_eq!(vol.info(StorageVolInfoFlags::empty()).await.unwrap().allocation, 0);
    vol.wipe(WipeAlgorithm::Zero).await.unwrap();
    assert!(vol.wipe(WipeAlgorithm::Gutmann).await.is_err());
    let xml = "<volume><name>b</name></volume>";
    let none = StorageVolCreateFlags::empty();
    pool.vol_create_xml_from(xml, &vol, none).await.unwrap();
    let mut names: Vec<_> = pool.list_all_volumes().await.unwrap();
    names.sort_by_key(|vol| vol.name().to_owned());
    assert_eq!(names.iter().map(StorageVol::name).collect::<Vec<_>>(), ["a", "b"]);
    vol.delete(StorageVolDeleteFlags::empty()).await.unwrap();
    let error = vol.xml_desc().await.unwrap_err();
    let text = "Storage volume not found: no storage vol with matching name 'a'";
    assert_eq!((error.code(), error.message()), (ErrorCode::NO_STORAGE_VOL, text));
}

#[tokio::test]
async fn data_go_both_ways() {
    let host = Host::new().await;
    let (_connect, pool) = host.started().await;
    let vol = make(&pool, "a", 3 << 20).await;
    let data: Vec<u8> = (0..2_500_000_u32).map(|n| n.to_le_bytes()[(n % 4) as usize]).collect();
    let mut up = vol.upload(ALL, DENSE).await.unwrap();
    up.write_all(&data).await.unwrap();
    within("finish", up.close()).await.unwrap();
    let bytes = fs::read(host.path().join("a")).unwrap();
    assert!(bytes.len() == 3 << 20 && bytes.starts_with(&data));
    let mut found = Vec::new();
    let mut down = vol.download(ALL, DENSE).await.unwrap();
    within("download", down.read_to_end(&mut found)).await.unwrap();
    down.close().await.unwrap();
    assert!(found == bytes);
    // one that is dropped is aborted; the connection goes on
    let mut down = vol.download(ALL, DENSE).await.unwrap();
    down.read_exact(&mut [0; 10]).await.unwrap();
    drop(down);
    assert!(pool.is_active().await.unwrap());
}

async fn hole(stream: &mut dyn VolumeStream) -> u64 {
    within("hole", poll_fn(|cx| Pin::new(&mut *stream).poll_hole(cx))).await.unwrap()
}

async fn write_hole(stream: &mut dyn VolumeStream, length: u64) {
    poll_fn(|cx| Pin::new(&mut *stream).poll_write_hole(cx, length)).await.unwrap();
}

#[tokio::test]
async fn holes_are_transferred_if_both_sides_want_them() {
    let host = Host::new().await;
    let (_connect, pool) = host.started().await;
    let vol = make(&pool, "a", 1).await;
    let mut up = vol.upload(ALL, SPARSE).await.unwrap();
    write_hole(&mut *up, 8 << 20).await;
    up.write_all(&[7; 4096]).await.unwrap();
    write_hole(&mut *up, 1 << 20).await;
    within("finish", up.close()).await.unwrap();
    let meta = fs::metadata(host.path().join("a")).unwrap();
    assert_eq!(meta.len(), (9 << 20) + 4096);
    assert!(meta.blocks() * 512 < 1 << 20);
    let mut down = vol.download(ALL, SPARSE).await.unwrap();
    assert_eq!(hole(&mut *down).await, 8 << 20);
    let mut data = [0; 4096];
    down.read_exact(&mut data).await.unwrap();
    assert_eq!(data, [7; 4096]);
    assert_eq!(hole(&mut *down).await, 1 << 20);
    assert_eq!((hole(&mut *down).await, down.read(&mut data).await.unwrap()), (0, 0));
    down.close().await.unwrap();
    // a client that did not ask for holes must not send any
    let mut up = vol.upload(ALL, DENSE).await.unwrap();
    write_hole(&mut *up, 10).await;
    let error = within("refusal", up.close()).await.unwrap_err();
    assert!(error.to_string().contains("Unexpected stream hole"), "{error}");
}

#[tokio::test]
async fn an_upload_that_fails_says_so() {
    let host = Host::new().await;
    let (_connect, pool) = host.started().await;
    let vol = make(&pool, "a", 10).await;
    let mut up = vol.upload(VolumeRange { offset: 0, length: 3 }, DENSE).await.unwrap();
    up.write_all(b"abcdef").await.unwrap();
    let error = within("refusal", up.close()).await.unwrap_err();
    assert!(error.to_string().contains("No space left on device"), "{error}");
    assert!(fs::read(host.path().join("a")).unwrap().starts_with(b"abc\0"));
    let missing = connect_missing(&pool).await;
    assert_eq!(missing, ErrorCode::NO_STORAGE_VOL);
}

/// The error of a transfer from a volume that is not there.
async fn connect_missing(pool: &StoragePool) -> ErrorCode {
    let mut reference = make(pool, "b", 1).await.reference().clone();
    reference.name = String::from("none");
    let vol = pool.connect().storage_vol(reference);
    vol.download(ALL, DENSE).await.unwrap_err().code()
}

#[tokio::test]
async fn a_read_only_client_changes_nothing() {
    let host = Host::new().await;
    let (_connect, pool) = host.started().await;
    make(&pool, "a", 10).await;
    let connect = host.connect(Access::ReadOnly).await;
    // the daemon's check, not the client's
    let storage = connect.connection().storage().unwrap();
    let pool = storage.storage_pool_lookup_by_name("images").await.unwrap();
    let vol = storage.storage_vol_lookup_by_name(&pool, "a").await.unwrap();
    let codes = [
        storage.storage_pool_destroy(&pool).await.unwrap_err().code(),
        storage.storage_pool_refresh(&pool, 0).await.unwrap_err().code(),
        storage.storage_vol_delete(&vol, StorageVolDeleteFlags::empty()).await.unwrap_err().code(),
        storage.storage_vol_upload(&vol, ALL, DENSE).await.unwrap_err().code(),
        storage.storage_vol_download(&vol, ALL, DENSE).await.unwrap_err().code(),
    ];
    assert_eq!(codes, [ErrorCode::OPERATION_DENIED; 5]);
    assert!(storage.storage_vol_info(&vol, StorageVolInfoFlags::empty()).await.is_ok());
}

#[tokio::test]
async fn a_hypervisor_without_storage_lists_none() {
    /// A connection that has nothing.
    #[derive(Debug)]
    struct Bare;

    #[async_trait::async_trait]
    impl Connection for Bare {
        async fn uri(&self) -> oxivirt::Result<String> {
            Ok(String::from("storage:///system"))
        }
    }

    for (is_hypervisor, expect) in [(true, Some(0)), (false, None)] {
        let profile = Profile { is_hypervisor, ..Profile::STORAGE };
        let host = Host::serve(tempfile::tempdir().unwrap(), Arc::new(Bare), profile);
        let connect = host.connect(Access::ReadWrite).await;
        let pools = connect.list_all_storage_pools(StoragePoolListFlags::empty()).await;
        assert_eq!(pools.ok().map(|pools| pools.len()), expect);
        assert!(connect.storage_pool_lookup_by_name("x").await.is_err());
    }
}
