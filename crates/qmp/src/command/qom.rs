//! The object tree and its types; devices.

use serde::Deserialize;
use serde_json::Value;

use super::{Empty, commands, object_commands};

commands! {
    /// Properties of an object.
    QomList = "qom-list" -> Vec<Property> {
        /// Its path.
        path: String,
    }

    /// Value of a property. [`Monitor::run_all`](crate::Monitor::run_all) reads many in one go.
    QomGet = "qom-get" -> Value {
        /// Path of the object.
        path: String,
        /// Name of the property.
        property: String,
    }

    /// Changes a property.
    QomSet = "qom-set" -> Empty {
        /// Path of the object.
        path: String,
        /// Name of the property.
        property: String,
        /// Its value.
        value: Value,
    }

    /// Types of objects.
    QomListTypes = "qom-list-types" -> Vec<TypeInfo> {
        /// Types that implement this one.
        #[serde(skip_serializing_if = "Option::is_none")]
        implements: Option<String>,
        /// Abstract ones too.
        #[serde(rename = "abstract", skip_serializing_if = "Option::is_none")]
        include_abstract: Option<bool>,
    }

    /// Properties of a type.
    QomListProperties = "qom-list-properties" -> Vec<Property> {
        /// The type.
        typename: String,
    }

    /// Properties of a type of device.
    DeviceListProperties = "device-list-properties" -> Vec<Property> {
        /// The type.
        typename: String,
    }

    /// Asks the guest to release a device. `DEVICE_DELETED` follows once it has.
    DeviceDel = "device_del" -> Empty {
        /// Id or path of the device.
        id: String,
    }

    /// Removes an object that [`ObjectAdd`] made.
    ObjectDel = "object-del" -> Empty {
        /// Its id.
        id: String,
    }
}

object_commands! {
    /// Plugs a device in: `driver`, `id`, its bus and properties.
    DeviceAdd = "device_add";
    /// Makes an object: `qom-type`, `id` and its properties.
    ObjectAdd = "object-add";
}

/// A property of an object or a type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its type, such as `bool` or `child<qemu64-x86_64-cpu>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its value if none is given.
    pub default_value: Option<Value>,
}

/// A type of objects.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TypeInfo {
    /// Its name.
    pub name: String,
    /// There are no objects of it, but of types below it.
    #[serde(rename = "abstract", default)]
    pub is_abstract: bool,
    /// The type above it.
    pub parent: Option<String>,
}
