//! Calls about networks and ports.

use oxivirt::{
    Autostart, CallbackId, CreateFlags, DefineFlags, Error, ListFlags, MetadataChange,
    MetadataType, NetworkRef, PortCreateFlags, PortRef, Result, Update, UpdateCommand, UpdateFlags,
    UpdateSection, XmlFlags,
};
use oxivirt_rpc::xdr::{List, Text, Uuid16};
use tarpc::context::Context;
use uuid::Uuid;

use super::session::{EventFamily, not_open, rpc};
use super::{Calls, events, guard};
use crate::protocol::Reply;
use crate::protocol::network::NetworkCalls;
use crate::wire::{
    AllNetworks, AllPorts, Leases, NETWORKS_MAX, Network, PORT_PARAMETERS_MAX, Parameters, Port,
    RemoteError, TypedParam, text,
};

impl Calls {
    /// The network that a client names, as a handle with the access of the connection.
    pub(super) fn network(&self, net: &Network) -> Result<oxivirt::Network> {
        Ok(self.connect()?.network(net.into()))
    }

    /// The networks that the client may see.
    async fn visible_networks(&self, flags: ListFlags) -> Result<Vec<NetworkRef>> {
        let networks = self.networks("virConnectListAllNetworks")?.list_all_networks(flags).await?;
        guard::visible(&self.session, networks).await
    }

    async fn names(&self, flags: ListFlags, max: i32) -> Result<List<Text, NETWORKS_MAX>> {
        let max = usize::try_from(max).map_err(|_| rpc("maxnames must be non-negative"))?;
        if max > NETWORKS_MAX {
            return Err(rpc("maxnames > REMOTE_NETWORK_LIST_MAX"));
        }
        let networks = self.visible_networks(flags).await?;
        Ok(networks.into_iter().take(max).map(|network| network.name.into()).collect())
    }

    async fn count(&self, flags: ListFlags) -> Result<i32> {
        let networks = self.visible_networks(flags).await?;
        Ok(i32::try_from(networks.len()).unwrap_or(i32::MAX))
    }
}

/// A list and its length; the list is left out if the client does not need it.
///
/// # Errors
/// [`ErrorCode::RPC`](oxivirt::ErrorCode::RPC) if it is too long for the protocol.
pub(super) fn counted<T, W, const MAX: usize>(
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

pub(super) fn uuid(uuid: Uuid16) -> Uuid {
    Uuid::from_bytes(uuid.into())
}

pub(super) fn autostart(number: i32) -> Autostart {
    if number == 0 { Autostart::Disabled } else { Autostart::Enabled }
}

impl NetworkCalls for Calls {
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
        Ok(self.network(&net)?.create().await?)
    }

    async fn network_create_xml(self, _: Context, xml: Text) -> Reply<Network> {
        let xml = xml.to_text();
        Ok(self.connect()?.network_create_xml(&xml, CreateFlags::NONE).await?.reference().into())
    }

    async fn network_define_xml(self, _: Context, xml: Text) -> Reply<Network> {
        let xml = xml.to_text();
        Ok(self.connect()?.network_define_xml(&xml, DefineFlags::NONE).await?.reference().into())
    }

    async fn network_destroy(self, _: Context, net: Network) -> Reply<()> {
        Ok(self.network(&net)?.destroy().await?)
    }

    async fn network_get_xml_desc(self, _: Context, net: Network, flags: u32) -> Reply<Text> {
        let net = NetworkRef::from(&net);
        Ok(self
            .networks("virNetworkGetXMLDesc")?
            .network_xml_desc(&net, XmlFlags::from_bits_retain(flags))
            .await?
            .into())
    }

    async fn network_get_autostart(self, _: Context, net: Network) -> Reply<i32> {
        let autostart =
            self.networks("virNetworkGetAutostart")?.network_autostart(&(&net).into()).await?;
        Ok(i32::from(autostart == Autostart::Enabled))
    }

    async fn network_get_bridge_name(self, _: Context, net: Network) -> Reply<Text> {
        Ok(self
            .networks("virNetworkGetBridgeName")?
            .network_bridge_name(&(&net).into())
            .await?
            .into())
    }

    async fn network_lookup_by_name(self, _: Context, name: Text) -> Reply<Network> {
        let Some(name) = name.as_str() else {
            let before = "no network with matching name '";
            return Err(no_such_name(Error::no_network(""), before, &name));
        };
        Ok((&self.networks("virNetworkLookupByName")?.network_lookup_by_name(name).await?).into())
    }

    async fn network_lookup_by_uuid(self, _: Context, uuid: Uuid16) -> Reply<Network> {
        let uuid = Uuid::from_bytes(uuid.into());
        Ok((&self.networks("virNetworkLookupByUUID")?.network_lookup_by_uuid(uuid).await?).into())
    }

    async fn network_set_autostart(self, _: Context, net: Network, start: i32) -> Reply<()> {
        Ok(self.network(&net)?.set_autostart(autostart(start)).await?)
    }

    async fn network_undefine(self, _: Context, net: Network) -> Reply<()> {
        Ok(self.network(&net)?.undefine().await?)
    }

    async fn connect_num_of_defined_networks(self, _: Context) -> Reply<i32> {
        Ok(self.count(ListFlags::INACTIVE).await?)
    }

    async fn connect_num_of_networks(self, _: Context) -> Reply<i32> {
        Ok(self.count(ListFlags::ACTIVE).await?)
    }

    async fn network_is_active(self, _: Context, net: Network) -> Reply<i32> {
        Ok(self.networks("virNetworkIsActive")?.network_is_active(&(&net).into()).await?.into())
    }

    async fn network_is_persistent(self, _: Context, net: Network) -> Reply<i32> {
        Ok(self
            .networks("virNetworkIsPersistent")?
            .network_is_persistent(&(&net).into())
            .await?
            .into())
    }

    async fn connect_list_all_networks(
        self,
        _: Context,
        need_results: i32,
        flags: u32,
    ) -> Reply<AllNetworks> {
        let networks = self.visible_networks(ListFlags::from_bits_retain(flags)).await?;
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
            flags: UpdateFlags::from_bits_retain(flags),
        };
        Ok(self.network(&net)?.update(&update).await?)
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
        if !self.session.remove_registration(EventFamily::Network, callback) {
            let detail = format!("network event callback {number} not registered");
            return Err(not_open(&detail).into());
        }
        Ok(self
            .networks("virConnectNetworkEventDeregisterAny")?
            .network_event_deregister(callback)
            .await?)
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
        let leases = self
            .networks("virNetworkGetDHCPLeases")?
            .network_dhcp_leases(&net, mac.as_deref(), flags)
            .await?;
        let (leases, ret) = counted(&leases, need_results, "leases")?;
        Ok(Leases { leases, ret })
    }

    async fn network_list_all_ports(
        self,
        _: Context,
        net: Network,
        need_results: i32,
        flags: u32,
    ) -> Reply<AllPorts> {
        let ports = self
            .networks("virNetworkListAllPorts")?
            .network_list_all_ports(&(&net).into(), flags)
            .await?;
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
        let found = self
            .networks("virNetworkPortLookupByUUID")?
            .network_port_lookup_by_uuid(&(&net).into(), uuid(port))
            .await?;
        Ok((&found).into())
    }

    async fn network_port_create_xml(
        self,
        _: Context,
        net: Network,
        xml: Text,
        flags: u32,
    ) -> Reply<Port> {
        let flags = PortCreateFlags::from_bits_retain(flags);
        let port = self.network(&net)?.port_create_xml(&xml.to_text(), flags).await?;
        Ok(port.reference().into())
    }

    async fn network_port_get_parameters(
        self,
        _: Context,
        port: Port,
        _: i32,
        flags: u32,
    ) -> Reply<Parameters> {
        let params = self
            .networks("virNetworkPortGetParameters")?
            .network_port_parameters(&(&port).into(), flags)
            .await?;
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
        Ok(self
            .networks("virNetworkPortSetParameters")?
            .network_port_set_parameters(&port, &params, flags)
            .await?)
    }

    async fn network_port_get_xml_desc(self, _: Context, port: Port, flags: u32) -> Reply<Text> {
        Ok(self
            .networks("virNetworkPortGetXMLDesc")?
            .network_port_xml_desc(&(&port).into(), flags)
            .await?
            .into())
    }

    async fn network_port_delete(self, _: Context, port: Port, flags: u32) -> Reply<()> {
        Ok(self
            .networks("virNetworkPortDelete")?
            .network_port_delete(&(&port).into(), flags)
            .await?)
    }

    async fn network_define_xml_flags(self, _: Context, xml: Text, flags: u32) -> Reply<Network> {
        let flags = DefineFlags::from_bits_retain(flags);
        Ok(self.connect()?.network_define_xml(&xml.to_text(), flags).await?.reference().into())
    }

    async fn network_create_xml_flags(self, _: Context, xml: Text, flags: u32) -> Reply<Network> {
        let flags = CreateFlags::from_bits_retain(flags);
        Ok(self.connect()?.network_create_xml(&xml.to_text(), flags).await?.reference().into())
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
            flags: UpdateFlags::from_bits_retain(flags),
        };
        Ok(self.network(&net)?.set_metadata(&change).await?)
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
        let (uri, flags) = (text(uri.as_ref()), UpdateFlags::from_bits_retain(flags));
        Ok(self.network(&net)?.metadata(kind, uri.as_deref(), flags).await?.into())
    }
}

/// The error for a name that belongs to no object; its bytes go back as they came, UTF-8 or not.
pub(super) fn no_such_name(error: Error, before: &str, name: &Text) -> RemoteError {
    let detail: Vec<u8> = [before.as_bytes(), name.as_bytes(), b"'"].concat();
    let message = [error.code().template().before.as_bytes(), &detail].concat();
    let mut error = RemoteError::from(error);
    error.message = Some(message.into());
    error.str2 = Some(detail.into());
    error
}
