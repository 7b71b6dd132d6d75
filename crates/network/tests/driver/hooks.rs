//! Hook scripts: when they run, what they read, what their refusal means.

use oxivirt::{
    NetworkDriver as _, PortCreateFlags, Update, UpdateCommand, UpdateFlags, UpdateSection,
    XmlFlags,
};

use crate::bench::{Bench, check_error, define, port_xml};

fn dns_host(flags: UpdateFlags, ip: &str) -> Update {
    Update {
        command: UpdateCommand::AddLast,
        section: UpdateSection::DnsHost,
        parent_index: -1,
        xml: format!("<host ip='{ip}'><hostname>h</hostname></host>"),
        flags,
    }
}

#[tokio::test]
async fn each_operation_calls_them() {
    let bench = Bench::new();
    bench.hook("none");
    let driver = bench.open().await;
    let net = define(&driver).await;
    assert_eq!(bench.hook_calls(), <[String; 0]>::default());
    driver.network_create(&net).await.unwrap();
    assert_eq!(bench.hook_calls(), ["default start begin -", "default started begin -"]);
    let input = bench.hook_input();
    assert!(input.starts_with("<hookData>\n  <network>\n    <name>default</name>"), "{input}");
    assert!(input.contains("<port start='1024' end='65535'/>"), "{input}");
    let status = std::fs::read_to_string(bench.layout().status_file("default")).unwrap();
    assert!(status.contains("<taint flag='hook-script'/>"), "{status}");

    let both = UpdateFlags::LIVE | UpdateFlags::CONFIG;
    driver.network_update(&net, &dns_host(both, "10.0.0.1")).await.unwrap();
    assert_eq!(bench.hook_calls(), ["default updated begin -"]);
    let xml = port_xml(1, "");
    let port = driver.network_port_create_xml(&net, &xml, PortCreateFlags::NONE).await.unwrap();
    assert_eq!(bench.hook_calls(), ["default port-created begin -"]);
    let input = bench.hook_input();
    assert!(input.contains("\n  <networkport>\n") && input.contains("bridge='virbr0'"), "{input}");
    drop(driver);

    let driver = bench.open().await;
    assert_eq!(bench.hook_calls(), ["default port-created begin -"], "once for each port");
    driver.network_port_delete(&port, 0).await.unwrap();
    assert_eq!(bench.hook_calls(), ["default port-deleted begin -"]);
    driver.network_destroy(&net).await.unwrap();
    assert_eq!(bench.hook_calls(), ["default stopped end -"]);
}

#[tokio::test]
async fn a_refusal_of_a_start_undoes_it() {
    for (failing, calls) in [
        ("start", ["default start begin -", "default stopped end -"].as_slice()),
        ("started", &["default start begin -", "default started begin -", "default stopped end -"]),
    ] {
        let bench = Bench::new();
        bench.hook(failing);
        let driver = bench.open().await;
        let net = define(&driver).await;
        let files = bench.files().len();
        let error = driver.network_create(&net).await.unwrap_err();
        assert_eq!(error.code().0, 70);
        assert!(error.message().contains("unexpected exit status 7: refused"), "{error:?}");
        assert_eq!(bench.hook_calls(), calls);
        let state = bench.host.state();
        assert!(state.bridges.is_empty() && state.chains.is_empty() && state.dnsmasq.is_empty());
        assert_eq!(bench.files().len(), files + 1, "nothing new but what the hook itself wrote");
        assert!(!driver.network_is_active(&net).await.unwrap());
    }
}

#[tokio::test]
async fn a_refusal_of_a_stop_is_ignored() {
    let bench = Bench::new();
    bench.hook("stopped");
    let driver = bench.open().await;
    let net = define(&driver).await;
    driver.network_create(&net).await.unwrap();
    driver.network_destroy(&net).await.unwrap();
    assert!(!driver.network_is_active(&net).await.unwrap());
}

/// libvirt reports it only if nothing but the stored definition changed.
#[tokio::test]
async fn a_refusal_of_an_update_takes_nothing_back() {
    let bench = Bench::new();
    bench.hook("updated");
    let driver = bench.open().await;
    let net = define(&driver).await;
    driver.network_create(&net).await.unwrap();
    driver.network_update(&net, &dns_host(UpdateFlags::LIVE, "10.0.0.1")).await.unwrap();
    let error = driver.network_update(&net, &dns_host(UpdateFlags::CONFIG, "10.0.0.2")).await;
    assert_eq!(error.unwrap_err().code().0, 70);
    let live = driver.network_xml_desc(&net, XmlFlags::NONE).await.unwrap();
    let config = driver.network_xml_desc(&net, XmlFlags::INACTIVE).await.unwrap();
    assert!(live.contains("10.0.0.1") && config.contains("10.0.0.2"));
}

#[tokio::test]
async fn a_refused_port_leaves_nothing() {
    let bench = Bench::new();
    bench.hook("port-created");
    let driver = bench.open().await;
    let net = define(&driver).await;
    driver.network_create(&net).await.unwrap();
    let (files, state) = (bench.files(), bench.host.state());
    let error = driver.network_port_create_xml(&net, &port_xml(1, ""), PortCreateFlags::NONE).await;
    assert_eq!(error.unwrap_err().code().0, 70);
    assert_eq!(driver.network_list_all_ports(&net, 0).await.unwrap(), []);
    assert_eq!(bench.host.state(), state);
    assert_eq!(bench.files(), files);
    bench.hook("none");
    driver.network_port_create_xml(&net, &port_xml(1, ""), PortCreateFlags::NONE).await.unwrap();
    bench.hook("port-deleted");
    let port = driver.network_list_all_ports(&net, 0).await.unwrap().remove(0);
    driver.network_port_delete(&port, 0).await.unwrap();
    check_error(
        driver.network_port_delete(&port, 0).await,
        107,
        "network port not found: Network port with UUID 00000000-0000-0000-0000-000000000001 does \
         not exist",
    );
}
