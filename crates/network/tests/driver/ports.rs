//! Guests' interfaces: places, limits, files, restarts.

use oxivirt::{NetworkDriver as _, PortCreateFlags, TypedParam, TypedValue, XmlFlags};

use crate::bench::{Bench, check_error, define_xml, port_xml};

const SHAPED: &str = "<network><name>n</name><uuid>11111111-2222-3333-4444-555555555555</uuid>
  <bridge name='virbr0'/><ip address='192.168.122.1' prefix='24'/>
  <bandwidth><inbound average='1000'/></bandwidth></network>";

const POOL: &str = "<network><name>p</name><forward mode='passthrough'><interface dev='e0'/>
  <interface dev='e1'/></forward></network>";

fn param(field: &str, value: u32) -> TypedParam {
    TypedParam { field: field.to_owned(), value: TypedValue::UInt(value) }
}

const NEW: PortCreateFlags = PortCreateFlags::NONE;

#[tokio::test]
async fn a_guaranteed_rate_comes_changes_and_goes() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define_xml(&driver, SHAPED).await;
    driver.network_create(&net).await.unwrap();
    let classes = || bench.host.state().links["virbr0"].classes.clone();
    let status = || std::fs::read_to_string(bench.layout().status_file("n")).unwrap();
    assert_eq!(classes().len(), 2);
    let floor = "<bandwidth><inbound average='10' floor='600'/></bandwidth>";
    let port = driver.network_port_create_xml(&net, &port_xml(1, floor), NEW).await.unwrap();
    assert!(classes().contains(&3));
    assert!(status().contains("<class_id bitmap='0-3'/>\n  <floor sum='600'/>"), "{}", status());
    assert!(status().contains("<network connections='1'>"), "{}", status());
    let xml = driver.network_port_xml_desc(&port, 0).await.unwrap();
    assert!(xml.contains("<bandwidth classID='3'>"), "{xml}");
    check_error(
        driver.network_port_create_xml(&net, &port_xml(2, floor), NEW).await,
        55,
        "Requested operation is not valid: Cannot plug '52:54:00:00:00:02' interface into 'virbr0' \
         because new combined inbound floor=1200 would overcommit average=1000 on network 'n'",
    );
    let params = driver.network_port_parameters(&port, 0).await.unwrap();
    let expect = [("average", 10), ("peak", 0), ("floor", 600), ("burst", 0)];
    assert_eq!(params, expect.map(|(name, value)| param(&format!("inbound.{name}"), value)));

    let limits = [param("inbound.floor", 900), param("outbound.average", 7), param("x", 1)];
    driver.network_port_set_parameters(&port, &limits, 0).await.unwrap();
    assert!(status().contains("<floor sum='900'/>"), "{}", status());
    assert_eq!(driver.network_port_parameters(&port, 0).await.unwrap().len(), 7);
    drop(driver);

    let steps = bench.host.steps().len();
    let driver = bench.open().await;
    assert_eq!(bench.host.steps().len(), steps, "nothing was wrong, so nothing is done");
    assert_eq!(driver.network_port_parameters(&port, 0).await.unwrap().len(), 7);
    driver.network_port_set_parameters(&port, &[], 0).await.unwrap();
    assert!(status().contains("<class_id bitmap='0-2'/>\n  <floor sum='0'/>"), "{}", status());
    assert_eq!(classes().len(), 2);
    driver.network_port_delete(&port, 0).await.unwrap();
    driver.network_destroy(&net).await.unwrap();
    assert!(!bench.layout().ports_dir("n").parent().unwrap().exists());
}

#[tokio::test]
async fn a_refused_guarantee_changes_nothing() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define_xml(&driver, SHAPED).await;
    driver.network_create(&net).await.unwrap();
    let status = || std::fs::read_to_string(bench.layout().status_file("n")).unwrap();
    let before = status();
    let floor = "<bandwidth><inbound average='10' floor='600'/></bandwidth>";
    bench.host.fail_at(Some(bench.host.steps().len()));
    let error = driver.network_port_create_xml(&net, &port_xml(1, floor), NEW).await.unwrap_err();
    assert_eq!(error.code().0, 38);
    assert_eq!(status(), before);
    assert_eq!(driver.network_list_all_ports(&net, 0).await.unwrap(), []);
    bench.host.fail_at(None);
    driver.network_port_create_xml(&net, &port_xml(1, floor), NEW).await.unwrap();
}

#[tokio::test]
async fn devices_are_counted_and_exclusive() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define_xml(&driver, POOL).await;
    check_error(
        driver.network_port_create_xml(&net, &port_xml(1, ""), NEW).await,
        55,
        "Requested operation is not valid: network 'p' is not active",
    );
    driver.network_create(&net).await.unwrap();
    let first = driver.network_port_create_xml(&net, &port_xml(1, ""), NEW).await.unwrap();
    driver.network_port_create_xml(&net, &port_xml(2, ""), NEW).await.unwrap();
    let live = driver.network_xml_desc(&net, XmlFlags::NONE).await.unwrap();
    assert!(live.contains("<network connections='2'>"), "{live}");
    assert!(live.contains("<interface dev='e1' connections='1'/>"), "{live}");
    let full = "internal error: network 'p' requires exclusive access to interfaces, but none are available";
    check_error(driver.network_port_create_xml(&net, &port_xml(3, ""), NEW).await, 1, full);
    drop(driver);
    // Counting starts from the ports' files, so that a restart gives nothing out twice.
    let driver = bench.open().await;
    check_error(driver.network_port_create_xml(&net, &port_xml(3, ""), NEW).await, 1, full);
    driver.network_port_delete(&first, 0).await.unwrap();
    let third = driver.network_port_create_xml(&net, &port_xml(3, ""), NEW).await.unwrap();
    let xml = driver.network_port_xml_desc(&third, 0).await.unwrap();
    assert!(xml.contains("dev='e0' mode='passthrough'"), "{xml}");
    driver.network_destroy(&net).await.unwrap();
    let stored = driver.network_xml_desc(&net, XmlFlags::NONE).await.unwrap();
    assert!(!stored.contains("connections"), "{stored}");
    check_error(
        driver.network_list_all_ports(&net, 0).await,
        55,
        "Requested operation is not valid: network 'p' is not active",
    );
    check_error(
        driver.network_port_lookup_by_uuid(&net, third.uuid).await,
        107,
        "network port not found: Network port with UUID 00000000-0000-0000-0000-000000000003 does \
         not exist",
    );
}

#[tokio::test]
async fn guests_are_taken_back() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define_xml(&driver, POOL).await;
    driver.network_create(&net).await.unwrap();
    let reclaim = PortCreateFlags::RECLAIM;
    let plug = "<plug type='direct' dev='e1' mode='passthrough'/>";
    check_error(
        driver.network_port_create_xml(&net, &port_xml(1, plug), NEW).await,
        8,
        "invalid argument: Port reclaim not requested but plug type is not none",
    );
    check_error(
        driver.network_port_create_xml(&net, &port_xml(1, ""), reclaim).await,
        8,
        "invalid argument: Port reclaim requested but plug type is none",
    );
    driver.network_port_create_xml(&net, &port_xml(1, plug), reclaim).await.unwrap();
    let next = driver.network_port_create_xml(&net, &port_xml(2, ""), NEW).await.unwrap();
    let xml = driver.network_port_xml_desc(&next, 0).await.unwrap();
    assert!(xml.contains("dev='e0'"), "{xml}");
    check_error(
        driver.network_port_create_xml(&net, &port_xml(3, plug), reclaim).await,
        1,
        "internal error: network 'p' claims dev='e1' is already in use by a different port",
    );
    driver.network_port_delete(&next, 0).await.unwrap();
    check_error(
        driver.network_port_create_xml(&net, &port_xml(1, ""), NEW).await,
        106,
        "network port Network port with UUID 00000000-0000-0000-0000-000000000001 already exists \
         exists already",
    );
}

#[tokio::test]
async fn addresses_of_guests_are_mapped() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define_xml(&driver, SHAPED).await;
    driver.network_create(&net).await.unwrap();
    let first = driver.network_port_create_xml(&net, &port_xml(1, ""), NEW).await.unwrap();
    driver.network_port_create_xml(&net, &port_xml(2, ""), NEW).await.unwrap();
    let macs = || std::fs::read_to_string(bench.layout().macs(&"virbr0".parse().unwrap())).unwrap();
    assert_eq!(
        macs(),
        "[\n  {\n    \"domain\": \"g\",\n    \"macs\": [\n      \"52:54:00:00:00:01\",\n      \
         \"52:54:00:00:00:02\"\n    ]\n  }\n]\n"
    );
    driver.network_port_delete(&first, 0).await.unwrap();
    assert!(!macs().contains("00:01") && macs().contains("00:02"));
    driver.network_destroy(&net).await.unwrap();
    driver.network_create(&net).await.unwrap();
    assert!(driver.network_list_all_ports(&net, 0).await.unwrap().is_empty());
}
