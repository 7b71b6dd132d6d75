//! Empty lists of objects whose families have no driver here.

use oxivirt::{Error, ErrorCode, ErrorDomain, Result};
use oxivirt_rpc::xdr::{List, Text};
use tarpc::context::Context;

use super::Calls;
use super::network::no_such_name;
use super::session::not_open;
use crate::protocol::Reply;
use crate::protocol::absent::AbsentCalls;
use crate::wire::{Domain, Empty, OfDomain, OfDomainList, SNAPSHOTS_MAX};

impl Calls {
    /// Only a hypervisor's connection has secondary drivers.
    fn absent<T: Default>(&self) -> Result<T> {
        if self.has_domains() { Ok(T::default()) } else { Err(not_open("connection not open")) }
    }

    /// What there is none of belongs to a domain, which has to exist.
    async fn absent_of<T: Default>(&self, api: &str, dom: &Domain) -> Result<T> {
        self.domains(api)?.domain_is_persistent(&dom.into()).await?;
        Ok(T::default())
    }
}

macro_rules! empty {
    (
        $($name:ident($($type:ty),*) -> $result:ty;)*
        @domains { $($of:ident($api:literal $(, $argument:ty)*) -> $answer:ty;)* }
    ) => {
        impl AbsentCalls for Calls {
            async fn node_device_lookup_by_name(self, _: Context, name: Text) -> Reply<Text> {
                self.absent::<()>()?;
                let none = Error::new(ErrorCode::NO_NODE_DEVICE, ErrorDomain::NODEDEV, "");
                Err(no_such_name(none, "no node device with matching name '", &name))
            }

            async fn domain_snapshot_lookup_by_name(
                self,
                _: Context,
                dom: Domain,
                name: Text,
                _: u32,
            ) -> Reply<OfDomain> {
                self.absent_of::<()>("virDomainSnapshotLookupByName", &dom).await?;
                let none = Error::new(ErrorCode::NO_DOMAIN_SNAPSHOT, ErrorDomain::QEMU, "");
                Err(no_such_name(none, "no domain snapshot with matching name '", &name))
            }

            async fn domain_snapshot_current(self, _: Context, dom: Domain, _: u32) -> Reply<OfDomain> {
                self.absent_of::<()>("virDomainSnapshotCurrent", &dom).await?;
                let detail = "the domain does not have a current snapshot";
                Err(Error::new(ErrorCode::NO_DOMAIN_SNAPSHOT, ErrorDomain::QEMU, detail).into())
            }

            async fn domain_checkpoint_lookup_by_name(
                self,
                _: Context,
                dom: Domain,
                name: Text,
                _: u32,
            ) -> Reply<OfDomain> {
                self.absent_of::<()>("virDomainCheckpointLookupByName", &dom).await?;
                let none = Error::new(ErrorCode::NO_DOMAIN_CHECKPOINT, ErrorDomain::QEMU, "");
                Err(no_such_name(none, "no domain checkpoint with matching name '", &name))
            }

            $(async fn $name(self, _: Context $(, _: $type)*) -> Reply<$result> {
                Ok(self.absent()?)
            })*

            $(async fn $of(self, _: Context, dom: Domain $(, _: $argument)*) -> Reply<$answer> {
                Ok(self.absent_of($api, &dom).await?)
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
    @domains {
    domain_snapshot_num("virDomainSnapshotNum", u32) -> i32;
    domain_snapshot_list_names("virDomainSnapshotListNames", i32, u32) -> List<Text, SNAPSHOTS_MAX>;
    domain_has_current_snapshot("virDomainHasCurrentSnapshot", u32) -> i32;
    domain_list_all_snapshots("virDomainListAllSnapshots", i32, u32) -> OfDomainList;
    domain_list_all_checkpoints("virDomainListAllCheckpoints", i32, u32) -> OfDomainList;
    }
}
