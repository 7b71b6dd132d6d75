//! Calls of the interface driver.

use super::Row;

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    (128, "virInterfaceLookupByName", 4),
    (129, "virInterfaceLookupByMACString", 4),
    (130, "virInterfaceGetXMLDesc", 12),
    (131, "virInterfaceDefineXML", 8),
    (132, "virInterfaceUndefine", 8),
    (133, "virInterfaceCreate", 12),
    (134, "virInterfaceDestroy", 12),
    (156, "virInterfaceIsActive", 8),
    (220, "virInterfaceChangeBegin", 4),
    (221, "virInterfaceChangeCommit", 4),
    (222, "virInterfaceChangeRollback", 4),
];
