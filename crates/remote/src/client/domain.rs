//! Calls about domains.

use async_trait::async_trait;
use oxivirt::{
    AddressSource, Autostart, CallbackId, ConsoleFlags, DomainAffectFlags, DomainAgentDriver,
    DomainCreateFlags, DomainDefineFlags, DomainDestroyFlags, DomainDeviceDriver, DomainDriver,
    DomainEventCallback, DomainEventId, DomainInfo, DomainInterface, DomainListFlags,
    DomainMetadataChange, DomainPlan, DomainRef, DomainShutdownFlags, DomainStatsDriver,
    DomainStatus, DomainStream, DomainTuningDriver, DomainUndefineFlags, DomainXmlFlags, Error,
    ErrorCode, ErrorDomain, MetadataType, PlanVerb, Result, SecurityLabel,
};
use oxivirt_rpc::xdr::Text;
use uuid::Uuid;

use super::RemoteDriver;
use super::events::Filter;
use crate::protocol::domain::DomainCallsRequest;
use crate::wire::Domain;

/// Number of the call that opens a console.
const OPEN_CONSOLE: i32 = 201;

fn wire(domain: &DomainRef) -> Domain {
    domain.into()
}

fn optional(text: Option<&str>) -> Option<Text> {
    text.map(Into::into)
}

fn count(n: i32) -> u32 {
    u32::try_from(n).unwrap_or_default()
}

#[async_trait]
impl DomainDriver for RemoteDriver {
    fn statistics(&self) -> Option<&dyn DomainStatsDriver> {
        Some(self)
    }

    fn agent(&self) -> Option<&dyn DomainAgentDriver> {
        Some(self)
    }

    fn tuning(&self) -> Option<&dyn DomainTuningDriver> {
        Some(self)
    }

    fn devices(&self) -> Option<&dyn DomainDeviceDriver> {
        Some(self)
    }

    async fn list_all_domains(&self, flags: DomainListFlags) -> Result<Vec<DomainRef>> {
        let asked = self.domain.connect_list_all_domains(self.context(), 1, flags.bits());
        Ok(self.ask(asked).await?.domains.0.iter().map(DomainRef::from).collect())
    }

    async fn domain_lookup_by_id(&self, id: u32) -> Result<DomainRef> {
        let id = i32::try_from(id).unwrap_or(i32::MAX);
        Ok((&self.ask(self.domain.domain_lookup_by_id(self.context(), id)).await?).into())
    }

    async fn domain_lookup_by_name(&self, name: &str) -> Result<DomainRef> {
        let asked = self.domain.domain_lookup_by_name(self.context(), name.into());
        Ok((&self.ask(asked).await?).into())
    }

    async fn domain_lookup_by_uuid(&self, uuid: Uuid) -> Result<DomainRef> {
        let asked = self.domain.domain_lookup_by_uuid(self.context(), uuid.into_bytes().into());
        Ok((&self.ask(asked).await?).into())
    }

    async fn domain_define_xml(&self, xml: &str, flags: DomainDefineFlags) -> Result<DomainRef> {
        let (context, xml) = (self.context(), xml.into());
        let defined = if flags.is_empty() {
            self.ask(self.domain.domain_define_xml(context, xml)).await?
        } else {
            self.ask(self.domain.domain_define_xml_flags(context, xml, flags.bits())).await?
        };
        Ok((&defined).into())
    }

    async fn domain_create_xml(&self, xml: &str, flags: DomainCreateFlags) -> Result<DomainRef> {
        let asked = self.domain.domain_create_xml(self.context(), xml.into(), flags.bits());
        Ok((&self.ask(asked).await?).into())
    }

    async fn domain_create(
        &self,
        domain: &DomainRef,
        flags: DomainCreateFlags,
    ) -> Result<DomainRef> {
        if flags.is_empty() {
            self.ask(self.domain.domain_create(self.context(), wire(domain))).await?;
            // the answer does not have the number
            return self.domain_lookup_by_uuid(domain.uuid).await;
        }
        let (dom, flags) = (wire(domain), flags.bits());
        let asked = self.domain.domain_create_with_flags(self.context(), dom, flags);
        Ok((&self.ask(asked).await?).into())
    }

    async fn domain_destroy(&self, domain: &DomainRef, flags: DomainDestroyFlags) -> Result<()> {
        let (context, dom) = (self.context(), wire(domain));
        if flags.is_empty() {
            return self.ask(self.domain.domain_destroy(context, dom)).await;
        }
        self.ask(self.domain.domain_destroy_flags(context, dom, flags.bits())).await
    }

    async fn domain_shutdown(&self, domain: &DomainRef, flags: DomainShutdownFlags) -> Result<()> {
        let (context, dom) = (self.context(), wire(domain));
        if flags.is_empty() {
            return self.ask(self.domain.domain_shutdown(context, dom)).await;
        }
        self.ask(self.domain.domain_shutdown_flags(context, dom, flags.bits())).await
    }

    async fn domain_reboot(&self, domain: &DomainRef, flags: DomainShutdownFlags) -> Result<()> {
        let (dom, flags) = (wire(domain), flags.bits());
        self.ask(self.domain.domain_reboot(self.context(), dom, flags)).await
    }

    async fn domain_reset(&self, domain: &DomainRef, flags: u32) -> Result<()> {
        self.ask(self.domain.domain_reset(self.context(), wire(domain), flags)).await
    }

    async fn domain_suspend(&self, domain: &DomainRef) -> Result<()> {
        self.ask(self.domain.domain_suspend(self.context(), wire(domain))).await
    }

    async fn domain_resume(&self, domain: &DomainRef) -> Result<()> {
        self.ask(self.domain.domain_resume(self.context(), wire(domain))).await
    }

    async fn domain_undefine(&self, domain: &DomainRef, flags: DomainUndefineFlags) -> Result<()> {
        let (context, dom) = (self.context(), wire(domain));
        if flags.is_empty() {
            return self.ask(self.domain.domain_undefine(context, dom)).await;
        }
        self.ask(self.domain.domain_undefine_flags(context, dom, flags.bits())).await
    }

    async fn domain_xml_desc(&self, domain: &DomainRef, flags: DomainXmlFlags) -> Result<String> {
        let (dom, flags) = (wire(domain), flags.bits());
        let asked = self.domain.domain_get_xml_desc(self.context(), dom, flags);
        Ok(self.ask(asked).await?.to_text())
    }

    async fn domain_plan(
        &self,
        domain: &DomainRef,
        verb: PlanVerb,
        xml: Option<&str>,
        flags: u32,
    ) -> Result<DomainPlan> {
        let (domain, verb, xml) = (wire(domain), verb.number(), optional(xml));
        self.report("oxivirtDomainPlan", 16, async {
            self.ask(self.extension.domain_plan(self.context(), domain, verb, xml, flags)).await
        })
        .await
    }

    async fn domain_state(&self, domain: &DomainRef, flags: u32) -> Result<DomainStatus> {
        let asked = self.domain.domain_get_state(self.context(), wire(domain), flags);
        Ok(self.ask(asked).await?.into())
    }

    async fn domain_info(&self, domain: &DomainRef) -> Result<DomainInfo> {
        Ok(self.ask(self.domain.domain_get_info(self.context(), wire(domain))).await?.into())
    }

    async fn domain_os_type(&self, domain: &DomainRef) -> Result<String> {
        let asked = self.domain.domain_get_os_type(self.context(), wire(domain));
        Ok(self.ask(asked).await?.to_text())
    }

    async fn domain_max_memory(&self, domain: &DomainRef) -> Result<u64> {
        self.ask(self.domain.domain_get_max_memory(self.context(), wire(domain))).await
    }

    async fn domain_max_vcpus(&self, domain: &DomainRef) -> Result<u32> {
        let asked = self.domain.domain_get_max_vcpus(self.context(), wire(domain));
        Ok(count(self.ask(asked).await?))
    }

    async fn domain_security_label(&self, domain: &DomainRef) -> Result<SecurityLabel> {
        let asked = self.domain.domain_get_security_label(self.context(), wire(domain));
        Ok((&self.ask(asked).await?).into())
    }

    async fn domain_autostart(&self, domain: &DomainRef) -> Result<Autostart> {
        let asked = self.domain.domain_get_autostart(self.context(), wire(domain));
        let is_on = self.ask(asked).await? != 0;
        Ok(if is_on { Autostart::Enabled } else { Autostart::Disabled })
    }

    async fn domain_set_autostart(&self, domain: &DomainRef, autostart: Autostart) -> Result<()> {
        let start = i32::from(autostart == Autostart::Enabled);
        self.ask(self.domain.domain_set_autostart(self.context(), wire(domain), start)).await
    }

    async fn domain_is_active(&self, domain: &DomainRef) -> Result<bool> {
        Ok(self.ask(self.domain.domain_is_active(self.context(), wire(domain))).await? != 0)
    }

    async fn domain_is_persistent(&self, domain: &DomainRef) -> Result<bool> {
        Ok(self.ask(self.domain.domain_is_persistent(self.context(), wire(domain))).await? != 0)
    }

    async fn domain_is_updated(&self, domain: &DomainRef) -> Result<bool> {
        Ok(self.ask(self.domain.domain_is_updated(self.context(), wire(domain))).await? != 0)
    }

    async fn domain_rename(&self, domain: &DomainRef, name: &str, flags: u32) -> Result<()> {
        let (dom, name) = (wire(domain), Some(name.into()));
        self.ask(self.domain.domain_rename(self.context(), dom, name, flags)).await.map(drop)
    }

    async fn domain_metadata(
        &self,
        domain: &DomainRef,
        kind: MetadataType,
        uri: Option<&str>,
        flags: DomainAffectFlags,
    ) -> Result<String> {
        let (dom, kind, uri, flags) = (wire(domain), kind.number(), optional(uri), flags.bits());
        let asked = self.domain.domain_get_metadata(self.context(), dom, kind, uri, flags);
        Ok(self.ask(asked).await?.to_text())
    }

    async fn domain_set_metadata(
        &self,
        domain: &DomainRef,
        change: &DomainMetadataChange,
    ) -> Result<()> {
        let (metadata, key) =
            (optional(change.metadata.as_deref()), optional(change.key.as_deref()));
        let (dom, kind, flags) = (wire(domain), change.kind.number(), change.flags.bits());
        let uri = optional(change.uri.as_deref());
        let context = self.context();
        self.ask(self.domain.domain_set_metadata(context, dom, kind, metadata, key, uri, flags))
            .await
    }

    async fn domain_interface_addresses(
        &self,
        domain: &DomainRef,
        source: AddressSource,
        flags: u32,
    ) -> Result<Vec<DomainInterface>> {
        let (dom, source) = (wire(domain), source.number().cast_unsigned());
        let asked = self.domain.domain_interface_addresses(self.context(), dom, source, flags);
        Ok(self.ask(asked).await?.0.iter().map(DomainInterface::from).collect())
    }

    async fn domain_open_console(
        &self,
        domain: &DomainRef,
        device: Option<&str>,
        flags: ConsoleFlags,
    ) -> Result<Box<dyn DomainStream>> {
        let request = DomainCallsRequest::DomainOpenConsole {
            dom: wire(domain),
            dev_name: optional(device),
            flags: flags.bits(),
        };
        Ok(Box::new(self.open_stream(OPEN_CONSOLE, &request).await?.0))
    }

    async fn domain_event_register(
        &self,
        domain: Option<&DomainRef>,
        id: DomainEventId,
        callback: DomainEventCallback,
    ) -> Result<CallbackId> {
        let filter = Filter { id, object: domain.map(|domain| domain.uuid) };
        let number = match self.domain_subscriptions.find(filter) {
            Some(number) => number,
            None => {
                let (context, id, dom) = (self.context(), id.number(), domain.map(Domain::from));
                let asked =
                    self.domain.connect_domain_event_callback_register_any(context, id, dom);
                self.ask(asked).await?
            }
        };
        Ok(self.domain_subscriptions.add(number, filter, callback))
    }

    async fn domain_event_deregister(&self, id: CallbackId) -> Result<()> {
        match self.domain_subscriptions.remove(id) {
            None => {
                let detail = format!("could not find event callback {} for deletion", id.0);
                Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NONE, detail))
            }
            Some(None) => Ok(()),
            Some(Some(number)) => {
                let (domain, context) = (&self.domain, self.context());
                let asked = domain.connect_domain_event_callback_deregister_any(context, number);
                self.ask(asked).await
            }
        }
    }
}
