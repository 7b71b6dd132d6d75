//! Defining, starting, stopping, and what a restart finds.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use oxivirt::{
    Autostart, CreateFlags, DefineFlags, ListFlags, NetworkDriver as _, NetworkEventId, Update,
    UpdateCommand, UpdateFlags, UpdateSection, XmlFlags,
};
use oxivirt_network::plan::HostFacts;

use crate::bench::{Bench, XML, check_error, define};

#[tokio::test]
async fn start_and_destroy_leave_the_host_as_it_was() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    let (files, before) = (bench.files(), bench.host.state());
    driver.network_create(&net).await.unwrap();
    let running = bench.host.state();
    assert_eq!(running.bridges.len(), 1);
    assert_eq!(running.dnsmasq.len(), 1);
    assert_eq!(running.chains.len(), 3);
    assert_eq!(running.sysctls["net/ipv4/ip_forward"], "1");
    assert!(bench.layout().status_file("default").exists());
    assert!(driver.network_is_active(&net).await.unwrap());
    driver.network_destroy(&net).await.unwrap();
    // Host-wide forwarding stays, and is the only thing that does.
    let after = bench.host.state();
    assert_eq!(after.bridges, before.bridges);
    assert_eq!(after.chains, before.chains);
    assert_eq!(after.dnsmasq, before.dnsmasq);
    assert_eq!(after.files, before.files);
    assert_eq!(bench.files(), files);
}

#[tokio::test]
async fn a_failure_at_any_step_leaves_nothing() {
    let mut n_failures = 0;
    for step in 0..100 {
        let bench = Bench::new();
        let driver = bench.open().await;
        let net = define(&driver).await;
        let files = bench.files();
        bench.host.fail_at(Some(step));
        if driver.network_create(&net).await.is_ok() {
            break;
        }
        n_failures += 1;
        let state = bench.host.state();
        assert!(state.bridges.is_empty() && state.chains.is_empty(), "step {step}: {state:?}");
        assert!(state.dnsmasq.is_empty() && state.files.is_empty(), "step {step}: {state:?}");
        assert_eq!(bench.files(), files, "step {step}");
        assert!(!driver.network_is_active(&net).await.unwrap());
        bench.host.fail_at(None);
        driver.network_create(&net).await.unwrap();
    }
    assert_eq!(n_failures, 13, "as many as a start has steps");
}

#[tokio::test]
async fn a_foreign_bridge_is_never_touched() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    bench.host.change(|state| {
        state.bridges.insert("virbr0".into(), [2, 0, 0, 0, 0, 1]);
    });
    let before = bench.host.state();
    check_error(
        driver.network_create(&net).await,
        38,
        "error creating bridge interface virbr0: File exists",
    );
    assert_eq!(bench.host.state(), before);
}

#[tokio::test]
async fn running_networks_survive_the_driver() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    driver.network_create(&net).await.unwrap();
    let transient = XML
        .replace("default", "other")
        .replace("virbr0", "virbr1")
        .replace("1111-2222", "1111-2223");
    let transient = transient.replace("192.168.122", "192.168.123");
    let other = driver.network_create_xml(&transient, CreateFlags::NONE).await.unwrap();
    let xml = driver.network_xml_desc(&net, XmlFlags::NONE).await.unwrap();
    let status = std::fs::read(bench.layout().status_file("default")).unwrap();
    drop(driver);

    let steps = bench.host.steps().len();
    let driver = bench.open().await;
    assert_eq!(bench.host.steps().len(), steps, "nothing was wrong, so nothing is done");
    assert_eq!(driver.network_xml_desc(&net, XmlFlags::NONE).await.unwrap(), xml);
    assert_eq!(std::fs::read(bench.layout().status_file("default")).unwrap(), status);
    assert!(driver.network_is_persistent(&net).await.unwrap());
    assert!(!driver.network_is_persistent(&other).await.unwrap());
    driver.network_destroy(&net).await.unwrap();
    driver.network_destroy(&other).await.unwrap();
    let state = bench.host.state();
    assert!(state.bridges.is_empty() && state.chains.is_empty() && state.dnsmasq.is_empty());
    assert_eq!(driver.list_all_networks(ListFlags::NONE).await.unwrap(), [net]);
}

#[tokio::test]
async fn a_deleted_status_file_comes_back() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    driver.network_create(&net).await.unwrap();
    let file = bench.layout().status_file("default");
    let status = std::fs::read(&file).unwrap();
    let running = bench.host.state();
    drop(driver);

    std::fs::remove_file(&file).unwrap();
    let driver = bench.open().await;
    assert!(driver.network_is_active(&net).await.unwrap());
    assert_eq!(std::fs::read(&file).unwrap(), status);
    assert_eq!(bench.host.state(), running);
    std::fs::remove_file(&file).unwrap();
    driver.network_destroy(&net).await.unwrap();
    drop(driver);
    let driver = bench.open().await;
    assert!(!driver.network_is_active(&net).await.unwrap());
    let left = std::fs::read_dir(bench.layout().records_dir()).unwrap().count();
    assert_eq!((left, bench.host.state().bridges.len()), (0, 0));
}

#[tokio::test]
async fn a_network_that_another_program_ended_stays_down() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    driver.network_create(&net).await.unwrap();
    drop(driver);
    std::fs::remove_file(bench.layout().status_file("default")).unwrap();
    bench.host.change(|state| state.bridges.clear());
    let driver = bench.open().await;
    assert!(!driver.network_is_active(&net).await.unwrap());
    assert!(bench.host.state().chains.is_empty() && bench.host.state().dnsmasq.is_empty());
    assert!(!bench.layout().status_file("default").exists());
}

#[tokio::test]
async fn what_was_lost_is_repaired_when_the_driver_is_opened() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    driver.network_create(&net).await.unwrap();
    drop(driver);
    let running = bench.host.state();
    bench.host.change(|state| {
        state.chains.clear();
        state.dnsmasq.clear();
    });
    let driver = bench.open().await;
    assert_eq!(bench.host.state().chains, running.chains);
    assert_eq!(bench.host.state().dnsmasq, running.dnsmasq);
    drop(driver);

    bench.host.change(|state| state.bridges.clear());
    let driver = bench.open().await;
    assert!(!driver.network_is_active(&net).await.unwrap());
    assert!(bench.host.state().chains.is_empty() && bench.host.state().dnsmasq.is_empty());
    driver.network_create(&net).await.unwrap();
}

#[tokio::test]
async fn no_update_loses_the_saved_removal() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    driver.network_create(&net).await.unwrap();
    let update = |flags, ip: &str| Update {
        command: UpdateCommand::AddLast,
        section: UpdateSection::DnsHost,
        parent_index: -1,
        xml: format!("<host ip='{ip}'><hostname>h</hostname></host>"),
        flags,
    };
    driver.network_update(&net, &update(UpdateFlags::LIVE, "10.0.0.1")).await.unwrap();
    driver.network_update(&net, &update(UpdateFlags::CONFIG, "10.0.0.2")).await.unwrap();
    let both = UpdateFlags::LIVE | UpdateFlags::CONFIG;
    driver.network_update(&net, &update(both, "10.0.0.3")).await.unwrap();
    let live = driver.network_xml_desc(&net, XmlFlags::NONE).await.unwrap();
    let config = driver.network_xml_desc(&net, XmlFlags::INACTIVE).await.unwrap();
    for (ip, is_live, is_config) in
        [("10.0.0.1", true, false), ("10.0.0.2", false, true), ("10.0.0.3", true, true)]
    {
        assert_eq!((live.contains(ip), config.contains(ip)), (is_live, is_config), "{ip}");
    }
    check_error(
        driver.network_update(&net, &update(both, "10.0.0.1")).await,
        55,
        "Requested operation is not valid: there is already at least one DNS HOST record with a matching field in network default",
    );
    let reloads =
        bench.host.steps().into_iter().filter(|step| step.starts_with("reload dnsmasq")).count();
    assert_eq!(reloads, 2, "once for each live update, and no restart");
    drop(driver);
    let driver = bench.open().await;
    driver.network_destroy(&net).await.unwrap();
    assert!(bench.host.state().chains.is_empty());
    let config = driver.network_xml_desc(&net, XmlFlags::NONE).await.unwrap();
    assert!(config.contains("10.0.0.2") && !config.contains("10.0.0.1"));
}

#[tokio::test]
async fn states_and_their_errors() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    let invalid = |what: &str| format!("Requested operation is not valid: {what}");
    check_error(
        driver.network_destroy(&net).await,
        55,
        &invalid("network 'default' is not active"),
    );
    driver.network_create(&net).await.unwrap();
    check_error(driver.network_create(&net).await, 55, &invalid("network is already active"));
    check_error(
        driver.network_create_xml(XML, CreateFlags::NONE).await,
        55,
        &invalid("network is already active as 'default'"),
    );
    driver.network_undefine(&net).await.unwrap();
    assert!(driver.network_is_active(&net).await.unwrap());
    check_error(
        driver.network_undefine(&net).await,
        55,
        &invalid("can't undefine transient network"),
    );
    check_error(
        driver.network_set_autostart(&net, Autostart::Enabled).await,
        55,
        &invalid("cannot set autostart for transient network"),
    );
    driver.network_destroy(&net).await.unwrap();
    let gone = "Network not found: no network with matching uuid '11111111-2222-3333-4444-555555555555' (default)";
    check_error(driver.network_create(&net).await, 43, gone);
    check_error(
        driver.network_lookup_by_name("default").await,
        43,
        "Network not found: no network with matching name 'default'",
    );
}

#[tokio::test]
async fn identities() {
    let bench = Bench::new();
    let driver = bench.open().await;
    define(&driver).await;
    let renamed = XML.replace("default", "renamed").replace("virbr0", "virbr7");
    check_error(
        driver.network_define_xml(&renamed, DefineFlags::NONE).await,
        9,
        "operation failed: network 'default' is already defined with uuid 11111111-2222-3333-4444-555555555555",
    );
    let copy = XML.replace("1111-2222", "1111-2223");
    check_error(
        driver.network_define_xml(&copy, DefineFlags::NONE).await,
        9,
        "operation failed: network 'default' already exists with uuid 11111111-2222-3333-4444-555555555555",
    );
    let same_bridge = copy.replace("default", "copy");
    check_error(
        driver.network_define_xml(&same_bridge, DefineFlags::NONE).await,
        1,
        "internal error: bridge name 'virbr0' already in use.",
    );
    let any_bridge = same_bridge.replace("<bridge name='virbr0'/>", "");
    let copy = driver.network_define_xml(&any_bridge, DefineFlags::NONE).await.unwrap();
    assert_eq!(driver.network_bridge_name(&copy).await.unwrap(), "virbr1");
    check_error(
        driver.network_define_xml("<network>", DefineFlags::NONE).await,
        35,
        "at line 1: Premature end of data in tag network line 1\n<network>\n---------^",
    );
}

#[tokio::test]
async fn a_document_is_held_against_the_schema_on_request() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let misspelt = XML.replace("<dhcp>", "<dhcp bootp='x'>");
    let message = "XML document failed to validate against schema: /network/ip[1]/dhcp: \
        unknown attribute 'bootp'";
    let (define, create) = (DefineFlags::VALIDATE, CreateFlags::VALIDATE);
    check_error(driver.network_define_xml(&misspelt, define).await, 92, message);
    check_error(driver.network_create_xml(&misspelt, create).await, 92, message);
    assert_eq!(bench.files(), Vec::<PathBuf>::new());
    driver.network_define_xml(XML, define).await.unwrap();
    driver.network_define_xml(&misspelt, DefineFlags::NONE).await.unwrap();
}

#[tokio::test]
async fn the_stored_definition_returns_after_a_temporary_one() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    let other = XML.replace("192.168.122", "192.168.200");
    // A failed start changes nothing.
    bench.host.fail_at(Some(0));
    driver.network_create_xml(&other, CreateFlags::NONE).await.unwrap_err();
    bench.host.fail_at(None);
    let xml = driver.network_xml_desc(&net, XmlFlags::NONE).await.unwrap();
    assert!(xml.contains("192.168.122.1") && driver.network_is_persistent(&net).await.unwrap());
    driver.network_create_xml(&other, CreateFlags::NONE).await.unwrap();
    let xml = driver.network_xml_desc(&net, XmlFlags::NONE).await.unwrap();
    assert!(xml.contains("192.168.200.1"));
    driver.network_destroy(&net).await.unwrap();
    let xml = driver.network_xml_desc(&net, XmlFlags::NONE).await.unwrap();
    assert!(xml.contains("192.168.122.1"));
}

#[tokio::test]
async fn networks_start_with_the_host_once() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    driver.network_set_autostart(&net, Autostart::Enabled).await.unwrap();
    drop(driver);
    let driver = bench.open().await;
    assert!(!driver.network_is_active(&net).await.unwrap(), "the host has not been restarted");
    drop(driver);
    std::fs::remove_file(bench.layout().autostarted()).unwrap();
    let driver = bench.open().await;
    assert!(driver.network_is_active(&net).await.unwrap());
    assert_eq!(driver.network_autostart(&net).await.unwrap(), Autostart::Enabled);
}

#[tokio::test]
async fn two_drivers_exclude_each_other() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let error = bench.try_open().await.unwrap_err();
    assert_eq!(error.code().0, 38);
    let pid = std::process::id().to_string();
    assert!(error.message().contains("driver.pid") && error.message().contains(&pid), "{error:?}");
    drop(driver);
    bench.open().await;
}

#[tokio::test]
async fn events_tell_what_happened() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let received = Arc::new(Mutex::new(Vec::new()));
    let receive = Arc::clone(&received);
    let callback = Box::new(move |event: &oxivirt::NetworkEvent| {
        if let oxivirt::NetworkEvent::Lifecycle { event, .. } = event {
            receive.lock().unwrap().push(event.number());
        }
    });
    driver.network_event_register(None, NetworkEventId::Lifecycle, callback).await.unwrap();
    let net = define(&driver).await;
    driver.network_create(&net).await.unwrap();
    driver.network_destroy(&net).await.unwrap();
    driver.network_undefine(&net).await.unwrap();
    assert_eq!(*received.lock().unwrap(), [0, 2, 3, 1]);
}

#[tokio::test]
async fn refused_facts_change_nothing() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    let files = bench.files();
    bench.host.set_facts(HostFacts::default());
    check_error(driver.network_create(&net).await, 38, "Cannot find 'dnsmasq' in path");
    assert_eq!(bench.files(), files);
    assert!(bench.host.steps().is_empty());
}
