use super::*;
use crate::plan::{Collision, lint, stop};
use oxivirt_conf::status::FirewallRemoval;
use oxivirt_util::firewall::Removal;
use oxivirt_util::netlink::LinkKind;

const NAT: &str = "<network><name>n</name><uuid>11111111-2222-3333-4444-555555555555</uuid>
  <forward mode='nat'/><bridge name='virbr0'/><mac address='52:54:00:00:00:01'/>
  <ip address='192.168.122.1' prefix='24'><dhcp><range start='192.168.122.2' end='192.168.122.9'/></dhcp></ip>
  </network>";

fn facts() -> HostFacts {
    HostFacts { dnsmasq: Some("/usr/sbin/dnsmasq".into()), ..HostFacts::default() }
}

fn plan_of(xml: &str, facts: &HostFacts) -> Result<StartPlan> {
    let def = NetworkDef::parse(xml).unwrap();
    let layout = Layout::below("/r");
    let layers = vec![0; translated(&def).len()];
    let helper = Path::new("/helper");
    let input = Input { def: &def, layout: &layout, facts, layers: &layers, lease_helper: helper };
    let start = plan(input)?;
    let removal = start.plan.steps().find_map(|step| match step {
        Step::LoadRules(transaction) => {
            Some(crate::lifecycle::saved_removal(&Removal::of(transaction)))
        }
        _ => None,
    });
    let removal: Option<&FirewallRemoval> = removal.as_ref();
    let undo = stop::plan(&def, removal, &layout, stop::Keep::Leases);
    lint::check(&start.plan, &undo).unwrap();
    Ok(start)
}

#[track_caller]
fn check(xml: &str, expect: &[&[&str]]) {
    let start = plan_of(xml, &facts()).unwrap();
    let stage = |stage: &crate::plan::Stage<Step>| {
        stage.lanes.iter().flatten().map(ToString::to_string).collect::<Vec<_>>()
    };
    let found: Vec<_> = start.plan.stages.iter().map(stage).collect();
    assert_eq!(found, expect);
}

#[test]
fn nat_network() {
    check(
        NAT,
        &[
            &[
                "create bridge virbr0",
                "set net/ipv6/conf/virbr0/disable_ipv6 to 1",
                "set net/ipv6/conf/virbr0/accept_ra to 0",
                "set net/ipv6/conf/virbr0/autoconf to 0",
                "add address 192.168.122.1/24 to virbr0",
                "raise virbr0",
                "write /r/var/lib/libvirt/dnsmasq/n.conf",
                "write /r/var/lib/libvirt/dnsmasq/n.hostsfile",
                "write /r/var/lib/libvirt/dnsmasq/n.addnhosts",
            ],
            &[
                "load 34 firewall changes",
                "start dnsmasq with /r/var/lib/libvirt/dnsmasq/n.conf",
                "set net/ipv4/ip_forward to 1",
            ],
        ],
    );
}

#[test]
fn isolated_network_without_addresses_has_rules_and_no_dnsmasq() {
    check(
        "<network><name>n</name><bridge name='b'/><mac address='52:54:00:00:00:02'/><mtu size='9000'/></network>",
        &[
            &[
                "create bridge b",
                "set MTU of b to 9000",
                "set net/ipv6/conf/b/disable_ipv6 to 1",
                "set net/ipv6/conf/b/accept_ra to 0",
                "set net/ipv6/conf/b/autoconf to 0",
                "raise b",
            ],
            &["load 25 firewall changes"],
        ],
    );
}

#[test]
fn open_network_has_no_rules_and_forwards() {
    check(
        "<network><name>n</name><forward mode='open'/><bridge name='b'/><mac address='52:54:00:00:00:02'/><dns enable='no'/>
           <ip family='ipv6' address='fd00::1' prefix='64'/>
           <route family='ipv6' address='fd01::' prefix='64' gateway='fd00::2'/></network>",
        &[
            &[
                "create bridge b",
                "set net/ipv6/conf/b/disable_ipv6 to 0",
                "set net/ipv6/conf/b/accept_ra to 0",
                "set net/ipv6/conf/b/autoconf to 0",
                "add address fd00::1/64 to b",
                "raise b",
            ],
            &[
                "add route to fd01::/64 via fd00::2 dev b metric 1",
                "set net/ipv6/conf/all/forwarding to 1",
            ],
        ],
    );
}

#[test]
fn bridge_of_the_host_needs_no_steps() {
    check("<network><name>n</name><forward mode='bridge'/><bridge name='br0'/></network>", &[]);
}

#[track_caller]
fn refuse(xml: &str, facts: &HostFacts, expect: &str) {
    assert_eq!(plan_of(xml, facts).unwrap_err().to_string(), expect);
}

#[test]
fn refusals() {
    let collision = |destination: &str| HostFacts {
        collisions: vec![Collision {
            destination: destination.parse().unwrap(),
            link: "eth0".into(),
        }],
        ..facts()
    };
    refuse(NAT, &collision("192.168.122.0/24"), "Network is already in use by interface eth0");
    refuse(
        NAT,
        &HostFacts { bridge: Some(LinkKind::Other), ..facts() },
        "error creating bridge interface virbr0: File exists",
    );
    refuse(NAT, &HostFacts::default(), "Cannot find 'dnsmasq' in path");
    refuse(
        &NAT.replace(
            "<forward mode='nat'/>",
            "<forward mode='nat'><nat><port start='7' end='7'/></nat></forward>",
        ),
        &facts(),
        "Invalid port range '7-7'.",
    );
    refuse(
        &NAT.replace("virbr0", "sixteen-letters!"),
        &facts(),
        "'sixteen-letters!' is not a link name: 16 bytes, 1 to 15 are allowed",
    );
    refuse(
        &NAT.replace("name='virbr0'", "name='virbr0' zone='z'"),
        &facts(),
        "zone z requested for network n but firewalld is not active",
    );
    let v6 = "<network><name>n</name><forward mode='route'/><bridge name='b'/><mac address='52:54:00:00:00:02'/>
      <ip family='ipv6' address='fd00::1' prefix='64'/></network>";
    let ra = HostFacts { ra_links: vec!["eth0".into()], ..facts() };
    assert!(matches!(plan_of(v6, &ra), Err(PlanError::RaRoutes { .. })));
}

#[test]
fn an_overlap_that_is_not_equal_is_only_a_warning() {
    let collision =
        Collision { destination: "192.168.0.0/16".parse().unwrap(), link: "eth0".into() };
    let start = plan_of(NAT, &HostFacts { collisions: vec![collision], ..facts() }).unwrap();
    assert_eq!(
        start.warnings,
        ["the host's route to 192.168.0.0/16 through eth0 overlaps with the network"]
    );
}

#[test]
fn live_definition_names_the_ports() {
    let def = live(&NetworkDef::parse(NAT).unwrap());
    assert_eq!(def.forward.nat.ports, Some(NAT_PORTS));
    let routed = NetworkDef::parse(&NAT.replace("'nat'", "'route'")).unwrap();
    assert_eq!(live(&routed), routed);
}

#[test]
fn refresh_does_the_least() {
    let layout = Layout::below("/r");
    let def = |dns: &str| {
        NetworkDef::parse(&NAT.replace("</network>", &format!("{dns}</network>"))).unwrap()
    };
    let none = def("");
    assert_eq!(refresh(&none, &none, &layout).unwrap(), Refresh::Reload(Plan::default()));
    let host = def("<dns><host ip='1.2.3.4'><hostname>a</hostname></host></dns>");
    let Refresh::Reload(plan) = refresh(&none, &host, &layout).unwrap() else {
        panic!("no reload")
    };
    let steps: Vec<_> = plan.steps().map(ToString::to_string).collect();
    assert_eq!(
        steps,
        [
            "write /r/var/lib/libvirt/dnsmasq/n.addnhosts",
            "reload dnsmasq with /r/var/lib/libvirt/dnsmasq/n.conf"
        ]
    );
    let txt = def("<dns><txt name='a' value='b'/></dns>");
    assert_eq!(refresh(&none, &txt, &layout).unwrap(), Refresh::Restart);
}
