//! Every error number that the driver is known for, brought about.

use std::sync::Arc;

use oxivirt::{
    Access, Autostart, Connect, CreateFlags, DefineFlags, Error, ListFlags, MetadataChange,
    MetadataType, NetworkDriver as _, NetworkRef, PortCreateFlags, Update, UpdateCommand,
    UpdateFlags, UpdateSection, XmlFlags,
};
use oxivirt_network::Driver;
use oxivirt_network::apply::recorder::Recorder;
use oxivirt_network::plan::HostFacts;

use crate::bench::{Bench, XML, define, port_xml, write_file};

type Subject = Driver<Recorder>;

async fn refused(driver: &Subject, xml: &str) -> Error {
    driver.network_define_xml(xml, DefineFlags::NONE).await.unwrap_err()
}

#[track_caller]
fn check(error: &Error, code: i32, domain: i32, message: &str) {
    assert_eq!((error.code().0, error.domain().0, error.message()), (code, domain, message));
}

#[tokio::test]
async fn definitions() {
    let bench = Bench::new();
    let driver = bench.open().await;
    define(&driver).await;
    let other = |from: &str, to: &str| XML.replace(from, to);
    let taken = "<network><name>x</name><bridge name='virbr0'/></network>";
    check(
        &refused(&driver, taken).await,
        1,
        19,
        "internal error: bridge name 'virbr0' already in use.",
    );
    let uuid = "11111111-2222-3333-4444-555555555555";
    let renamed = other(">default<", ">x<").replace("virbr0", "virbr9");
    check(
        &refused(&driver, &renamed).await,
        9,
        19,
        &format!("operation failed: network 'default' is already defined with uuid {uuid}"),
    );
    let reborn = other("555555555555", "555555555556");
    check(
        &refused(&driver, &reborn).await,
        9,
        19,
        &format!("operation failed: network 'default' already exists with uuid {uuid}"),
    );
    check(&refused(&driver, "<network/>").await, 21, 19, "missing name information");
    assert_eq!(refused(&driver, "<domain/>").await.code().0, 27);
    assert_eq!(refused(&driver, "<network><name>a/b</name></network>").await.code().0, 35);
    let unsupported = "<network><name>x</name><forward mode='bridge'/><bridge name='b'/>\
                       <mac address='52:54:00:00:00:01'/></network>";
    check(
        &refused(&driver, unsupported).await,
        67,
        19,
        "unsupported configuration: Unsupported <mac> element in network x with forward mode='bridge'",
    );
    let too_fast = "<network><name>x</name><bandwidth><inbound average='36028797018963968'/>\
                    </bandwidth></network>";
    assert_eq!(refused(&driver, too_fast).await.code().0, 82);
    let invalid = DefineFlags::VALIDATE;
    let error = driver.network_define_xml("<network><nam/></network>", invalid).await.unwrap_err();
    assert_eq!(error.code().0, 92);
    let unknown = DefineFlags::from_bits_retain(8);
    let error = driver.network_define_xml(XML, unknown).await.unwrap_err();
    check(&error, 8, 19, "unsupported flags (0x8) in function networkDefineXMLFlags");
    let not_virtual = "<network><name>x</name><forward mode='hostdev'>\
                       <address type='pci' bus='3' slot='1' function='0'/></forward></network>";
    assert_eq!(refused(&driver, not_virtual).await.code().0, 67);
    bench.host.change(|state| state.virtual_functions.extend(["0000:03:01.0".into()]));
    driver.network_define_xml(not_virtual, DefineFlags::NONE).await.unwrap();
}

#[tokio::test]
async fn states() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    let invalid = "Requested operation is not valid: ";
    let error = driver.network_destroy(&net).await.unwrap_err();
    check(&error, 55, 19, &format!("{invalid}network 'default' is not active"));
    driver.network_create(&net).await.unwrap();
    let error = driver.network_create(&net).await.unwrap_err();
    check(&error, 55, 19, &format!("{invalid}network is already active"));
    let error = driver.network_create_xml(XML, CreateFlags::NONE).await.unwrap_err();
    check(&error, 55, 19, &format!("{invalid}network is already active as 'default'"));
    driver.network_undefine(&net).await.unwrap();
    let error = driver.network_undefine(&net).await.unwrap_err();
    check(&error, 55, 19, &format!("{invalid}can't undefine transient network"));
    let error = driver.network_set_autostart(&net, Autostart::Enabled).await.unwrap_err();
    check(&error, 55, 19, &format!("{invalid}cannot set autostart for transient network"));
    let update = |flags| Update {
        command: UpdateCommand::AddLast,
        section: UpdateSection::Bridge,
        parent_index: -1,
        xml: "<bridge/>".to_owned(),
        flags,
    };
    let error = driver.network_update(&net, &update(UpdateFlags::CONFIG)).await.unwrap_err();
    check(
        &error,
        55,
        19,
        &format!("{invalid}cannot change persistent config of a transient network"),
    );
    let error = driver.network_update(&net, &update(UpdateFlags::LIVE)).await.unwrap_err();
    check(
        &error,
        84,
        19,
        "Operation not supported: can't update 'bridge' section of network 'default'",
    );
    driver.network_destroy(&net).await.unwrap();
    let gone = NetworkRef { name: "default".to_owned(), uuid: net.uuid };
    let error = driver.network_create(&gone).await.unwrap_err();
    check(
        &error,
        43,
        19,
        "Network not found: no network with matching uuid '11111111-2222-3333-4444-555555555555' (default)",
    );
    let error = driver.network_lookup_by_name("x").await.unwrap_err();
    check(&error, 43, 19, "Network not found: no network with matching name 'x'");
}

#[tokio::test]
async fn questions() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    let error = driver.list_all_networks(ListFlags::from_bits_retain(1 << 20)).await.unwrap_err();
    check(&error, 8, 19, "unsupported flags (0x100000) in function networkConnectListAllNetworks");
    let error = driver.network_dhcp_leases(&net, Some("no mac"), 0).await.unwrap_err();
    assert_eq!(error.code().0, 44);
    let error = driver.network_dhcp_leases(&net, None, 1).await.unwrap_err();
    assert_eq!(error.code().0, 8);
    write_file(&bench.layout().leases(&"virbr0".parse().unwrap()), "{", 0o644);
    assert_eq!(driver.network_dhcp_leases(&net, None, 0).await.unwrap_err().code().0, 1);
    let direct = "<network><name>d</name><forward mode='vepa'/></network>";
    let direct = driver.network_define_xml(direct, DefineFlags::NONE).await.unwrap();
    let error = driver.network_bridge_name(&direct).await.unwrap_err();
    check(&error, 1, 19, "internal error: network 'd' does not have a bridge name.");
    let error = driver.network_xml_desc(&net, XmlFlags::from_bits_retain(4)).await.unwrap_err();
    assert_eq!(error.code().0, 8);
    let kind = MetadataType::Title;
    let error = driver.network_metadata(&net, kind, None, UpdateFlags::NONE).await.unwrap_err();
    assert_eq!(error.code().0, 111);
    // a network driver has no calls about the host
    let connect = Connect::new(Arc::new(driver), Access::ReadWrite);
    let error = connect.capabilities().await.unwrap_err();
    let lacks =
        "this function is not supported by the connection driver: virConnectGetCapabilities";
    check(&error, 3, 20, lacks);
}

#[tokio::test]
async fn starts() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let start =
        async |xml: &str| driver.network_create_xml(xml, CreateFlags::NONE).await.unwrap_err();
    let zone = XML.replace("name='virbr0'", "name='virbr0' zone='z'");
    check(
        &start(&zone).await,
        1,
        0,
        "internal error: zone z requested for network default but firewalld is not active",
    );
    let pf = "<network><name>v</name><forward mode='hostdev'><pf dev='eth9'/></forward></network>";
    check(&start(pf).await, 1, 19, "internal error: No usable Vf's present on SRIOV PF eth9");
    bench.host.fail_at(Some(0));
    let error = start(XML).await;
    assert_eq!(error.code().0, 38);
    bench.host.fail_at(None);
    let dnsmasq = Some("/usr/sbin/dnsmasq".into());
    bench.host.set_facts(HostFacts { dnsmasq, ..HostFacts::default() });
    let limited = XML.replace("<ip ", "<bandwidth><inbound average='1'/></bandwidth><ip ");
    check(
        &start(&limited).await,
        84,
        0,
        "Operation not supported: Network bandwidth tuning is not available in session mode",
    );
    assert_eq!(bench.host.state().bridges.len(), 0);
}

/// What only looks may not change anything: number 29, before the driver is asked.
#[tokio::test]
async fn read_only() {
    let bench = Bench::new();
    let driver = Arc::new(bench.open().await);
    let net = define(&driver).await;
    driver.network_create(&net).await.unwrap();
    let connect = Connect::new(driver, Access::ReadOnly);
    let network = connect.network_lookup_by_name("default").await.unwrap();
    network.xml_desc(XmlFlags::NONE).await.unwrap();
    network.dhcp_leases(None).await.unwrap();
    let change = Update {
        command: UpdateCommand::AddLast,
        section: UpdateSection::DnsHost,
        parent_index: -1,
        xml: "<host ip='10.0.0.1'><hostname>h</hostname></host>".to_owned(),
        flags: UpdateFlags::LIVE,
    };
    let metadata = MetadataChange {
        kind: MetadataType::Title,
        metadata: Some("t".to_owned()),
        key: None,
        uri: None,
        flags: UpdateFlags::NONE,
    };
    let refusals = [
        connect.network_define_xml(XML, DefineFlags::NONE).await.map(drop),
        connect.network_create_xml(XML, CreateFlags::NONE).await.map(drop),
        network.create().await,
        network.destroy().await,
        network.undefine().await,
        network.update(&change).await,
        network.set_metadata(&metadata).await,
        network.set_autostart(Autostart::Enabled).await,
        network.port_create_xml(&port_xml(1, ""), PortCreateFlags::NONE).await.map(drop),
    ];
    for (number, refusal) in refusals.into_iter().enumerate() {
        let error = refusal.unwrap_err();
        assert_eq!(error.code().0, 29, "{number}: {}", error.message());
    }
    assert!(network.is_active().await.unwrap());
}

#[tokio::test]
async fn ports() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    driver.network_create(&net).await.unwrap();
    let flags = PortCreateFlags::NONE;
    let refused = async |rest: &str| {
        driver.network_port_create_xml(&net, &port_xml(1, rest), flags).await.unwrap_err()
    };
    check(
        &refused("<bandwidth><inbound average='1' floor='1'/></bandwidth>").await,
        84,
        19,
        "Operation not supported: Invalid use of 'floor' on interface with MAC address \
         52:54:00:00:00:01 - network 'default' has no inbound QoS set",
    );
    let associated = refused("<virtualport type='openvswitch'/>").await;
    assert_eq!((associated.code().0, associated.domain().0), (67, 19));
    let without = "<networkport><owner><name>g</name></owner></networkport>";
    let error = driver.network_port_create_xml(&net, without, flags).await.unwrap_err();
    check(&error, 1, 19, "internal error: network port has no uuid");
    let port = driver.network_port_create_xml(&net, &port_xml(1, ""), flags).await.unwrap();
    check(
        &refused("").await,
        106,
        19,
        "network port Network port with UUID 00000000-0000-0000-0000-000000000001 already exists \
         exists already",
    );
    driver.network_destroy(&net).await.unwrap();
    let error = driver.network_port_xml_desc(&port, 0).await.unwrap_err();
    assert_eq!(error.code().0, 107);
}
