//! Calls of the node device driver.

use super::Row;

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    (114, "virNodeDeviceGetXMLDesc", 8),
    (115, "virNodeDeviceGetParent", 4),
    (116, "virNodeDeviceNumOfCaps", 4),
    (117, "virNodeDeviceListCaps", 8),
    (123, "virNodeDeviceCreateXML", 8),
    (124, "virNodeDeviceDestroy", 4),
    (297, "virNodeDeviceLookupSCSIHostByWWN", 12),
    (374, "virConnectNodeDeviceEventRegisterAny", 8),
    (375, "virConnectNodeDeviceEventDeregisterAny", 4),
    (428, "virNodeDeviceDefineXML", 8),
    (429, "virNodeDeviceUndefine", 8),
    (430, "virNodeDeviceCreate", 8),
    (433, "virNodeDeviceGetAutostart", 4),
    (434, "virNodeDeviceSetAutostart", 8),
    (435, "virNodeDeviceIsPersistent", 4),
    (436, "virNodeDeviceIsActive", 4),
    (447, "virNodeDeviceUpdate", 12),
];
