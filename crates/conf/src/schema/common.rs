//! Elements that networks and ports share.

use oxivirt_xml::schema::datatype::{
    BURST, DEVICE_NAME, Datatype, GENERIC_NAME, ON_OFF, PCI_FUNCTION, PCI_SLOT, POSITIVE,
    PROFILE_ID, SPEED, UINT8, UINT24, UINT32, UNICAST_MAC, UNSIGNED_INT, UUID, VLAN_ID, YES_NO,
};
use oxivirt_xml::schema::{Attribute, Child, Element, Occurs};

pub(super) static MAC: Element = Element::empty(&[Attribute::required("address", UNICAST_MAC)]);

pub(super) static PORT_OPTIONS: Element =
    Element::empty(&[Attribute::optional("isolated", YES_NO)]);

pub(super) static BANDWIDTH: Element = Element::new(
    &[Attribute::optional("classID", POSITIVE)],
    &[
        Child::new("inbound", Occurs::Optional, &RATE),
        Child::new("outbound", Occurs::Optional, &RATE),
    ],
);

static RATE: Element = Element::empty(&[
    Attribute::optional("average", SPEED),
    Attribute::optional("peak", SPEED),
    Attribute::optional("floor", SPEED),
    Attribute::optional("burst", BURST),
]);

pub(super) static VLAN: Element = Element::new(
    &[Attribute::optional("trunk", Datatype::Words(&["yes"]))],
    &[Child::new("tag", Occurs::Some, &TAG)],
);

static TAG: Element = Element::empty(&[
    Attribute::required("id", VLAN_ID),
    Attribute::optional("nativeMode", Datatype::Words(&["tagged", "untagged"])),
]);

/// How `<driver>` of a PCI function is chosen.
pub(super) static HOSTDEV_DRIVER: Element = Element::empty(&[
    Attribute::optional("name", Datatype::Words(&["kvm", "vfio", "xen"])),
    Attribute::optional("model", GENERIC_NAME),
]);

/// The PCI function of a port.
pub(super) static PCI_ADDRESS: Element =
    Element::empty(&[DOMAIN, BUS, SLOT, FUNCTION, MULTIFUNCTION]);

/// A PCI function of a network's pool.
pub(super) static POOL_ADDRESS: Element = Element::empty(&[
    Attribute::required("type", Datatype::Words(&["pci"])),
    DOMAIN,
    BUS,
    SLOT,
    FUNCTION,
    MULTIFUNCTION,
    Attribute::optional("connections", UNSIGNED_INT),
]);

const DOMAIN: Attribute = Attribute::optional("domain", UINT32);
const BUS: Attribute = Attribute::optional("bus", UINT8);
const SLOT: Attribute = Attribute::optional("slot", PCI_SLOT);
const FUNCTION: Attribute = Attribute::optional("function", PCI_FUNCTION);
const MULTIFUNCTION: Attribute = Attribute::optional("multifunction", ON_OFF);

/// An element of which only the device matters.
pub(super) static DEVICE: Element = Element::empty(&[Attribute::required("dev", DEVICE_NAME)]);

/// `<virtualport>`: which parameters there are depends on its type.
pub(super) const VIRTUAL_PORT: Child =
    Child::by_type("virtualport", Occurs::Optional, &VIRTUAL_PORT_TYPES);

static VIRTUAL_PORT_TYPES: [(Option<&str>, &Element); 5] = [
    (Some("802.1Qbg"), &VEPA_PORT),
    (Some("802.1Qbh"), &VNTAG_PORT),
    (Some("openvswitch"), &OPENVSWITCH_PORT),
    (Some("midonet"), &MIDONET_PORT),
    (None, &UNTYPED_PORT),
];

macro_rules! virtual_port {
    ($name:ident, $type:expr, $occurs:expr, [$($parameter:expr),+ $(,)?]) => {
        static $name: Element = {
            static PARAMETERS: Element = Element::empty(&[$($parameter),+]);
            Element::new($type, &[Child::new("parameters", $occurs, &PARAMETERS)])
        };
    };
}

const TYPE: &[Attribute] = &[Attribute::required("type", Datatype::Any)];
const MANAGER_ID: Attribute = Attribute::optional("managerid", UINT8);
const TYPE_ID: Attribute = Attribute::optional("typeid", UINT24);
const TYPE_ID_VERSION: Attribute = Attribute::optional("typeidversion", UINT8);
const INSTANCE_ID: Attribute = Attribute::optional("instanceid", UUID);
const PROFILE: Attribute = Attribute::optional("profileid", PROFILE_ID);
const INTERFACE_ID: Attribute = Attribute::optional("interfaceid", UUID);

virtual_port!(
    VEPA_PORT,
    TYPE,
    Occurs::Optional,
    [MANAGER_ID, TYPE_ID, TYPE_ID_VERSION, INSTANCE_ID]
);
virtual_port!(VNTAG_PORT, TYPE, Occurs::Optional, [PROFILE]);
virtual_port!(OPENVSWITCH_PORT, TYPE, Occurs::Optional, [PROFILE, INTERFACE_ID]);
virtual_port!(MIDONET_PORT, TYPE, Occurs::Once, [Attribute::required("interfaceid", UUID)]);
virtual_port!(
    UNTYPED_PORT,
    &[],
    Occurs::Optional,
    [MANAGER_ID, TYPE_ID, TYPE_ID_VERSION, INSTANCE_ID, PROFILE, INTERFACE_ID]
);
