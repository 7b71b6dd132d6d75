//! Calls of the secret driver.

use super::Row;

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    (141, "virSecretLookupByUUID", 16),
    (142, "virSecretDefineXML", 8),
    (143, "virSecretGetXMLDesc", 28),
    (144, "virSecretSetValue", 32),
    (145, "virSecretGetValue", 28),
    (146, "virSecretUndefine", 24),
    (147, "virSecretLookupByUsage", 8),
    (380, "virConnectSecretEventRegisterAny", 8),
    (381, "virConnectSecretEventDeregisterAny", 4),
];
