use oxivirt_netlink::LinkKind;

use super::dhcp::Dnsmasq;
use super::*;
use crate::plan::{Collision, HostFacts, lint, stop};
use crate::plan::{SavedRemoval, start, traffic};

const NAT: &str = "<network><name>n</name><uuid>11111111-2222-3333-4444-555555555555</uuid>
  <forward mode='nat'/><bridge name='virbr0'/><mac address='52:54:00:00:00:01'/>
  <ip address='192.168.122.1' prefix='24'><dhcp><range start='192.168.122.2' end='192.168.122.9'/></dhcp></ip>
  </network>";

fn facts() -> HostFacts {
    HostFacts {
        dnsmasq: Some("/usr/sbin/dnsmasq".into()),
        is_privileged: true,
        ..HostFacts::default()
    }
}

fn wanted(def: &Network, facts: &HostFacts) -> Desired<NetworkState> {
    let layers = vec![0; traffic::translated(def).len()];
    let inputs = PlanInputs {
        layout: &Layout::below("/r"),
        lease_helper: Path::new("/helper"),
        dnsmasq: facts.dnsmasq.as_deref(),
        servers: None,
        firewall: Firewall::default(),
        firewalld: facts.firewalld.zones(),
        layers: &layers,
        floors: &Floors::new(),
    };
    desired(def, &inputs)
}

/// A start, and its warnings.
#[derive(Debug)]
struct StartPlan {
    plan: Plan<Step>,
    warnings: Vec<String>,
}

fn plan_of(xml: &str, facts: &HostFacts) -> Desired<StartPlan> {
    let def = Network::parsed(xml);
    start::query(&def)?;
    let warnings = start::check(&def, facts)?;
    let want = wanted(&def, facts)?;
    let plan = diff(&NetworkState::default(), &want, &[]);
    let removal = want.rules.as_ref().map(Rules::removal);
    let undo = stop::plan(
        &def,
        stop::known_rules(&def, removal.as_ref()),
        &Layout::below("/r"),
        stop::Keep::Leases,
    );
    lint::check(&plan, &undo).unwrap();
    assert_eq!(
        diff(&want, &want, &removal.iter().flat_map(SavedRemoval::undo).collect::<Vec<_>>()),
        Plan::default()
    );
    Ok(StartPlan { plan, warnings })
}

fn texts_of(plan: &Plan<Step>) -> Vec<String> {
    plan.steps().map(ToString::to_string).collect()
}

#[track_caller]
fn check(xml: &str, expect: &[&[&str]]) {
    let start = plan_of(xml, &facts()).unwrap();
    let stage = |stage: &crate::plan::Stage<Step>| {
        stage.sequences.iter().flatten().map(ToString::to_string).collect::<Vec<_>>()
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
                "load 37 firewall changes",
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
            &["load 28 firewall changes"],
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
                "add route to fd01::/64 via fd00::2 metric 1 dev b",
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
    let def = traffic::live(&Network::parsed(NAT));
    assert_eq!(
        def.forward.nat.ports,
        Some(oxivirt_conf::network::NatPorts { start: 1024, end: 65535 })
    );
    let routed = Network::parsed(&NAT.replace("'nat'", "'route'"));
    assert_eq!(traffic::live(&routed), routed);
}

#[track_caller]
fn check_change(have: &str, want: &str, expect: &[&str]) {
    let [have, want] = [have, want].map(|xml| {
        let xml = NAT.replace("</network>", &format!("{xml}</network>"));
        wanted(&Network::parsed(&xml), &facts()).unwrap()
    });
    assert_eq!(texts_of(&diff(&have, &want, &[])), expect);
}

#[test]
fn a_change_does_the_least() {
    let [conf, hosts] =
        ["n.conf", "n.addnhosts"].map(|name| format!("/r/var/lib/libvirt/dnsmasq/{name}"));
    let record = "<dns><host ip='1.2.3.4'><hostname>a</hostname></host></dns>";
    check_change("", record, &[&format!("write {hosts}"), &format!("reload dnsmasq with {conf}")]);
    check_change(
        "",
        "<dns><txt name='a' value='b'/></dns>",
        &[
            &format!("stop dnsmasq with {conf}"),
            &format!("write {conf}"),
            "write /r/var/lib/libvirt/dnsmasq/n.hostsfile",
            &format!("write {hosts}"),
            &format!("start dnsmasq with {conf}"),
        ],
    );
    check_change(
        "<ip address='10.0.0.1' prefix='8'/>",
        "<ip address='10.0.0.2' prefix='8'/>",
        &["remove address 10.0.0.1/8 from virbr0", "add address 10.0.0.2/8 to virbr0"],
    );
}

/// The network with our own service.
const BUILTIN: &str =
    "<metadata><o:service xmlns:o='urn:oxivirt:network:1' server='builtin'/></metadata>";
const STOP_SERVING: &str =
    "end serving addresses and names of 11111111-2222-3333-4444-555555555555";
const SERVE: &str = "serve addresses and names on virbr0";

#[test]
fn our_own_service_takes_the_place_of_dnsmasq_and_leaves_it() {
    let [conf, hosts, more] = ["conf", "hostsfile", "addnhosts"]
        .map(|name| format!("/r/var/lib/libvirt/dnsmasq/n.{name}"));
    let started = plan_of(&NAT.replace("</network>", &format!("{BUILTIN}</network>")), &facts());
    let steps = texts_of(&started.unwrap().plan);
    assert!(steps.iter().any(|step| step == SERVE), "{steps:?}");
    assert!(!steps.iter().any(|step| step.contains("dnsmasq")), "{steps:?}");
    check_change(
        "",
        BUILTIN,
        &[
            &format!("stop dnsmasq with {conf}"),
            &format!("remove {conf}"),
            &format!("remove {hosts}"),
            &format!("remove {more}"),
            SERVE,
        ],
    );
    check_change(
        BUILTIN,
        "",
        &[
            STOP_SERVING,
            &format!("stop dnsmasq with {conf}"),
            &format!("write {conf}"),
            &format!("write {hosts}"),
            &format!("write {more}"),
            &format!("start dnsmasq with {conf}"),
        ],
    );
    let name = "<dns><host ip='1.2.3.4'><hostname>a</hostname></host></dns>";
    check_change(BUILTIN, &format!("{BUILTIN}{name}"), &[SERVE]);
    let ipv6 = "<ip family='ipv6' address='fd00::1' prefix='64'/>";
    let network = NAT.replace("</network>", &format!("{BUILTIN}{ipv6}</network>"));
    let want = wanted(&Network::parsed(&network), &facts()).unwrap();
    assert!(matches!(want.dhcp, Some(Server::Builtin(_))));
}

#[test]
fn what_was_lost_comes_back_alone() {
    let want = wanted(&Network::parsed(NAT), &facts()).unwrap();
    let check = |lose: fn(&mut NetworkState), expect: &[&str]| {
        let mut have = want.clone();
        lose(&mut have);
        assert_eq!(texts_of(&diff(&have, &want, &[])), expect);
    };
    check(|have| have.rules = None, &["load 37 firewall changes"]);
    check(|have| have.routing.forwarding.clear(), &["set net/ipv4/ip_forward to 1"]);
    check(
        |have| have.link.as_mut().unwrap().addresses.clear(),
        &["add address 192.168.122.1/24 to virbr0"],
    );
    check(|have| have.link.as_mut().unwrap().is_up = false, &["raise virbr0"]);
    let [conf, hosts, more] = ["conf", "hostsfile", "addnhosts"]
        .map(|name| format!("/r/var/lib/libvirt/dnsmasq/n.{name}"));
    check(
        |have| have.dhcp = None,
        &[
            &format!("stop dnsmasq with {conf}"),
            &format!("write {conf}"),
            &format!("write {hosts}"),
            &format!("write {more}"),
            &format!("start dnsmasq with {conf}"),
        ],
    );
}

fn server(network: &Network, inputs: &PlanInputs<'_>) -> Dnsmasq {
    let server = desired(network, inputs).unwrap().dhcp;
    let Some(Server::Dnsmasq(server)) = server else { panic!("{server:?}") };
    server
}

#[test]
fn dnsmasq_gets_the_name_servers_when_it_must_not_watch_them() {
    let def = Network::parsed(NAT);
    let facts = facts();
    let inputs = PlanInputs {
        layout: &Layout::below("/r"),
        lease_helper: Path::new("/helper"),
        dnsmasq: facts.dnsmasq.as_deref(),
        firewall: Firewall::default(),
        firewalld: None,
        servers: Some("server=1.1.1.1\n"),
        layers: &[0],
        floors: &Floors::new(),
    };
    let service = server(&def, &inputs);
    let path = Path::new("/r/run/oxivirt/network/servers/11111111-2222-3333-4444-555555555555");
    assert_eq!(service.launch.servers_file.as_deref(), Some(path));
    assert_eq!(service.hosts.last().unwrap().content, b"server=1.1.1.1\n");
    // The server of an isolated network resolves no foreign names, so there is nothing to watch.
    let isolated = Network::parsed(&NAT.replace("<forward mode='nat'/>", ""));
    let service = server(&isolated, &inputs);
    assert_eq!((service.launch.servers_file, service.hosts.len()), (None, 2));
}
