//! The procedures of administration, a short method each.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use oxivirt::{Error, ErrorCode, ErrorDomain, Result, Version};
use oxivirt_rpc::identity::Peer;
use oxivirt_rpc::server::{Client, Server};
use oxivirt_rpc::xdr::Text;
use tarpc::context::Context;

use super::Control;
use super::params::{invalid, numbers, uint};
use super::protocol::{
    Admin, ClientName, ClientParams, Clients, Filters, Outputs, Params, ServerName, Servers,
};
use crate::protocol::Reply;
use crate::wire::{TypedParam, TypedValue};

/// One call.
#[derive(Clone)]
pub(super) struct Calls {
    pub(super) control: Arc<dyn Control>,
}

const WORKERS: [&str; 3] = ["minWorkers", "maxWorkers", "prioWorkers"];
const LIMITS: [&str; 2] = ["nclients_max", "nclients_unauth_max"];

/// Keep running objects (`VIR_DAEMON_SHUTDOWN_PRESERVE`), which outlive the daemon in any case.
const SHUTDOWN_PRESERVE: u32 = 1;

/// Which of libvirt's two look-ups a call makes: they differ in the domain and the words of their errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lookup {
    /// Most calls.
    Rpc,
    /// Setting parameters of a server and reading those of a client.
    Admin,
}

impl Calls {
    fn server(&self, name: &Text, lookup: Lookup) -> Result<Arc<Server>> {
        let name = name.to_text();
        let found = self.control.servers().into_iter().find(|server| server.name() == name);
        found.ok_or_else(|| {
            let (domain, detail) = match lookup {
                Lookup::Rpc => (ErrorDomain::RPC, format!("No server named '{name}'")),
                Lookup::Admin => {
                    (ErrorDomain::ADMIN, format!("no server with matching name '{name}' found"))
                }
            };
            Error::new(ErrorCode::NO_SERVER, domain, detail)
        })
    }

    fn client(&self, client: &ClientName, lookup: Lookup) -> Result<Arc<Client>> {
        find_client(&*self.server(&client.srv.name, lookup)?, client.id, lookup)
    }
}

fn find_client(server: &Server, id: u64, lookup: Lookup) -> Result<Arc<Client>> {
    server.client(id).ok_or_else(|| {
        let (domain, detail) = match lookup {
            Lookup::Rpc => (ErrorDomain::RPC, format!("No client with matching ID '{id}'")),
            Lookup::Admin => {
                (ErrorDomain::ADMIN, format!("no client with matching id '{id}' found"))
            }
        };
        Error::new(ErrorCode::NO_CLIENT, domain, detail)
    })
}

fn client_name(client: &Client) -> ClientName {
    let since = client.since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    ClientName {
        srv: ServerName { name: client.server().name().into() },
        id: client.id,
        timestamp: i64::try_from(since.as_secs()).unwrap_or_default(),
        transport: client.peer.transport(),
    }
}

/// Name of a user or group in `/etc/passwd` or `/etc/group`; the files are small and rarely read.
fn name_of(file: &str, id: u32) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let id = id.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    })
}

fn client_params(client: &Client) -> Vec<TypedParam> {
    let text = |name: &str, value: &str| TypedParam::new(name, TypedValue::String(value.into()));
    let int = |name: &str, value: i32| TypedParam::new(name, TypedValue::Int(value));
    let read_only = TypedValue::Boolean(i32::from(client.read_only));
    let mut params = vec![TypedParam::new("readonly", read_only)];
    match &client.peer {
        Peer::Unix(process) => {
            // the kernel reports 0 for a process of a PID namespace it cannot name here
            let pid = if process.pid > 0 { process.pid } else { -1 };
            let user = name_of("/etc/passwd", process.uid).unwrap_or_default();
            let group = name_of("/etc/group", process.gid).unwrap_or_default();
            params.extend([
                int("unix_user_id", process.uid.cast_signed()),
                text("unix_user_name", &user),
                int("unix_group_id", process.gid.cast_signed()),
                text("unix_group_name", &group),
                int("unix_process_id", pid),
            ]);
        }
        Peer::Tcp(address) => params.push(text("sock_addr", &address.to_string())),
        Peer::Tls { address, subject } => {
            params.push(text("sock_addr", &address.to_string()));
            params.extend(subject.as_ref().map(|subject| text("tls_x509_dname", subject)));
        }
    }
    params
}

/// The number of definitions in a list of log filters or outputs.
fn count(definitions: &str) -> u32 {
    saturated(definitions.split_whitespace().count())
}

fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn no_flags(flags: u32, function: &str) -> Result<()> {
    match flags {
        0 => Ok(()),
        flags => Err(Error::unsupported_flags(ErrorDomain::ADMIN, flags, function)),
    }
}

impl Admin for Calls {
    async fn connect_open(self, _: Context, flags: u32) -> Reply<()> {
        Ok(no_flags(flags, "adminDispatchConnectOpen")?)
    }

    async fn connect_close(self, _: Context) -> Reply<()> {
        Ok(())
    }

    async fn connect_get_lib_version(self, _: Context) -> Reply<u64> {
        Ok(Version::LIBVIRT.number())
    }

    async fn connect_list_servers(self, _: Context, need: u32, flags: u32) -> Reply<Servers> {
        no_flags(flags, "adminConnectListServers")?;
        let servers = self.control.servers();
        let ret = saturated(servers.len());
        let wanted = servers.iter().filter(|_| need != 0);
        let servers = wanted.map(|server| ServerName { name: server.name().into() }).collect();
        Ok(Servers { servers, ret })
    }

    // libvirt does not look at the flags
    async fn connect_lookup_server(self, _: Context, name: Text, _: u32) -> Reply<ServerName> {
        self.server(&name, Lookup::Rpc)?;
        Ok(ServerName { name })
    }

    async fn server_get_threadpool_parameters(
        self,
        _: Context,
        srv: ServerName,
        flags: u32,
    ) -> Reply<Params> {
        let server = self.server(&srv.name, Lookup::Rpc)?;
        no_flags(flags, "adminServerGetThreadPoolParameters")?;
        let (workers, (size, free)) = (server.workers(), server.pool());
        let params = [
            uint("minWorkers", workers.min),
            uint("maxWorkers", workers.max),
            uint("nWorkers", size),
            uint("freeWorkers", free),
            uint("prioWorkers", workers.priority),
            uint("jobQueueDepth", 0),
        ];
        Ok(params.into_iter().collect())
    }

    async fn server_set_threadpool_parameters(
        self,
        _: Context,
        srv: ServerName,
        params: Params,
        flags: u32,
    ) -> Reply<()> {
        let server = self.server(&srv.name, Lookup::Admin)?;
        no_flags(flags, "adminServerSetThreadPoolParameters")?;
        let old = server.workers();
        let mut new = old;
        for (name, value) in numbers(&params.0, &WORKERS)? {
            match name {
                "minWorkers" => new.min = value,
                "maxWorkers" => new.max = value,
                _ => new.priority = value,
            }
        }
        if new.min > new.max {
            return Err(invalid("minWorkers cannot be larger than maxWorkers").into());
        }
        if (new.max == 0) != (old.max == 0) {
            let detail = "maxWorkers must not be switched from zero to non-zero and vice versa";
            return Err(invalid(detail).into());
        }
        server.set_workers(new);
        Ok(())
    }

    async fn server_list_clients(
        self,
        _: Context,
        srv: ServerName,
        need: u32,
        flags: u32,
    ) -> Reply<Clients> {
        let server = self.server(&srv.name, Lookup::Rpc)?;
        no_flags(flags, "adminServerListClients")?;
        let clients = server.clients();
        let ret = saturated(clients.len());
        let wanted = clients.iter().filter(|_| need != 0);
        Ok(Clients { clients: wanted.map(|client| client_name(client)).collect(), ret })
    }

    async fn server_lookup_client(
        self,
        _: Context,
        srv: ServerName,
        id: u64,
        flags: u32,
    ) -> Reply<ClientName> {
        let server = self.server(&srv.name, Lookup::Rpc)?;
        no_flags(flags, "adminServerLookupClient")?;
        Ok(client_name(&*find_client(&server, id, Lookup::Rpc)?))
    }

    async fn client_get_info(
        self,
        _: Context,
        client: ClientName,
        flags: u32,
    ) -> Reply<ClientParams> {
        let client = self.client(&client, Lookup::Admin)?;
        no_flags(flags, "adminClientGetInfo")?;
        if !client.has_called() {
            let detail = "No identity information available for client";
            return Err(Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::RPC, detail).into());
        }
        Ok(client_params(&client).into())
    }

    async fn client_close(self, _: Context, client: ClientName, flags: u32) -> Reply<()> {
        let client = self.client(&client, Lookup::Rpc)?;
        no_flags(flags, "adminClientClose")?;
        client.close();
        Ok(())
    }

    async fn server_get_client_limits(
        self,
        _: Context,
        srv: ServerName,
        flags: u32,
    ) -> Reply<Params> {
        let server = self.server(&srv.name, Lookup::Rpc)?;
        no_flags(flags, "adminServerGetClientLimits")?;
        let (limits, (clients, anonymous)) = (server.limits(), server.counts());
        let params = [
            uint("nclients_max", saturated(limits.clients)),
            uint("nclients", saturated(clients)),
            uint("nclients_unauth_max", saturated(limits.anonymous)),
            uint("nclients_unauth", saturated(anonymous)),
        ];
        Ok(params.into_iter().collect())
    }

    async fn server_set_client_limits(
        self,
        _: Context,
        srv: ServerName,
        params: Params,
        flags: u32,
    ) -> Reply<()> {
        let server = self.server(&srv.name, Lookup::Admin)?;
        no_flags(flags, "adminServerSetClientLimits")?;
        let mut limits = server.limits();
        for (name, value) in numbers(&params.0, &LIMITS)? {
            match name {
                "nclients_max" => limits.clients = value as usize,
                _ => limits.anonymous = value as usize,
            }
        }
        if limits.clients < limits.anonymous {
            let detail = "The overall maximum number of clients must not be less than the number of \
                          clients waiting for authentication";
            return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::RPC, detail).into());
        }
        server.set_limits(limits);
        Ok(())
    }

    async fn connect_get_logging_outputs(self, _: Context, flags: u32) -> Reply<Outputs> {
        no_flags(flags, "adminConnectGetLoggingOutputs")?;
        let outputs = self.control.log_outputs();
        Ok(Outputs { noutputs: count(&outputs), outputs: outputs.into() })
    }

    async fn connect_get_logging_filters(self, _: Context, flags: u32) -> Reply<Filters> {
        no_flags(flags, "adminConnectGetLoggingFilters")?;
        let filters = self.control.log_filters();
        let nfilters = count(&filters);
        let filters = (!filters.is_empty()).then(|| filters.into());
        Ok(Filters { filters, nfilters })
    }

    async fn connect_set_logging_outputs(
        self,
        _: Context,
        outputs: Option<Text>,
        flags: u32,
    ) -> Reply<()> {
        no_flags(flags, "adminConnectSetLoggingOutputs")?;
        Ok(self.control.set_log_outputs(&outputs.unwrap_or_default().to_text())?)
    }

    async fn connect_set_logging_filters(
        self,
        _: Context,
        filters: Option<Text>,
        flags: u32,
    ) -> Reply<()> {
        no_flags(flags, "adminConnectSetLoggingFilters")?;
        Ok(self.control.set_log_filters(&filters.unwrap_or_default().to_text())?)
    }

    async fn server_update_tls_files(self, _: Context, srv: ServerName, flags: u32) -> Reply<()> {
        let server = self.server(&srv.name, Lookup::Rpc)?;
        no_flags(flags, "adminServerUpdateTlsFiles")?;
        Ok(self.control.update_tls(server.name())?)
    }

    async fn connect_set_daemon_timeout(self, _: Context, timeout: u32, flags: u32) -> Reply<()> {
        no_flags(flags, "adminConnectSetDaemonTimeout")?;
        let timeout = (timeout != 0).then(|| Duration::from_secs(timeout.into()));
        self.control.set_timeout(timeout);
        Ok(())
    }

    async fn connect_daemon_shutdown(self, _: Context, flags: u32) -> Reply<()> {
        no_flags(flags & !SHUTDOWN_PRESERVE, "adminConnectDaemonShutdown")?;
        self.control.shut_down();
        Ok(())
    }
}
