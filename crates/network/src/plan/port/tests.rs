use super::*;

const OWNER: &str =
    "<owner><name>g</name><uuid>00000000-0000-0000-0000-0000000000ff</uuid></owner>";

fn port(id: u32, rest: &str) -> NetworkPortDef {
    NetworkPortDef::parse(&format!(
        "<networkport><uuid>00000000-0000-0000-0000-{id:012}</uuid>{OWNER}\
         <mac address='52:54:00:00:00:{id:02}'/>{rest}</networkport>"
    ))
    .unwrap()
}

struct Case {
    def: Network,
    ports: Ports,
}

impl Case {
    fn new(xml: &str) -> Self {
        let def = Network::parsed(&format!("<network><name>n</name>{xml}</network>"));
        Self { def, ports: Ports::new() }
    }

    fn allocate(&self, port: NetworkPortDef) -> Result<NetworkPortDef> {
        Pool { def: &self.def, ports: &self.ports }.allocate(port, || Uuid::from_u128(9))
    }

    fn reclaim(&self, port: NetworkPortDef) -> Result<NetworkPortDef> {
        Pool { def: &self.def, ports: &self.ports }.reclaim(port)
    }

    fn add(&mut self, id: u32, rest: &str) -> NetworkPortDef {
        let port = self.allocate(port(id, rest)).unwrap();
        self.ports.insert(port.uuid, port.clone());
        port
    }

    #[track_caller]
    fn refuse(&self, rest: &str, expect: &str) {
        assert_eq!(self.allocate(port(99, rest)).unwrap_err().to_string(), expect);
    }
}

fn dev(port: &NetworkPortDef) -> String {
    device(&port.plug).unwrap().to_string()
}

const POOL: &str = "<interface dev='e0'/><interface dev='e1'/>";

#[test]
fn own_bridge() {
    let net = Case::new(
        "<bridge name='b' macTableManager='libvirt'/><port isolated='yes'/><vlan><tag id='5'/></vlan>\
         <portgroup name='p' default='yes' trustGuestRxFilters='yes'><bandwidth><outbound average='7'/>\
         </bandwidth></portgroup><portgroup name='q'/>",
    );
    let plugged = net.allocate(port(1, "")).unwrap();
    let text = plugged.format();
    assert!(text.contains("<plug type='network' bridge='b' macTableManager='libvirt'/>"), "{text}");
    assert!(text.contains("<outbound average='7'/>") && text.contains("<tag id='5'/>"), "{text}");
    assert!(text.contains("isolated='yes'") && text.contains("trustGuest='yes'"), "{text}");
    // A group that does not exist is none, and not the default one.
    for group in ["q", "unknown"] {
        let text = net.allocate(port(1, &format!("<group>{group}</group>"))).unwrap().format();
        assert!(!text.contains("outbound"), "{text}");
    }
    net.refuse(
        "<virtualport type='openvswitch'/>",
        "<virtualport type='openvswitch'> not supported for network 'n' which uses IP forwarding",
    );
    net.refuse(
        "<plug type='network' bridge='b'/>",
        "Port reclaim not requested but plug type is not none",
    );
}

#[test]
fn bridge_of_the_host() {
    let net = Case::new("<forward mode='bridge'/><bridge name='b'/>");
    let ovs = net.allocate(port(1, "<virtualport type='openvswitch'/>")).unwrap();
    assert_eq!(ovs.virtual_port.unwrap().interface_id, Some(Uuid::from_u128(9)));
    assert!(matches!(ovs.plug, Plug::Bridge(_)));
    let qbh = "<virtualport type='802.1Qbh'><parameters profileid='p'/></virtualport>";
    net.refuse(
        qbh,
        "<virtualport type='802.1Qbh'> not supported for network 'n' which uses a bridge device",
    );
    net.refuse(
        "<bandwidth><inbound average='1' floor='5'/></bandwidth>",
        "Invalid use of 'floor' on interface with MAC address 52:54:00:00:00:99 - 'floor' is only \
         supported for interface type 'network' with forward type 'nat', 'route', 'open' or none",
    );
}

#[test]
fn shared_devices_go_to_the_least_used() {
    for (word, mode) in [
        ("bridge", MacvlanMode::Bridge),
        ("vepa", MacvlanMode::Vepa),
        ("private", MacvlanMode::Private),
    ] {
        let mut net = Case::new(&format!("<forward mode='{word}'>{POOL}</forward>"));
        let devices: Vec<_> = (1..=3).map(|id| dev(&net.add(id, ""))).collect();
        assert_eq!(devices, ["e0", "e1", "e0"]);
        assert_eq!(
            net.ports.values().next().unwrap().plug,
            Plug::Direct { dev: "e0".into(), mode }
        );
        let counters = counters(&net.ports);
        assert_eq!((counters.connections, counters.devices.len()), (3, 2));
    }
    let net = Case::new("<forward mode='bridge'/>");
    net.refuse("", "network 'n' uses a direct mode, but has no forward dev and no interface pool");
}

#[test]
fn exclusive_devices_run_out() {
    let qbh = "<virtualport type='802.1Qbh'><parameters profileid='p'/></virtualport>";
    for (mode, rest) in [("passthrough", ""), ("private", qbh)] {
        let mut net = Case::new(&format!("<forward mode='{mode}'>{POOL}</forward>"));
        assert_eq!(dev(&net.add(1, rest)), "e0");
        assert_eq!(dev(&net.add(2, rest)), "e1");
        net.refuse(
            rest,
            "network 'n' requires exclusive access to interfaces, but none are available",
        );
        net.ports.pop_first();
        assert_eq!(dev(&net.add(3, rest)), "e0");
    }
}

#[test]
fn pci_functions() {
    let mut net = Case::new(
        "<forward mode='hostdev' managed='yes'><driver name='vfio'/>\
         <address type='pci' domain='0' bus='3' slot='0x10' function='1'/></forward>",
    );
    let text = net.add(1, "").format();
    assert!(text.contains("<plug type='hostdev-pci' managed='yes'>"), "{text}");
    assert!(text.contains("<driver name='vfio'/>") && text.contains("slot='0x10'"), "{text}");
    net.refuse("", "network 'n' requires exclusive access to interfaces, but none are available");
    let empty = Case::new("<forward mode='hostdev'><pf dev='e0'/></forward>");
    empty.refuse(
        "",
        "network 'n' uses a hostdev mode, but has no forward dev and no interface pool",
    );
}

#[test]
fn guests_that_run_are_taken_back() {
    let direct = |dev: &str| format!("<plug type='direct' dev='{dev}' mode='passthrough'/>");
    let mut net = Case::new(&format!("<forward mode='passthrough'>{POOL}</forward>"));
    let check = |net: &Case, rest: &str, expect: &str| {
        assert_eq!(net.reclaim(port(7, rest)).unwrap_err().to_string(), expect);
    };
    check(&net, "", "Port reclaim requested but plug type is none");
    let unknown =
        format!("network 'n' doesn't have dev='e9' in use by network port '{}'", port(7, "").uuid);
    check(&net, &direct("e9"), &unknown);
    let back = net.reclaim(port(1, &direct("e1"))).unwrap();
    net.ports.insert(back.uuid, back);
    let taken = "network 'n' claims dev='e1' is already in use by a different port";
    check(&net, &direct("e1"), taken);
    let same = net.reclaim(port(1, &direct("e0"))).unwrap_err();
    assert!(matches!(same, PortPlanError::Exists { .. }));
    assert_eq!(dev(&net.add(2, "")), "e0");
    let hostdev = Case::new(
        "<forward mode='hostdev'><address type='pci' bus='3' slot='0x10' function='1'/></forward>",
    );
    let pci = "<plug type='hostdev-pci'><address bus='3' slot='0x10' function='2'/></plug>";
    check(&hostdev, pci, "network 'n' doesn't have PCI device 0000:03:10.2 in use by network port");
    // The name of a bridge is not compared: it may be an older one.
    let nat = Case::new("<bridge name='b'/>");
    assert!(nat.reclaim(port(1, "<plug type='network' bridge='other'/>")).is_ok());
}

#[test]
fn guarantees() {
    let floor =
        |rate: u32| format!("<bandwidth><inbound average='10' floor='{rate}'/></bandwidth>");
    let mut net =
        Case::new("<bridge name='b'/><bandwidth><inbound average='100' peak='200'/></bandwidth>");
    assert_eq!(net.add(1, &floor(120)).class_id, 3);
    assert_eq!(net.add(2, &floor(80)).class_id, 4);
    net.refuse(
        &floor(1),
        "Cannot plug '52:54:00:00:00:99' interface into 'b' because new combined inbound floor=201 \
         would overcommit peak=200 on network 'n'",
    );
    assert_eq!(class_ids(&floors(&net.ports)).to_string(), "0-4");
    let first = net.ports.values().next().unwrap().clone();
    let pool = Pool { def: &net.def, ports: &net.ports };
    let limits = |rate| {
        Some(Bandwidth { inbound: Some(Rate { floor: rate, ..Rate::default() }), outbound: None })
    };
    assert_eq!(pool.limit(&first, limits(100)).unwrap().class_id, 3);
    assert_eq!(pool.limit(&first, None).unwrap().class_id, 0);
    assert!(matches!(pool.limit(&first, limits(121)), Err(PortPlanError::Overcommitted { .. })));
    net.ports.pop_first();
    assert_eq!(net.add(3, &floor(1)).class_id, 3);
    let without = Case::new("<bridge name='b'/>");
    without.refuse(
        &floor(1),
        "Invalid use of 'floor' on interface with MAC address 52:54:00:00:00:99 - network 'n' has no \
         inbound QoS set",
    );
    let average = Case::new("<bridge name='b'/><bandwidth><inbound average='100'/></bandwidth>");
    average.refuse(
        &floor(101),
        "Cannot plug '52:54:00:00:00:99' interface into 'b' because new combined inbound floor=101 \
         would overcommit average=100 on network 'n'",
    );
}
