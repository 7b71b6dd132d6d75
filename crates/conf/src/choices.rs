//! The words that enumerated attributes of network documents accept, for messages and completion.

use oxivirt_types::ip::Family;

use crate::YesNo;
use crate::keyword::Keyword;
use crate::network::{ForwardMode, HostdevDriverName, LeaseUnit, MacTableManager};
use crate::virtualport::VirtualPortType;
use crate::vlan::NativeVlanMode;

/// The words that `attribute` of `element` accepts, in the order of libvirt's documentation; `None` if the
/// attribute is not an enumeration.
///
/// ```
/// let modes = oxivirt_conf::attribute_words("forward", "mode").unwrap_or_default();
/// assert!(modes.contains(&"nat"));
/// assert_eq!(oxivirt_conf::attribute_words("bridge", "name"), None);
/// ```
#[must_use]
pub fn attribute_words(element: &str, attribute: &str) -> Option<Vec<&'static str>> {
    Some(match (element, attribute) {
        ("forward", "mode") => words::<ForwardMode>(),
        ("driver", "name") => words::<HostdevDriverName>(),
        ("bridge", "macTableManager") => words::<MacTableManager>(),
        ("bridge", "stp") => vec!["on", "off"],
        ("ip" | "route", "family") => words::<Family>(),
        ("virtualport", "type") => words::<VirtualPortType>(),
        ("tag", "nativeMode") => words::<NativeVlanMode>(),
        ("lease", "unit") => words::<LeaseUnit>(),
        ("network", "ipv6" | "trustGuestRxFilters")
        | ("portgroup", "default" | "trustGuestRxFilters")
        | ("domain", "localOnly")
        | ("dns", "enable" | "forwardPlainNames")
        | ("nat", "ipv6") => words::<YesNo>(),
        _ => return None,
    })
}

fn words<K: Keyword>() -> Vec<&'static str> {
    K::WORDS.iter().map(|(_, word)| *word).collect()
}
