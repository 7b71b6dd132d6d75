//! Addresses that guests are given: DHCPv4, DHCPv6, router advertisements, and their leases.

use std::path::Path;
use std::time::SystemTime;

use oxivirt_tests::host::campaign;
use oxivirt_tests::process::wait_until;
use oxivirt_tests::{Guest, Subject, apply, scenario};

use super::lab::{ADD, DELETE, DHCP_HOST, DHCP_RANGE, Lab, MODIFY, assert_error, mac};

const LEASED: &str = "<network><name>leased</name><bridge name='virbr0' stp='off'/>
  <mac address='52:54:00:6b:00:01'/><domain name='lab.test'/><mtu size='1400'/>
  <ip address='192.168.30.1' prefix='24'>
    <dhcp>
      <range start='192.168.30.100' end='192.168.30.109'><lease expiry='5' unit='minutes'/></range>
      <host mac='52:54:00:aa:00:01' name='fixed' ip='192.168.30.7'>
        <lease expiry='2' unit='hours'/>
      </host>
      <host mac='52:54:00:aa:00:02' ip='192.168.30.8'><lease expiry='0'/></host>
    </dhcp>
  </ip></network>";

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// The lines of leases, split into words.
fn leases(lab: &mut Lab, network: &str, mac: &str) -> Vec<Vec<String>> {
    let text = lab.session.ask("leases", network, mac).unwrap();
    text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

#[apply(scenario)]
fn dhcp_hosts_ranges_and_lease_times() {
    let mut lab = Lab::new(&[LEASED]);
    let [fixed, forever, other] = [1, 2, 3].map(|number| lab.guest("virbr0", number));
    let fields = fixed.dhcp_fields("fixed", &["-O", "mtu"]).unwrap();
    assert_eq!((fields["ip"].as_str(), fields["mask"].as_str()), ("192.168.30.7", "24"));
    assert_eq!((fields["lease"].as_str(), fields["mtu"].as_str()), ("7200", "1400"));
    assert_eq!((fields["dns"].as_str(), fields["domain"].as_str()), ("192.168.30.1", "lab.test"));
    // An isolated network has no router.
    assert!(!fields.contains_key("router"), "{fields:?}");
    let fields = forever.dhcp_fields("forever", &[]).unwrap();
    assert_eq!((fields["ip"].as_str(), fields["lease"].as_str()), ("192.168.30.8", "4294967295"));
    let fields = other.dhcp_fields("other", &[]).unwrap();
    assert!(fields["ip"].starts_with("192.168.30.10"), "{fields:?}");
    assert_eq!(fields["lease"], "300");

    // The helper writes them down after the guest has its answer.
    wait_until("three leases", || Ok(leases(&mut lab, "leased", "").len() == 3)).unwrap();
    let found = leases(&mut lab, "leased", "52:54:0:AA:0:1");
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!([&*one[0], &*one[2], &*one[3], &*one[4]], ["virbr0", "0", &*mac(1), "-"]);
    assert_eq!([&*one[5], &*one[6]], ["192.168.30.7/24", "fixed"]);
    let expiry: u64 = one[1].parse().unwrap();
    assert!((now() + 7000..=now() + 7200).contains(&expiry), "{one:?}");
    assert_eq!(leases(&mut lab, "leased", &mac(2))[0][1], "0");
    let other_lease = &leases(&mut lab, "leased", &mac(3))[0];
    assert_eq!(other_lease[5], format!("{}/24", fields["ip"]));
    assert_error(lab.session.ask("leases", "leased", "nonsense"), 44, "nonsense");

    if lab.host.subject() == Subject::Oxivirt {
        let heard = lab.session.ask("events", "-", "").unwrap();
        for address in ["192.168.30.7", "192.168.30.8", fields["ip"].as_str()] {
            let expect = format!("leased lease {address} added");
            assert!(heard.lines().any(|line| line == expect), "{expect}: {heard}");
        }
    }

    // A host asked again for nothing has what it had.
    assert_eq!(other.dhcp_fields("other", &[]).unwrap()["ip"], fields["ip"]);
    assert_eq!(leases(&mut lab, "leased", "").len(), 3);
    // They outlive the network, as the guests do.
    lab.session.call("destroy", "leased", "").unwrap();
    assert_eq!(leases(&mut lab, "leased", "").len(), 3);
    lab.session.call("start", "leased", "").unwrap();
    assert_eq!(leases(&mut lab, "leased", "").len(), 3);
}

#[apply(scenario)]
fn an_exhausted_range_gives_nothing() {
    let xml = LEASED.replace("end='192.168.30.109'", "end='192.168.30.100'");
    let lab = Lab::new(&[&xml]);
    let [first, second] = [4, 5].map(|number| lab.guest("virbr0", number));
    assert_eq!(first.dhcp_fields("a", &[]).unwrap()["ip"], "192.168.30.100");
    // The later -t and -T win.
    assert!(second.dhcp_fields("b", &["-t", "2", "-T", "1"]).is_err());
}

#[apply(scenario)]
fn expired_leases_are_not_listed() {
    let mut lab = Lab::new(&[LEASED]);
    let file = lab.host.dnsmasq_directory().join("virbr0.status");
    let entry = |ip: &str, expiry: u64| {
        format!(
            "{{\"ip-address\": \"{ip}\", \"mac-address\": \"52:54:00:aa:00:09\", \"expiry-time\": {expiry}}}"
        )
    };
    let (past, future) = (now() - 60, now() + 60);
    let text = format!(
        "[{}, {}, {}]",
        entry("192.168.30.50", past),
        entry("192.168.30.51", future),
        entry("192.168.30.52", 0)
    );
    write(&file, &text);
    let fields = leases(&mut lab, "leased", "");
    let addresses: Vec<&str> = fields.iter().map(|words| words[5].as_str()).collect();
    assert_eq!(addresses, ["192.168.30.51/24", "192.168.30.52/24"]);
    write(&file, "[{\"ip-address\": \"192.168.30.50\"}]");
    assert_error(lab.session.ask("leases", "leased", ""), 1, "");
    write(&file, "no JSON");
    assert_error(lab.session.ask("leases", "leased", ""), 1, "");
    write(&file, "");
    assert!(leases(&mut lab, "leased", "").is_empty());
}

#[expect(
    clippy::disallowed_methods,
    reason = "stands in for another program, without a reader yet"
)]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[apply(scenario)]
fn hosts_come_and_go_while_the_network_runs() {
    let mut lab = Lab::new(&[LEASED]);
    let before = lab.dnsmasq("leased");
    assert!(!before.is_empty());
    let host = "<host mac='52:54:00:aa:00:06' name='late' ip='192.168.30.9'/>";
    lab.update("leased", [ADD, DHCP_HOST], host).unwrap();
    assert_eq!(lab.dnsmasq("leased"), before, "a signal suffices");
    let guest = lab.guest("virbr0", 6);
    let fields = guest.dhcp_fields("x", &[]).unwrap();
    assert_eq!((fields["ip"].as_str(), fields["hostname"].as_str()), ("192.168.30.9", "late"));
    assert_error(lab.update("leased", [ADD, DHCP_HOST], host), 55, "late");
    let moved = host.replace("192.168.30.9", "192.168.30.10");
    lab.update("leased", [MODIFY, DHCP_HOST], &moved).unwrap();
    wait_until("the other address", || Ok(guest.dhcp_fields("x", &[])?["ip"] == "192.168.30.10"))
        .unwrap();
    lab.update("leased", [DELETE, DHCP_HOST], &moved).unwrap();
    assert_error(lab.update("leased", [DELETE, DHCP_HOST], &moved), 55, "");
    // Ranges are read at a start only.
    let old = "<range start='192.168.30.100' end='192.168.30.109'/>";
    let new = "<range start='192.168.30.150' end='192.168.30.159'/>";
    lab.update("leased", [DELETE, DHCP_RANGE], old).unwrap();
    lab.update("leased", [ADD, DHCP_RANGE], new).unwrap();
    assert_ne!(lab.dnsmasq("leased"), before);
    let fields = lab.guest("virbr0", 10).dhcp_fields("y", &[]).unwrap();
    assert!(fields["ip"].starts_with("192.168.30.15"), "{fields:?}");
}

const DUAL: &str = "<network><name>dual</name><forward mode='nat'><nat ipv6='yes'/></forward>
  <bridge name='virbr0' stp='off'/><mac address='52:54:00:6b:00:01'/><domain name='lab.test'/>
  <ip address='192.168.31.1' prefix='24'><dhcp>
    <range start='192.168.31.100' end='192.168.31.199'/></dhcp></ip>
  <ip family='ipv6' address='fd00:31::1' prefix='64'><dhcp>
    <range start='fd00:31::100' end='fd00:31::1ff'><lease expiry='10' unit='minutes'/></range>
    <host id='00:03:00:01:52:54:00:aa:00:07' name='known' ip='fd00:31::77'/></dhcp></ip></network>";

fn dhcp6(guest: &Guest, number: u8, name: &str) -> Vec<String> {
    // DUID-LL, Ethernet
    let duid = format!("00:03:00:01:{}", mac(number));
    let probe = campaign("probe").unwrap().args(["dhcp6", "eth0", &duid, name]);
    let lease = probe.behind(guest.netns().prefix()).stdout().unwrap();
    lease.lines().map(str::to_owned).collect()
}

#[apply(scenario)]
fn dhcpv6_hosts_and_ranges() {
    let mut lab = Lab::new(&[DUAL]);
    let [known, other] = [7, 8].map(|number| lab.guest("virbr0", number));
    let fields = dhcp6(&known, 7, "x");
    assert_eq!(fields, ["address=fd00:31::77", "valid=600", "dns=fd00:31::1"]);
    let fields = dhcp6(&other, 8, "other");
    assert!(fields[0].starts_with("address=fd00:31::1"), "{fields:?}");
    assert_eq!(fields[1], "valid=600");
    let given = fields[0].trim_start_matches("address=");

    wait_until("two leases", || Ok(leases(&mut lab, "dual", "").len() == 2)).unwrap();
    let found = leases(&mut lab, "dual", &mac(8));
    let [lease] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!([&*lease[0], &*lease[2], &*lease[3], &*lease[4]], ["virbr0", "1", &*mac(8), "1"]);
    assert_eq!(lease[5], format!("{given}/64"));
    assert_eq!([&*lease[6], &*lease[7]], ["other", "00:03:00:01:52:54:00:aa:00:08"]);
    assert_eq!(leases(&mut lab, "dual", &mac(7))[0][6], "known");
    // The name is known to both families' clients.
    other.configure("192.168.31.50/24", "192.168.31.1").unwrap();
    let answer = other.lookup("aaaa", "known.lab.test", "192.168.31.1").unwrap();
    assert!(answer.contains("fd00:31::77"), "{answer}");
}

/// A guest's global addresses.
fn global(guest: &Guest) -> String {
    guest.netns().sh("ip -6 -o address show dev eth0 scope global -tentative").unwrap()
}

#[apply(scenario)]
fn routers_advertise_prefixes_and_themselves() {
    // With DHCPv6 the advertisement says to use it and names the router.
    let plain = "<network><name>plain</name><forward mode='nat'><nat ipv6='yes'/></forward>
      <bridge name='virbr1' stp='off'/><mac address='52:54:00:6b:00:02'/>
      <ip family='ipv6' address='fd00:32::1' prefix='64'/></network>";
    let lone = "<network><name>lone</name><bridge name='virbr2' stp='off'/><mac address='52:54:00:6b:00:03'/>
      <ip family='ipv6' address='fd00:33::1' prefix='64'/></network>";
    let lab = Lab::new(&[DUAL, plain, lone]);
    let managed = lab.guest("virbr0", 1);
    let slaac = lab.guest("virbr1", 2);
    let isolated = lab.guest("virbr2", 3);
    let expect = "fd00:32::5054:ff:feaa:2/64";
    wait_until("an address by the prefix", || Ok(global(&slaac).contains(expect))).unwrap();
    let routes = |guest: &Guest| guest.netns().sh("ip -6 route show default").unwrap();
    for guest in [&slaac, &managed] {
        wait_until("a default route", || Ok(routes(guest).contains("via fe80::"))).unwrap();
    }
    // The managed network leaves addresses to DHCPv6.
    assert_eq!(global(&managed), "");
    assert!(slaac.pings("fd00:32::1").unwrap());
    let expect = "fd00:33::5054:ff:feaa:3/64";
    wait_until("an address by the prefix", || Ok(global(&isolated).contains(expect))).unwrap();
    assert_eq!(routes(&isolated), "", "an isolated network leads nowhere");
}
