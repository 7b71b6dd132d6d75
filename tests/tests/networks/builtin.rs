//! Our own address and name service in the place of dnsmasq.

use oxivirt_tests::process::wait_until;
use oxivirt_tests::{Guest, Host, apply, scenario};

use super::host_of_ours;

const NETWORK: &str = "<network><name>own</name><forward mode='nat'/>
  <bridge name='virbr0' stp='off' delay='0'/><mac address='52:54:00:6b:00:01'/><domain name='lab.test'/>
  <ip address='192.168.30.1' prefix='24'>
    <dhcp>
      <range start='192.168.30.100' end='192.168.30.109'/>
      <host mac='52:54:00:aa:00:01' name='fixed' ip='192.168.30.7'/>
    </dhcp>
  </ip></network>";

const SERVICE: &str = "oxivirt-netservd";

/// The addresses of the network's leases, as the shell lists them.
fn leases(host: &Host) -> Vec<String> {
    let listed = host.done(&["net-dhcp-leases", "own"]).unwrap();
    let words = listed.split_whitespace().filter(|word| word.starts_with("192.168.30."));
    words.map(str::to_owned).collect()
}

/// Each command of the shell is a driver of its own, so the service outlives many drivers here.
#[apply(scenario)]
fn a_guest_gets_an_address_and_keeps_it_when_the_service_is_killed() {
    let host = host_of_ours();
    host.configure("dhcp_server = \"builtin\"\n").unwrap();
    host.define(NETWORK).unwrap();
    host.start("own").unwrap();
    host.destroy("own").unwrap();
    // What a first start may leave is there now.
    let before = host.snapshot().unwrap();
    host.start("own").unwrap();
    assert_eq!(host.netns().processes_of("dnsmasq").unwrap().len(), 0);
    assert_eq!(host.netns().processes_of(SERVICE).unwrap().len(), 1);

    let fixed = Guest::with_mac(&host, "virbr0", "port1", "52:54:00:aa:00:01").unwrap();
    let other = Guest::with_mac(&host, "virbr0", "port2", "52:54:00:aa:00:02").unwrap();
    let fields = fixed.dhcp_fields("other-name", &[]).unwrap();
    assert_eq!((&*fields["ip"], &*fields["router"]), ("192.168.30.7", "192.168.30.1"));
    assert_eq!((&*fields["dns"], &*fields["domain"]), ("192.168.30.1", "lab.test"));
    let given = other.dhcp_fields("second", &[]).unwrap()["ip"].clone();
    let name = "second.lab.test";
    assert_eq!(other.resolve(name, [192, 168, 30, 1].into()).unwrap().to_string(), given);
    let both = [format!("{given}/24"), "192.168.30.7/24".to_owned()];
    wait_until("two leases", || Ok(leases(&host).len() == 2)).unwrap();
    assert!(both.iter().all(|lease| leases(&host).contains(lease)), "{:?}", leases(&host));

    // The next driver starts it again; it knows the leases from its journal.
    host.netns().kill_all(SERVICE).unwrap();
    host.restart().unwrap();
    assert_eq!(host.netns().processes_of(SERVICE).unwrap().len(), 1);
    assert_eq!(leases(&host).len(), 2);
    assert_eq!(other.dhcp_fields("second", &[]).unwrap()["ip"], given);

    fixed.detach(&host).unwrap();
    other.detach(&host).unwrap();
    host.destroy("own").unwrap();
    assert_eq!(host.netns().processes_of(SERVICE).unwrap().len(), 0);
    // The leases stay for the next start, as with dnsmasq.
    let left =
        before.diff(&host.snapshot().unwrap()).except(|change| change.key.ends_with(".status"));
    assert!(left.is_empty(), "left behind:\n{left}");
}

/// A change of the setting takes effect on a running network.
#[apply(scenario)]
fn a_running_network_changes_its_server() {
    let host = host_of_ours();
    host.define(NETWORK).unwrap();
    host.start("own").unwrap();
    let guest = Guest::with_mac(&host, "virbr0", "port1", "52:54:00:aa:00:02").unwrap();
    let given = guest.dhcp_fields("guest", &[]).unwrap()["ip"].clone();
    wait_until("a lease", || Ok(leases(&host).len() == 1)).unwrap();
    for (setting, runs, is_gone) in
        [("builtin", SERVICE, "dnsmasq"), ("dnsmasq", "dnsmasq", SERVICE)]
    {
        host.configure(&format!("dhcp_server = \"{setting}\"\n")).unwrap();
        host.restart().unwrap();
        assert_ne!(host.netns().processes_of(runs).unwrap().len(), 0, "{runs}");
        assert_eq!(host.netns().processes_of(is_gone).unwrap().len(), 0, "{is_gone}");
        assert_eq!(guest.dhcp_fields("guest", &[]).unwrap()["ip"], given, "{setting}");
    }
    host.destroy("own").unwrap();
}
