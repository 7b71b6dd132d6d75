//! What a hook script reads from its standard input.

use oxivirt_xml::Writer;

use crate::network::{Counters, Form, NetworkDef};
use crate::port::NetworkPortDef;

/// The document for a hook script: the running network, and the port if the event is about one. It
/// does not end in a line feed.
///
/// libvirt 11.3.0: `networkRunHook`, src/network/bridge_driver.c
#[must_use]
pub fn hook_data(def: &NetworkDef, counters: &Counters, port: Option<&NetworkPortDef>) -> String {
    let mut out = Writer::new();
    out.begin("hookData").open();
    def.write(Form::Live(counters), &mut out);
    if let Some(port) = port {
        port.write(&mut out);
    }
    out.end("hookData");
    let mut text = out.finish();
    text.pop();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_and_port_are_indented() {
        let def = NetworkDef::parse("<network><name>n</name></network>").unwrap();
        let port = NetworkPortDef::parse(
            "<networkport><uuid>00000000-0000-0000-0000-000000000001</uuid><owner><name>g</name>\
             <uuid>00000000-0000-0000-0000-000000000002</uuid></owner>\
             <mac address='52:54:00:00:00:01'/></networkport>",
        )
        .unwrap();
        let text = hook_data(&def, Counters::NONE, Some(&port));
        assert!(text.starts_with("<hookData>\n  <network>\n    <name>n</name>\n"), "{text}");
        assert!(text.contains("\n  </network>\n  <networkport>\n    <uuid>0000"), "{text}");
        assert!(text.ends_with("\n  </networkport>\n</hookData>"), "{text}");
    }
}
