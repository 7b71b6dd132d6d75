//! The choice of the firewall backend, and networks that change it.

use oxivirt::NetworkDriver as _;
use oxivirt_network::apply::recorder::State;

use crate::bench::{Bench, check_error, define, write_file};

fn configure(bench: &Bench, text: &str) {
    let path = bench.layout().settings();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_file(&path, text, 0o644);
}

const IPTABLES: &str = "firewall_backend = \"iptables\"\n";
const NFTABLES: &str = "firewall_backend = \"nftables\"\n";

fn rules(state: &State) -> (usize, usize) {
    (state.chains.len(), state.iptables.len())
}

#[tokio::test]
async fn settings_that_are_wrong_keep_the_driver_closed() {
    let bench = Bench::new();
    configure(&bench, "firewall_backend = 'x'\n");
    let file = bench.layout().settings().display().to_string();
    let message = format!(
        "internal error: unrecognized firewall_backend = 'x' set in network driver config file {file}"
    );
    check_error(bench.try_open().await.map(drop), 1, &message);
    configure(&bench, "firewall_backend = 'none'\n");
    let driver = bench.open().await;
    let network = define(&driver).await;
    let message =
        "this function is not supported by the connection driver: No firewall backend is available";
    check_error(driver.network_create(&network).await, 3, message);
    assert_eq!(bench.host.state().bridges.len(), 0);
}

#[tokio::test]
async fn a_network_follows_its_backend_and_leaves_nothing() {
    let bench = Bench::new();
    configure(&bench, IPTABLES);
    let driver = bench.open().await;
    let network = define(&driver).await;
    driver.network_create(&network).await.unwrap();
    let status = || std::fs::read_to_string(bench.layout().status_file("default")).unwrap();
    assert_eq!(rules(&bench.host.state()), (0, 19));
    assert!(status().contains("backend='iptables'"));
    drop(driver);
    configure(&bench, NFTABLES);
    let driver = bench.open().await;
    assert_eq!(rules(&bench.host.state()), (3, 0));
    assert!(status().contains("backend='nftables'"));
    drop(driver);
    configure(&bench, IPTABLES);
    let driver = bench.open().await;
    assert_eq!(rules(&bench.host.state()), (0, 19));
    driver.network_destroy(&network).await.unwrap();
    assert_eq!(rules(&bench.host.state()), (0, 0));
}

#[tokio::test]
async fn a_switch_that_fails_keeps_the_old_removal() {
    let bench = Bench::new();
    configure(&bench, IPTABLES);
    let driver = bench.open().await;
    let network = define(&driver).await;
    driver.network_create(&network).await.unwrap();
    drop(driver);
    configure(&bench, NFTABLES);
    bench.host.fail_at(Some(bench.host.steps().len()));
    let driver = bench.open().await;
    bench.host.fail_at(None);
    // The network runs on with the rules it had, and they are known.
    assert_eq!(rules(&bench.host.state()), (0, 19));
    driver.network_destroy(&network).await.unwrap();
    assert_eq!(rules(&bench.host.state()), (0, 0));
}
