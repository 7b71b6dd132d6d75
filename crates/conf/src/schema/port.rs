//! `<networkport>`.

use super::common::{
    BANDWIDTH, HOSTDEV_DRIVER, MAC, PCI_ADDRESS, PORT_OPTIONS, VIRTUAL_PORT, VLAN,
};
use oxivirt_xml::schema::datatype::{DEVICE_NAME, Datatype, MAC_TABLE_MANAGER, UUID, YES_NO};
use oxivirt_xml::schema::{Attribute, Child, Element, Occurs};

pub(super) static NETWORK_PORT: Element = Element::new(
    &[],
    &[
        Child::new("uuid", Occurs::Once, &UUID_ELEMENT),
        Child::new("owner", Occurs::Once, &OWNER),
        Child::new("mac", Occurs::Once, &MAC),
        Child::new("group", Occurs::Optional, &GROUP),
        Child::new("rxfilters", Occurs::Optional, &RX_FILTERS),
        VIRTUAL_PORT,
        Child::new("bandwidth", Occurs::Optional, &BANDWIDTH),
        Child::new("vlan", Occurs::Optional, &VLAN),
        Child::new("port", Occurs::Optional, &PORT_OPTIONS),
        Child::by_type(
            "plug",
            Occurs::Optional,
            &[
                (Some("network"), &BRIDGE_PLUG),
                (Some("bridge"), &BRIDGE_PLUG),
                (Some("direct"), &DIRECT_PLUG),
                (Some("hostdev-pci"), &HOSTDEV_PLUG),
            ],
        ),
    ],
);

static UUID_ELEMENT: Element = Element::text(UUID);
static GROUP: Element = Element::text(DEVICE_NAME);
static OWNER_NAME: Element = Element::text(Datatype::Any);

static OWNER: Element = Element::new(
    &[],
    &[
        Child::new("name", Occurs::Once, &OWNER_NAME),
        Child::new("uuid", Occurs::Once, &UUID_ELEMENT),
    ],
);

static RX_FILTERS: Element = Element::empty(&[Attribute::required("trustGuest", YES_NO)]);

const TYPE: Attribute = Attribute::required("type", Datatype::Any);

static BRIDGE_PLUG: Element = Element::empty(&[
    TYPE,
    Attribute::required("bridge", DEVICE_NAME),
    Attribute::optional("macTableManager", MAC_TABLE_MANAGER),
]);

static DIRECT_PLUG: Element = Element::empty(&[
    TYPE,
    Attribute::required("dev", DEVICE_NAME),
    Attribute::required("mode", Datatype::Words(&["bridge", "passthrough", "private", "vepa"])),
]);

static HOSTDEV_PLUG: Element = Element::new(
    &[TYPE, Attribute::optional("managed", YES_NO)],
    &[
        Child::new("driver", Occurs::Optional, &HOSTDEV_DRIVER),
        Child::new("address", Occurs::Once, &PCI_ADDRESS),
    ],
);
