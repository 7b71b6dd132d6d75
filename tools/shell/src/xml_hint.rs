//! Hints for a network document that a driver rejected because of an enumerated attribute.

use oxivirt::Error;
use oxivirt_xml::{self as xml, Blanks, Element};

use crate::suggest::valid_values;

/// The valid values of the attribute that `error` complains about; `None` if the document `text` has no
/// invalid enumerated attribute whose value the message quotes.
pub(crate) fn for_document(text: &str, error: &Error) -> Option<String> {
    let root = xml::parse(text, Blanks::Drop).ok()?;
    find(&root, error.message())
}

fn find(element: &Element<'_>, message: &str) -> Option<String> {
    let invalid = element.attributes.iter().find_map(|attribute| {
        let valid = oxivirt_conf::attribute_words(&element.name, &attribute.name)?;
        let value = &*attribute.value;
        let is_rejected = !valid.contains(&value) && !value.is_empty() && message.contains(value);
        is_rejected.then(|| valid_values(value, &valid))
    });
    invalid.or_else(|| element.elements().find_map(|child| find(child, message)))
}

#[cfg(test)]
mod tests {
    use oxivirt::{ErrorCode, ErrorDomain};

    use super::*;

    #[track_caller]
    fn check(xml: &str, detail: &str, expect: Option<&str>) {
        let error = Error::new(ErrorCode::XML_ERROR, ErrorDomain::NETWORK, detail);
        assert_eq!(for_document(xml, &error).as_deref(), expect);
    }

    #[test]
    fn the_rejected_attribute_gets_its_valid_values() {
        let xml =
            "<network><forward mode='routed'/><bridge stp='on'/><ip family='ipv5'/></network>";
        let modes = "did you mean 'route'? Valid values: none, nat, route, open, bridge, private, vepa, passthrough, hostdev";
        check(xml, "unknown forwarding type 'routed'", Some(modes));
        let families = "did you mean 'ipv4'? Valid values: ipv4, ipv6";
        check(xml, "Invalid family 'ipv5'", Some(families));
        check(xml, "the bridge name is invalid", None);
        check("<network", "unknown forwarding type 'routed'", None);
    }
}
