//! The procedures of administration, a short method each.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use oxivirt::{Error, ErrorCode, ErrorDomain, Result, Version};
use oxivirt_rpc::identity::Peer;
use oxivirt_rpc::server::{Client, Server};
use oxivirt_rpc::xdr::Text;
use tarpc::context::Context;

use super::Control;
use super::params::{invalid, number, uint};
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

impl Calls {
    fn server(&self, name: &Text) -> Result<Arc<Server>> {
        let name = name.to_text();
        let found = self.control.servers().into_iter().find(|server| server.name() == name);
        found.ok_or_else(|| {
            let detail = format!("No server named '{name}'");
            Error::new(ErrorCode::NO_SERVER, ErrorDomain::RPC, detail)
        })
    }

    fn client(&self, server: &Text, id: u64) -> Result<Arc<Client>> {
        self.server(server)?.client(id).ok_or_else(|| {
            let detail = format!("No client with matching ID '{id}'");
            Error::new(ErrorCode::NO_CLIENT, ErrorDomain::RPC, detail)
        })
    }
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

/// Name of a user or group in a file of the system; the files are small and asked for rarely.
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
            let user = name_of("/etc/passwd", process.uid).unwrap_or_default();
            let group = name_of("/etc/group", process.gid).unwrap_or_default();
            params.extend([
                int("unix_user_id", process.uid.cast_signed()),
                text("unix_user_name", &user),
                int("unix_group_id", process.gid.cast_signed()),
                text("unix_group_name", &group),
                int("unix_process_id", process.pid),
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

/// How many of libvirt's log words there are.
fn count(words: &str) -> u32 {
    u32::try_from(words.split_whitespace().count()).unwrap_or(u32::MAX)
}

fn no_flags(flags: u32, function: &str) -> Result<()> {
    match flags {
        0 => Ok(()),
        flags => Err(Error::unsupported_flags(ErrorDomain::ADMIN, flags, function)),
    }
}

impl Admin for Calls {
    async fn connect_open(self, _: Context, flags: u32) -> Reply<()> {
        Ok(no_flags(flags, "adminConnectOpen")?)
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
        let ret = u32::try_from(servers.len()).unwrap_or(u32::MAX);
        let wanted = servers.iter().filter(|_| need != 0);
        let servers = wanted.map(|server| ServerName { name: server.name().into() }).collect();
        Ok(Servers { servers, ret })
    }

    async fn connect_lookup_server(self, _: Context, name: Text, flags: u32) -> Reply<ServerName> {
        no_flags(flags, "adminConnectLookupServer")?;
        self.server(&name)?;
        Ok(ServerName { name })
    }

    async fn server_get_threadpool_parameters(
        self,
        _: Context,
        srv: ServerName,
        flags: u32,
    ) -> Reply<Params> {
        no_flags(flags, "adminServerGetThreadPoolParameters")?;
        let server = self.server(&srv.name)?;
        let workers = server.workers();
        let (min, running) = (workers.min as usize, server.running());
        let params = [
            uint("minWorkers", min),
            uint("maxWorkers", workers.max as usize),
            uint("nWorkers", min.max(running)),
            uint("freeWorkers", min.saturating_sub(running)),
            uint("prioWorkers", workers.priority as usize),
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
        no_flags(flags, "adminServerSetThreadPoolParameters")?;
        let server = self.server(&srv.name)?;
        let mut workers = server.workers();
        for param in &params.0 {
            match number(param, &WORKERS)? {
                ("minWorkers", value) => workers.min = value,
                ("maxWorkers", value) => workers.max = value,
                (_, value) => workers.priority = value,
            }
        }
        if workers.min > workers.max {
            return Err(invalid("minWorkers cannot be larger than maxWorkers").into());
        }
        server.set_workers(workers);
        Ok(())
    }

    async fn server_list_clients(
        self,
        _: Context,
        srv: ServerName,
        need: u32,
        flags: u32,
    ) -> Reply<Clients> {
        no_flags(flags, "adminServerListClients")?;
        let clients = self.server(&srv.name)?.clients();
        let ret = u32::try_from(clients.len()).unwrap_or(u32::MAX);
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
        no_flags(flags, "adminServerLookupClient")?;
        Ok(client_name(&*self.client(&srv.name, id)?))
    }

    async fn client_get_info(
        self,
        _: Context,
        client: ClientName,
        flags: u32,
    ) -> Reply<ClientParams> {
        no_flags(flags, "adminClientGetInfo")?;
        let client = self.client(&client.srv.name, client.id)?;
        Ok(client_params(&client).into())
    }

    async fn client_close(self, _: Context, client: ClientName, flags: u32) -> Reply<()> {
        no_flags(flags, "adminClientClose")?;
        self.client(&client.srv.name, client.id)?.close();
        Ok(())
    }

    async fn server_get_client_limits(
        self,
        _: Context,
        srv: ServerName,
        flags: u32,
    ) -> Reply<Params> {
        no_flags(flags, "adminServerGetClientLimits")?;
        let server = self.server(&srv.name)?;
        let (limits, (clients, anonymous)) = (server.limits(), server.counts());
        let params = [
            uint("nclients_max", limits.clients),
            uint("nclients", clients),
            uint("nclients_unauth_max", limits.anonymous),
            uint("nclients_unauth", anonymous),
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
        no_flags(flags, "adminServerSetClientLimits")?;
        let server = self.server(&srv.name)?;
        let mut limits = server.limits();
        for param in &params.0 {
            match number(param, &LIMITS)? {
                ("nclients_max", value) => limits.clients = value as usize,
                (_, value) => limits.anonymous = value as usize,
            }
        }
        if limits.clients < limits.anonymous {
            let detail = "The overall maximum number of clients must not be less than the number of \
                          clients waiting for authentication";
            return Err(invalid(detail).into());
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
        no_flags(flags, "adminServerUpdateTlsFiles")?;
        let server = self.server(&srv.name)?;
        Ok(self.control.update_tls(server.name())?)
    }

    async fn connect_set_daemon_timeout(self, _: Context, timeout: u32, flags: u32) -> Reply<()> {
        no_flags(flags, "adminConnectSetDaemonTimeout")?;
        let timeout = (timeout != 0).then(|| Duration::from_secs(timeout.into()));
        self.control.set_timeout(timeout);
        Ok(())
    }

    async fn connect_daemon_shutdown(self, _: Context, _: u32) -> Reply<()> {
        self.control.shut_down();
        Ok(())
    }
}
