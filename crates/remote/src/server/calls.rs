//! The procedures, a short method each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oxivirt::{
    Autostart, CallbackId, Connection, CreateFlags, DefineFlags, Error, ErrorCode, ErrorDomain,
    HostDriver, ListFlags, MetadataChange, MetadataType, NetworkDriver, NetworkRef,
    PortCreateFlags, PortRef, Result, Update, UpdateCommand, UpdateFlags, UpdateSection, Version,
    XmlFlags,
};
use oxivirt_rpc::server::Then;
use oxivirt_rpc::xdr::{List, Text, Uuid16};
use tarpc::context::Context;
use uuid::Uuid;

use crate::protocol::{IDENTITY_MAX, NETWORKS_MAX, PORT_PARAMETERS_MAX, Remote, Reply};
use crate::server::session::{Identity, Session, not_open, rpc};
use crate::server::{events, guard};
use crate::wire::{
    AllNetworks, AllPorts, CpuMapBytes, Leases, Network, NodeInfo, Opaque, Parameters, Port,
    SaslData, SaslStep, TypedParam, text,
};

/// Features that a client may ask for, with libvirt's numbers (`virDrvFeature`).
mod feature {
    pub(super) const FD_PASSING: i32 = 8;
    pub(super) const TYPED_PARAM_STRING: i32 = 9;
    pub(super) const KEEPALIVE: i32 = 10;
    pub(super) const EVENT_CALLBACK: i32 = 14;
    pub(super) const CLOSE_CALLBACK: i32 = 15;
    pub(super) const NETWORK_UPDATE_ORDER: i32 = 16;
}

/// One call of one connection.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    session: Arc<Session>,
    closes: Arc<AtomicBool>,
}

impl Calls {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self { session, closes: Arc::default() }
    }

    /// What becomes of the connection after the call.
    pub(super) fn then(&self) -> Then {
        if self.closes.load(Ordering::Relaxed) { Then::Close } else { Then::Continue }
    }

    fn driver(&self) -> &dyn Connection {
        &**self.session.driver()
    }

    fn networks_of(&self) -> Result<&dyn NetworkDriver> {
        self.driver().network_driver("")
    }

    fn host_of(&self) -> Result<&dyn HostDriver> {
        self.driver().host_driver("")
    }

    /// Those that the client may know of.
    async fn networks(&self, flags: ListFlags) -> Result<Vec<NetworkRef>> {
        let networks = self.networks_of()?.list_all_networks(flags).await?;
        guard::visible(&self.session, networks).await
    }

    async fn names(&self, flags: ListFlags, max: i32) -> Result<List<Text, NETWORKS_MAX>> {
        let max = usize::try_from(max).map_err(|_| rpc("maxnames must be non-negative"))?;
        if max > NETWORKS_MAX {
            return Err(rpc("maxnames > REMOTE_NETWORK_LIST_MAX"));
        }
        let networks = self.networks(flags).await?;
        Ok(networks.into_iter().take(max).map(|network| network.name.into()).collect())
    }

    async fn count(&self, flags: ListFlags) -> Result<i32> {
        let networks = self.networks(flags).await?;
        Ok(i32::try_from(networks.len()).unwrap_or(i32::MAX))
    }
}

/// So many of a list, or libvirt's words that there are too many.
fn counted<T, W, const MAX: usize>(
    elements: &[T],
    need_results: i32,
    what: &str,
) -> Result<(List<W, MAX>, u32)>
where
    W: for<'a> From<&'a T>,
{
    let n = elements.len();
    if n > MAX {
        return Err(rpc(format!("Too many {what} '{n}' for limit '{MAX}'")));
    }
    let list = if need_results == 0 { &[] } else { elements };
    Ok((list.iter().map(W::from).collect(), u32::try_from(n).unwrap_or(u32::MAX)))
}

fn uuid(uuid: Uuid16) -> Uuid {
    Uuid::from_bytes(uuid.into())
}

fn autostart(number: i32) -> Autostart {
    if number == 0 { Autostart::Disabled } else { Autostart::Enabled }
}

impl Remote for Calls {
    async fn connect_open(self, _: Context, name: Option<Text>, flags: u32) -> Reply<()> {
        Ok(self.session.open(text(name.as_ref()).as_deref(), flags)?)
    }

    async fn connect_close(self, _: Context) -> Reply<()> {
        self.closes.store(true, Ordering::Relaxed);
        for callback in self.session.close() {
            drop(self.networks_of()?.network_event_deregister(callback).await);
        }
        Ok(())
    }

    async fn connect_get_type(self, _: Context) -> Reply<Text> {
        Ok(self.driver().driver_type().await?.into())
    }

    async fn connect_get_version(self, _: Context) -> Reply<u64> {
        Ok(self.driver().hypervisor_version().await?.number())
    }

    async fn connect_get_max_vcpus(self, _: Context, kind: Option<Text>) -> Reply<i32> {
        let n = self.host_of()?.max_vcpus(text(kind.as_ref()).as_deref()).await?;
        Ok(i32::try_from(n).unwrap_or(i32::MAX))
    }

    async fn node_get_info(self, _: Context) -> Reply<NodeInfo> {
        Ok((&self.host_of()?.node_info().await?).into())
    }

    async fn connect_get_capabilities(self, _: Context) -> Reply<Text> {
        Ok(self.host_of()?.capabilities().await?.into())
    }

    async fn connect_list_defined_networks(
        self,
        _: Context,
        maxnames: i32,
    ) -> Reply<List<Text, NETWORKS_MAX>> {
        Ok(self.names(ListFlags::INACTIVE, maxnames).await?)
    }

    async fn connect_list_networks(
        self,
        _: Context,
        maxnames: i32,
    ) -> Reply<List<Text, NETWORKS_MAX>> {
        Ok(self.names(ListFlags::ACTIVE, maxnames).await?)
    }

    async fn network_create(self, _: Context, net: Network) -> Reply<()> {
        Ok(self.networks_of()?.network_create(&(&net).into()).await?)
    }

    async fn network_create_xml(self, _: Context, xml: Text) -> Reply<Network> {
        let xml = xml.to_text();
        Ok((&self.networks_of()?.network_create_xml(&xml, CreateFlags::NONE).await?).into())
    }

    async fn network_define_xml(self, _: Context, xml: Text) -> Reply<Network> {
        let xml = xml.to_text();
        Ok((&self.networks_of()?.network_define_xml(&xml, DefineFlags::NONE).await?).into())
    }

    async fn network_destroy(self, _: Context, net: Network) -> Reply<()> {
        Ok(self.networks_of()?.network_destroy(&(&net).into()).await?)
    }

    async fn network_get_xml_desc(self, _: Context, net: Network, flags: u32) -> Reply<Text> {
        let net = NetworkRef::from(&net);
        Ok(self.networks_of()?.network_xml_desc(&net, XmlFlags::from_bits(flags)).await?.into())
    }

    async fn network_get_autostart(self, _: Context, net: Network) -> Reply<i32> {
        let autostart = self.networks_of()?.network_autostart(&(&net).into()).await?;
        Ok(i32::from(autostart == Autostart::Enabled))
    }

    async fn network_get_bridge_name(self, _: Context, net: Network) -> Reply<Text> {
        Ok(self.networks_of()?.network_bridge_name(&(&net).into()).await?.into())
    }

    async fn network_lookup_by_name(self, _: Context, name: Text) -> Reply<Network> {
        let Some(name) = name.as_str() else { return Err(no_such_name(&name)) };
        Ok((&self.networks_of()?.network_lookup_by_name(name).await?).into())
    }

    async fn network_lookup_by_uuid(self, _: Context, uuid: Uuid16) -> Reply<Network> {
        let uuid = Uuid::from_bytes(uuid.into());
        Ok((&self.networks_of()?.network_lookup_by_uuid(uuid).await?).into())
    }

    async fn network_set_autostart(self, _: Context, net: Network, start: i32) -> Reply<()> {
        Ok(self.networks_of()?.network_set_autostart(&(&net).into(), autostart(start)).await?)
    }

    async fn network_undefine(self, _: Context, net: Network) -> Reply<()> {
        Ok(self.networks_of()?.network_undefine(&(&net).into()).await?)
    }

    async fn connect_num_of_defined_networks(self, _: Context) -> Reply<i32> {
        Ok(self.count(ListFlags::INACTIVE).await?)
    }

    async fn connect_num_of_networks(self, _: Context) -> Reply<i32> {
        Ok(self.count(ListFlags::ACTIVE).await?)
    }

    async fn connect_get_hostname(self, _: Context) -> Reply<Text> {
        Ok(self.driver().hostname().await?.into())
    }

    async fn connect_supports_feature(self, _: Context, feature: i32) -> Reply<i32> {
        if feature == feature::KEEPALIVE {
            self.session.client.start_keepalive();
            return Ok(1);
        }
        if !self.session.has_host() {
            return Err(not_open("hypervisor connection not open").into());
        }
        Ok(i32::from(matches!(
            feature,
            feature::FD_PASSING
                | feature::TYPED_PARAM_STRING
                | feature::EVENT_CALLBACK
                | feature::CLOSE_CALLBACK
                | feature::NETWORK_UPDATE_ORDER
        )))
    }

    async fn auth_list(self, _: Context) -> Reply<List<i32, 20>> {
        Ok(List(vec![self.session.authentications().number()]))
    }

    async fn auth_sasl_init(self, _: Context) -> Reply<Text> {
        Err(no_sasl())
    }

    async fn auth_sasl_start(self, _: Context, _: Text, _: i32, _: SaslData) -> Reply<SaslStep> {
        Err(no_sasl())
    }

    async fn auth_sasl_step(self, _: Context, _: i32, _: SaslData) -> Reply<SaslStep> {
        Err(no_sasl())
    }

    async fn auth_polkit(self, _: Context) -> Reply<i32> {
        self.session.authenticate_by_policy().await?;
        Ok(1)
    }

    async fn node_get_cells_free_memory(
        self,
        _: Context,
        start: i32,
        max: i32,
    ) -> Reply<List<u64, 1024>> {
        Ok(self.host_of()?.cells_free_memory(start, max).await?.into())
    }

    async fn node_get_free_memory(self, _: Context) -> Reply<u64> {
        Ok(self.host_of()?.free_memory().await?)
    }

    async fn connect_get_uri(self, _: Context) -> Reply<Text> {
        let uri = self.session.uri();
        Ok(uri.ok_or_else(|| not_open("hypervisor connection not open"))?.into())
    }

    async fn connect_is_secure(self, _: Context) -> Reply<i32> {
        Ok(i32::from(self.session.client.peer.is_secure()))
    }

    async fn network_is_active(self, _: Context, net: Network) -> Reply<i32> {
        Ok(self.networks_of()?.network_is_active(&(&net).into()).await?.into())
    }

    async fn network_is_persistent(self, _: Context, net: Network) -> Reply<i32> {
        Ok(self.networks_of()?.network_is_persistent(&(&net).into()).await?.into())
    }

    async fn connect_get_lib_version(self, _: Context) -> Reply<u64> {
        Ok(Version::LIBVIRT.number())
    }

    async fn connect_get_sysinfo(self, _: Context, _: u32) -> Reply<Text> {
        Ok(self.host_of()?.sysinfo().await?.into())
    }

    async fn connect_list_all_networks(
        self,
        _: Context,
        need_results: i32,
        flags: u32,
    ) -> Reply<AllNetworks> {
        let networks = self.networks(ListFlags::from_bits(flags)).await?;
        let (nets, ret) = counted(&networks, need_results, "networks")?;
        Ok(AllNetworks { nets, ret })
    }

    async fn network_update(
        self,
        _: Context,
        net: Network,
        command: u32,
        section: u32,
        parent_index: i32,
        xml: Text,
        flags: u32,
    ) -> Reply<()> {
        let update = Update {
            command: UpdateCommand::from_number(command),
            section: UpdateSection::from_number(section),
            parent_index,
            xml: xml.to_text(),
            flags: UpdateFlags::from_bits(flags),
        };
        Ok(self.networks_of()?.network_update(&(&net).into(), &update).await?)
    }

    async fn node_get_cpu_map(
        self,
        _: Context,
        need_map: i32,
        need_online: i32,
        _: u32,
    ) -> Reply<CpuMapBytes> {
        let map = self.host_of()?.cpu_map().await?;
        let online = if need_online == 0 { 0 } else { map.online.iter().filter(|on| **on).count() };
        let bits = if need_map == 0 { &[][..] } else { &map.online };
        let byte =
            |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
        Ok(CpuMapBytes {
            cpumap: Opaque(bits.chunks(8).map(byte).collect()),
            online: u32::try_from(online).unwrap_or(u32::MAX),
            ret: i32::try_from(map.online.len()).unwrap_or(i32::MAX),
        })
    }

    async fn connect_network_event_register_any(
        self,
        _: Context,
        event_id: i32,
        net: Option<Network>,
    ) -> Reply<i32> {
        let network = net.as_ref().map(NetworkRef::from);
        Ok(events::register(&self.session, event_id, network).await?)
    }

    async fn connect_network_event_deregister_any(self, _: Context, number: i32) -> Reply<()> {
        let callback = CallbackId(number);
        if !self.session.remove_registration(callback) {
            let detail = format!("network event callback {number} not registered");
            return Err(not_open(&detail).into());
        }
        Ok(self.networks_of()?.network_event_deregister(callback).await?)
    }

    async fn network_get_dhcp_leases(
        self,
        _: Context,
        net: Network,
        mac: Option<Text>,
        need_results: i32,
        flags: u32,
    ) -> Reply<Leases> {
        let mac = text(mac.as_ref());
        let net = NetworkRef::from(&net);
        let leases = self.networks_of()?.network_dhcp_leases(&net, mac.as_deref(), flags).await?;
        let (leases, ret) = counted(&leases, need_results, "leases")?;
        Ok(Leases { leases, ret })
    }

    async fn connect_register_close_callback(self, _: Context) -> Reply<()> {
        Ok(())
    }

    async fn connect_unregister_close_callback(self, _: Context) -> Reply<()> {
        Ok(())
    }

    async fn network_list_all_ports(
        self,
        _: Context,
        net: Network,
        need_results: i32,
        flags: u32,
    ) -> Reply<AllPorts> {
        let ports = self.networks_of()?.network_list_all_ports(&(&net).into(), flags).await?;
        let ports = guard::visible_ports(&self.session, ports).await?;
        let (ports, ret) = counted(&ports, need_results, "network ports")?;
        Ok(AllPorts { ports, ret })
    }

    async fn network_port_lookup_by_uuid(
        self,
        _: Context,
        net: Network,
        port: Uuid16,
    ) -> Reply<Port> {
        let found =
            self.networks_of()?.network_port_lookup_by_uuid(&(&net).into(), uuid(port)).await?;
        Ok((&found).into())
    }

    async fn network_port_create_xml(
        self,
        _: Context,
        net: Network,
        xml: Text,
        flags: u32,
    ) -> Reply<Port> {
        let flags = PortCreateFlags::from_bits(flags);
        let net = NetworkRef::from(&net);
        Ok((&self.networks_of()?.network_port_create_xml(&net, &xml.to_text(), flags).await?)
            .into())
    }

    async fn network_port_get_parameters(
        self,
        _: Context,
        port: Port,
        _: i32,
        flags: u32,
    ) -> Reply<Parameters> {
        let params = self.networks_of()?.network_port_parameters(&(&port).into(), flags).await?;
        Ok(Parameters { params: params.iter().map(TypedParam::from).collect(), nparams: 0 })
    }

    async fn network_port_set_parameters(
        self,
        _: Context,
        port: Port,
        params: List<TypedParam, PORT_PARAMETERS_MAX>,
        flags: u32,
    ) -> Reply<()> {
        let params: Vec<_> = params.0.iter().map(oxivirt::TypedParam::from).collect();
        let port = PortRef::from(&port);
        Ok(self.networks_of()?.network_port_set_parameters(&port, &params, flags).await?)
    }

    async fn network_port_get_xml_desc(self, _: Context, port: Port, flags: u32) -> Reply<Text> {
        Ok(self.networks_of()?.network_port_xml_desc(&(&port).into(), flags).await?.into())
    }

    async fn network_port_delete(self, _: Context, port: Port, flags: u32) -> Reply<()> {
        Ok(self.networks_of()?.network_port_delete(&(&port).into(), flags).await?)
    }

    async fn connect_set_identity(
        self,
        _: Context,
        params: List<TypedParam, IDENTITY_MAX>,
        flags: u32,
    ) -> Reply<()> {
        if flags != 0 {
            let function = "virConnectSetIdentity";
            return Err(Error::unsupported_flags(ErrorDomain::NONE, flags, function).into());
        }
        self.session.set_identity(Identity::from_params(params.0)?);
        Ok(())
    }

    async fn network_define_xml_flags(self, _: Context, xml: Text, flags: u32) -> Reply<Network> {
        let flags = DefineFlags::from_bits(flags);
        Ok((&self.networks_of()?.network_define_xml(&xml.to_text(), flags).await?).into())
    }

    async fn network_create_xml_flags(self, _: Context, xml: Text, flags: u32) -> Reply<Network> {
        let flags = CreateFlags::from_bits(flags);
        Ok((&self.networks_of()?.network_create_xml(&xml.to_text(), flags).await?).into())
    }

    async fn network_set_metadata(
        self,
        _: Context,
        net: Network,
        kind: i32,
        metadata: Option<Text>,
        key: Option<Text>,
        uri: Option<Text>,
        flags: u32,
    ) -> Reply<()> {
        let change = MetadataChange {
            kind: MetadataType::from_number(kind),
            metadata: text(metadata.as_ref()),
            key: text(key.as_ref()),
            uri: text(uri.as_ref()),
            flags: UpdateFlags::from_bits(flags),
        };
        Ok(self.networks_of()?.network_set_metadata(&(&net).into(), &change).await?)
    }

    async fn network_get_metadata(
        self,
        _: Context,
        net: Network,
        kind: i32,
        uri: Option<Text>,
        flags: u32,
    ) -> Reply<Text> {
        let kind = MetadataType::from_number(kind);
        let (net, uri) = (NetworkRef::from(&net), text(uri.as_ref()));
        let flags = UpdateFlags::from_bits(flags);
        Ok(self.networks_of()?.network_metadata(&net, kind, uri.as_deref(), flags).await?.into())
    }
}

/// No socket of ours offers these schemes.
fn no_sasl() -> crate::wire::RemoteError {
    Error::bare(ErrorCode::AUTH_FAILED, ErrorDomain::RPC).into()
}

/// A name that is not UTF-8 belongs to no network; its bytes go back as they came.
fn no_such_name(name: &Text) -> crate::wire::RemoteError {
    let before = "no network with matching name '";
    let detail: Vec<u8> = [before.as_bytes(), name.as_bytes(), b"'"].concat();
    let message = [ErrorCode::NO_NETWORK.template().before.as_bytes(), &detail].concat();
    let mut error = crate::wire::RemoteError::from(Error::no_network(""));
    error.message = Some(message.into());
    error.str2 = Some(detail.into());
    error
}
