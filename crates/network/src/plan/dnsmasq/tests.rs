//! One source of lines at a time.

use super::*;

fn run(content: &str) -> Result<Texts> {
    let xml = format!("<network><name>a&amp;b</name><bridge name='br'/>{content}</network>");
    let def = Network::parsed(&xml);
    texts(&def, Paths { state_dir: "/d", pid_file: Some("/run/n.pid") })
}

const START: &str = "strict-order\n";
const BRIDGE: &str = "pid-file=/run/n.pid\nexcept-interface=lo\nbind-dynamic\ninterface=br\n";
const NAT: &str = "<forward/><ip address='10.0.0.1' prefix='24'/>";

/// `content` with NAT gives these lines before and after those of every network.
#[track_caller]
fn check(content: &str, before: &str, after: &str) {
    let conf = run(&format!("{NAT}{content}")).unwrap().conf;
    let (head, body) = conf.split_once(START).unwrap();
    assert_eq!(head.lines().count(), 6);
    assert_eq!(body, format!("{before}{BRIDGE}{after}addn-hosts=/d/a&amp;b.addnhosts\n"));
}

#[test]
fn forwarding() {
    check(
        "<dns><forwarder addr='8.8.8.8'/><forwarder domain='x'/></dns>",
        "server=8.8.8.8\nserver=/x/#\nno-resolv\n",
        "",
    );
    check("<dns><forwarder domain='x' addr='8.8.8.8'/></dns>", "server=/x/8.8.8.8\n", "");
    check("<dns forwardPlainNames='no'/>", "domain-needed\nlocal=//\n", "");
    check("<domain name='d' localOnly='yes'/>", "local=/d/\ndomain=d\nexpand-hosts\n", "");
}

#[test]
fn records() {
    check("<dns><txt name='t' value='a b'/></dns>", "", "txt-record=t,a b\n");
    check(
        "<dns><srv service='s' protocol='tcp' target='t' weight='7'/></dns>",
        "",
        "srv-host=_s._tcp,t,1,0,7\n",
    );
    check(
        "<dns><srv service='s' protocol='tcp' domain='d' target='t' port='5'/></dns>",
        "",
        "srv-host=_s._tcp.d,t,5\n",
    );
    check(
        "<dns><srv service='s' protocol='tcp' target='.' port='5'/></dns>",
        "",
        "srv-host=_s._tcp\n",
    );
    check("<dns><srv service='s' protocol='tcp' target=''/></dns>", "", "srv-host=_s._tcp,\n");
}

#[test]
fn dhcp() {
    let ip = |dhcp: &str| format!("<ip address='10.1.0.1' prefix='24'><dhcp>{dhcp}</dhcp></ip>");
    check(
        &ip("<range start='10.1.0.2' end='10.1.0.3'><lease expiry='0'/></range>"),
        "",
        "dhcp-range=10.1.0.2,10.1.0.3,255.255.255.0,infinite\ndhcp-no-override\ndhcp-authoritative\n\
         dhcp-lease-max=2\ndhcp-hostsfile=/d/a&amp;b.hostsfile\n",
    );
    check(
        &ip("<host name='h' ip='10.1.0.3'/><bootp file='f' server='10.0.0.9'/>"),
        "",
        "dhcp-range=10.1.0.1,static\ndhcp-no-override\ndhcp-authoritative\ndhcp-boot=f,,10.0.0.9\n\
         dhcp-hostsfile=/d/a&amp;b.hostsfile\n",
    );
}

#[test]
fn isolated_without_names() {
    let conf = run("<dns enable='no'/><ip family='ipv6' address='fd00::1'/>").unwrap().conf;
    let body = conf.split_once(START).unwrap().1;
    assert_eq!(
        body,
        format!(
            "port=0\n{BRIDGE}dhcp-option=3\nno-resolv\nra-param=*,0,0\ndhcp-range=fd00::1,ra-only\n"
        )
    );
}

#[test]
fn hosts_file() {
    let texts = run("<ip address='10.0.0.1' prefix='24'><dhcp><host mac='52:54:00:AA:0:1' name='a' ip='10.0.0.2'/>\
        <host name='b' ip='10.0.0.3'><lease expiry='3' unit='hours'/></host></dhcp></ip>\
        <ip family='ipv6' address='fd00::1'><dhcp><host id='0:1' ip='fd00::2'/><host name='c' ip='fd00::3'/></dhcp></ip>").unwrap();
    assert_eq!(
        texts.hosts,
        "52:54:00:AA:0:1,10.0.0.2,a\nb,10.0.0.3,3h\nid:0:1,[fd00::2]\nc,[fd00::3]\n"
    );
}

#[test]
fn extra_names_of_one_address_share_a_line() {
    let host = |ip: &str, name: &str| format!("<host ip='{ip}'><hostname>{name}</hostname></host>");
    let texts = run(&format!(
        "<dns>{}{}{}</dns>",
        host("10.0.0.9", "a"),
        host("10.0.0.2", "b"),
        host("10.0.0.9", "c")
    ))
    .unwrap();
    assert_eq!(texts.addn_hosts, "10.0.0.9\ta\tc\t\n10.0.0.2\tb\t\n");
}

#[test]
fn reverse_zones() {
    #[track_caller]
    fn check(address: &str, prefix: u8, expect: Option<&str>) {
        assert_eq!(reverse_zone(address.parse().unwrap(), prefix).ok().as_deref(), expect);
    }
    check("192.168.122.1", 24, Some("122.168.192.in-addr.arpa"));
    check("10.1.2.3", 8, Some("10.in-addr.arpa"));
    check("10.1.2.3", 25, None);
    check("10.1.2.3", 32, None);
    check("2001:db8::1", 32, Some("8.b.d.0.1.0.0.2.ip6.arpa"));
    check("2001:db8::1", 31, None);
    check("2001:db8::1", 128, None);
}

#[test]
fn a_value_cannot_start_a_line() {
    for content in [
        "<domain name='d&#10;dhcp-script=/x'/>",
        "<ip address='10.9.0.1'><tftp root='/a&#13;/b'/></ip>",
        "<dns><host ip='10.0.0.1'><hostname>a\nb</hostname></host></dns>",
    ] {
        let error = run(content).unwrap_err();
        assert_eq!(error.code(), ErrorCode::CONFIG_UNSUPPORTED);
        assert!(matches!(error, DnsmasqError::LineEnd { .. }), "{error}");
    }
}

#[test]
fn needed() {
    let needed = |content: &str| {
        is_needed(&Network::parsed(&format!("<network><name>n</name>{content}</network>")))
    };
    assert!(!needed(""));
    assert!(needed("<ip address='10.0.0.1'/>"));
    assert!(!needed("<dns enable='no'/><ip address='10.0.0.1'/>"));
    assert!(needed("<dns enable='no'/><ip address='10.0.0.1'><tftp root='/x'/></ip>"));
}
