//! Calls of the storage driver.

use super::Row;

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    (75, "virConnectFindStoragePoolSources", 12),
    (403, "virConnectGetStoragePoolCapabilities", 4),
];
