//! Drawings of networks: a text tree, a Graphviz graph, an SVG picture.

mod dot;
mod svg;
mod tree;

pub(crate) use dot::dot;
pub(crate) use svg::svg;
pub(crate) use tree::tree;

#[cfg(test)]
pub(crate) fn sample() -> Vec<crate::inventory::Node> {
    use crate::inventory::{Guest, Node};
    let guest = |owner: &str, mac: &str, address: &str| Guest {
        owner: Some(owner.to_owned()),
        mac: Some(mac.to_owned()),
        addresses: vec![address.to_owned()],
        ..Guest::default()
    };
    vec![
        Node {
            name: "default".to_owned(),
            active: true,
            mode: "nat".to_owned(),
            bridge: Some("virbr0".to_owned()),
            uplinks: vec!["eth0".to_owned()],
            addresses: vec!["192.168.122.1/24".to_owned()],
            guests: vec![
                guest("vm1", "52:54:00:00:00:01", "192.168.122.10/24"),
                guest("<vm2>", "52:54:00:00:00:02", "192.168.122.11/24"),
            ],
            ..Node::default()
        },
        Node { name: "lab".to_owned(), mode: "isolated".to_owned(), ..Node::default() },
    ]
}
