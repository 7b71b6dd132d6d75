//! The lists of procedures, one per object family, and the index over them.
//!
//! A row is `number name(parameters) -> result: "public function" needs target [permissions];`.
//! Parameters in order are the argument structure of the protocol, the result is its answer.
//! `needs` ([`Needs`]) and the permissions of access control ([`Object`] and a word) are checked before
//! the call, `target` ([`Target`]) says which object the arguments name; rows about the connection have
//! none. Rows ascend by number: a row's place is the index of its variants in the enums that
//! `tarpc` generates, and numbers are found by bisection.
//!
//! # Adding a call
//!
//! Four places change, here for `virNetworkIsActive`:
//!
//! 1. the row in the list of its family, `protocol/network.rs`:
//!    ```text
//!    152 network_is_active(net: Network) -> i32:
//!        "virNetworkIsActive" Open Network [Network "read"];
//!    ```
//!    (a row of `unserved` with this number goes away);
//! 2. the method of the driver trait with its default, in `oxivirt::driver`:
//!    ```text
//!    async fn network_is_active(&self, network: &NetworkRef) -> Result<bool> {
//!        unsupported("virNetworkIsActive")
//!    }
//!    ```
//! 3. the implementation in the driver;
//! 4. a line on each side of the wire, `serve/network.rs` and `client/network.rs`:
//!    ```text
//!    async fn network_is_active(self, _: Context, net: Network) -> Reply<i32> {
//!        Ok(self.networks("virNetworkIsActive")?.network_is_active(&(&net).into()).await?.into())
//!    }
//!
//!    async fn network_is_active(&self, net: &NetworkRef) -> Result<bool> {
//!        Ok(self.ask(self.network.network_is_active(self.context(), net.into())).await? != 0)
//!    }
//!    ```
//!
//! A new family is a list here, an entry in `families!`, and a file in `serve` and `client`.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x

pub mod absent;
pub mod connect;
pub mod domain;
pub mod domain_agent;
pub mod domain_device;
pub mod domain_stats;
pub mod domain_tuning;
pub mod extension;
pub mod host;
pub mod network;
pub mod qemu;
pub mod storage;
pub mod unserved;

use oxivirt::ErrorDomain;

use crate::wire::RemoteError;

/// libvirt's program of procedures.
pub const PROGRAM: u32 = 0x2000_8086;
/// Version of every program here.
pub const VERSION: u32 = 1;

/// Event: a network was defined, undefined, started or stopped.
pub const EVENT_LIFECYCLE: i32 = 315;
/// Event: metadata of a network changed.
pub const EVENT_METADATA_CHANGE: i32 = 446;
/// Event: the connection behind the daemon has ended.
pub const EVENT_CONNECTION_CLOSED: i32 = 362;
/// Event: a storage pool was defined, undefined, started, stopped, built or deleted.
pub const EVENT_STORAGE_LIFECYCLE: i32 = 370;
/// Event: the volumes of a storage pool were read.
pub const EVENT_STORAGE_REFRESH: i32 = 373;

/// Answer of a call.
pub type Reply<T> = Result<T, RemoteError>;

/// State of the connection that a call requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// None: the call authenticates the client.
    Nothing,
    /// The client is authenticated.
    Identity,
    /// The connection is open, for a call of the connection or the host.
    Connection,
    /// The connection is open, for a call of another family.
    Open,
    /// The connection is open and not read-only.
    Change,
}

/// Kind of object that a permission is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// The connection.
    Connect,
    /// A domain.
    Domain,
    /// A network.
    Network,
    /// A port of a network.
    Port,
    /// A storage pool.
    StoragePool,
    /// A storage volume.
    StorageVol,
}

impl Object {
    /// libvirt's word in the name of an action of the policy, `org.libvirt.api.WORD.PERMISSION`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Domain => "domain",
            Self::Network => "network",
            Self::Port => "network-port",
            Self::StoragePool => "storage-pool",
            Self::StorageVol => "storage-vol",
        }
    }
}

/// The object that the arguments of a call name, by what they begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// None: the call is about the connection.
    Connection,
    /// A domain reference.
    Domain,
    /// The number of a running domain.
    DomainId,
    /// The name of a domain.
    DomainName,
    /// The UUID of a domain.
    DomainUuid,
    /// The definition of a domain.
    DomainXml,
    /// A network reference.
    Network,
    /// The name of a network.
    NetworkName,
    /// The UUID of a network.
    NetworkUuid,
    /// The definition of a network.
    NetworkXml,
    /// A port reference.
    Port,
    /// A network reference and the UUID of a port.
    PortUuid,
    /// A network reference and the definition of a port.
    PortXml,
    /// A pool reference.
    StoragePool,
    /// The name of a pool.
    StoragePoolName,
    /// The UUID of a pool.
    StoragePoolUuid,
    /// The path of a pool.
    StoragePoolPath,
    /// The definition of a pool.
    StoragePoolXml,
    /// A volume reference.
    StorageVol,
    /// A volume reference, for its pool.
    StorageVolPool,
    /// A pool reference and the name of a volume.
    StorageVolName,
    /// The key of a volume.
    StorageVolKey,
    /// The path of a volume.
    StorageVolPath,
    /// A pool reference and the definition of a volume.
    StorageVolXml,
}

/// One procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Procedure {
    /// Its number.
    pub number: i32,
    /// Its name.
    pub name: &'static str,
    /// The public function behind it, as messages name it.
    pub api: &'static str,
    /// What is checked before its arguments are read.
    pub needs: Needs,
    /// The object that its arguments name.
    pub target: Target,
    /// Permissions of access control.
    pub acl: &'static [(Object, &'static str)],
}

macro_rules! protocol {
    (@target) => { $crate::protocol::Target::Connection };
    (@target $target:ident) => { $crate::protocol::Target::$target };
    ($(#[$attribute:meta])* $trait:ident $client:ident $request:ident $response:ident $serve:ident; $(
        $number:literal $name:ident($($parameter:ident: $type:ty),*) -> $result:ty:
            $api:literal $needs:ident $($target:ident)? [$($object:ident $permission:literal),*];
    )*) => {
        /// The procedures in ascending order.
        pub static PROCEDURES: &[Procedure] = &[$(Procedure {
            number: $number,
            name: stringify!($name),
            api: $api,
            needs: Needs::$needs,
            target: $crate::protocol::protocol!(@target $($target)?),
            acl: &[$(($crate::protocol::Object::$object, $permission)),*],
        },)*];

        /// What `tarpc` generates from the list.
        #[expect(missing_docs, reason = "the list documents the procedures")]
        #[expect(missing_debug_implementations, reason = "generated services are never printed")]
        #[expect(clippy::missing_errors_doc, reason = "errors are those of the protocol")]
        $(#[$attribute])*
        pub mod generated {
            use super::*;

            #[tarpc::service(derive = [serde::Serialize, serde::Deserialize, Clone])]
            pub trait $trait {
                $(async fn $name($($parameter: $type),*) -> Reply<$result>;)*
            }
        }
        pub use generated::{$client, $request, $response, $serve, $trait};

        /// The procedure with this number, and its place in the list.
        #[must_use]
        pub fn find(number: i32) -> Option<(u32, &'static Procedure)> {
            let at = PROCEDURES.binary_search_by_key(&number, |procedure| procedure.number).ok()?;
            Some((u32::try_from(at).ok()?, PROCEDURES.get(at)?))
        }
    };
}

pub(crate) use protocol;

macro_rules! families {
    ($($(#[$doc:meta])* $variant:ident = $module:ident, $program:expr, $domain:ident;)*) => {
        /// An object family that is served.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Family {
            $($(#[$doc])* $variant,)*
        }

        impl Family {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Program that its procedures belong to.
            #[must_use]
            pub const fn program(self) -> u32 {
                match self { $(Self::$variant => $program,)* }
            }

            /// Domain of errors that are raised before the driver is called.
            #[must_use]
            pub const fn domain(self) -> ErrorDomain {
                match self { $(Self::$variant => ErrorDomain::$domain,)* }
            }

            /// Its procedures in ascending order.
            #[must_use]
            pub fn procedures(self) -> &'static [Procedure] {
                match self { $(Self::$variant => $module::PROCEDURES,)* }
            }
        }
    };
}

families! {
    /// The connection itself.
    Connect = connect, PROGRAM, NONE;
    /// The host of the driver.
    Host = host, PROGRAM, DOMAIN;
    /// Domains.
    Domain = domain, PROGRAM, DOMAIN;
    /// Figures of domains.
    DomainStats = domain_stats, PROGRAM, DOMAIN;
    /// What a guest's agent answers.
    DomainAgent = domain_agent, PROGRAM, DOMAIN;
    /// How a domain runs.
    DomainTuning = domain_tuning, PROGRAM, DOMAIN;
    /// Devices of domains.
    DomainDevice = domain_device, PROGRAM, DOMAIN;
    /// Calls that only QEMU's guests have.
    Qemu = qemu, qemu::PROGRAM, DOMAIN;
    /// Networks and ports.
    Network = network, PROGRAM, NETWORK;
    /// Storage pools and volumes.
    Storage = storage, PROGRAM, STORAGE;
    /// Lists of objects that are served by no driver.
    Absent = absent, PROGRAM, NONE;
    /// Calls that libvirt does not have.
    Extension = extension, extension::PROGRAM, NETWORK;
}

/// A procedure and where it is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The family whose list has it.
    pub family: Family,
    /// Its place in that list.
    pub index: u32,
    /// Its row.
    pub procedure: &'static Procedure,
}

/// The procedure with this number of `program`.
#[must_use]
pub fn find(program: u32, number: i32) -> Option<Found> {
    Family::ALL.iter().filter(|family| family.program() == program).find_map(|family| {
        let list = family.procedures();
        let at = list.binary_search_by_key(&number, |procedure| procedure.number).ok()?;
        let (index, procedure) = (u32::try_from(at).ok()?, list.get(at)?);
        Some(Found { family: *family, index, procedure })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_list_ascends_and_every_number_is_listed_once() {
        let mut numbers = BTreeSet::new();
        for family in Family::ALL {
            let list = family.procedures();
            assert!(list.is_sorted_by(|a, b| a.number < b.number), "{family:?}");
            for (place, procedure) in (0_u32..).zip(list) {
                let found = find(family.program(), procedure.number).unwrap();
                assert_eq!((found.family, found.index), (*family, place));
                assert!(numbers.insert((family.program(), procedure.number)), "{procedure:?}");
            }
        }
        for number in unserved::numbers() {
            assert!(numbers.insert((PROGRAM, number)), "{number} is served and unserved");
        }
        assert_eq!(find(PROGRAM, 0), None);
        assert_eq!(find(PROGRAM, EVENT_LIFECYCLE), None);
        assert_eq!(find(1, 1), None);
    }

    #[test]
    fn every_call_of_libvirt_is_served_or_listed_as_unserved() {
        let served = Family::ALL.iter().filter(|family| family.program() == PROGRAM);
        let n_served: usize = served.map(|family| family.procedures().len()).sum();
        // of 453 numbers 53 are events
        assert_eq!(n_served + unserved::numbers().count(), 400);
    }

    #[test]
    fn permissions_show_which_calls_change_something() {
        let changes = [
            "write",
            "start",
            "stop",
            "save",
            "delete",
            "create",
            "init-control",
            "suspend",
            "reset",
            "open-device",
            "format",
            "refresh",
            "resize",
            "data-read",
            "data-write",
            "fs-trim",
            "fs-freeze",
            "set-time",
            "set-password",
            "inject-nmi",
            "screenshot",
            "send-input",
            "detect-storage-pools",
        ];
        for family in Family::ALL {
            for procedure in family.procedures() {
                let names_change = procedure.acl.iter().any(|(_, word)| changes.contains(word));
                let is_change =
                    procedure.needs == Needs::Change || procedure.name == "connect_set_identity";
                assert_eq!(names_change, is_change, "{}", procedure.name);
            }
        }
    }

    #[test]
    fn permissions_about_an_object_have_a_target() {
        for procedure in Family::ALL.iter().flat_map(|family| family.procedures()) {
            let about_object = procedure.acl.iter().any(|(object, _)| *object != Object::Connect);
            assert_eq!(procedure.target != Target::Connection, about_object, "{}", procedure.name);
        }
    }
}
