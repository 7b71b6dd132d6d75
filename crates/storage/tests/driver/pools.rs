//! Pools: their life, their files, what is refused.

use std::fs;
use std::sync::mpsc;

use oxivirt::{Autostart, StorageEvent};
use oxivirt_storage::StartWithHost;
use oxivirt_types::storage::{
    StoragePoolBuildFlags, StoragePoolCreateFlags, StoragePoolDefineFlags, StoragePoolDeleteFlags,
    StoragePoolEventId, StoragePoolListFlags, StoragePoolState, StorageXmlFlags,
};

use crate::{Root, check_error, make, mode};

const DEFINE: StoragePoolDefineFlags = StoragePoolDefineFlags::empty();
const CREATE: StoragePoolCreateFlags = StoragePoolCreateFlags::empty();
const BUILD: StoragePoolBuildFlags = StoragePoolBuildFlags::empty();
const DELETE: StoragePoolDeleteFlags = StoragePoolDeleteFlags::empty();
const LIST: StoragePoolListFlags = StoragePoolListFlags::empty();

#[tokio::test]
async fn a_pool_from_definition_to_removal() {
    let root = Root::new();
    let connect = root.open().await;
    let (sender, events) = mpsc::channel();
    for id in [StoragePoolEventId::Lifecycle, StoragePoolEventId::Refresh] {
        let sender = sender.clone();
        let note = move |event: &StorageEvent| {
            let text = match event {
                StorageEvent::Lifecycle { event, .. } => format!("{event:?}"),
                _ => String::from("refresh"),
            };
            sender.send(text).unwrap();
        };
        connect.storage_pool_event_register(None, id, Box::new(note)).await.unwrap();
    }
    let pool = connect.storage_pool_define_xml(&root.pool_xml(), DEFINE).await.unwrap();
    let missing =
        format!("cannot open directory '{}': No such file or directory", root.pool().display());
    check_error(pool.create(CREATE).await, 38, &missing);
    for _ in 0..2 {
        pool.build(BUILD).await.unwrap();
    }
    assert_eq!(mode(root.pool()), 0o711);
    assert_eq!(pool.info().await.unwrap().state, StoragePoolState::Inactive);
    pool.create(CREATE).await.unwrap();
    let text = "Requested operation is not valid: storage pool 'images' is already active";
    check_error(pool.create(CREATE).await, 55, text);
    check_error(pool.build(BUILD).await, 55, text);
    let text = "Requested operation is not valid: storage pool 'images' is still active";
    check_error(pool.undefine().await, 55, text);
    check_error(pool.delete(DELETE).await, 55, text);
    let info = pool.info().await.unwrap();
    assert_eq!(info.capacity, info.allocation + info.available);
    assert!(info.state == StoragePoolState::Running && info.capacity > 0);
    make(&pool, "a", 10).await;
    pool.refresh().await.unwrap();
    assert_eq!(pool.list_all_volumes().await.unwrap().len(), 1);
    pool.destroy().await.unwrap();
    let text = "Requested operation is not valid: storage pool 'images' is not active";
    check_error(pool.destroy().await, 55, text);
    check_error(pool.refresh().await, 55, text);
    check_error(pool.list_all_volumes().await, 55, text);
    let full = format!("failed to remove pool '{}': Directory not empty", root.pool().display());
    check_error(pool.delete(DELETE).await, 38, &full);
    fs::remove_file(root.pool().join("a")).unwrap();
    pool.delete(DELETE).await.unwrap();
    assert!(!root.pool().exists());
    pool.undefine().await.unwrap();
    let text = "Storage pool not found: no storage pool with matching name 'images'";
    check_error(connect.storage_pool_lookup_by_name("images").await, 49, text);
    let order: Vec<String> = events.try_iter().collect();
    let expect =
        ["Defined", "Created", "Created", "Started", "refresh", "Stopped", "Deleted", "Undefined"];
    assert_eq!(order, expect);
}

#[tokio::test]
async fn files_are_libvirts_and_private() {
    let root = Root::new();
    let (connect, pool) = root.started().await;
    assert!(!pool.is_persistent().await.unwrap());
    check_error(
        pool.set_autostart(Autostart::Enabled).await,
        1,
        "internal error: pool has no config file",
    );
    connect.storage_pool_define_xml(&pool_with_uuid(&root, &pool), DEFINE).await.unwrap();
    pool.set_autostart(Autostart::Enabled).await.unwrap();
    let layout = root.layout();
    let config = fs::read_to_string(layout.config_file("images")).unwrap();
    let state = fs::read_to_string(layout.state_file("images")).unwrap();
    assert!(config.contains("\n  virsh pool-edit images\n"), "{config}");
    assert!(config.contains("\n  <capacity unit='bytes'>0</capacity>\n"), "{config}");
    assert!(state.contains("\n<poolstate>\n  <pool type='dir'>\n"), "{state}");
    for file in [layout.config_file("images"), layout.state_file("images")] {
        assert_eq!(mode(file), 0o600);
    }
    let link = fs::read_link(layout.autostart_link("images")).unwrap();
    assert_eq!(link.canonicalize().unwrap(), layout.config_file("images").canonicalize().unwrap());
    pool.destroy().await.unwrap();
    assert!(!layout.state_file("images").exists());
    pool.undefine().await.unwrap();
    assert!(!layout.config_file("images").exists());
    assert!(fs::symlink_metadata(layout.autostart_link("images")).is_err());
}

fn pool_with_uuid(root: &Root, pool: &oxivirt::StoragePool) -> String {
    root.pool_xml().replace("<target>", &format!("<uuid>{}</uuid><target>", pool.uuid()))
}

#[tokio::test]
async fn clashes_of_name_uuid_and_place_change_nothing() {
    let root = Root::new();
    let connect = root.open().await;
    let pool = connect.storage_pool_define_xml(&root.pool_xml(), DEFINE).await.unwrap();
    let before = fs::read(root.layout().config_file("images")).unwrap();
    let define = |xml: String| {
        let connect = connect.clone();
        async move { connect.storage_pool_define_xml(&xml, DEFINE).await }
    };
    let (path, uuid) = (root.pool(), pool.uuid());
    let other = |name: &str, rest: &str, path: &str| {
        let target = format!("<target><path>{path}</path></target>");
        format!("<pool type='dir'><name>{name}</name>{rest}{target}</pool>")
    };
    let text = format!("operation failed: pool 'images' already exists with uuid {uuid}");
    check_error(define(other("images", "", "/x")).await, 9, &text);
    let text = format!("operation failed: pool 'images' is already defined with uuid {uuid}");
    let same = format!("<uuid>{uuid}</uuid>");
    check_error(define(other("b", &same, "/x")).await, 9, &text);
    let text = "operation failed: Storage source conflict with pool: 'images'";
    check_error(define(other("b", "", &format!("{}//", path.display()))).await, 9, text);
    let text = "XML error: name .. cannot be the name of a file";
    check_error(define(other("..", "", "/x")).await, 27, text);
    assert_eq!(connect.list_all_storage_pools(LIST).await.unwrap().len(), 1);
    assert_eq!(fs::read(root.layout().config_file("images")).unwrap(), before);
    // the same pool may change
    define(other("images", &same, "/y")).await.unwrap();
    assert!(pool.xml_desc(StorageXmlFlags::empty()).await.unwrap().contains("<path>/y</path>"));
}

#[tokio::test]
async fn types_that_are_not_served_are_kept_or_refused_by_name() {
    let root = Root::new();
    let connect = root.open().await;
    let xml = "<pool type='fs'><name>f</name><source><device path='/dev/x'/></source>\
               <target><path>/mnt</path></target></pool>";
    let pool = connect.storage_pool_define_xml(xml, DEFINE).await.unwrap();
    let text =
        "unsupported configuration: storage pools of type 'fs' cannot be used by this driver";
    check_error(pool.create(CREATE).await, 67, text);
    check_error(pool.build(BUILD).await, 67, text);
    check_error(pool.delete(DELETE).await, 67, text);
    let xml = "<pool type='logical'><name>l</name><source><name>vg0</name></source></pool>";
    connect.storage_pool_define_xml(xml, DEFINE).await.unwrap();
    let xml = "<pool type='gluster'><name>g</name><source><host name='x'/><name>v</name>\
               </source></pool>";
    let text = "internal error: missing backend for pool type 11 (gluster)";
    check_error(connect.storage_pool_define_xml(xml, DEFINE).await, 1, text);
    let listed = |flags| {
        let connect = connect.clone();
        async move {
            let pools = connect.list_all_storage_pools(flags).await.unwrap();
            let mut names: Vec<_> = pools.iter().map(|pool| pool.name().to_owned()).collect();
            names.sort();
            names
        }
    };
    assert_eq!(listed(LIST).await, ["f", "l"]);
    assert_eq!(listed(StoragePoolListFlags::FS | StoragePoolListFlags::DIR).await, ["f"]);
    assert_eq!(listed(StoragePoolListFlags::ACTIVE).await, [""; 0]);
    drop((connect, pool));
    let connect = root.open().await;
    assert_eq!(connect.list_all_storage_pools(LIST).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_started_pool_outlives_its_driver() {
    let root = Root::new();
    let (connect, pool) = root.started().await;
    make(&pool, "a", 10).await;
    let second = root.try_open(StartWithHost::Never).await.unwrap_err();
    assert_eq!(second.code().0, 38);
    drop((connect, pool));
    let connect = root.open().await;
    let pool = connect.storage_pool_lookup_by_name("images").await.unwrap();
    assert!(pool.is_active().await.unwrap() && !pool.is_persistent().await.unwrap());
    assert_eq!(pool.list_all_volumes().await.unwrap().len(), 1);
    drop((connect, pool));
    // without its directory it has stopped, and nothing is left of a transient pool
    fs::remove_dir_all(root.pool()).unwrap();
    let connect = root.open().await;
    assert_eq!(connect.list_all_storage_pools(LIST).await.unwrap().len(), 0);
    assert!(!root.layout().state_file("images").exists());
}

#[tokio::test]
async fn pools_start_with_the_host_once() {
    let root = Root::new();
    let connect = root.open().await;
    let pool = connect.storage_pool_define_xml(&root.pool_xml(), DEFINE).await.unwrap();
    pool.build(BUILD).await.unwrap();
    pool.set_autostart(Autostart::Enabled).await.unwrap();
    drop((connect, pool));
    for is_active in [true, false] {
        let connect = root.try_open(StartWithHost::Once).await.unwrap();
        let pool = connect.storage_pool_lookup_by_name("images").await.unwrap();
        assert_eq!(pool.is_active().await.unwrap(), is_active);
        if is_active {
            pool.destroy().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_change_of_a_started_pool_takes_effect_when_it_stops() {
    let root = Root::new();
    let (connect, pool) = root.started().await;
    let xml = pool_with_uuid(&root, &pool).replace("/images<", "/other<");
    connect.storage_pool_define_xml(&xml, DEFINE).await.unwrap();
    let live = pool.xml_desc(StorageXmlFlags::empty()).await.unwrap();
    let inactive = pool.xml_desc(StorageXmlFlags::INACTIVE).await.unwrap();
    assert!(live.contains("/images</path>") && inactive.contains("/other</path>"), "{live}");
    pool.destroy().await.unwrap();
    assert_eq!(pool.xml_desc(StorageXmlFlags::empty()).await.unwrap(), inactive);
}

#[tokio::test]
async fn a_pool_whose_directory_vanishes_stops_at_its_refresh() {
    let root = Root::new();
    let connect = root.open().await;
    let pool = connect.storage_pool_define_xml(&root.pool_xml(), DEFINE).await.unwrap();
    pool.create(StoragePoolCreateFlags::WITH_BUILD).await.unwrap();
    fs::remove_dir(root.pool()).unwrap();
    assert_eq!(pool.refresh().await.unwrap_err().code().0, 38);
    assert!(!pool.is_active().await.unwrap());
}

#[tokio::test]
async fn unknown_flags_are_refused_in_libvirts_words() {
    let root = Root::new();
    let (connect, pool) = root.started().await;
    let text = "unsupported flags (0x8) in function storagePoolDefineXML";
    let flags = StoragePoolDefineFlags::from_bits_retain(8);
    check_error(connect.storage_pool_define_xml(&root.pool_xml(), flags).await, 8, text);
    let text = "unsupported flags (0x2) in function storagePoolGetXMLDesc";
    check_error(pool.xml_desc(StorageXmlFlags::from_bits_retain(3)).await, 8, text);
}
