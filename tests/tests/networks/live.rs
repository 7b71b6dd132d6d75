//! Changes of a running network while its guests are busy: nothing they do is disturbed.

use std::net::IpAddr;

use oxivirt_tests::guest::{connect, probe, serve};
use oxivirt_tests::probe::Outcome;
use oxivirt_tests::process::{Running, wait_until};
use oxivirt_tests::require::skip;
use oxivirt_tests::{Guest, Result, Subject, apply, scenario};

use super::host;
use super::lab::{ADD, DELETE, DHCP_HOST, DNS_HOST, Lab, number, outside};

const BUSY: &str = "<network><name>busy</name><forward mode='nat'><nat ipv6='yes'/></forward>
  <bridge name='virbr0' stp='off'/><mac address='52:54:00:6b:00:01'/>
  <ip address='192.168.97.1' prefix='24'><dhcp>
    <range start='192.168.97.100' end='192.168.97.199'/></dhcp></ip>
  <ip family='ipv6' address='fd00:97::1' prefix='64'/></network>";

/// A network with a guest whose datagrams go through the network's rules to a stranger.
struct Busy {
    lab: Lab,
    guest: Guest,
    outside: Guest,
}

impl Busy {
    fn new() -> Self {
        let host = host();
        let outside = outside(&host);
        let lab = Lab::on(host, &[BUSY]);
        let guest = lab.guest("virbr0", 1);
        guest.configure("192.168.97.2/24", "192.168.97.1").unwrap();
        assert!(guest.pings("203.0.113.2").unwrap());
        Self { lab, guest, outside }
    }

    /// Sends datagrams through the network for as long as `disturb` takes; how many got lost, and of
    /// how many.
    fn losses(&mut self, disturb: impl FnOnce(&mut Lab)) -> [u64; 2] {
        let counter = probe(self.outside.netns(), &["count", "203.0.113.2"]).unwrap();
        let stream = probe(self.guest.netns(), &["stream", "203.0.113.2"]).unwrap();
        disturb(&mut self.lab);
        wait_for_datagrams(&self.guest);
        let (sent, counted) = (number(stream), number(counter));
        assert!(sent > 50, "only {sent} datagrams");
        [sent - counted, sent]
    }
}

/// Waits until the guest has sent enough datagrams more to notice what a quick change did.
fn wait_for_datagrams(guest: &Guest) {
    let sent = || -> Result<u64> {
        let text = guest.netns().sh("cat /sys/class/net/eth0/statistics/tx_packets")?;
        Ok(text.trim().parse().unwrap())
    };
    let enough = sent().unwrap() + 300;
    wait_until("datagrams", || Ok(sent()? >= enough)).unwrap();
}

/// Every kind of update whose consequences libvirt has: signals, restarts of dnsmasq, rules.
fn update_everything(lab: &mut Lab) {
    for round in 0..4 {
        let host = format!("<host mac='52:54:00:bb:00:0{round}' ip='192.168.97.5{round}'/>");
        lab.update("busy", [ADD, DHCP_HOST], &host).unwrap();
        let dns = format!("<host ip='192.168.97.6{round}'><hostname>h{round}</hostname></host>");
        lab.update("busy", [ADD, DNS_HOST], &dns).unwrap();
        let range = format!(
            "<range start='192.168.97.{}' end='192.168.97.{}'/>",
            200 + 2 * round,
            201 + 2 * round
        );
        lab.update("busy", [ADD, super::lab::DHCP_RANGE], &range).unwrap();
        lab.update("busy", [DELETE, DHCP_HOST], &host).unwrap();
    }
}

#[apply(scenario)]
fn updates_lose_no_packet() {
    let mut busy = Busy::new();
    let lost = busy.losses(update_everything);
    judge(&busy.lab, lost);
}

/// libvirt removes all rules and adds them again; what is lost meanwhile is its own affair.
#[track_caller]
fn judge(lab: &Lab, [lost, sent]: [u64; 2]) {
    match lab.host.subject() {
        Subject::Oxivirt => assert_eq!(lost, 0, "of {sent} datagrams"),
        Subject::Libvirt => println!("{lost} of {sent} datagrams got lost"),
    }
}

#[apply(scenario)]
fn a_forward_interface_comes_and_goes_between_packets() {
    let host = host();
    let outside = outside(&host);
    let side = Guest::beside(&host, "side", &[("198.51.100.1/24", "198.51.100.2/24")]).unwrap();
    let to: IpAddr = "198.51.100.2".parse().unwrap();
    let _server = serve(side.netns(), to).unwrap();
    let lab = Lab::on(host, &[BUSY]);
    let guest = lab.guest("virbr0", 1);
    guest.configure("192.168.97.2/24", "192.168.97.1").unwrap();
    assert!(guest.pings("203.0.113.2").unwrap());
    let mut busy = Busy { lab, guest, outside };
    // VIR_NETWORK_SECTION_FORWARD_INTERFACE
    let change =
        |lab: &mut Lab, command| lab.update("busy", [command, 7], "<interface dev='uplink'/>");
    let reaches =
        |guest: &Guest| matches!(connect(guest.netns(), to).unwrap(), Outcome::Delivered { .. });
    assert!(reaches(&busy.guest));
    let lost = busy.losses(|lab| {
        for _ in 0..5 {
            change(lab, ADD).unwrap();
            change(lab, DELETE).unwrap();
        }
        change(lab, ADD).unwrap();
    });
    assert!(!reaches(&busy.guest));
    change(&mut busy.lab, DELETE).unwrap();
    assert!(reaches(&busy.guest));
    judge(&busy.lab, lost);
}

#[apply(scenario)]
fn a_new_driver_loses_no_packet() {
    let mut busy = Busy::new();
    if busy.lab.host.subject() == Subject::Libvirt {
        skip("libvirt adds its rules again: there is a window");
    }
    let counter = probe(busy.outside.netns(), &["count", "203.0.113.2"]).unwrap();
    let stream: Running = probe(busy.guest.netns(), &["stream", "203.0.113.2"]).unwrap();
    for _ in 0..3 {
        busy.lab = busy.lab.restart();
        wait_for_datagrams(&busy.guest);
    }
    assert_eq!(number(stream), number(counter));
}

#[apply(scenario)]
fn rules_that_were_flushed_come_back_without_a_loss() {
    let busy = Busy::new();
    if busy.lab.host.subject() == Subject::Libvirt {
        skip("libvirt cannot add to chains that are gone");
    }
    // Routed back, so that a packet without rules is no lost one.
    busy.outside.netns().sh("ip route add 192.168.97.0/24 via 203.0.113.1").unwrap();
    let counter = probe(busy.outside.netns(), &["count", "203.0.113.2"]).unwrap();
    let stream = probe(busy.guest.netns(), &["stream", "203.0.113.2"]).unwrap();
    busy.lab.sh("nft flush ruleset");
    let lab = busy.lab.restart();
    assert!(lab.sh("nft list ruleset").contains("virbr0"));
    wait_for_datagrams(&busy.guest);
    let (sent, counted) = (number(stream), number(counter));
    assert_eq!(sent, counted);
}
