//! What libvirt's test driver does.

use std::sync::{Arc, Mutex};

use oxivirt::{
    DomainCreateFlags, DomainDefineFlags, DomainDestroyFlags, DomainDriver as _, DomainEventId,
    DomainShutdownFlags, DomainUndefineFlags, DomainXmlFlags, MetadataType,
};

use super::*;
use crate::state::State;

fn driver() -> TestDriver {
    TestDriver::new("test:///default", Arc::new(State::with_default()))
}

const SMALL: &str = "<domain type='test'><name>a</name><memory>1024</memory><vcpu>1</vcpu>\
                     <os><type>hvm</type></os></domain>";

#[track_caller]
fn check<T: std::fmt::Debug>(result: Result<T>, code: i32, domain: i32, message: &str) {
    let error = result.unwrap_err();
    let found = (error.code().0, error.domain().0, error.message());
    assert_eq!(found, (code, domain, message));
}

#[tokio::test]
async fn the_default_domain_is_libvirts() {
    let driver = driver();
    let all = driver.list_all_domains(DomainListFlags::ACTIVE).await.unwrap();
    let [test] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((test.name.as_str(), test.id), ("test", Some(1)));
    let info = driver.domain_info(test).await.unwrap();
    let figures = (info.max_memory_kib, info.memory_kib, info.n_vcpus);
    assert_eq!(figures, (8_388_608, 2_097_152, 2));
    let xml = driver.domain_xml_desc(test, DomainXmlFlags::empty()).await.unwrap();
    // printed by libvirt's test driver
    assert_eq!(xml, include_str!("../../data/test.xml"));
}

#[tokio::test]
async fn events_are_those_of_libvirt() {
    let driver = driver();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&seen);
    let callback = Box::new(move |event: &DomainEvent| {
        let DomainEvent::Lifecycle { domain, event, detail } = event else { return };
        to.lock().unwrap().push((domain.name.clone(), domain.id, event.number(), *detail));
    });
    driver.domain_event_register(None, DomainEventId::Lifecycle, callback).await.unwrap();
    let test = driver.domain_lookup_by_name("test").await.unwrap();
    driver.domain_reboot(&test, DomainShutdownFlags::empty()).await.unwrap();
    driver.domain_suspend(&test).await.unwrap();
    driver.domain_resume(&test).await.unwrap();
    driver.domain_shutdown(&test, DomainShutdownFlags::empty()).await.unwrap();
    driver.domain_create(&test, DomainCreateFlags::empty()).await.unwrap();
    driver.domain_destroy(&test, DomainDestroyFlags::empty()).await.unwrap();
    let define = DomainDefineFlags::empty();
    let a = driver.domain_define_xml(SMALL, define).await.unwrap();
    let xml = driver.domain_xml_desc(&a, DomainXmlFlags::empty()).await.unwrap();
    driver.domain_define_xml(&xml, define).await.unwrap();
    driver.domain_rename(&a, "b", 0).await.unwrap();
    driver.domain_create(&a, DomainCreateFlags::empty()).await.unwrap();
    driver.domain_undefine(&a, DomainUndefineFlags::empty()).await.unwrap();
    driver.domain_destroy(&a, DomainDestroyFlags::empty()).await.unwrap();
    let seen = seen.lock().unwrap();
    let seen: Vec<_> = seen.iter().map(|(name, id, e, d)| (name.as_str(), *id, *e, *d)).collect();
    // recorded from libvirt's test driver
    let expect = [
        ("test", Some(1), 3, 0),
        ("test", Some(1), 4, 0),
        ("test", None, 5, 0),
        ("test", Some(2), 2, 0),
        ("test", None, 5, 1),
        ("a", None, 0, 0),
        ("a", None, 0, 1),
        ("a", None, 1, 1),
        ("b", None, 0, 2),
        ("b", Some(3), 2, 0),
        ("b", Some(3), 1, 0),
        ("b", None, 5, 1),
    ];
    assert_eq!(seen, expect);
}

#[tokio::test]
async fn refusals_are_those_of_libvirt() {
    let driver = driver();
    let test = driver.domain_lookup_by_name("test").await.unwrap();
    check(driver.domain_lookup_by_name("q").await, 42, 12, "Domain not found");
    let again = driver.domain_create(&test, DomainCreateFlags::empty()).await;
    check(again, 1, 12, "internal error: Domain 'test' is already running");
    check(driver.domain_resume(&test).await, 1, 12, "internal error: domain 'test' not paused");
    let paused = driver.domain_create(&test, DomainCreateFlags::PAUSED).await;
    check(paused, 8, 12, "unsupported flags (0x1) in function testDomainCreateWithFlags");
    let invalid = "Requested operation is not valid: ";
    let renamed = driver.domain_rename(&test, "y", 0).await;
    check(renamed, 55, 20, &format!("{invalid}cannot rename active domain"));
    let flags = DomainAffectFlags::empty();
    let title = driver.domain_metadata(&test, MetadataType::Title, None, flags).await;
    let missing = "metadata not found: Requested metadata element is not present";
    check(title, 80, 20, missing);
    let a = driver.domain_create_xml(SMALL, DomainCreateFlags::empty()).await.unwrap();
    let xml = driver.domain_xml_desc(&a, DomainXmlFlags::empty()).await.unwrap();
    let again = driver.domain_create_xml(&xml, DomainCreateFlags::empty()).await;
    check(again, 55, 20, &format!("{invalid}domain 'a' is already active"));
    let other = driver.domain_define_xml(SMALL, DomainDefineFlags::empty()).await;
    let taken = format!("operation failed: domain 'a' already exists with uuid {}", a.uuid);
    check(other, 9, 20, &taken);
    driver.domain_destroy(&a, DomainDestroyFlags::empty()).await.unwrap();
    let uuid = a.uuid;
    let gone = format!("Domain not found: no domain with matching uuid '{uuid}' (a)");
    check(driver.domain_info(&a).await, 42, 12, &gone);
}

#[tokio::test]
async fn groups_of_flags_filter_together() {
    let driver = driver();
    let a = driver.domain_define_xml(SMALL, DomainDefineFlags::empty()).await.unwrap();
    let names = async |flags| {
        let all = driver.list_all_domains(flags).await.unwrap();
        let mut names: Vec<_> = all.into_iter().map(|domain| domain.name).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names(DomainListFlags::empty()).await, "a test");
    assert_eq!(names(DomainListFlags::INACTIVE).await, "a");
    assert_eq!(names(DomainListFlags::ACTIVE | DomainListFlags::INACTIVE).await, "a test");
    assert_eq!(names(DomainListFlags::ACTIVE | DomainListFlags::AUTOSTART).await, "");
    driver.domain_set_autostart(&a, Autostart::Enabled).await.unwrap();
    assert_eq!(names(DomainListFlags::AUTOSTART | DomainListFlags::SHUTOFF).await, "a");
    assert_eq!(names(DomainListFlags::HAS_SNAPSHOT).await, "");
}

#[tokio::test]
async fn a_definition_given_while_it_runs_is_that_of_the_next_start() {
    let driver = driver();
    let test = driver.domain_lookup_by_name("test").await.unwrap();
    let changed = DEFAULT.replace("<vcpu>2</vcpu>", "<vcpu>4</vcpu>");
    driver.domain_define_xml(&changed, DomainDefineFlags::empty()).await.unwrap();
    assert_eq!(driver.domain_info(&test).await.unwrap().n_vcpus, 2);
    let stored = driver.domain_xml_desc(&test, DomainXmlFlags::INACTIVE).await.unwrap();
    assert!(stored.contains(">4</vcpu>"), "{stored}");
    driver.domain_destroy(&test, DomainDestroyFlags::empty()).await.unwrap();
    assert_eq!(driver.domain_info(&test).await.unwrap().n_vcpus, 4);
}
