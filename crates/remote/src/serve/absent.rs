//! Empty lists of objects whose families have no driver here.

use oxivirt::{Error, ErrorCode, ErrorDomain, Result};
use oxivirt_rpc::xdr::{List, Text};
use tarpc::context::Context;

use super::Calls;
use super::network::no_such_name;
use super::session::not_open;
use crate::protocol::Reply;
use crate::protocol::absent::AbsentCalls;
use crate::wire::Empty;

impl Calls {
    /// Only a hypervisor's connection has secondary drivers.
    fn absent<T: Default>(&self) -> Result<T> {
        if self.has_domains() { Ok(T::default()) } else { Err(not_open("connection not open")) }
    }
}

macro_rules! empty {
    ($($name:ident($($type:ty),*) -> $result:ty;)*) => {
        impl AbsentCalls for Calls {
            async fn node_device_lookup_by_name(self, _: Context, name: Text) -> Reply<Text> {
                self.absent::<()>()?;
                let none = Error::new(ErrorCode::NO_NODE_DEVICE, ErrorDomain::NODEDEV, "");
                Err(no_such_name(none, "no node device with matching name '", &name))
            }

            $(async fn $name(self, _: Context $(, _: $type)*) -> Reply<$result> {
                Ok(self.absent()?)
            })*
        }
    };
}

empty! {
    node_num_of_devices(Option<Text>, u32) -> i32;
    node_list_devices(Option<Text>, i32, u32) -> List<Text, 0>;
    connect_num_of_interfaces() -> i32;
    connect_list_interfaces(i32) -> List<Text, 0>;
    connect_num_of_defined_interfaces() -> i32;
    connect_list_defined_interfaces(i32) -> List<Text, 0>;
    connect_num_of_secrets() -> i32;
    connect_list_secrets(i32) -> List<Text, 0>;
    connect_num_of_nwfilters() -> i32;
    connect_list_nwfilters(i32) -> List<Text, 0>;
    connect_list_all_interfaces(i32, u32) -> Empty;
    connect_list_all_node_devices(i32, u32) -> Empty;
    connect_list_all_nwfilters(i32, u32) -> Empty;
    connect_list_all_secrets(i32, u32) -> Empty;
    connect_list_all_nwfilter_bindings(i32, u32) -> Empty;
}
