//! Calls about networks and ports.

use async_trait::async_trait;
use oxivirt::{
    Autostart, CallbackId, CreateFlags, DefineFlags, DhcpLease, Error, ErrorCode, ErrorDomain,
    ListFlags, MetadataChange, MetadataType, NetworkDriver, NetworkEventCallback, NetworkEventId,
    NetworkHealth, NetworkPlan, NetworkRef, PlanVerb, PortCreateFlags, PortRef, Result, TypedParam,
    Update, UpdateFlags, XmlFlags,
};
use oxivirt_rpc::xdr::{List, Text};
use uuid::Uuid;

use super::RemoteDriver;
use super::events::Filter;
use crate::wire::{self, Network};

fn network(network: &NetworkRef) -> Network {
    network.into()
}

fn optional(text: Option<&str>) -> Option<Text> {
    text.map(Into::into)
}

#[async_trait]
impl NetworkDriver for RemoteDriver {
    async fn list_all_networks(&self, flags: ListFlags) -> Result<Vec<NetworkRef>> {
        let asked = self.network.connect_list_all_networks(self.context(), 1, flags.bits());
        Ok(self.ask(asked).await?.nets.0.iter().map(NetworkRef::from).collect())
    }

    async fn network_lookup_by_name(&self, name: &str) -> Result<NetworkRef> {
        let asked = self.network.network_lookup_by_name(self.context(), name.into());
        Ok((&self.ask(asked).await?).into())
    }

    async fn network_lookup_by_uuid(&self, uuid: Uuid) -> Result<NetworkRef> {
        let asked = self.network.network_lookup_by_uuid(self.context(), uuid.into_bytes().into());
        Ok((&self.ask(asked).await?).into())
    }

    async fn network_define_xml(&self, xml: &str, flags: DefineFlags) -> Result<NetworkRef> {
        let defined = if flags == DefineFlags::NONE {
            self.ask(self.network.network_define_xml(self.context(), xml.into())).await?
        } else {
            let flags = flags.bits();
            self.ask(self.network.network_define_xml_flags(self.context(), xml.into(), flags))
                .await?
        };
        Ok((&defined).into())
    }

    async fn network_create_xml(&self, xml: &str, flags: CreateFlags) -> Result<NetworkRef> {
        let created = if flags == CreateFlags::NONE {
            self.ask(self.network.network_create_xml(self.context(), xml.into())).await?
        } else {
            let flags = flags.bits();
            self.ask(self.network.network_create_xml_flags(self.context(), xml.into(), flags))
                .await?
        };
        Ok((&created).into())
    }

    async fn network_create(&self, net: &NetworkRef) -> Result<()> {
        self.ask(self.network.network_create(self.context(), network(net))).await
    }

    async fn network_destroy(&self, net: &NetworkRef) -> Result<()> {
        self.ask(self.network.network_destroy(self.context(), network(net))).await
    }

    async fn network_undefine(&self, net: &NetworkRef) -> Result<()> {
        self.ask(self.network.network_undefine(self.context(), network(net))).await
    }

    async fn network_update(&self, net: &NetworkRef, update: &Update) -> Result<()> {
        let (command, section) = (update.command.number(), update.section.number());
        let (first, second) =
            if self.has_update_order().await { (command, section) } else { (section, command) };
        let xml = update.xml.as_str().into();
        let (index, flags) = (update.parent_index, update.flags.bits());
        let net = network(net);
        self.ask(self.network.network_update(self.context(), net, first, second, index, xml, flags))
            .await
    }

    async fn network_xml_desc(&self, net: &NetworkRef, flags: XmlFlags) -> Result<String> {
        let asked = self.network.network_get_xml_desc(self.context(), network(net), flags.bits());
        Ok(self.ask(asked).await?.to_text())
    }

    async fn network_bridge_name(&self, net: &NetworkRef) -> Result<String> {
        let asked = self.network.network_get_bridge_name(self.context(), network(net));
        Ok(self.ask(asked).await?.to_text())
    }

    async fn network_autostart(&self, net: &NetworkRef) -> Result<Autostart> {
        let answer =
            self.ask(self.network.network_get_autostart(self.context(), network(net))).await?;
        Ok(if answer == 0 { Autostart::Disabled } else { Autostart::Enabled })
    }

    async fn network_set_autostart(&self, net: &NetworkRef, autostart: Autostart) -> Result<()> {
        let number = i32::from(autostart == Autostart::Enabled);
        self.ask(self.network.network_set_autostart(self.context(), network(net), number)).await
    }

    async fn network_is_active(&self, net: &NetworkRef) -> Result<bool> {
        Ok(self.ask(self.network.network_is_active(self.context(), network(net))).await? != 0)
    }

    async fn network_is_persistent(&self, net: &NetworkRef) -> Result<bool> {
        Ok(self.ask(self.network.network_is_persistent(self.context(), network(net))).await? != 0)
    }

    async fn network_dhcp_leases(
        &self,
        net: &NetworkRef,
        mac: Option<&str>,
        flags: u32,
    ) -> Result<Vec<DhcpLease>> {
        let mac = optional(mac);
        let asked =
            self.network.network_get_dhcp_leases(self.context(), network(net), mac, 1, flags);
        Ok(self.ask(asked).await?.leases.0.iter().map(DhcpLease::from).collect())
    }

    async fn network_metadata(
        &self,
        net: &NetworkRef,
        kind: MetadataType,
        uri: Option<&str>,
        flags: UpdateFlags,
    ) -> Result<String> {
        let (net, uri, flags) = (network(net), optional(uri), flags.bits());
        let asked =
            self.network.network_get_metadata(self.context(), net, kind.number(), uri, flags);
        Ok(self.ask(asked).await?.to_text())
    }

    async fn network_set_metadata(&self, net: &NetworkRef, change: &MetadataChange) -> Result<()> {
        let asked = self.network.network_set_metadata(
            self.context(),
            network(net),
            change.kind.number(),
            optional(change.metadata.as_deref()),
            optional(change.key.as_deref()),
            optional(change.uri.as_deref()),
            change.flags.bits(),
        );
        self.ask(asked).await
    }

    async fn network_event_register(
        &self,
        net: Option<&NetworkRef>,
        id: NetworkEventId,
        callback: NetworkEventCallback,
    ) -> Result<CallbackId> {
        let filter = Filter { id, object: net.map(|net| net.uuid) };
        let number = match self.subscriptions.find(filter) {
            Some(number) => number,
            None => {
                let net = net.map(Network::from);
                let (context, id) = (self.context(), id.number());
                self.ask(self.network.connect_network_event_register_any(context, id, net)).await?
            }
        };
        Ok(self.subscriptions.add(number, filter, callback))
    }

    async fn network_event_deregister(&self, id: CallbackId) -> Result<()> {
        match self.subscriptions.remove(id) {
            None => {
                let detail = format!("could not find event callback {} for deletion", id.0);
                Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NONE, detail))
            }
            Some(None) => Ok(()),
            Some(Some(number)) => {
                let asked =
                    self.network.connect_network_event_deregister_any(self.context(), number);
                self.ask(asked).await
            }
        }
    }

    async fn network_list_all_ports(&self, net: &NetworkRef, flags: u32) -> Result<Vec<PortRef>> {
        let asked = self.network.network_list_all_ports(self.context(), network(net), 1, flags);
        Ok(self.ask(asked).await?.ports.0.iter().map(PortRef::from).collect())
    }

    async fn network_port_lookup_by_uuid(&self, net: &NetworkRef, uuid: Uuid) -> Result<PortRef> {
        let uuid = uuid.into_bytes().into();
        let asked = self.network.network_port_lookup_by_uuid(self.context(), network(net), uuid);
        Ok((&self.ask(asked).await?).into())
    }

    async fn network_port_create_xml(
        &self,
        net: &NetworkRef,
        xml: &str,
        flags: PortCreateFlags,
    ) -> Result<PortRef> {
        let (net, flags) = (network(net), flags.bits());
        let asked = self.network.network_port_create_xml(self.context(), net, xml.into(), flags);
        Ok((&self.ask(asked).await?).into())
    }

    async fn network_port_xml_desc(&self, port: &PortRef, flags: u32) -> Result<String> {
        let asked = self.network.network_port_get_xml_desc(self.context(), port.into(), flags);
        Ok(self.ask(asked).await?.to_text())
    }

    async fn network_port_parameters(&self, port: &PortRef, flags: u32) -> Result<Vec<TypedParam>> {
        let asked = self.network.network_port_get_parameters(self.context(), port.into(), 0, flags);
        Ok(self.ask(asked).await?.params.0.iter().map(TypedParam::from).collect())
    }

    async fn network_port_set_parameters(
        &self,
        port: &PortRef,
        params: &[TypedParam],
        flags: u32,
    ) -> Result<()> {
        let params: List<_, 16> = params.iter().map(wire::TypedParam::from).collect();
        let asked =
            self.network.network_port_set_parameters(self.context(), port.into(), params, flags);
        self.ask(asked).await
    }

    async fn network_port_delete(&self, port: &PortRef, flags: u32) -> Result<()> {
        self.ask(self.network.network_port_delete(self.context(), port.into(), flags)).await
    }

    async fn network_health(&self, net: &NetworkRef, flags: u32) -> Result<NetworkHealth> {
        self.report("oxivirtNetworkHealth", 15, async {
            self.ask(self.extension.network_health(self.context(), network(net), flags)).await
        })
        .await
    }

    async fn network_plan(
        &self,
        net: &NetworkRef,
        verb: PlanVerb,
        xml: Option<&str>,
        flags: u32,
    ) -> Result<NetworkPlan> {
        let (net, verb, xml) = (network(net), verb.number(), optional(xml));
        self.report("oxivirtNetworkPlan", 3, async {
            self.ask(self.extension.network_plan(self.context(), net, verb, xml, flags)).await
        })
        .await
    }
}
