use crate::ParseError;
use crate::network::NetworkDef;
use crate::port::NetworkPortDef;

#[track_caller]
fn check(document: &str, expect: &str) {
    let result = if document.starts_with("<networkport") {
        NetworkPortDef::parse_validated(document).map(drop)
    } else {
        NetworkDef::parse_validated(document).map(drop)
    };
    let found = match result {
        Ok(()) => String::from("ok"),
        Err(ParseError::Schema(error)) => error.to_string(),
        Err(error) => format!("past the schema: {error}"),
    };
    assert_eq!(found, expect, "{document}");
}

#[track_caller]
fn check_body(body: &str, expect: &str) {
    check(&format!("<network><name>lab</name>{body}</network>"), expect);
}

#[test]
fn elements() {
    check_body("", "ok");
    check_body("<!-- aside --><?also aside?>", "ok");
    check_body("<brigde name='a'/>", "/network: unknown element 'brigde'");
    check_body(
        "<mtu size='1500'/><mtu size='1500'/>",
        "/network: element 'mtu' is there more than once",
    );
    check_body("stray", "/network: there must be no text");
    check_body("<bridge>stray</bridge>", "/network/bridge: there must be no text");
    check_body("<bridge> \n</bridge>", "ok");
    check_body("<vlan/>", "/network/vlan: element 'tag' is missing");
    check_body("<x:mtu xmlns:x='urn:x' size='1'/>", "/network: unknown element 'mtu'");
    check_body("<description><b/></description>", "/network/description: unknown element 'b'");
    check("<network/>", "/network: element 'name' is missing");
    check("<network xmlns='urn:x'/>", "/network: the element must not be in namespace 'urn:x'");
    check_body(
        "<forward><interface dev='a'/><address type='pci'/></forward>",
        "/network/forward: elements 'interface' and 'address' exclude each other",
    );
}

#[test]
fn attributes() {
    check_body("<mtu/>", "/network/mtu: attribute 'size' is missing");
    check_body("<bridge nam='a'/>", "/network/bridge: unknown attribute 'nam'");
    check_body("<bridge xml:name='a'/>", "/network/bridge: unknown attribute 'name'");
    check_body(
        "<bridge stp='yes'/>",
        "/network/bridge: attribute 'stp' is 'yes', expected one of 'on', 'off'",
    );
    check_body(
        "<ip address='192.0.2.1' prefix='24'/><ip address='192.0.2.9' netmask='255.0.0.0' prefix='8'/>",
        "/network/ip[2]: attributes 'netmask' and 'prefix' exclude each other",
    );
    check_body(
        "<ip address='192.0.2.1' prefix='24'><dhcp><host ip='192.0.2.2'/></dhcp></ip>",
        "/network/ip[1]/dhcp/host[1]: one of the attributes 'mac', 'id', 'name' is missing",
    );
}

#[test]
fn forms_by_type() {
    check_body(
        "<virtualport type='midonet'/>",
        "/network/virtualport: element 'parameters' is missing",
    );
    check_body(
        "<virtualport type='openvswitch'><parameters managerid='1'/></virtualport>",
        "/network/virtualport/parameters: unknown attribute 'managerid'",
    );
    check_body(
        "<virtualport type='x'/>",
        "/network/virtualport: attribute 'type' is 'x', expected one of '802.1Qbg', '802.1Qbh', 'openvswitch', 'midonet'",
    );
    check_body("<virtualport/>", "past the schema: XML error: missing required virtualport type");
    let port = |plug: &str| {
        let uuid = "3fffffff-ffff-ffff-ffff-ffffffffffff";
        format!(
            "<networkport><uuid>{uuid}</uuid><owner><name>guest</name><uuid>{uuid}</uuid></owner>\
             <mac address='52:54:00:00:00:01'/>{plug}</networkport>"
        )
    };
    check(&port("<plug type='bridge' bridge='br0'/>"), "ok");
    check(&port("<plug bridge='br0'/>"), "/networkport/plug: attribute 'type' is missing");
    check(
        &port("<plug type='direct' dev='eth0'/>"),
        "/networkport/plug: attribute 'mode' is missing",
    );
}

#[test]
fn foreign_namespaces() {
    let options = "<d:options xmlns:d='http://libvirt.org/schemas/network/dnsmasq/1.0'>";
    check_body(&format!("{options}<d:option value=''/></d:options>"), "ok");
    check_body(
        &format!("{options}<option value=''/></d:options>"),
        "/network/options: unknown element 'option'",
    );
    check_body("<metadata><a:b xmlns:a='urn:a'>x<c d='1'/></a:b></metadata>", "ok");
    check_body("<metadata>x</metadata>", "/network/metadata: there must be no text");
}
