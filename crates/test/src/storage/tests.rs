//! What libvirt's test driver does, recorded from it.

use std::sync::{Arc, Mutex};

use super::*;
use crate::state::State;

const Q: &str = "<pool type='dir'><name>q</name><target><path>/q</path></target></pool>";
const A: &str = "<volume><name>a</name><capacity unit='G'>60</capacity></volume>";

fn driver() -> TestDriver {
    TestDriver::new("test:///default", Arc::new(State::with_default()))
}

#[track_caller]
fn check<T: std::fmt::Debug>(result: Result<T>, code: i32, domain: i32, message: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.code().0, error.domain().0, error.message()), (code, domain, message));
}

async fn default_pool(driver: &TestDriver) -> StoragePoolRef {
    driver.storage_pool_lookup_by_name("default-pool").await.unwrap()
}

#[tokio::test]
async fn the_default_pool_is_libvirts() {
    let driver = driver();
    let pool = default_pool(&driver).await;
    let xml = driver.storage_pool_xml_desc(&pool, StorageXmlFlags::empty()).await.unwrap();
    let expect = "<pool type='dir'>\n  <name>default-pool</name>\n  \
                  <uuid>dfe224cb-28fb-8dd0-c4b2-64eb3f0f4566</uuid>\n  \
                  <capacity unit='bytes'>107374182400</capacity>\n  \
                  <allocation unit='bytes'>0</allocation>\n  \
                  <available unit='bytes'>107374182400</available>\n  <source>\n  </source>\n  \
                  <target>\n    <path>/default-pool</path>\n  </target>\n</pool>\n";
    assert_eq!(xml, expect);
}

#[tokio::test]
async fn a_volume_takes_its_allocation_from_the_pool() {
    let driver = driver();
    let pool = default_pool(&driver).await;
    let create = async |xml: String| {
        driver.storage_vol_create_xml(&pool, &xml, StorageVolCreateFlags::empty()).await
    };
    let a = create(A.to_owned()).await.unwrap();
    assert_eq!(a.key, "/default-pool/a");
    let info = driver.storage_pool_info(&pool).await.unwrap();
    assert_eq!((info.allocation, info.available), (60 << 30, 40 << 30));
    let full = "internal error: Not enough free space in pool for volume 'b'";
    check(create(A.replace(">a<", ">b<")).await, 1, 12, full);
    check(create(A.to_owned()).await, 9, 12, "operation failed: storage vol already exists");
    let none = A.replace(">a<", ">b<").replace("</volume>", "<allocation>0</allocation></volume>");
    create(none).await.unwrap();
    driver.storage_vol_delete(&a, StorageVolDeleteFlags::empty()).await.unwrap();
    assert_eq!(driver.storage_pool_info(&pool).await.unwrap().allocation, 0);
    let gone = "Storage volume not found: no storage vol with matching name 'a'";
    check(driver.storage_vol_path(&a).await, 50, 12, gone);
}

#[tokio::test]
async fn events_are_those_of_libvirt() {
    let driver = driver();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&seen);
    let callback = Box::new(move |event: &StorageEvent| {
        let StorageEvent::Lifecycle { pool, event, .. } = event else { return };
        to.lock().unwrap().push((pool.name.clone(), event.number()));
    });
    driver
        .storage_pool_event_register(None, StoragePoolEventId::Lifecycle, callback)
        .await
        .unwrap();
    let pool = default_pool(&driver).await;
    driver.storage_pool_destroy(&pool).await.unwrap();
    driver.storage_pool_build(&pool, StoragePoolBuildFlags::empty()).await.unwrap();
    driver.storage_pool_delete(&pool, StoragePoolDeleteFlags::empty()).await.unwrap();
    driver.storage_pool_create(&pool, StoragePoolCreateFlags::empty()).await.unwrap();
    let q = driver.storage_pool_define_xml(Q, StoragePoolDefineFlags::empty()).await.unwrap();
    driver.storage_pool_undefine(&q).await.unwrap();
    let q = driver.storage_pool_create_xml(Q, StoragePoolCreateFlags::empty()).await.unwrap();
    driver.storage_pool_destroy(&q).await.unwrap();
    let seen = seen.lock().unwrap();
    let seen: Vec<_> = seen.iter().map(|(name, event)| (name.as_str(), *event)).collect();
    let (d, q) = ("default-pool", "q");
    assert_eq!(seen, [(d, 3), (d, 4), (d, 5), (d, 2), (q, 0), (q, 1), (q, 2), (q, 3)]);
}

#[tokio::test]
async fn refusals_are_those_of_libvirt() {
    let driver = driver();
    let pool = default_pool(&driver).await;
    let invalid = |detail: &str| format!("Requested operation is not valid: {detail}");
    let undefined = driver.storage_pool_undefine(&pool).await;
    check(undefined, 55, 12, &invalid("storage pool 'default-pool' is active"));
    let refreshed = driver.storage_pool_refresh(&pool, 4).await;
    check(refreshed, 8, 12, "unsupported flags (0x4) in function testStoragePoolRefresh");
    let missing = "Storage volume not found: no storage vol with matching path 'x'";
    check(driver.storage_vol_lookup_by_path("x").await, 50, 12, missing);
    let create = StoragePoolCreateFlags::empty();
    let same_place = Q.replace(">/q<", ">/default-pool<");
    let conflict = "operation failed: Storage source conflict with pool: 'default-pool'";
    check(driver.storage_pool_create_xml(&same_place, create).await, 9, 18, conflict);
    let q = driver.storage_pool_create_xml(Q, create).await.unwrap();
    let marked = driver.storage_pool_set_autostart(&q, Autostart::Enabled).await;
    check(marked, 8, 12, "invalid argument: pool has no config file");
    let again = driver.storage_pool_define_xml(Q, StoragePoolDefineFlags::empty()).await;
    let taken = format!("operation failed: pool 'q' already exists with uuid {}", q.uuid);
    check(again, 9, 18, &taken);
    driver.storage_pool_destroy(&q).await.unwrap();
    let gone = "Storage pool not found: no storage pool with matching name 'q'";
    check(driver.storage_pool_info(&q).await, 49, 12, gone);
    let capabilities = driver.storage_pool_capabilities(0).await;
    let unsupported = "this function is not supported by the connection driver: \
                       virConnectGetStoragePoolCapabilities";
    check(capabilities, 3, 18, unsupported);
}
