//! Networks as a text tree.

use crate::i18n::tr;
use crate::inventory::Node;
use crate::ui::{Style, Ui};

/// The tree, in colours if they are shown.
pub(crate) fn tree(ui: &Ui, nodes: &[Node]) -> String {
    let mut text = String::new();
    for node in nodes {
        push_node(ui, &mut text, node);
    }
    text
}

fn push_node(ui: &Ui, text: &mut String, node: &Node) {
    let state = if node.active {
        ui.styled(Style::Added, &tr!("active"))
    } else {
        ui.styled(Style::Faint, &tr!("inactive"))
    };
    let name = ui.styled(Style::Bold, &node.name);
    text.push_str(&format!("{name}  {state}, {}\n", node.mode));
    let mut lines = Vec::new();
    if let Some(bridge) = &node.bridge {
        let addresses = node.addresses.join("  ");
        lines.push((tr!("bridge {name}", name = bridge), addresses));
    }
    for uplink in &node.uplinks {
        lines.push((tr!("uplink {name}", name = uplink), String::new()));
    }
    for guest in &node.guests {
        let what = match (&guest.domain, &guest.port) {
            (Some(_), _) => tr!("guest {name}", name = guest.label()),
            (None, Some(_)) => tr!("port {name}", name = guest.label()),
            (None, None) => tr!("lease {name}", name = guest.label()),
        };
        lines.push((what, guest.details()));
    }
    let last = lines.len().saturating_sub(1);
    for (index, (what, details)) in lines.into_iter().enumerate() {
        let branch = ui.styled(Style::Faint, if index == last { "└─" } else { "├─" });
        let details = ui.styled(Style::Faint, &details);
        text.push_str(format!("{branch} {what}  {details}").trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;

    #[test]
    fn a_tree() {
        let ui = Ui::new(Box::new(std::io::sink()), Box::new(std::io::sink()), Log::default());
        let expect = "\
default  active, nat
├─ bridge virbr0  192.168.122.1/24
├─ uplink eth0
├─ port <vm2>  52:54:00:00:00:02  192.168.122.11/24
";
        let mut nodes = super::super::sample();
        nodes[0].guests[1].port = Some("u".to_owned());
        nodes[0].guests.remove(0);
        let text = tree(&ui, &nodes);
        assert_eq!(text, expect.replace("├─ port", "└─ port") + "lab  inactive, isolated\n");
    }
}
