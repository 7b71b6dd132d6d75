//! What guests ask the network's server for beside addresses: names, and what they boot from.

use oxivirt_tests::process::wait_until;
use oxivirt_tests::session::Session;
use oxivirt_tests::{Guest, apply, scenario};

use super::lab::{ADD, DELETE, DNS_HOST, DNS_TXT, Lab, assert_error};
use super::{host, host_of_ours};

const NAMED: &str = "<network><name>named</name><bridge name='virbr0' stp='off'/>
  <mac address='52:54:00:6b:00:01'/><domain name='lab.test' localOnly='yes'/>
  <dns>
    <forwarder domain='far.test' addr='203.0.113.2'/><forwarder addr='203.0.113.2'/>
    <txt name='note' value='good morning'/>
    <srv service='ldap' protocol='tcp' domain='lab.test' target='dc.lab.test' port='389'
         priority='10' weight='20'/>
    <host ip='192.168.40.9'><hostname>printer</hostname><hostname>copier</hostname></host>
    <host ip='fd00:40::9'><hostname>printer</hostname></host>
  </dns>
  <ip address='192.168.40.1' prefix='24' localPtr='yes'/>
  <ip family='ipv6' address='fd00:40::1' prefix='64'/></network>";

const NAT: &str = include_str!("../../data/networks/nat.xml");

const SERVER: &str = "192.168.40.1";

/// A guest that needs no DHCP.
fn resolver(lab: &Lab) -> Guest {
    let guest = lab.guest("virbr0", 1);
    guest.configure("192.168.40.2/24", SERVER).unwrap();
    guest
}

#[track_caller]
fn check(guest: &Guest, kind: &str, name: &str, expect: &str) {
    let answer = guest.lookup(kind, name, SERVER).unwrap();
    // The last word is the answer; the server's own address stands above.
    assert!(answer.contains(expect), "{answer}");
}

#[track_caller]
fn check_unknown(guest: &Guest, kind: &str, name: &str) {
    if let Ok(answer) = guest.lookup(kind, name, SERVER) {
        panic!("{answer}");
    }
}

/// A foreign name server with a few names.
fn upstream(outside: &Guest) {
    // A stranger's server, started without the driver.
    let script = "dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --user=root \
                  --pid-file= --log-facility=/dev/null --listen-address=203.0.113.2 --bind-interfaces \
                  --address=/www.far.test/198.51.100.7 --address=/web.test/198.51.100.8 \
                  --address=/plainname/198.51.100.9 --address=/odd.lab.test/198.51.100.10";
    outside.netns().sh(script).unwrap();
}

#[apply(scenario)]
fn records_and_forwarders() {
    let host = host();
    let outside = super::lab::outside(&host);
    upstream(&outside);
    let lab = Lab::on(host, &[NAMED]);
    let guest = resolver(&lab);
    check(&guest, "a", "printer.lab.test", "192.168.40.9");
    check(&guest, "a", "copier", "192.168.40.9");
    check(&guest, "aaaa", "printer.lab.test", "fd00:40::9");
    check(&guest, "ptr", "9.40.168.192.in-addr.arpa", "printer.lab.test");
    check(&guest, "txt", "note", "good morning");
    check(&guest, "srv", "_ldap._tcp.lab.test", "10 20 389 dc.lab.test");
    // What it does not know goes to the forwarder, and what is for the domain only stays.
    check(&guest, "a", "www.far.test", "198.51.100.7");
    check(&guest, "a", "web.test", "198.51.100.8");
    check(&guest, "a", "plainname", "198.51.100.9");
    check_unknown(&guest, "a", "odd.lab.test");
    check_unknown(&guest, "ptr", "77.40.168.192.in-addr.arpa");
}

#[apply(scenario)]
fn plain_names_stay_local_if_configured() {
    let host = host();
    let outside = super::lab::outside(&host);
    upstream(&outside);
    let lab = Lab::on(host, &[&NAMED.replace("<dns>", "<dns forwardPlainNames='no'>")]);
    let guest = resolver(&lab);
    check(&guest, "a", "web.test", "198.51.100.8");
    check_unknown(&guest, "a", "plainname");
}

#[apply(scenario)]
fn without_dns_no_server_answers() {
    let xml = "<network><name>mute</name><bridge name='virbr0' stp='off'/><dns enable='no'/>
      <mac address='52:54:00:6b:00:01'/><ip address='192.168.40.1' prefix='24'>
      <dhcp><range start='192.168.40.10' end='192.168.40.99'/></dhcp></ip></network>";
    let lab = Lab::new(&[xml]);
    let guest = resolver(&lab);
    let words = ["timeout", "3", "busybox", "nslookup", "x.test", SERVER];
    assert!(!guest.netns().run(words).output().unwrap().status.success());
    assert!(guest.dhcp("x").unwrap().address.to_string().starts_with("192.168.40."));
}

#[apply(scenario)]
fn names_come_and_go_while_the_network_runs() {
    let mut lab = Lab::new(&[NAMED]);
    let guest = resolver(&lab);
    let before = lab.dnsmasq("named");
    let host = "<host ip='192.168.40.10'><hostname>scanner</hostname></host>";
    check_unknown(&guest, "a", "scanner.lab.test");
    lab.update("named", [ADD, DNS_HOST], host).unwrap();
    check_soon(&guest, "a", "scanner.lab.test", true);
    assert_error(lab.update("named", [ADD, DNS_HOST], host), 55, "DNS HOST record");
    lab.update("named", [DELETE, DNS_HOST], host).unwrap();
    check_soon(&guest, "a", "scanner.lab.test", false);
    assert_eq!(lab.dnsmasq("named"), before, "a signal suffices");
    lab.update("named", [ADD, DNS_TXT], "<txt name='late' value='v'/>").unwrap();
    check(&guest, "txt", "late", "\"v\"");
    assert_ne!(lab.dnsmasq("named"), before, "records are read at a start only");
}

/// dnsmasq reads its files some time after the signal.
#[track_caller]
fn check_soon(guest: &Guest, kind: &str, name: &str, expect: bool) {
    let known = || Ok(guest.lookup(kind, name, SERVER).is_ok() == expect);
    wait_until(name, known).unwrap();
}

#[apply(scenario)]
#[expect(clippy::disallowed_methods, reason = "a file of the test without a reader yet")]
fn guests_boot_from_the_network() {
    let host = host();
    let root = oxivirt_tests::TempRoot::new().unwrap();
    let text = "#!ipxe\nexit\n".repeat(1000);
    std::fs::write(root.join("boot.ipxe"), &text).unwrap();
    let xml = format!(
        "<network><name>boot</name><bridge name='virbr0' stp='off'/>
         <mac address='52:54:00:6b:00:01'/><ip address='192.168.40.1' prefix='24'>
         <tftp root='{}'/><dhcp><range start='192.168.40.10' end='192.168.40.99'/>
         <bootp file='boot.ipxe' server='192.168.40.1'/></dhcp></ip></network>",
        root.path().display()
    );
    let lab = Lab::on(host, &[&xml]);
    let guest = lab.guest("virbr0", 1);
    let fields = guest.dhcp_fields("x", &[]).unwrap();
    assert_eq!((fields["boot_file"].as_str(), fields["siaddr"].as_str()), ("boot.ipxe", SERVER));
    let words = ["busybox", "tftp", "-g", "-r", "boot.ipxe", "-l", "/dev/stdout", SERVER];
    assert_eq!(guest.netns().run(words).stdout().unwrap(), text);
}

#[apply(scenario)]
fn a_network_starts_without_resolv_conf_and_uses_the_file_once_it_appears() {
    let host = host_of_ours();
    host.netns()
        .sh("mkdir /run/etc; cp -a /etc/. /run/etc; rm -f /run/etc/resolv.conf; \
             ln -s /nonexistent /run/etc/resolv.conf; mount --bind /run/etc /etc")
        .unwrap();
    let mut session = Session::listen(&host).unwrap();
    session.call("define", "nat", &NAT.replace('\n', " ")).unwrap();
    session.call("start", "nat", "").unwrap();
    assert!(session.ask("events", "", "").unwrap().contains("/etc/resolv.conf cannot be read"));
    let guest = Guest::on(&host, "virbr0", "port0").unwrap();
    guest.dhcp("guest").unwrap();
    let servers =
        host.root().join("run/oxivirt/network/servers/5b3a1f0e-0a57-4b0c-9d6f-6f4a7f0c1a01");
    assert_eq!(std::fs::read_to_string(&servers).unwrap(), "");
    host.netns().sh("rm /etc/resolv.conf; echo nameserver 192.0.2.53 > /etc/resolv.conf").unwrap();
    wait_until("dnsmasq gets the name server", || {
        Ok(std::fs::read_to_string(&servers).unwrap() == "server=192.0.2.53\n")
    })
    .unwrap();
    session.call("destroy", "nat", "").unwrap();
}
