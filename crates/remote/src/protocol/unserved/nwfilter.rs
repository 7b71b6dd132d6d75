//! Calls of the network filter driver.

use super::Row;

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    (175, "virNWFilterLookupByName", 4),
    (176, "virNWFilterLookupByUUID", 16),
    (177, "virNWFilterGetXMLDesc", 24),
    (180, "virNWFilterDefineXML", 4),
    (181, "virNWFilterUndefine", 20),
    (397, "virNWFilterBindingLookupByPortDev", 4),
    (398, "virNWFilterBindingGetXMLDesc", 12),
    (399, "virNWFilterBindingCreateXML", 8),
    (400, "virNWFilterBindingDelete", 8),
    (431, "virNWFilterDefineXMLFlags", 8),
];
