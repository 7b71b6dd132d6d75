//! Turns a valid document into text, on request with faults in its meaning or its form.

use oxivirt_xml::{Attribute, Element, Node};
use rand::RngExt as _;

use super::generate::{Generator, Tree};

/// Values that are right for some attribute and wrong for most.
const VALUES: &[&str] = &[
    "",
    " ",
    "yes",
    "no",
    "YES",
    "on",
    "off",
    "default",
    "none",
    "0",
    "1",
    "-1",
    "+1",
    " 1",
    "1 ",
    "01",
    "0x1",
    "0xff",
    "256",
    "4095",
    "4096",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "1.2.3.4",
    "10.0.1.1",
    "10.0.1.5",
    "10.0.1.255",
    "10.0.1.0",
    "10.0.2.7",
    "256.1.1.1",
    "1.2.3",
    "0x0a000101",
    "010.0.0.1",
    "::",
    "::1",
    "2001:db8:1::7",
    "2001:db8:1::1:0",
    "fe80::1",
    "[::1]",
    "255.255.255.0",
    "255.0.255.0",
    "ipv4",
    "ipv6",
    "nat",
    "route",
    "open",
    "bridge",
    "private",
    "vepa",
    "passthrough",
    "hostdev",
    "kernel",
    "libvirt",
    "tagged",
    "untagged",
    "seconds",
    "minutes",
    "hours",
    "days",
    "pci",
    "netdev",
    "usb",
    "vfio",
    "802.1Qbg",
    "openvswitch",
    "midonet",
    "eth0",
    "eth1",
    "a,b",
    "a b",
    "a/b",
    "a.b",
    "a_b",
    "_x",
    "-x",
    "é",
    "x\ny",
    "x\ty",
    "<&>'\"",
    "52:54:00:00:00:01",
    "53:54:00:00:00:01",
    "52-54-00-00-00-01",
    "52:54:00:00:00",
    "81ff0d90-c91e-6742-64da-4a736edb9a9b",
    "81ff0d90c91e674264da4a736edb9a9",
    "a:b",
    "0:3:ff",
    "zz",
    "this-profile-name-is-longer-than-39-bytes",
];

/// Elements that go into places where they mean something else, or nothing.
const ELEMENTS: &[&str] = &[
    "unknown",
    "name",
    "uuid",
    "title",
    "forward",
    "bridge",
    "mtu",
    "mac",
    "domain",
    "dns",
    "ip",
    "route",
    "portgroup",
    "virtualport",
    "parameters",
    "bandwidth",
    "inbound",
    "outbound",
    "vlan",
    "tag",
    "port",
    "nat",
    "address",
    "interface",
    "pf",
    "driver",
    "dhcp",
    "range",
    "host",
    "hostname",
    "lease",
    "bootp",
    "tftp",
    "forwarder",
    "txt",
    "srv",
    "metadata",
];

impl Generator {
    /// The next document: about two thirds are valid, the others have one to three faults.
    pub fn document(&mut self) -> String {
        let mut root = self.network();
        let faults = if self.chance(65) { 0 } else { 1 + self.rng.random_range(0..3) };
        for _ in 0..faults {
            self.spoil_tree(&mut root);
        }
        let mut text = String::new();
        if self.chance(10) {
            text.push_str("<?xml version='1.0' encoding='UTF-8'?>\n");
        }
        if self.chance(5) {
            text.push_str("<!-- a comment -->\n");
        }
        self.write(&root, &mut text);
        if self.chance(5) {
            self.spoil_text(&mut text);
        }
        text
    }

    fn spoil_tree(&mut self, root: &mut Tree) {
        let count = count(root);
        let at = self.rng.random_range(0..count);
        let mut left = at;
        if let Some(element) = nth(root, &mut left) {
            self.spoil_element(element);
        }
    }

    fn spoil_element(&mut self, element: &mut Tree) {
        let value = self.pick(VALUES);
        let n_attributes = element.attributes.len();
        let n_nodes = element.nodes.len();
        match self.rng.random_range(0..9) {
            0..=2 if n_attributes > 0 => {
                let at = self.rng.random_range(0..n_attributes);
                element.attributes[at].value = value.into();
            }
            3 if n_attributes > 0 => {
                let at = self.rng.random_range(0..n_attributes);
                element.attributes.remove(at);
            }
            4 => {
                let name = self.pick(&[
                    "name",
                    "dev",
                    "mode",
                    "address",
                    "netmask",
                    "prefix",
                    "family",
                    "start",
                    "end",
                    "type",
                    "id",
                    "mac",
                    "ip",
                    "value",
                    "trunk",
                    "default",
                    "enable",
                    "classID",
                    "floor",
                    "metric",
                    "zone",
                    "stp",
                    "target",
                    "port",
                    "unit",
                    "managed",
                    "nativeMode",
                    "bogus",
                ]);
                if element.attributes.iter().all(|attribute| attribute.name != name) {
                    let (name, value) = (name.into(), value.into());
                    element.attributes.push(Attribute {
                        name,
                        prefix: None,
                        namespace: None,
                        value,
                    });
                }
            }
            5 if n_nodes > 0 => {
                let at = self.rng.random_range(0..n_nodes);
                element.nodes.remove(at);
            }
            6 if n_nodes > 0 => {
                let at = self.rng.random_range(0..n_nodes);
                let copy = element.nodes[at].clone();
                element.nodes.push(copy);
            }
            7 => {
                let name = self.pick(ELEMENTS);
                element.nodes.push(Node::Element(Box::new(Element::new(name))));
            }
            _ => element.nodes.push(Node::Text(value.into())),
        }
    }

    /// Breaks the form: deletes, repeats or overwrites a few bytes somewhere.
    fn spoil_text(&mut self, text: &mut String) {
        let at = self.rng.random_range(0..text.len());
        let at = (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let end = (at + 1 + self.rng.random_range(0..3)).min(text.len());
        let end = (end..=text.len()).find(|&end| text.is_char_boundary(end)).unwrap_or(text.len());
        let insert = self.pick(&[
            "",
            "<",
            ">",
            "&",
            "'",
            "\"",
            "/",
            "=",
            " ",
            "&amp;",
            "&bogus;",
            "&#65;",
            "&#0;",
            "]]>",
            "<!--",
            "-->",
            "<![CDATA[x]]>",
            "<?pi x?>",
            "<x>",
            "</x>",
            "<a:b/>",
            " a:b='c'",
            "\r\n",
            "\u{1}",
            "\u{fffe}",
        ]);
        match self.rng.random_range(0..3) {
            0 => text.replace_range(at..end, insert),
            1 => text.insert_str(at, insert),
            _ => text.truncate(at),
        }
    }

    fn write(&mut self, element: &Tree, out: &mut String) {
        let name = match &element.prefix {
            Some(prefix) => format!("{prefix}:{}", element.name),
            None => element.name.clone().into_owned(),
        };
        out.push_str(&format!("<{name}"));
        for declaration in &element.declarations {
            let prefix = declaration.prefix.as_deref().unwrap_or_default();
            out.push_str(&format!(" xmlns:{prefix}='{}'", declaration.uri));
        }
        for attribute in &element.attributes {
            let quote = self.pick(&['\'', '"']);
            out.push_str(&format!(" {}={quote}", attribute.name));
            escape(&attribute.value, out);
            out.push(quote);
        }
        if element.nodes.is_empty() && self.chance(70) {
            out.push_str("/>");
            return;
        }
        out.push('>');
        for node in &element.nodes {
            if self.chance(30) {
                out.push_str("\n  ");
            }
            match node {
                Node::Element(child) => self.write(child, out),
                Node::Text(text) => escape(text, out),
                Node::CData(text) => out.push_str(&format!("<![CDATA[{text}]]>")),
                Node::Comment(text) => out.push_str(&format!("<!--{text}-->")),
                _ => {}
            }
        }
        out.push_str(&format!("</{name}>"));
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            _ => oxivirt_xml::escape(out, c.encode_utf8(&mut [0; 4])),
        }
    }
}

fn count(element: &Tree) -> usize {
    1 + element.elements().map(count).sum::<usize>()
}

fn nth<'t>(element: &'t mut Tree, left: &mut usize) -> Option<&'t mut Tree> {
    if *left == 0 {
        return Some(element);
    }
    *left -= 1;
    element.nodes.iter_mut().find_map(|node| match node {
        Node::Element(child) => nth(child, left),
        _ => None,
    })
}
