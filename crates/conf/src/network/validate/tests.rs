//! Each rule at define time in a line or two.

use super::*;
use crate::error::Classified as _;

fn run(name: &str, content: &str) -> (NetworkDef, Result<()>) {
    let xml = format!("<network><name>{name}</name>{content}</network>");
    let mut def = NetworkDef::parse(&xml).unwrap();
    let result = validate(
        &mut def,
        Surroundings {
            bridges: &["virbr0", "taken", "br0"].map(String::from).into(),
            link_exists: &|link| link == "virbr1",
            is_virtual_function: &|address| address.bus == 5,
            generate_mac: &|| MacAddr::generated([1, 2, 3]),
        },
    );
    (def, result)
}

#[track_caller]
fn check_bridge(given: &str, expect: &str) {
    let (def, result) = run("n", &format!("<bridge name='{given}'/>"));
    assert_eq!(result, Ok(()));
    assert_eq!(def.bridge.name.as_deref(), Some(expect));
    assert_eq!(def.mac, Some(MacAddr::generated([1, 2, 3])));
}

#[track_caller]
fn check_error(content: &str, code: i32, message: &str) {
    let error = run("n", content).1.unwrap_err();
    assert_eq!((error.code().0, error.message().as_str()), (code, message));
}

#[test]
fn bridge_names() {
    check_bridge("", "virbr2");
    check_bridge("b%d", "b0");
    check_bridge("a%db%d", "virbr2");
    check_bridge("y%%d", "virbr2");
    check_bridge("x%5d", "x%5d");
    check_error("<bridge name='taken'/>", 1, "internal error: bridge name 'taken' already in use.");
}

#[test]
fn elements_of_unowned_bridges() {
    for (element, name) in [
        ("<mac address='52:54:00:00:00:01'/>", "mac"),
        ("<ip address='1.1.1.1'/>", "ip"),
        ("<dns><txt name='a' value='b'/></dns>", "dns"),
        ("<domain name='x'/>", "domain"),
    ] {
        check_error(
            &format!("<forward mode='bridge'/>{element}"),
            67,
            &format!(
                "unsupported configuration: Unsupported <{name}> element in network n with forward mode='bridge'"
            ),
        );
    }
    assert_eq!(run("n", "<forward mode='vepa'/><domain localOnly='yes'/>").1, Ok(()));
    assert_eq!(run("a\nb", "").1, Err(ValidateError::NameNewline));
}

#[test]
fn pools() {
    assert_eq!(
        run("n", "<forward mode='hostdev'><address type='pci' bus='5'/></forward>").1,
        Ok(())
    );
    check_error(
        "<forward mode='hostdev'><address type='pci' bus='1'/></forward>",
        67,
        "unsupported configuration: device '/sys/bus/pci/devices/0000:01:00.0' in network 'n' is not an SR-IOV Virtual Function",
    );
}

#[test]
fn limits() {
    check_error(
        "<bandwidth><inbound average='18014398509481985'/></bandwidth>",
        82,
        "numerical overflow: value '18014398509481985' is too big for 'average' parameter, maximum is '18014398509481984'",
    );
    assert_eq!(run("n", "<bandwidth><inbound average='1' burst='4194303'/></bandwidth>").1, Ok(()));
}

#[test]
fn tags() {
    #[track_caller]
    fn check(content: &str, accepted: bool) {
        assert_eq!(run("n", content).1.is_ok(), accepted, "{content}");
    }
    let vlan = "<vlan><tag id='1'/></vlan>";
    let ovs = "<virtualport type='openvswitch'/>";
    let qbh = "<virtualport type='802.1Qbh'/>";
    check(vlan, false);
    check(&format!("<forward mode='bridge'/>{vlan}"), true);
    check(&format!("<forward mode='bridge'/>{vlan}{qbh}"), false);
    check(
        &format!("<forward mode='bridge'/>{vlan}{qbh}<portgroup name='a'>{ovs}</portgroup>"),
        false,
    );
    check(
        &format!(
            "<forward mode='bridge'/>{vlan}{qbh}<portgroup name='a' default='yes'>{ovs}</portgroup>"
        ),
        true,
    );
    check(&format!("<forward mode='bridge'/>{vlan}<portgroup name='a'>{qbh}</portgroup>"), false);
    check(&format!("<forward mode='vepa'/>{vlan}<portgroup name='a' default='yes'/>"), false);
    check(&format!("<portgroup name='a'>{vlan}</portgroup>"), false);
}

#[test]
fn groups() {
    check_error(
        "<portgroup name='a' default='yes'/><portgroup name='b' default='yes'/>",
        67,
        "unsupported configuration: network 'n' has multiple default <portgroup> elements (a and b), but only one default is allowed",
    );
    check_error(
        "<portgroup name='a'/><portgroup name='a'/>",
        67,
        "unsupported configuration: multiple <portgroup> elements with the same name (a) in network 'n'",
    );
}

#[test]
fn loaded_files() {
    let complete = |xml: &str| {
        let mut def = NetworkDef::parse(xml).unwrap();
        let rewrite = complete_loaded(&mut def, Uuid::nil, || MacAddr::generated([1, 2, 3]));
        (rewrite, def.mac.is_some())
    };
    let uuid = "<uuid>81ff0d90-c91e-6742-64da-4a736edb9a9b</uuid>";
    let mac = "<mac address='52:54:00:00:00:01'/>";
    assert_eq!(complete("<network><name>n</name></network>"), (Rewrite::Needed, true));
    assert_eq!(
        complete(&format!("<network><name>n</name>{uuid}{mac}</network>")),
        (Rewrite::NotNeeded, true)
    );
    assert_eq!(
        complete(&format!("<network><name>n</name>{uuid}{mac}<forward mode='bridge'/></network>")),
        (Rewrite::NotNeeded, false)
    );
}
