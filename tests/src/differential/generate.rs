//! Makes documents that are valid by construction, of every element and attribute there is.

use oxivirt_xml::{Attribute, Element, Node};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// A source of documents; the same seed gives the same ones.
#[derive(Debug)]
pub struct Generator {
    pub(super) rng: StdRng,
}

/// An element without namespace.
pub(super) type Tree = Element<'static>;

fn el(name: &'static str) -> Tree {
    Element::new(name)
}

/// Builds trees in place.
trait Build: Sized {
    fn attr(self, name: &'static str, value: impl Into<String>) -> Self;
    fn child(self, child: Tree) -> Self;
    fn text(self, text: impl Into<String>) -> Self;
}

impl Build for Tree {
    fn attr(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into().into());
        self.attributes.push(Attribute { name, prefix: None, namespace: None, value });
        self
    }

    fn child(mut self, child: Tree) -> Self {
        self.nodes.push(Node::Element(Box::new(child)));
        self
    }

    fn text(mut self, text: impl Into<String>) -> Self {
        self.nodes.push(Node::Text(text.into().into()));
        self
    }
}

/// The kinds of network that differ in what they may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Isolated,
    Nat,
    Route,
    Open,
    Bridge,
    Pool(&'static str),
}

const UUID: &str = "81ff0d90-c91e-6742-64da-4a736edb9a9b";

impl Generator {
    /// A source of documents.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed) }
    }

    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_ratio(percent, 100)
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        *from.choose(&mut self.rng).expect("a choice is never empty")
    }

    fn number(&mut self, below: u64) -> u64 {
        self.rng.random_range(0..below)
    }

    fn yes_no(&mut self) -> &'static str {
        self.pick(&["yes", "no"])
    }

    fn word(&mut self) -> String {
        let words =
            ["a", "b1", "eth0", "net-1", "x.y", "Über", "a b", "<&>", "it's", "q\"q", "virbr7"];
        self.pick(&words).to_owned()
    }

    /// An optional attribute.
    fn maybe(
        &mut self,
        tree: Tree,
        name: &'static str,
        value: impl FnOnce(&mut Self) -> String,
    ) -> Tree {
        if self.chance(50) {
            let value = value(self);
            return tree.attr(name, value);
        }
        tree
    }

    /// Any number of children, few more often than many.
    fn some(&mut self, mut tree: Tree, child: impl Fn(&mut Self) -> Tree) -> Tree {
        while self.chance(40) {
            let child = child(self);
            tree = tree.child(child);
        }
        tree
    }

    /// An optional child.
    fn perhaps(&mut self, tree: Tree, percent: u32, child: impl FnOnce(&mut Self) -> Tree) -> Tree {
        if self.chance(percent) {
            let child = child(self);
            return tree.child(child);
        }
        tree
    }

    /// A `<network>` document that both sides accept.
    pub fn network(&mut self) -> Tree {
        let pools = ["private", "vepa", "passthrough", "hostdev"];
        let pool = Kind::Pool(self.pick(&pools));
        let kinds =
            [Kind::Isolated, Kind::Nat, Kind::Nat, Kind::Route, Kind::Open, Kind::Bridge, pool];
        let kind = self.pick(&kinds);
        let owned = !matches!(kind, Kind::Bridge | Kind::Pool(_));
        let mut root = el("network");
        root = self.maybe(root, "ipv6", |g| g.yes_no().into());
        root = self.maybe(root, "trustGuestRxFilters", |g| g.yes_no().into());
        let name = self.pick(&["n", "net", "a b", "x&y", "é"]);
        root = root.child(el("name").text(name));
        root = self.perhaps(root, 90, |_| el("uuid").text(UUID));
        root = self.perhaps(root, 20, |g| el("title").text(g.word()));
        root = self
            .perhaps(root, 20, |g| el("description").text(format!("{}\n{}", g.word(), g.word())));
        root = self.perhaps(root, 20, Self::metadata);
        root = self.forward(root, kind);
        root = self.bridge(root, kind);
        if owned {
            root = self.perhaps(root, 30, |g| {
                let size = g.pick(&["0", "68", "1500", "9000", "4294967295", " +7"]);
                el("mtu").attr("size", size)
            });
        }
        root = self.perhaps(root, 40, |g| el("mac").attr("address", g.mac()));
        root = self.perhaps(root, 40, Self::domain);
        root = self.perhaps(root, 60, Self::dns);
        root = self.perhaps(root, 30, Self::vlan);
        root = self.perhaps(root, 30, Self::bandwidth);
        root = self.perhaps(root, 20, |g| el("port").attr("isolated", g.yes_no()));
        let addressed = matches!(kind, Kind::Nat | Kind::Route);
        if addressed || self.chance(70) {
            root = root.child(self.ipv4(1));
            root = self.perhaps(root, 30, |g| g.ipv4(2));
            root = self.perhaps(root, 50, Self::ipv6);
            root = self.perhaps(root, 30, Self::route);
        }
        root = self.perhaps(root, 30, |g| g.virtual_port(true));
        self.some(root, Self::port_group)
    }

    fn metadata(&mut self) -> Tree {
        let mut metadata = el("metadata");
        for (at, uri) in ["urn:1", "urn:2"].into_iter().enumerate() {
            let prefix = ["p", "q"][at];
            let bound = oxivirt_xml::Namespace { prefix: Some(prefix.into()), uri: uri.into() };
            let mut child = el("data");
            child.prefix = Some(prefix.into());
            child.namespace = Some(uri.into());
            child.declarations.push(bound);
            child = self.maybe(child, "k", Self::word);
            child = self.some(child, |g| {
                let leaf = el("leaf");
                let mut leaf = g.maybe(leaf, "v", Self::word);
                if g.chance(50) {
                    leaf = leaf.text(g.word());
                }
                leaf
            });
            if self.chance(20) {
                child.nodes.push(Node::Comment(" kept ".into()));
            }
            if self.chance(20) {
                child.nodes.push(Node::CData("<raw>".into()));
            }
            metadata = metadata.child(child);
        }
        self.perhaps(metadata, 20, |_| el("plain"))
    }

    fn forward(&mut self, root: Tree, kind: Kind) -> Tree {
        let mut forward = el("forward");
        let mode = match kind {
            Kind::Isolated => {
                return self.perhaps(root, 10, |_| el("forward").attr("mode", "none"));
            }
            Kind::Nat => "nat",
            Kind::Route => "route",
            Kind::Open => "open",
            Kind::Bridge => "bridge",
            Kind::Pool(mode) => mode,
        };
        if kind != Kind::Nat || self.chance(70) {
            forward = forward.attr("mode", mode);
        }
        forward = self.maybe(forward, "managed", |g| g.pick(&["yes", "no", "YES", "maybe"]).into());
        forward = self.perhaps(forward, 20, |g| {
            let driver = el("driver").attr("name", g.pick(&["kvm", "vfio", "xen"]));
            g.maybe(driver, "model", |_| String::from("vfio-pci"))
        });
        match kind {
            Kind::Nat | Kind::Route if self.chance(40) => {
                forward = self.maybe(forward, "dev", |_| String::from("eth0"));
                forward = forward.child(el("interface").attr("dev", "eth0"));
            }
            Kind::Pool(mode) if self.chance(80) => {
                let interfaces = mode != "hostdev" && self.chance(60);
                forward = if interfaces {
                    let dev = self.chance(50);
                    let forward = if dev { forward.attr("dev", "eth0") } else { forward };
                    let forward = forward.child(el("interface").attr("dev", "eth0"));
                    self.perhaps(forward, 50, |_| el("interface").attr("dev", "eth1"))
                } else if self.chance(50) {
                    let forward = forward.child(self.pci("1"));
                    self.perhaps(forward, 50, |g| g.pci("0x2"))
                } else {
                    forward.child(el("pf").attr("dev", "eth2"))
                };
            }
            _ => {}
        }
        if kind == Kind::Nat {
            forward = self.perhaps(forward, 50, Self::nat);
        }
        root.child(forward)
    }

    fn pci(&mut self, bus: &'static str) -> Tree {
        let address = el("address").attr("type", "pci").attr("bus", bus);
        let address = self.maybe(address, "domain", |g| g.pick(&["0", "0x0001", "010"]).into());
        let address = self.maybe(address, "slot", |g| g.pick(&["0x1f", "7"]).into());
        let address = self.maybe(address, "function", |g| g.pick(&["0x7", "1"]).into());
        let address = self.maybe(address, "multifunction", |g| g.pick(&["on", "off"]).into());
        self.perhaps(address, 50, |_| el("zpci").attr("uid", "1").attr("fid", "0x2"))
    }

    fn nat(&mut self) -> Tree {
        let nat = el("nat");
        let nat = self.maybe(nat, "ipv6", |g| g.yes_no().into());
        let nat = self
            .perhaps(nat, 50, |_| el("address").attr("start", "1.2.3.4").attr("end", "1.2.3.10"));
        self.perhaps(nat, 50, |g| {
            let (start, end) =
                g.pick(&[("500", "1000"), ("0", "0"), ("0", "5"), ("9", "9"), ("1024", "65535")]);
            el("port").attr("start", start).attr("end", end)
        })
    }

    fn bridge(&mut self, root: Tree, kind: Kind) -> Tree {
        let mut bridge = el("bridge");
        match kind {
            Kind::Pool(_) => return root,
            Kind::Bridge => {
                bridge = self.maybe(bridge, "name", Self::word);
                bridge = self.maybe(bridge, "delay", |_| String::from("0"));
            }
            _ => {
                bridge = self.maybe(bridge, "name", Self::word);
                bridge = self.maybe(bridge, "zone", Self::word);
                bridge = self.maybe(bridge, "stp", |g| g.pick(&["on", "off", "x", ""]).into());
                bridge = self.maybe(bridge, "delay", |g| {
                    g.pick(&["0", "5", "007", " 3", "9223372036854775807"]).into()
                });
            }
        }
        bridge = self.maybe(bridge, "macTableManager", |g| g.pick(&["kernel", "libvirt"]).into());
        root.child(bridge)
    }

    fn mac(&mut self) -> String {
        self.pick(&["52:54:00:ab:cd:ef", "52:54:0:AB:cd:1", "2:0:0:0:0:1"]).into()
    }

    fn domain(&mut self) -> Tree {
        let domain = el("domain");
        let domain = self.maybe(domain, "name", |g| g.pick(&["x.org", "", "lab"]).into());
        match self.number(4) {
            0 => domain.attr("localOnly", "yes").attr("register", "yes"),
            1 => domain.attr("localOnly", "no").attr("register", "no"),
            2 => domain.attr("localOnly", "yes"),
            _ => domain,
        }
    }

    fn dns(&mut self) -> Tree {
        let dns = el("dns");
        let dns = self.maybe(dns, "forwardPlainNames", |g| g.yes_no().into());
        if self.chance(10) {
            return dns.attr("enable", "no");
        }
        let dns = self.maybe(dns, "enable", |_| String::from("yes"));
        let dns = self.some(dns, |g| {
            let forwarder = el("forwarder")
                .attr("addr", g.pick(&["8.8.8.8", "2001:DB8::1", "10.1", "0x7f000001"]));
            g.maybe(forwarder, "domain", |g| g.pick(&["x.org", ""]).into())
        });
        let dns = self.some(dns, |g| {
            el("txt").attr("name", g.pick(&["t", "a.b", ""])).attr("value", g.word())
        });
        let dns = self.some(dns, |g| {
            let srv = el("srv")
                .attr("service", g.pick(&["ldap", "a_b-c+d/e*", ""]))
                .attr("protocol", g.pick(&["tcp", "udp", "a+b"]));
            let srv = g.maybe(srv, "domain", |_| String::from("x.org"));
            if g.chance(30) {
                return srv;
            }
            let srv = srv.attr("target", g.pick(&["host", ".", ""]));
            let srv = g.maybe(srv, "port", |g| g.pick(&["1", "65535", " 7", ""]).into());
            let srv = g.maybe(srv, "priority", |g| g.pick(&["0", "65535"]).into());
            g.maybe(srv, "weight", |g| g.pick(&["0", "10"]).into())
        });
        self.some(dns, |g| {
            let host = el("host").attr("ip", g.pick(&["192.168.122.5", "2001:db8::5", "1.2"]));
            let host = host.child(el("hostname").text(g.word()));
            g.perhaps(host, 30, |g| el("hostname").text(g.word()))
        })
    }

    fn vlan(&mut self) -> Tree {
        let vlan = el("vlan");
        let id = |g: &mut Self| g.pick(&["0", "42", "4095", "007"]);
        match self.number(4) {
            0 => vlan.child(el("tag").attr("id", id(self))),
            1 => vlan
                .attr("trunk", self.pick(&["yes", "YES", "no"]))
                .child(el("tag").attr("id", id(self))),
            2 => vlan.child(el("tag").attr("id", "1")).child(el("tag").attr("id", "2")),
            _ => {
                let tag = el("tag")
                    .attr("id", "7")
                    .attr("nativeMode", self.pick(&["tagged", "untagged"]));
                vlan.attr("trunk", "yes")
                    .child(tag)
                    .child(el("tag").attr("id", self.pick(&["8", "0", "007"])))
            }
        }
    }

    fn bandwidth(&mut self) -> Tree {
        let rate = |g: &mut Self, name| {
            let rate = el(name).attr("average", g.pick(&["0", "1000", "18446744073709551615"]));
            let rate = g.maybe(rate, "peak", |g| g.pick(&["0", "5000"]).into());
            g.maybe(rate, "burst", |g| g.pick(&["0", "1024"]).into())
        };
        let bandwidth = el("bandwidth");
        let bandwidth = self.perhaps(bandwidth, 70, |g| rate(g, "inbound"));
        self.perhaps(bandwidth, 70, |g| rate(g, "outbound"))
    }

    fn lease(&mut self, tree: Tree) -> Tree {
        self.perhaps(tree, 30, |g| {
            let expiry = g.pick(&["0", "3", "0x10", "017", "4000000000"]);
            let lease = el("lease").attr("expiry", expiry);
            g.maybe(lease, "unit", |g| g.pick(&["minutes", "hours"]).into())
        })
    }

    fn ipv4(&mut self, third: u8) -> Tree {
        let ip = el("ip");
        let ip = self.maybe(ip, "family", |_| String::from("ipv4"));
        let ip = ip.attr("address", format!("10.0.{third}.1"));
        let ip = if self.chance(50) {
            ip.attr("netmask", "255.255.255.0")
        } else {
            ip.attr("prefix", self.pick(&["24", "024"]))
        };
        let ip = self.maybe(ip, "localPtr", |g| g.yes_no().into());
        let ip = self.perhaps(ip, 20, |g| el("tftp").attr("root", g.word()));
        self.perhaps(ip, 70, |g| {
            let dhcp = el("dhcp");
            let dhcp = g.some(dhcp, |g| {
                let end = g.number(150) + 50;
                let range = el("range").attr("start", format!("10.0.{third}.2"));
                let range = range.attr("end", format!("10.0.{third}.{end}"));
                g.lease(range)
            });
            let dhcp = g.some(dhcp, |g| {
                let last = g.number(200) + 2;
                let host = el("host").attr("ip", format!("10.0.{third}.{last}"));
                let host = match g.number(3) {
                    0 => host.attr("mac", g.mac()),
                    1 => host.attr("name", "h1"),
                    _ => host.attr("mac", g.mac()).attr("name", "9h"),
                };
                let host = g.maybe(host, "id", |_| String::from("0:1:ab"));
                g.lease(host)
            });
            g.perhaps(dhcp, 30, |g| {
                let bootp = el("bootp").attr("file", g.pick(&["f.0", ""]));
                g.maybe(bootp, "server", |g| g.pick(&["10.0.1.3", "::1"]).into())
            })
        })
    }

    fn ipv6(&mut self) -> Tree {
        let ip = el("ip").attr("family", "ipv6").attr("address", "2001:db8:1::1");
        let ip = self.maybe(ip, "prefix", |_| String::from("64"));
        let ip = self.maybe(ip, "localPtr", |g| g.yes_no().into());
        self.perhaps(ip, 50, |g| {
            let dhcp = el("dhcp");
            let dhcp = g.some(dhcp, |g| {
                let range =
                    el("range").attr("start", "2001:db8:1::10").attr("end", "2001:db8:1::ff");
                g.lease(range)
            });
            g.some(dhcp, |g| {
                let host = el("host").attr("ip", "2001:db8:1::20");
                let host = match g.number(3) {
                    0 => host.attr("id", "0:3:0:1:0:16:3e:11:22:33"),
                    1 => host.attr("name", "h6"),
                    _ => host.attr("id", "0:1").attr("name", "h6"),
                };
                g.lease(host)
            })
        })
    }

    fn route(&mut self) -> Tree {
        let route = el("route").attr("gateway", "10.0.1.9");
        let route = self.maybe(route, "family", |_| String::from("ipv4"));
        let route = self.maybe(route, "metric", |g| g.pick(&["1", "4294967295"]).into());
        match self.number(4) {
            0 => route.attr("address", "0.0.0.0"),
            1 => route.attr("address", "10.9.0.0").attr("prefix", "16"),
            2 => route.attr("address", "10.9.0.0").attr("netmask", "255.255.0.0"),
            _ => route.attr("address", "0.0.0.0").attr("prefix", "0"),
        }
    }

    fn virtual_port(&mut self, typed: bool) -> Tree {
        let port = el("virtualport");
        let all = ["802.1Qbg", "802.1Qbh", "openvswitch", "midonet", ""];
        let kind = self.pick(if typed { &all[..4] } else { &all });
        let port = if kind.is_empty() { port } else { port.attr("type", kind) };
        if self.chance(20) {
            return port;
        }
        let mut parameters = el("parameters");
        let take = |of: &[&str]| of.contains(&kind);
        if take(&["802.1Qbg", ""]) {
            parameters =
                self.maybe(parameters, "managerid", |g| g.pick(&["12", "0xff", "011"]).into());
            parameters = self.maybe(parameters, "typeid", |g| g.pick(&["0x123456", "0"]).into());
            parameters = self.maybe(parameters, "typeidversion", |_| String::from("1"));
            parameters = self.maybe(parameters, "instanceid", |_| UUID.into());
        }
        if take(&["802.1Qbh", "openvswitch", ""]) {
            parameters = self.maybe(parameters, "profileid", |g| g.pick(&["p", ""]).into());
        }
        if take(&["openvswitch", "midonet", ""]) {
            parameters = self.maybe(parameters, "interfaceid", |_| UUID.to_uppercase());
        }
        port.child(parameters)
    }

    fn port_group(&mut self) -> Tree {
        let group = el("portgroup").attr("name", self.pick(&["g1", "g2", "g 3"]));
        let group = self.maybe(group, "default", |g| g.pick(&["yes", "no", "Yes", "x"]).into());
        let group = self.maybe(group, "trustGuestRxFilters", |g| g.yes_no().into());
        let group = self.perhaps(group, 40, Self::vlan);
        let group = self.perhaps(group, 40, |g| g.virtual_port(false));
        self.perhaps(group, 40, Self::bandwidth)
    }
}
