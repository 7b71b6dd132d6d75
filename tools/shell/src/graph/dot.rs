//! Networks in Graphviz's DOT language.
//!
//! <https://graphviz.org/doc/info/lang.html>

use std::collections::BTreeSet;

use crate::inventory::Node;

/// The graph.
pub(crate) fn dot(nodes: &[Node]) -> String {
    let mut text = String::from(
        "graph networks {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n",
    );
    let uplinks: BTreeSet<&String> = nodes.iter().flat_map(|node| &node.uplinks).collect();
    for uplink in uplinks {
        text.push_str(&format!(
            "  {} [label={}, shape=ellipse];\n",
            id("uplink", uplink),
            quote(uplink)
        ));
    }
    for node in nodes {
        let network = id("network", &node.name);
        let mut lines = vec![node.name.clone(), node.mode.clone()];
        lines.extend(node.bridge.clone());
        lines.extend(node.addresses.iter().cloned());
        let style = if node.active { "solid" } else { "dashed" };
        text.push_str(&format!(
            "  {network} [label={}, style={style}];\n",
            quote(&lines.join("\n"))
        ));
        for uplink in &node.uplinks {
            text.push_str(&format!("  {} -- {network};\n", id("uplink", uplink)));
        }
        for (index, guest) in node.guests.iter().enumerate() {
            let guest_id = id("guest", &format!("{}/{index}", node.name));
            let label = format!("{}\n{}", guest.label(), guest.details().replace("  ", "\n"));
            text.push_str(&format!(
                "  {guest_id} [label={}, style=rounded];\n",
                quote(label.trim_end())
            ));
            text.push_str(&format!("  {network} -- {guest_id};\n"));
        }
    }
    text.push_str("}\n");
    text
}

fn id(kind: &str, name: &str) -> String {
    quote(&format!("{kind} {name}"))
}

/// A quoted string; backslashes, quotes and line ends are escaped.
fn quote(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_graph() {
        let text = super::dot(&super::super::sample());
        assert!(text.contains("\"network default\" [label=\"default\\nnat\\nvirbr0\\n192.168.122.1/24\", style=solid];"), "{text}");
        assert!(text.contains("  \"uplink eth0\" -- \"network default\";\n"), "{text}");
        assert!(text.contains("  \"network default\" -- \"guest default/1\";\n"), "{text}");
        assert_eq!(super::quote("a\"b\\"), "\"a\\\"b\\\\\"");
    }
}
