//! Metadata, events, settings of the host, reload, leases.

use std::time::Duration;

use oxivirt::{
    Autostart, CreateFlags, ListFlags, MetadataChange, MetadataType, NetworkDriver as _, Update,
    UpdateCommand, UpdateFlags, UpdateSection, XmlFlags,
};
use oxivirt_network::RestoreSettings;

use crate::bench::{Bench, Received, XML, check_error, define, define_xml, write_file};

/// Time between two looks for an event, and for one to come.
const AGAIN: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);

fn change(kind: MetadataType, text: Option<&str>, flags: UpdateFlags) -> MetadataChange {
    let is_element = kind == MetadataType::Element;
    MetadataChange {
        kind,
        metadata: text.map(str::to_owned),
        key: is_element.then(|| "k".to_owned()),
        uri: is_element.then(|| "http://x/1".to_owned()),
        flags,
    }
}

#[tokio::test]
async fn metadata_live_and_stored() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    let received = Received::listen(&driver).await;
    let (live, config) = (UpdateFlags::LIVE, UpdateFlags::CONFIG);
    let title = |flags| driver.network_metadata(&net, MetadataType::Title, None, flags);
    check_error(
        title(UpdateFlags::NONE).await,
        111,
        "metadata not found: Requested metadata element is not present",
    );
    let set = change(MetadataType::Title, Some("T"), UpdateFlags::NONE);
    driver.network_set_metadata(&net, &set).await.unwrap();
    assert_eq!(title(UpdateFlags::NONE).await.unwrap(), "T");
    driver.network_create(&net).await.unwrap();
    let set = change(MetadataType::Title, Some("L"), live);
    driver.network_set_metadata(&net, &set).await.unwrap();
    assert_eq!(title(live).await.unwrap(), "L");
    assert_eq!(title(config).await.unwrap(), "T");
    check_error(
        title(live | config).await,
        8,
        "invalid argument: flags 'VIR_NETWORK_UPDATE_AFFECT_LIVE' and \
         'VIR_NETWORK_UPDATE_AFFECT_CONFIG' in function 'virNetworkObjGetMetadata' are mutually \
         exclusive",
    );
    let element = change(MetadataType::Element, Some("<a/>"), live | config);
    driver.network_set_metadata(&net, &element).await.unwrap();
    let uri = Some("http://x/1");
    let got = driver.network_metadata(&net, MetadataType::Element, uri, config).await.unwrap();
    assert_eq!(got, "<a/>");
    drop(driver);
    let driver = bench.open().await;
    let xml = driver.network_xml_desc(&net, XmlFlags::NONE).await.unwrap();
    assert!(xml.contains("<title>L</title>") && xml.contains("<k:a xmlns:k="), "{xml}");
    let gone = change(MetadataType::Element, None, live);
    driver.network_set_metadata(&net, &gone).await.unwrap();
    let xml = driver.network_xml_desc(&net, XmlFlags::NONE).await.unwrap();
    assert!(!xml.contains("metadata"), "{xml}");
    let unknown = change(MetadataType::Unknown(7), Some("x"), live);
    assert_eq!(driver.network_set_metadata(&net, &unknown).await.unwrap_err().code().0, 8);
    assert_eq!(
        received.take(),
        [
            "default Title None",
            "default Started",
            "default Title None",
            "default Element Some(\"http://x/1\")"
        ]
    );
}

#[tokio::test]
async fn events_in_order() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let received = Received::listen(&driver).await;
    let net = define(&driver).await;
    define(&driver).await;
    driver.network_create(&net).await.unwrap();
    let update = Update {
        command: UpdateCommand::AddLast,
        section: UpdateSection::DnsHost,
        parent_index: -1,
        xml: "<host ip='10.0.0.1'><hostname>h</hostname></host>".to_owned(),
        flags: UpdateFlags::LIVE,
    };
    driver.network_update(&net, &update).await.unwrap();
    driver.network_destroy(&net).await.unwrap();
    driver.network_undefine(&net).await.unwrap();
    assert_eq!(
        received.take(),
        [
            "default Defined",
            "default Defined",
            "default Started",
            "default updated DnsHost",
            "default Stopped",
            "default Undefined"
        ]
    );
    let net = driver.network_create_xml(XML, CreateFlags::NONE).await.unwrap();
    driver.network_destroy(&net).await.unwrap();
    assert_eq!(received.take(), ["default Started", "default Stopped"]);
    // A failed start is no event.
    let net = define(&driver).await;
    received.take();
    bench.host.fail_at(Some(bench.host.steps().len()));
    driver.network_create(&net).await.unwrap_err();
    assert_eq!(received.take(), <[String; 0]>::default());
}

#[tokio::test]
async fn leases_are_told() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let received = Received::listen(&driver).await;
    let net = define(&driver).await;
    driver.network_create(&net).await.unwrap();
    received.take();
    let lease = "[{\"ip-address\": \"192.168.122.7\", \"mac-address\": \"52:54:00:00:00:01\", \
                 \"expiry-time\": 0}]";
    for (text, expect) in
        [(lease, "default Added 192.168.122.7"), ("[]", "default Removed 192.168.122.7")]
    {
        write_file(&bench.layout().leases(&"virbr0".parse().unwrap()), text, 0o644);
        let event = async {
            loop {
                match received.take() {
                    events if events.is_empty() => tokio::time::sleep(AGAIN).await,
                    events => return events,
                }
            }
        };
        assert_eq!(tokio::time::timeout(PATIENCE, event).await.expect("an event"), [expect]);
    }
}

#[tokio::test]
async fn settings_of_the_host_go_back_if_asked() {
    let other =
        XML.replace("default", "other").replace("virbr0", "virbr1").replace("5555'", "5556'");
    let other = other.replace("555555555555", "555555555556").replace("192.168.122", "192.168.9");
    for (restore, config, expect) in [
        (RestoreSettings::Never, "", "1"),
        (RestoreSettings::WithLastNetwork, "", "0"),
        (RestoreSettings::Never, "restore_sysctl = 1\n", "0"),
    ] {
        let mut bench = Bench::new();
        bench.restore = restore;
        let settings = bench.layout().settings();
        std::fs::create_dir_all(settings.parent().unwrap()).unwrap();
        write_file(&settings, config, 0o644);
        let driver = bench.open().await;
        let (a, b) = (define(&driver).await, define_xml(&driver, &other).await);
        let forward = || bench.host.state().sysctls["net/ipv4/ip_forward"].clone();
        bench.host.change(|state| {
            state.sysctls.insert("net/ipv4/ip_forward".into(), "0".into());
        });
        driver.network_create(&a).await.unwrap();
        driver.network_create(&b).await.unwrap();
        driver.network_destroy(&a).await.unwrap();
        assert_eq!(forward(), "1", "another network needs it");
        drop(driver);
        let driver = bench.open().await;
        driver.network_destroy(&b).await.unwrap();
        assert_eq!(forward(), expect);
        // What another program turned on stays on.
        bench.host.change(|state| {
            state.sysctls.insert("net/ipv4/ip_forward".into(), "1".into());
        });
        driver.network_create(&a).await.unwrap();
        driver.network_destroy(&a).await.unwrap();
        assert_eq!(forward(), "1");
    }
}

#[tokio::test]
async fn reload_finds_what_others_left() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    driver.network_create(&net).await.unwrap();
    let new =
        "<network><name>new</name><uuid>11111111-2222-3333-4444-666666666666</uuid></network>";
    write_file(&bench.layout().config_file("new"), new, 0o600);
    driver.network_set_autostart(&net, Autostart::Enabled).await.unwrap();
    bench.host.change(|state| state.chains.clear());
    bench.hook("none");
    driver.reload().await.unwrap();
    assert_eq!(driver.list_all_networks(ListFlags::NONE).await.unwrap().len(), 2);
    assert!(!bench.host.state().chains.is_empty(), "what was lost is back");
    driver.network_destroy(&net).await.unwrap();
    assert_eq!(bench.hook_calls(), ["default stopped end -"], "scripts are looked for again");
    driver.reload().await.unwrap();
    assert!(driver.network_is_active(&net).await.unwrap(), "it starts with the host");
    // What a file lacks that was written again is generated, as when it is loaded first.
    write_file(&bench.layout().config_file("new"), new, 0o600);
    driver.reload().await.unwrap();
    let new = driver.network_lookup_by_name("new").await.unwrap();
    let xml = driver.network_xml_desc(&new, XmlFlags::INACTIVE).await.unwrap();
    assert!(xml.contains("<mac address="), "{xml}");
    // A definition whose file is gone is kept, and cannot be undefined.
    std::fs::remove_file(bench.layout().config_file("new")).unwrap();
    driver.reload().await.unwrap();
    assert_eq!(driver.network_undefine(&new).await.unwrap_err().code().0, 38);
}
