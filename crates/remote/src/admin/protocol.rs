//! The list of procedures of administration; see [`crate::protocol`] for how it is read.

use oxivirt_rpc::xdr::{List, Text};
use serde::{Deserialize, Serialize};

use crate::protocol::{Needs, Procedure, Reply, protocol};
use crate::wire::TypedParam;

/// libvirt's program of administration.
pub const PROGRAM: u32 = 0x0690_0690;
/// Its version.
pub const VERSION: u32 = 1;

/// Procedure that ends a connection.
pub const CLOSE: i32 = 2;

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerName {
    /// Its name.
    pub name: Text,
}

/// One client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientName {
    /// The server it is connected to.
    pub srv: ServerName,
    /// Its number.
    pub id: u64,
    /// When it connected, in seconds since 1970.
    pub timestamp: i64,
    /// 0 socket, 1 TCP, 2 TLS.
    pub transport: u32,
}

/// Servers and their number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Servers {
    /// The servers, if the call asked for them.
    pub servers: List<ServerName, 16384>,
    /// Number of servers.
    pub ret: u32,
}

/// Clients and their number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clients {
    /// The clients, if the call asked for them.
    pub clients: List<ClientName, 16384>,
    /// Number of clients.
    pub ret: u32,
}

/// Outputs of the log and their number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    /// The outputs.
    pub outputs: Text,
    /// Number of outputs.
    pub noutputs: u32,
}

/// Filters of the log and their number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filters {
    /// The filters.
    pub filters: Option<Text>,
    /// Number of filters.
    pub nfilters: u32,
}

/// Parameters of a server.
pub type Params = List<TypedParam, 32>;
/// Parameters of a client.
pub type ClientParams = List<TypedParam, 64>;

protocol! {
    Admin AdminClient AdminRequest AdminResponse ServeAdmin;

    1 connect_open(flags: u32) -> (): "virAdmConnectOpen" Nothing [];
    2 connect_close() -> (): "virAdmConnectClose" Nothing [];
    3 connect_get_lib_version() -> u64: "virAdmConnectGetLibVersion" Nothing [];
    4 connect_list_servers(need_results: u32, flags: u32) -> Servers:
        "virAdmConnectListServers" Nothing [];
    5 connect_lookup_server(name: Text, flags: u32) -> ServerName:
        "virAdmConnectLookupServer" Nothing [];
    6 server_get_threadpool_parameters(srv: ServerName, flags: u32) -> Params:
        "virAdmServerGetThreadPoolParameters" Nothing [];
    7 server_set_threadpool_parameters(srv: ServerName, params: Params, flags: u32) -> ():
        "virAdmServerSetThreadPoolParameters" Nothing [];
    8 server_list_clients(srv: ServerName, need_results: u32, flags: u32) -> Clients:
        "virAdmServerListClients" Nothing [];
    9 server_lookup_client(srv: ServerName, id: u64, flags: u32) -> ClientName:
        "virAdmServerLookupClient" Nothing [];
    10 client_get_info(clnt: ClientName, flags: u32) -> ClientParams:
        "virAdmClientGetInfo" Nothing [];
    11 client_close(clnt: ClientName, flags: u32) -> (): "virAdmClientClose" Nothing [];
    12 server_get_client_limits(srv: ServerName, flags: u32) -> Params:
        "virAdmServerGetClientLimits" Nothing [];
    13 server_set_client_limits(srv: ServerName, params: Params, flags: u32) -> ():
        "virAdmServerSetClientLimits" Nothing [];
    14 connect_get_logging_outputs(flags: u32) -> Outputs:
        "virAdmConnectGetLoggingOutputs" Nothing [];
    15 connect_get_logging_filters(flags: u32) -> Filters:
        "virAdmConnectGetLoggingFilters" Nothing [];
    16 connect_set_logging_outputs(outputs: Option<Text>, flags: u32) -> ():
        "virAdmConnectSetLoggingOutputs" Nothing [];
    17 connect_set_logging_filters(filters: Option<Text>, flags: u32) -> ():
        "virAdmConnectSetLoggingFilters" Nothing [];
    18 server_update_tls_files(srv: ServerName, flags: u32) -> ():
        "virAdmServerUpdateTlsFiles" Nothing [];
    19 connect_set_daemon_timeout(timeout: u32, flags: u32) -> ():
        "virAdmConnectSetDaemonTimeout" Nothing [];
    20 connect_daemon_shutdown(flags: u32) -> (): "virAdmConnectDaemonShutdown" Nothing [];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_without_a_gap() {
        for (number, procedure) in (1..).zip(PROCEDURES) {
            assert_eq!(procedure.number, number);
        }
        assert_eq!(find(CLOSE).map(|(_, procedure)| procedure.name), Some("connect_close"));
    }
}
