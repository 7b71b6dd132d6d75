//! `<network>`.

use super::common::{
    BANDWIDTH, DEVICE, HOSTDEV_DRIVER, MAC, POOL_ADDRESS, PORT_OPTIONS, VIRTUAL_PORT, VLAN,
};
use crate::network::DNSMASQ_NAMESPACE;
use oxivirt_xml::schema::datatype::{
    DEVICE_NAME, DNS_NAME, DUID, Datatype, FAMILY, FILE_PATH, IP, IP_PREFIX, IPV4, LEASE_UNIT,
    MAC_TABLE_MANAGER, ON_OFF, PLAIN_UNSIGNED_INT, PLAIN_UNSIGNED_LONG, PORT, PROTOCOL, TITLE,
    UNICAST_MAC, UNSIGNED_INT, UNSIGNED_LONG, UNSIGNED_SHORT, UUID, YES_NO, ZONE_NAME,
};
use oxivirt_xml::schema::{Attribute, Child, Content, Element, Occurs, Rule};

pub(super) static NETWORK: Element = Element::new(
    &[
        Attribute::optional("connections", UNSIGNED_INT),
        Attribute::optional("ipv6", YES_NO),
        Attribute::optional("trustGuestRxFilters", YES_NO),
    ],
    &[
        Child::new("name", Occurs::Once, &ANY_TEXT),
        Child::new("title", Occurs::Optional, &TITLE_ELEMENT),
        Child::new("description", Occurs::Optional, &ANY_TEXT),
        Child::new("metadata", Occurs::Optional, &METADATA),
        Child::new("uuid", Occurs::Optional, &UUID_ELEMENT),
        Child::new("bridge", Occurs::Optional, &BRIDGE),
        Child::new("mtu", Occurs::Optional, &MTU),
        Child::new("mac", Occurs::Optional, &MAC),
        Child::new("forward", Occurs::Optional, &FORWARD),
        VIRTUAL_PORT,
        Child::new("portgroup", Occurs::Any, &PORT_GROUP),
        Child::new("domain", Occurs::Optional, &DOMAIN),
        Child::new("dns", Occurs::Optional, &DNS),
        Child::new("bandwidth", Occurs::Optional, &BANDWIDTH),
        Child::new("vlan", Occurs::Optional, &VLAN),
        Child::new("port", Occurs::Optional, &PORT_OPTIONS),
        Child::new("ip", Occurs::Any, &IP_ELEMENT),
        Child::new("route", Occurs::Any, &ROUTE),
        Child::new("options", Occurs::Optional, &DNSMASQ_OPTIONS),
    ],
);

static ANY_TEXT: Element = Element::text(Datatype::Any);
static TITLE_ELEMENT: Element = Element::text(TITLE);
static UUID_ELEMENT: Element = Element::text(UUID);

static METADATA: Element =
    Element { namespace: None, attributes: &[], rules: &[], content: Content::Foreign };

static BRIDGE: Element = Element::empty(&[
    Attribute::optional("name", DEVICE_NAME),
    Attribute::optional("zone", ZONE_NAME),
    Attribute::optional("stp", ON_OFF),
    Attribute::optional("delay", UNSIGNED_LONG),
    Attribute::optional("macTableManager", MAC_TABLE_MANAGER),
]);

static MTU: Element = Element::empty(&[Attribute::required("size", UNSIGNED_SHORT)]);

static FORWARD: Element = Element::new(
    &[
        Attribute::optional("dev", DEVICE_NAME),
        Attribute::optional(
            "mode",
            Datatype::Words(&[
                "nat",
                "route",
                "open",
                "bridge",
                "passthrough",
                "private",
                "vepa",
                "hostdev",
            ]),
        ),
        Attribute::optional("managed", YES_NO),
    ],
    &[
        Child::new("interface", Occurs::Any, &INTERFACE),
        Child::new("address", Occurs::Any, &POOL_ADDRESS),
        Child::new("pf", Occurs::Optional, &DEVICE),
        Child::new("driver", Occurs::Optional, &HOSTDEV_DRIVER),
        Child::new("nat", Occurs::Optional, &NAT),
    ],
)
.rules(&[Rule::NotBothElements("interface", "address")]);

static INTERFACE: Element = Element::empty(&[
    Attribute::required("dev", DEVICE_NAME),
    Attribute::optional("connections", UNSIGNED_INT),
]);

static NAT: Element = Element::new(
    &[Attribute::optional("ipv6", YES_NO)],
    &[
        Child::new("address", Occurs::Optional, &NAT_ADDRESS),
        Child::new("port", Occurs::Optional, &NAT_PORT),
    ],
);

static NAT_ADDRESS: Element =
    Element::empty(&[Attribute::required("start", IPV4), Attribute::required("end", IPV4)]);

static NAT_PORT: Element =
    Element::empty(&[Attribute::required("start", PORT), Attribute::required("end", PORT)]);

static PORT_GROUP: Element = Element::new(
    &[
        Attribute::required("name", DEVICE_NAME),
        Attribute::optional("default", YES_NO),
        Attribute::optional("trustGuestRxFilters", YES_NO),
    ],
    &[
        VIRTUAL_PORT,
        Child::new("bandwidth", Occurs::Optional, &BANDWIDTH),
        Child::new("vlan", Occurs::Optional, &VLAN),
    ],
);

static DOMAIN: Element = Element::empty(&[
    Attribute::required("name", DNS_NAME),
    Attribute::optional("localOnly", YES_NO),
    Attribute::optional("register", YES_NO),
]);

static DNS: Element = Element::new(
    &[Attribute::optional("enable", YES_NO), Attribute::optional("forwardPlainNames", YES_NO)],
    &[
        Child::new("forwarder", Occurs::Any, &FORWARDER),
        Child::new("txt", Occurs::Any, &TXT),
        Child::new("srv", Occurs::Any, &SRV),
        Child::new("host", Occurs::Any, &DNS_HOST),
    ],
);

static FORWARDER: Element =
    Element::empty(&[Attribute::optional("addr", IP), Attribute::optional("domain", DNS_NAME)]);

static TXT: Element = Element::empty(&[
    Attribute::required("name", DNS_NAME),
    Attribute::required("value", Datatype::Any),
]);

static SRV: Element = Element::empty(&[
    Attribute::required("service", Datatype::Any),
    Attribute::required("protocol", PROTOCOL),
    Attribute::optional("domain", DNS_NAME),
    Attribute::optional("target", Datatype::Any),
    Attribute::optional("port", UNSIGNED_SHORT),
    Attribute::optional("priority", UNSIGNED_SHORT),
    Attribute::optional("weight", UNSIGNED_SHORT),
]);

static DNS_HOST: Element = Element::new(
    &[Attribute::required("ip", IP)],
    &[Child::new("hostname", Occurs::Some, &HOST_NAME)],
);

static HOST_NAME: Element = Element::text(DNS_NAME);

const NETMASK: Attribute = Attribute::optional("netmask", IPV4);
const PREFIX: Attribute = Attribute::optional("prefix", IP_PREFIX);
const FAMILY_ATTRIBUTE: Attribute = Attribute::optional("family", FAMILY);
const ONE_MASK: &[Rule] = &[Rule::NotBoth("netmask", "prefix")];

static IP_ELEMENT: Element = Element::new(
    &[
        Attribute::optional("address", IP),
        NETMASK,
        PREFIX,
        FAMILY_ATTRIBUTE,
        Attribute::optional("localPtr", YES_NO),
    ],
    &[Child::new("tftp", Occurs::Optional, &TFTP), Child::new("dhcp", Occurs::Optional, &DHCP)],
)
.rules(ONE_MASK);

static TFTP: Element = Element::empty(&[Attribute::required("root", Datatype::Any)]);

static DHCP: Element = Element::new(
    &[],
    &[
        Child::new("range", Occurs::Any, &RANGE),
        Child::new("host", Occurs::Any, &DHCP_HOST),
        Child::new("bootp", Occurs::Optional, &BOOTP),
    ],
);

static RANGE: Element =
    Element::new(&[Attribute::required("start", IP), Attribute::required("end", IP)], &LEASE_CHILD);

static DHCP_HOST: Element = Element::new(
    &[
        Attribute::optional("mac", UNICAST_MAC),
        Attribute::optional("id", DUID),
        Attribute::optional("name", Datatype::Any),
        Attribute::required("ip", IP),
    ],
    &LEASE_CHILD,
)
.rules(&[Rule::NotBoth("mac", "id"), Rule::OneOf(&["mac", "id", "name"])]);

static LEASE_CHILD: [Child; 1] = [Child::new("lease", Occurs::Optional, &LEASE)];

static LEASE: Element = Element::empty(&[
    Attribute::required("expiry", PLAIN_UNSIGNED_LONG),
    Attribute::optional("unit", LEASE_UNIT),
]);

static BOOTP: Element = Element::empty(&[
    Attribute::required("file", FILE_PATH),
    Attribute::optional("server", DNS_NAME),
]);

static ROUTE: Element = Element::empty(&[
    FAMILY_ATTRIBUTE,
    Attribute::required("address", IP),
    NETMASK,
    PREFIX,
    Attribute::required("gateway", IP),
    Attribute::optional("metric", PLAIN_UNSIGNED_INT),
])
.rules(ONE_MASK);

static DNSMASQ_OPTIONS: Element = Element {
    namespace: Some(DNSMASQ_NAMESPACE),
    attributes: &[],
    rules: &[],
    content: Content::Elements(&[Child::new("option", Occurs::Any, &DNSMASQ_OPTION)]),
};

static DNSMASQ_OPTION: Element = Element::empty(&[Attribute::required("value", Datatype::Any)]);
