//! Conversion of network XML to JSON: attributes and child elements become members, text becomes a string.
//!
//! A repeatable element is always a list, so a reader handles one form only. All values are strings, as in the
//! XML; the content of `metadata` stays XML.

use oxivirt_xml::{self as xml, Blanks, Element, Node, XmlError};
use serde_json::{Map, Value};

/// Repeatable elements of network documents.
const REPEATED: [&str; 14] = [
    "address",
    "forwarder",
    "host",
    "hostname",
    "interface",
    "ip",
    "option",
    "pf",
    "portgroup",
    "range",
    "route",
    "srv",
    "tag",
    "txt",
];

/// Converts a document.
///
/// # Errors
/// If `text` is not well-formed.
pub(crate) fn of_document(text: &str) -> Result<Value, XmlError> {
    Ok(of_element(&xml::parse(text, Blanks::Drop)?))
}

fn of_element(element: &Element<'_>) -> Value {
    if element.name == "metadata" {
        let inner = element.elements().map(|element| xml::dump(element, 0));
        return Value::from(inner.collect::<Vec<_>>());
    }
    let mut members = Map::new();
    for attribute in &element.attributes {
        members.insert(
            name(attribute.prefix.as_deref(), &attribute.name),
            attribute.value.clone().into(),
        );
    }
    for child in element.elements() {
        let value = of_element(child);
        let key = name(child.prefix.as_deref(), &child.name);
        let is_repeated = REPEATED.contains(&&*child.name);
        match members.get_mut(&key) {
            Some(Value::Array(list)) => list.push(value),
            // an unknown element may be repeated as well
            Some(other) => *other = Value::Array(vec![other.take(), value]),
            None if is_repeated => {
                members.insert(key, Value::Array(vec![value]));
            }
            None => {
                members.insert(key, value);
            }
        }
    }
    let is_text = |node: &Node<'_>| matches!(node, Node::Text(_) | Node::CData(_));
    match (members.is_empty(), element.nodes.iter().any(is_text)) {
        (true, true) => element.text().into_owned().into(),
        (false, true) => {
            members.insert("text".to_owned(), element.text().into_owned().into());
            Value::Object(members)
        }
        (_, false) => Value::Object(members),
    }
}

fn name(prefix: Option<&str>, local: &str) -> String {
    prefix.map_or_else(|| local.to_owned(), |prefix| format!("{prefix}:{local}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents() {
        let xml = "<network><name>a</name><forward mode='nat'><nat><port start='1' end='2'/></nat></forward>\
            <ip address='10.0.0.1'><dhcp><range start='x'/></dhcp></ip><ip address='y'/>\
            <metadata><m:x xmlns:m='urn:m'/></metadata></network>";
        let expect = json!({
            "name": "a",
            "forward": {"mode": "nat", "nat": {"port": {"start": "1", "end": "2"}}},
            "ip": [{"address": "10.0.0.1", "dhcp": {"range": [{"start": "x"}]}}, {"address": "y"}],
            "metadata": ["<m:x xmlns:m=\"urn:m\"/>"],
        });
        assert_eq!(of_document(xml).unwrap(), expect);
        assert!(of_document("<a").is_err());
    }
}
