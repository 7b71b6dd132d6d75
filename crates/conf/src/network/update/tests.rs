//! Each section's matching rules, one case in a few lines.

use super::*;

const BASE: &str = "<network><name>n</name><forward mode='bridge'><interface dev='e0'/></forward>\
    <dns><host ip='1.1.1.1'><hostname>a</hostname></host><txt name='t' value='v'/>\
    <srv service='s' protocol='tcp' domain='d' target='x' port='5'/></dns>\
    <ip address='192.168.122.1' netmask='255.255.255.0'><dhcp>\
    <range start='192.168.122.2' end='192.168.122.9'/><host name='h' ip='192.168.122.20'/>\
    <host mac='52:54:00:00:00:01' ip='192.168.122.21'/></dhcp></ip>\
    <ip address='10.0.0.1' prefix='24'/><ip family='ipv6' address='2001:db8::1'/>\
    <portgroup name='g' default='yes'/></network>";

fn run(section: Section, command: u32, index: i32, payload: &str) -> Result<NetworkDef> {
    let def = NetworkDef::parse(BASE).unwrap();
    let section = section.number();
    let request = Request { section, command, parent_index: index, payload };
    update(&def, &Change::parse(&def, &request)?, Form::Inactive)
}

#[track_caller]
fn check(section: Section, command: Command, payload: &str, expect: &str) {
    let def = run(section, command.number(), -1, payload).unwrap_or_else(|error| panic!("{error}"));
    let text: String = def.format(Form::Inactive).lines().map(str::trim_start).collect();
    assert!(text.contains(expect), "{text}");
}

#[track_caller]
fn check_error(section: Section, command: u32, index: i32, payload: &str, code: i32, text: &str) {
    let error = run(section, command, index, payload).unwrap_err();
    assert_eq!((error.code().0, error.to_string().as_str()), (code, text));
}

#[test]
fn dhcp_hosts() {
    use Section::IpDhcpHost as S;
    check(
        S,
        Command::AddFirst,
        "<host name='q' ip='192.168.122.30'/>",
        "<host name='q' ip='192.168.122.30'/><host name='h'",
    );
    check(
        S,
        Command::Modify,
        "<host name='h' ip='192.168.122.33'/>",
        "end='192.168.122.9'/><host name='h' ip='192.168.122.33'/>",
    );
    check(S, Command::Delete, "<host name='h'/>", "end='192.168.122.9'/><host mac=");
    check(
        S,
        Command::Delete,
        "<host mac='52:54:0:0:0:1'/>",
        "<host name='h' ip='192.168.122.20'/></dhcp>",
    );
    check_error(
        S,
        3,
        -1,
        "<host name='h' ip='1.1.1.1'/>",
        55,
        "Requested operation is not valid: there is an existing dhcp host entry in network 'n' that matches \"<host mac='unknown' name='h' ip='1.1.1.1'/>\"",
    );
    check_error(
        S,
        3,
        1,
        "<host name='z' ip='10.0.0.5'/>",
        55,
        "Requested operation is not valid: dhcp is supported only for a single IPv4 address on each network",
    );
    check_error(
        S,
        2,
        -1,
        "<host id='0:1'/>",
        27,
        "XML error: At least one of name, mac, or ip attribute must be specified for static host definition in network 'n'",
    );
    check_error(
        S,
        7,
        -1,
        "<host name='z' ip='192.168.122.30'/>",
        84,
        "Operation not supported: unrecognized network update command code 7",
    );
    check_error(
        S,
        3,
        9,
        "<range/>",
        27,
        "XML error: unexpected element <range>, expecting <host>, while updating network 'n'",
    );
}

#[test]
fn a_delete_by_mac_spares_hosts_without_one() {
    let error = run(Section::IpDhcpHost, 2, -1, "<host mac='52:54:00:00:00:99'/>").unwrap_err();
    assert_eq!(
        error.to_string(),
        "Requested operation is not valid: couldn't locate a matching dhcp host entry in network 'n'"
    );
}

#[test]
fn dhcp_ranges() {
    use Section::IpDhcpRange as S;
    check(
        S,
        Command::AddLast,
        "<range start='192.168.122.50' end='192.168.122.60'/>",
        "end='192.168.122.9'/><range start='192.168.122.50'",
    );
    check(
        S,
        Command::Delete,
        "<range start='192.168.122.2' end='192.168.122.9'/>",
        "<dhcp><host name='h'",
    );
    check_error(
        S,
        1,
        -1,
        "<range/>",
        84,
        "Operation not supported: dhcp ranges cannot be modified, only added or deleted",
    );
    check_error(
        S,
        3,
        9,
        "<range start='10.0.0.2' end='10.0.0.5'/>",
        55,
        "Requested operation is not valid: couldn't update dhcp host entry - no <ip> element found at index 9 in network 'n'",
    );
}

#[test]
fn interfaces() {
    use Section::ForwardInterface as S;
    check(
        S,
        Command::AddFirst,
        "<interface dev='e1'/>",
        "<forward dev='e1' mode='bridge'><interface dev='e1'/><interface dev='e0'/>",
    );
    check(S, Command::Delete, "<interface dev='e0'/>", "<forward mode='bridge'/>");
    check_error(
        S,
        1,
        -1,
        "<interface dev='e0'/>",
        84,
        "Operation not supported: forward interface entries cannot be modified, only added or deleted",
    );
    check_error(
        S,
        2,
        -1,
        "<interface dev='x'/>",
        55,
        "Requested operation is not valid: couldn't find an interface entry in network 'n' matching <interface dev='x'>",
    );
}

#[test]
fn a_device_in_use_stays() {
    let def = NetworkDef::parse(BASE).unwrap();
    let request =
        Request { section: 7, command: 2, parent_index: -1, payload: "<interface dev='e0'/>" };
    let change = Change::parse(&def, &request).unwrap();
    let devices = [(crate::network::ForwardDevice::Interface(String::from("e0")), 2)].into();
    let counters = Counters { connections: 2, devices };
    let error = update(&def, &change, Form::Live(&counters)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::OPERATION_INVALID);
    assert!(update(&def, &change, Form::Inactive).is_ok());
}

#[test]
fn port_groups() {
    use Section::PortGroup as S;
    check(
        S,
        Command::AddLast,
        "<portgroup name='z'/>",
        "<portgroup name='g' default='yes'></portgroup><portgroup name='z'>",
    );
    check(S, Command::Modify, "<portgroup name='g'/>", "<portgroup name='g'></portgroup>");
    check(S, Command::Delete, "<portgroup name='g'/>", "</ip></network>");
    check_error(
        S,
        3,
        -1,
        "<portgroup name='z' default='yes'/>",
        55,
        "Requested operation is not valid: a different portgroup entry in network 'n' is already set as the default. Only one default is allowed.",
    );
}

#[test]
fn dns_records() {
    check(
        Section::DnsHost,
        Command::Modify,
        "<host ip='1.1.1.1'><hostname>b</hostname></host>",
        "<host ip='1.1.1.1'><hostname>b</hostname></host>",
    );
    check(
        Section::DnsHost,
        Command::Delete,
        "<host><hostname>a</hostname></host>",
        "port='5'/></dns>",
    );
    check_error(
        Section::DnsHost,
        1,
        -1,
        "<host ip='1.1.1.1'/>",
        35,
        "Missing hostname in network 'n' DNS HOST record",
    );
    check_error(
        Section::DnsHost,
        0,
        -1,
        "<host/>",
        35,
        "Missing ip and hostname in network 'n' DNS HOST record",
    );
    check(Section::DnsTxt, Command::Modify, "<txt name='t' value=''/>", "<txt name='t' value=''/>");
    check_error(
        Section::DnsTxt,
        1,
        -1,
        "<txt name='t'/>",
        55,
        "Requested operation is not valid: missing value of modifying DNS TXT record in network n",
    );
    check(
        Section::DnsSrv,
        Command::AddFirst,
        "<srv service='q' protocol='tcp'/>",
        "<srv service='q' protocol='tcp'/><srv service='s'",
    );
    check(Section::DnsSrv, Command::Delete, "<srv/>", "<txt name='t' value='v'/><host");
    check_error(
        Section::DnsSrv,
        3,
        -1,
        "<srv service='s' protocol='tcp'/>",
        55,
        "Requested operation is not valid: there is already at least one DNS SRV record matching all specified fields in network n",
    );
    check_error(
        Section::DnsSrv,
        1,
        -1,
        "<x/>",
        84,
        "Operation not supported: DNS SRV records cannot be modified, only added or deleted",
    );
}

#[test]
fn sections_that_cannot_change() {
    check_error(
        Section::ForwardPf,
        3,
        -1,
        "<x/>",
        84,
        "Operation not supported: can't update 'forward pf' section of network 'n'",
    );
    check_error(
        Section::Bridge,
        3,
        -1,
        "<x",
        35,
        "at line 1: Couldn't find end of Start Tag x line 1\n<x\n--^",
    );
    let def = NetworkDef::parse(BASE).unwrap();
    let request = Request { section: 13, command: 3, parent_index: -1, payload: "<x/>" };
    let error = Change::parse(&def, &request).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Operation not supported: can't update unrecognized section of network"
    );
}
