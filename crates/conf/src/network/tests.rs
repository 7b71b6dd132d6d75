//! Reading and writing definitions: one rule in a line or two.

use super::*;
use crate::error::Classified as _;

fn network(content: &str) -> String {
    format!("<network><name>n</name>{content}</network>")
}

/// `content` of a network is printed as `expect`, the name and the frame left out.
#[track_caller]
fn check(content: &str, expect: &str) {
    let def = NetworkDef::parse(&network(content)).unwrap_or_else(|error| panic!("{error}"));
    let text = def.format(Form::Inactive);
    let lines = text.lines().skip(2).filter(|line| *line != "</network>");
    let body: Vec<_> = lines.map(str::trim_start).collect();
    assert_eq!(body.join(""), expect);
}

/// A document that is printed as it was written.
#[track_caller]
fn check_same(content: &str) {
    check(content, content);
}

#[track_caller]
fn check_error(content: &str, code: i32, domain: i32, message: &str) {
    let error = NetworkDef::parse(&network(content)).unwrap_err();
    assert_eq!(
        (error.code().0, error.domain().0, error.to_string().as_str()),
        (code, domain, message)
    );
}

const BRIDGE: &str = "<bridge stp='on' delay='0'/>";

#[test]
fn general() {
    check(
        "<uuid> 81FF0D90c91e674264da4a736edb9a9b</uuid><forward mode='none'/>",
        "<uuid>81ff0d90-c91e-6742-64da-4a736edb9a9b</uuid><bridge stp='on' delay='0'/>",
    );
    check(
        "<title/><description>a\nb</description>",
        "<description>ab</description><bridge stp='on' delay='0'/>",
    );
    check_error("<uuid>x</uuid>", 1, 19, "internal error: malformed uuid element");
    check_error("<title>a\nb</title>", 27, 19, "XML error: Network title can't contain newlines");
    let error = NetworkDef::parse("<network/>").unwrap_err();
    assert_eq!((error.code().0, error.to_string().as_str()), (21, "missing name information"));
    let error = NetworkDef::parse("<net/>").unwrap_err();
    assert_eq!(error.to_string(), "XML error: expecting root element of 'network', not 'net'");
    let error = NetworkDef::parse_file("/x/n.xml", "<network>").unwrap_err();
    assert_eq!(error.code().0, 35);
    assert!(error.to_string().starts_with("/x/n.xml:1: Premature end"), "{error}");
}

#[test]
fn bridges() {
    check_same("<bridge name='br0' zone='z' stp='off' delay='7' macTableManager='libvirt'/>");
    check("<bridge stp='maybe'/>", BRIDGE);
    check_same("<forward mode='bridge'/><bridge name='br0'/>");
    check_error("<bridge delay='x'/>", 27, 19, "XML error: Invalid delay value in network 'n'");
    check_error(
        "<forward mode='vepa'/><bridge name='b'/>",
        27,
        19,
        "XML error: bridge name not allowed in vepa mode (network 'n')",
    );
    check_error(
        "<mac address='53:00:00:00:00:00'/>",
        27,
        19,
        "XML error: Invalid multicast bridge mac address '53:00:00:00:00:00' in network 'n'",
    );
    check_error("<mtu size='-1'/>", 27, 19, "XML error: Invalid mtu size '-1' in network 'n'");
}

#[test]
fn dns_records() {
    check(
        "<dns><host ip='1.2'><hostname>a</hostname><hostname>b</hostname></host><txt name='t' value=''/></dns>",
        "<bridge stp='on' delay='0'/><dns><txt name='t' value=''/><host ip='1.0.0.2'><hostname>a</hostname><hostname>b</hostname></host></dns>",
    );
    check("<dns enable='yes'/>", "<bridge stp='on' delay='0'/><dns enable='yes'/>");
    check_error(
        "<dns enable='no'><txt name='a' value='b'/></dns>",
        27,
        19,
        "XML error: Extra data in disabled network 'n'",
    );
    check_error(
        "<dns><host ip='1.2.3.4'/></dns>",
        35,
        19,
        "Missing hostname in network 'n' DNS HOST record",
    );
    for (attribute, record) in [
        ("value", "<txt name='a' value='b&#10;dhcp-script=/x'/>"),
        ("domain", "<srv service='s' protocol='tcp' domain='b&#13;x' target='t'/>"),
        ("target", "<srv service='s' protocol='tcp' target='b&#10;x'/>"),
    ] {
        let message = format!("prohibited line end in {attribute} of a DNS record of network n");
        check_error(&format!("<dns>{record}</dns>"), 35, 19, &message);
    }
}

#[test]
fn addresses() {
    check_same_after_bridge("<ip address='10.0.0.1'></ip>");
    check_same_after_bridge("<ip family='ipv6' address='2001:db8::1' prefix='64'></ip>");
    check_same_after_bridge("<ip address='10.0.0.1' netmask='255.0.255.0'></ip>");
    check_error(
        "<ip address='::1'/>",
        67,
        19,
        "unsupported configuration: no family specified for non-IPv4 address '::1' in network 'n'",
    );
    check_error(
        "<ip address='10.0.0.1' prefix='33'/>",
        67,
        19,
        "unsupported configuration: Invalid IPv4 prefix '33' in network 'n'",
    );
}

#[track_caller]
fn check_same_after_bridge(content: &str) {
    check(content, &format!("{BRIDGE}{content}"));
}

#[test]
fn subnets() {
    #[track_caller]
    fn check(attributes: &str, expect: Option<(u8, &str)>) {
        let def = NetworkDef::parse(&network(&format!("<ip {attributes}/>"))).unwrap();
        let ip = &def.ips[0];
        let found = ip.effective_prefix().zip(ip.subnet().map(|net| net.network().to_string()));
        assert_eq!(found, expect.map(|(prefix, net)| (prefix, net.to_owned())));
    }
    check("address='192.168.122.1'", Some((24, "192.168.122.0")));
    check("address='192.168.122.1' prefix='0'", Some((24, "192.168.122.0")));
    check("address='10.1.2.3' netmask='255.255.0.0'", Some((16, "10.1.0.0")));
    check("address='10.1.2.3' netmask='255.0.255.0'", None);
    check("address='230.1.2.3'", None);
    check("family='ipv6' address='2001:db8::7'", Some((64, "2001:db8::")));
}

#[test]
fn dhcp() {
    let ip = |dhcp: &str| format!("<ip address='10.0.0.1' prefix='24'><dhcp>{dhcp}</dhcp></ip>");
    for same in [
        "<range start='10.0.0.2' end='10.0.0.9'/>",
        "<range start='10.0.0.2' end='10.0.0.9'><lease expiry='0'/></range>",
        "<host mac='52:54:00:AA:bb:1' name='h' ip='10.0.0.2'><lease expiry='5' unit='hours'/></host>",
        "<host name='h' ip='10.0.0.2'/><bootp file='f' server='10.0.0.3'/>",
    ] {
        check_same_after_bridge(&ip(same));
    }
    check(&ip("<bootp file='f'/>"), &format!("{BRIDGE}<ip address='10.0.0.1' prefix='24'></ip>"));
    check_error(
        &ip("<range start='10.0.0.2' end='10.0.0.9'><lease expiry='1'/></range>"),
        67,
        19,
        "unsupported configuration: The minimum lease time should be greater than 2 minutes",
    );
    check_error(
        &ip("<range start='10.0.1.2' end='10.0.1.9'/>"),
        1,
        0,
        "internal error: range 10.0.1.2 - 10.0.1.9 is not entirely within network 10.0.0.1/24",
    );
    check_error(
        &ip("<range start='x' end='10.0.1.9'/>"),
        38,
        0,
        "Cannot parse socket address 'x': Name or service not known",
    );
    check_error(
        &ip("<host mac='52:54:00:00:00:01'/>"),
        27,
        19,
        "XML error: Missing IP address in static host definition for network 'n'",
    );
}

#[test]
fn forward_pools() {
    check(
        "<forward dev='eth0'/><ip address='10.0.0.1'/>",
        "<forward dev='eth0' mode='nat'><interface dev='eth0'/></forward><bridge stp='on' delay='0'/><ip address='10.0.0.1'></ip>",
    );
    check_same("<forward mode='hostdev' managed='no'><driver model='m'/></forward>");
    check_same("<forward mode='passthrough'><pf dev='eth3'/></forward>");
    check_error(
        "<forward/>",
        27,
        19,
        "XML error: nat forwarding requested, but no IP address provided for network 'n'",
    );
    check_error(
        "<forward mode='bridge'><interface dev='a'/><interface dev='a'/></forward>",
        27,
        19,
        "XML error: interface 'a' can only be listed once in network n",
    );
}

#[test]
fn live_form_shows_counters_and_functions() {
    let mut def =
        NetworkDef::parse(&network("<forward mode='passthrough'><pf dev='e'/></forward>")).unwrap();
    let device = ForwardDevice::Interface(String::from("e_0"));
    def.forward.devices.push(device.clone());
    let counters = Counters { connections: 2, devices: [(device, 1)].into() };
    let live = def.format(Form::Live(&counters));
    assert!(live.starts_with("<network connections='2'>\n"), "{live}");
    assert!(
        live.contains("    <pf dev='e'/>\n    <interface dev='e_0' connections='1'/>\n"),
        "{live}"
    );
    assert!(!def.format(Form::Inactive).contains("e_0"));
}

#[test]
fn metadata() {
    check(
        "<metadata>t<a:x xmlns:a='urn:1'><a:y> </a:y></a:x><b:x xmlns:b='urn:1'/><plain/></metadata>",
        "<metadata><a:x xmlns:a=\"urn:1\"><a:y> </a:y></a:x></metadata><bridge stp='on' delay='0'/>",
    );
    check("<metadata><plain/></metadata>", "<metadata/><bridge stp='on' delay='0'/>");
    check("<metadata>text</metadata>", BRIDGE);
    let def = NetworkDef::parse(
        "<network xmlns:a='urn:1'><name>n</name><metadata><a:x/></metadata></network>",
    )
    .unwrap();
    assert!(def.format(Form::Inactive).contains("<metadata xmlns:a=\"urn:1\">\n    <a:x/>\n"));
}

#[test]
fn dnsmasq_options_of_any_prefix() {
    let xml = "<network xmlns:d='http://libvirt.org/schemas/network/dnsmasq/1.0'><name>n</name>\
        <d:options><d:option value='a'/></d:options><d:options><d:option value='b'/></d:options></network>";
    let def = NetworkDef::parse(xml).unwrap();
    assert_eq!(def.dnsmasq_options, ["a", "b"]);
    assert_eq!(NetworkDef::parse(&def.format(Form::Inactive)), Ok(def));
}
