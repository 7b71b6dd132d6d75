//! Calls about domains.

use oxivirt::{
    AddressSource, Autostart, ConsoleFlags, DomainAffectFlags, DomainCreateFlags,
    DomainDefineFlags, DomainDestroyFlags, DomainListFlags, DomainMetadataChange, DomainParameters,
    DomainRef, DomainShutdownFlags, DomainUndefineFlags, DomainXmlFlags, Error, ErrorCode,
    ErrorDomain, MetadataType, Result,
};
use oxivirt_rpc::xdr::{List, Text, Uuid16};
use tarpc::context::Context;

use super::events::{self, Form};
use super::network::{autostart, counted, no_such_name, uuid};
use super::session::rpc;
use super::streams::Opened;
use super::{Calls, guard};
use crate::protocol::Reply;
use crate::protocol::domain::DomainCalls;
use crate::wire::{
    AllDomains, DOMAINS_MAX, Domain, DomainInfo, DomainInterfaces, DomainState, INTERFACES_MAX,
    JobInfo, SchedulerType, SecurityLabel, text,
};

/// Number of the lifecycle events, the only kind of the oldest registrations.
const LIFECYCLE: i32 = 0;

impl Calls {
    /// The domain that a client names, as a handle with the access of the connection.
    fn domain(&self, dom: &Domain) -> Result<oxivirt::Domain> {
        Ok(self.connect()?.domain(dom.into()))
    }

    /// Refuses the call of the function `api` if the domain does not run.
    pub(super) async fn check_running(&self, dom: &Domain, api: &str) -> Result<()> {
        if self.domains(api)?.domain_is_active(&dom.into()).await? {
            return Ok(());
        }
        let detail = "domain is not running";
        Err(Error::new(ErrorCode::OPERATION_INVALID, ErrorDomain::DOMAIN, detail))
    }

    /// The domains that the client may see.
    async fn visible_domains(&self, api: &str, flags: DomainListFlags) -> Result<Vec<DomainRef>> {
        let domains = self.domains(api)?.list_all_domains(flags).await?;
        guard::visible_domains(&self.session, domains).await
    }

    async fn count_domains(&self, api: &str, flags: DomainListFlags) -> Result<i32> {
        let domains = self.visible_domains(api, flags).await?;
        Ok(i32::try_from(domains.len()).unwrap_or(i32::MAX))
    }

    /// The first `max` domains.
    async fn some_domains(
        &self,
        api: &str,
        flags: DomainListFlags,
        max: i32,
        what: &str,
    ) -> Result<Vec<DomainRef>> {
        let max = usize::try_from(max).map_err(|_| rpc(format!("{what} must be non-negative")))?;
        if max > DOMAINS_MAX {
            return Err(rpc(format!("{what} > REMOTE_DOMAIN_LIST_MAX")));
        }
        let mut domains = self.visible_domains(api, flags).await?;
        domains.truncate(max);
        Ok(domains)
    }

    /// Takes the flag for the end with the connection out of `flags`: only this layer knows connections.
    fn split(flags: u32) -> (DomainCreateFlags, bool) {
        let flags = DomainCreateFlags::from_bits_retain(flags);
        let autodestroy = DomainCreateFlags::AUTODESTROY;
        (flags - autodestroy, flags.contains(autodestroy))
    }

    async fn start(&self, dom: &Domain, flags: u32) -> Result<DomainRef> {
        let (flags, autodestroy) = Self::split(flags);
        let started = self.domain(dom)?.create(flags).await?;
        if autodestroy {
            self.session.autodestroy(started.reference());
        }
        Ok(started.reference().clone())
    }

    /// Checks what the use of the guest agent needs beside the call's own permission.
    async fn permit_agent(&self, dom: &Domain, flags: u32) -> Result<DomainShutdownFlags> {
        let flags = DomainShutdownFlags::from_bits_retain(flags);
        if flags.contains(DomainShutdownFlags::GUEST_AGENT) {
            guard::permit(&self.session, &dom.into(), "write").await?;
        }
        Ok(flags)
    }
}

fn no_flags(flags: u32, function: &str) -> Result<()> {
    match flags {
        0 => Ok(()),
        flags => Err(Error::unsupported_flags(ErrorDomain::DOMAIN, flags, function)),
    }
}

impl DomainCalls for Calls {
    async fn domain_create(self, _: Context, dom: Domain) -> Reply<()> {
        self.start(&dom, 0).await?;
        Ok(())
    }

    async fn domain_create_xml(self, _: Context, xml: Text, flags: u32) -> Reply<Domain> {
        let (flags, autodestroy) = Self::split(flags);
        let created = self.connect()?.domain_create_xml(&xml.to_text(), flags).await?;
        if autodestroy {
            self.session.autodestroy(created.reference());
        }
        Ok(created.reference().into())
    }

    async fn domain_define_xml(self, _: Context, xml: Text) -> Reply<Domain> {
        let flags = DomainDefineFlags::empty();
        Ok(self.connect()?.domain_define_xml(&xml.to_text(), flags).await?.reference().into())
    }

    async fn domain_destroy(self, _: Context, dom: Domain) -> Reply<()> {
        Ok(self.domain(&dom)?.destroy(DomainDestroyFlags::empty()).await?)
    }

    async fn domain_get_xml_desc(self, _: Context, dom: Domain, flags: u32) -> Reply<Text> {
        let flags = DomainXmlFlags::from_bits_retain(flags);
        if flags.intersects(DomainXmlFlags::SECURE | DomainXmlFlags::MIGRATABLE) {
            guard::permit(&self.session, &(&dom).into(), "read-secure").await?;
        }
        Ok(self.domain(&dom)?.xml_desc(flags).await?.into())
    }

    async fn domain_get_autostart(self, _: Context, dom: Domain) -> Reply<i32> {
        Ok(i32::from(self.domain(&dom)?.autostart().await? == Autostart::Enabled))
    }

    async fn domain_get_info(self, _: Context, dom: Domain) -> Reply<DomainInfo> {
        Ok(self.domain(&dom)?.info().await?.into())
    }

    async fn domain_get_max_memory(self, _: Context, dom: Domain) -> Reply<u64> {
        Ok(self.domains("virDomainGetMaxMemory")?.domain_max_memory(&(&dom).into()).await?)
    }

    async fn domain_get_max_vcpus(self, _: Context, dom: Domain) -> Reply<i32> {
        let n = self.domains("virDomainGetMaxVcpus")?.domain_max_vcpus(&(&dom).into()).await?;
        Ok(i32::try_from(n).unwrap_or(i32::MAX))
    }

    async fn domain_get_os_type(self, _: Context, dom: Domain) -> Reply<Text> {
        Ok(self.domains("virDomainGetOSType")?.domain_os_type(&(&dom).into()).await?.into())
    }

    async fn connect_list_defined_domains(
        self,
        _: Context,
        maxnames: i32,
    ) -> Reply<List<Text, DOMAINS_MAX>> {
        let domains = self
            .some_domains(
                "virConnectListDefinedDomains",
                DomainListFlags::INACTIVE,
                maxnames,
                "maxnames",
            )
            .await?;
        Ok(domains.into_iter().map(|domain| domain.name.into()).collect())
    }

    async fn domain_lookup_by_id(self, _: Context, id: i32) -> Reply<Domain> {
        let Ok(id) = u32::try_from(id) else {
            let message = "id in virDomainLookupByID must be zero or greater";
            return Err(Error::plain(ErrorCode::INVALID_ARG, ErrorDomain::NONE, message).into());
        };
        Ok((&self.domains("virDomainLookupByID")?.domain_lookup_by_id(id).await?).into())
    }

    async fn domain_lookup_by_name(self, _: Context, name: Text) -> Reply<Domain> {
        let Some(name) = name.as_str() else {
            let none = Error::new(ErrorCode::NO_DOMAIN, ErrorDomain::QEMU, "");
            return Err(no_such_name(none, "no domain with matching name '", &name));
        };
        Ok((&self.domains("virDomainLookupByName")?.domain_lookup_by_name(name).await?).into())
    }

    async fn domain_lookup_by_uuid(self, _: Context, id: Uuid16) -> Reply<Domain> {
        Ok((&self.domains("virDomainLookupByUUID")?.domain_lookup_by_uuid(uuid(id)).await?).into())
    }

    async fn connect_num_of_defined_domains(self, _: Context) -> Reply<i32> {
        Ok(self.count_domains("virConnectNumOfDefinedDomains", DomainListFlags::INACTIVE).await?)
    }

    async fn domain_reboot(self, _: Context, dom: Domain, flags: u32) -> Reply<()> {
        let flags = self.permit_agent(&dom, flags).await?;
        Ok(self.domain(&dom)?.reboot(flags).await?)
    }

    async fn domain_resume(self, _: Context, dom: Domain) -> Reply<()> {
        Ok(self.domain(&dom)?.resume().await?)
    }

    async fn domain_set_autostart(self, _: Context, dom: Domain, start: i32) -> Reply<()> {
        Ok(self.domain(&dom)?.set_autostart(autostart(start)).await?)
    }

    async fn domain_shutdown(self, _: Context, dom: Domain) -> Reply<()> {
        Ok(self.domain(&dom)?.shutdown(DomainShutdownFlags::empty()).await?)
    }

    async fn domain_suspend(self, _: Context, dom: Domain) -> Reply<()> {
        Ok(self.domain(&dom)?.suspend().await?)
    }

    async fn domain_undefine(self, _: Context, dom: Domain) -> Reply<()> {
        Ok(self.domain(&dom)?.undefine(DomainUndefineFlags::empty()).await?)
    }

    async fn connect_list_domains(self, _: Context, maxids: i32) -> Reply<List<i32, DOMAINS_MAX>> {
        let domains = self
            .some_domains("virConnectListDomains", DomainListFlags::ACTIVE, maxids, "maxids")
            .await?;
        Ok(domains.iter().map(|domain| Domain::from(domain).id).collect())
    }

    async fn connect_num_of_domains(self, _: Context) -> Reply<i32> {
        Ok(self.count_domains("virConnectNumOfDomains", DomainListFlags::ACTIVE).await?)
    }

    /// Clients give a domain up whose scheduler has no name, so one without parameters has it too.
    async fn domain_get_scheduler_type(self, _: Context, dom: Domain) -> Reply<SchedulerType> {
        let api = "virDomainGetSchedulerType";
        self.domain(&dom)?.is_active().await?;
        let params = match self.connection()?.domain_stats_driver(api) {
            Ok(driver) => {
                let (set, flags) = (DomainParameters::Scheduler, DomainAffectFlags::empty());
                driver.domain_parameters(&(&dom).into(), &set, flags).await
            }
            Err(error) => Err(error),
        };
        let nparams = params.map_or(0, |params| params.len());
        let nparams = i32::try_from(nparams).unwrap_or_default();
        Ok(SchedulerType { kind: "posix".into(), nparams })
    }

    async fn domain_get_security_label(self, _: Context, dom: Domain) -> Reply<SecurityLabel> {
        Ok((&self.domain(&dom)?.security_label().await?).into())
    }

    async fn connect_domain_event_register(self, _: Context) -> Reply<i32> {
        events::register_domain(&self.session, LIFECYCLE, None, Form::Bare).await?;
        Ok(0)
    }

    async fn connect_domain_event_deregister(self, _: Context) -> Reply<i32> {
        events::deregister_bare(&self.session, LIFECYCLE).await?;
        Ok(0)
    }

    async fn domain_is_active(self, _: Context, dom: Domain) -> Reply<i32> {
        Ok(self.domain(&dom)?.is_active().await?.into())
    }

    async fn domain_is_persistent(self, _: Context, dom: Domain) -> Reply<i32> {
        Ok(self.domain(&dom)?.is_persistent().await?.into())
    }

    /// No driver here has jobs.
    async fn domain_get_job_info(self, _: Context, dom: Domain) -> Reply<JobInfo> {
        self.check_running(&dom, "virDomainGetJobInfo").await?;
        Ok(JobInfo::default())
    }

    async fn connect_domain_event_register_any(self, _: Context, event: i32) -> Reply<()> {
        events::register_domain(&self.session, event, None, Form::Bare).await?;
        Ok(())
    }

    async fn connect_domain_event_deregister_any(self, _: Context, event: i32) -> Reply<()> {
        Ok(events::deregister_bare(&self.session, event).await?)
    }

    /// No driver here saves domains.
    async fn domain_has_managed_save_image(
        self,
        _: Context,
        dom: Domain,
        flags: u32,
    ) -> Reply<i32> {
        no_flags(flags, "virDomainHasManagedSaveImage")?;
        self.domain(&dom)?.is_active().await?;
        Ok(0)
    }

    async fn domain_create_with_flags(self, _: Context, dom: Domain, flags: u32) -> Reply<Domain> {
        Ok((&self.start(&dom, flags).await?).into())
    }

    async fn domain_open_console(
        self,
        _: Context,
        dom: Domain,
        device: Option<Text>,
        flags: u32,
    ) -> Reply<()> {
        self.session.streams.check()?;
        let flags = ConsoleFlags::from_bits_retain(flags);
        let device = text(device.as_ref());
        let console = self.domain(&dom)?.open_console(device.as_deref(), flags).await?;
        self.open_stream(Opened::Console(console));
        Ok(())
    }

    async fn domain_is_updated(self, _: Context, dom: Domain) -> Reply<i32> {
        Ok(self.domains("virDomainIsUpdated")?.domain_is_updated(&(&dom).into()).await?.into())
    }

    async fn domain_get_state(self, _: Context, dom: Domain, flags: u32) -> Reply<DomainState> {
        let driver = self.domains("virDomainGetState")?;
        Ok(driver.domain_state(&(&dom).into(), flags).await?.into())
    }

    async fn domain_undefine_flags(self, _: Context, dom: Domain, flags: u32) -> Reply<()> {
        let flags = DomainUndefineFlags::from_bits_retain(flags);
        Ok(self.domain(&dom)?.undefine(flags).await?)
    }

    async fn domain_destroy_flags(self, _: Context, dom: Domain, flags: u32) -> Reply<()> {
        Ok(self.domain(&dom)?.destroy(DomainDestroyFlags::from_bits_retain(flags)).await?)
    }

    async fn domain_reset(self, _: Context, dom: Domain, flags: u32) -> Reply<()> {
        Ok(self.domains("virDomainReset")?.domain_reset(&(&dom).into(), flags).await?)
    }

    async fn domain_shutdown_flags(self, _: Context, dom: Domain, flags: u32) -> Reply<()> {
        let flags = self.permit_agent(&dom, flags).await?;
        Ok(self.domain(&dom)?.shutdown(flags).await?)
    }

    async fn domain_set_metadata(
        self,
        _: Context,
        dom: Domain,
        kind: i32,
        metadata: Option<Text>,
        key: Option<Text>,
        uri: Option<Text>,
        flags: u32,
    ) -> Reply<()> {
        let flags = DomainAffectFlags::from_bits_retain(flags);
        let is_live_only =
            flags.contains(DomainAffectFlags::LIVE) && !flags.contains(DomainAffectFlags::CONFIG);
        if !is_live_only {
            guard::permit(&self.session, &(&dom).into(), "save").await?;
        }
        let change = DomainMetadataChange {
            kind: MetadataType::from_number(kind),
            metadata: text(metadata.as_ref()),
            key: text(key.as_ref()),
            uri: text(uri.as_ref()),
            flags,
        };
        Ok(self.domain(&dom)?.set_metadata(&change).await?)
    }

    async fn domain_get_metadata(
        self,
        _: Context,
        dom: Domain,
        kind: i32,
        uri: Option<Text>,
        flags: u32,
    ) -> Reply<Text> {
        let kind = MetadataType::from_number(kind);
        let (uri, flags) = (text(uri.as_ref()), DomainAffectFlags::from_bits_retain(flags));
        Ok(self.domain(&dom)?.metadata(kind, uri.as_deref(), flags).await?.into())
    }

    async fn connect_list_all_domains(
        self,
        _: Context,
        need_results: i32,
        flags: u32,
    ) -> Reply<AllDomains> {
        let domains = self
            .visible_domains("virConnectListAllDomains", DomainListFlags::from_bits_retain(flags))
            .await?;
        let (domains, ret) = counted(&domains, need_results, "domains")?;
        Ok(AllDomains { domains, ret })
    }

    async fn connect_domain_event_callback_register_any(
        self,
        _: Context,
        event: i32,
        dom: Option<Domain>,
    ) -> Reply<i32> {
        let domain = dom.as_ref().map(Into::into);
        Ok(events::register_domain(&self.session, event, domain, Form::Numbered).await?)
    }

    async fn connect_domain_event_callback_deregister_any(
        self,
        _: Context,
        number: i32,
    ) -> Reply<()> {
        Ok(events::deregister_domain(&self.session, number).await?)
    }

    async fn domain_define_xml_flags(self, _: Context, xml: Text, flags: u32) -> Reply<Domain> {
        let flags = DomainDefineFlags::from_bits_retain(flags);
        Ok(self.connect()?.domain_define_xml(&xml.to_text(), flags).await?.reference().into())
    }

    async fn domain_interface_addresses(
        self,
        _: Context,
        dom: Domain,
        source: u32,
        flags: u32,
    ) -> Reply<DomainInterfaces> {
        no_flags(flags, "virDomainInterfaceAddresses")?;
        let source = AddressSource::from_number(source.cast_signed());
        guard::permit(&self.session, &(&dom).into(), "write").await?;
        let interfaces = self.domain(&dom)?.interface_addresses(source).await?;
        if interfaces.len() > INTERFACES_MAX {
            let n = interfaces.len();
            let detail =
                format!("Number of interfaces, {n} exceeds the max limit: {INTERFACES_MAX}");
            return Err(Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::REMOTE, detail).into());
        }
        Ok(interfaces.iter().map(Into::into).collect())
    }

    async fn domain_rename(
        self,
        _: Context,
        dom: Domain,
        name: Option<Text>,
        flags: u32,
    ) -> Reply<i32> {
        let Some(name) = text(name.as_ref()) else {
            let message = "new_name in virDomainRename must not be NULL";
            return Err(Error::plain(ErrorCode::INVALID_ARG, ErrorDomain::NONE, message).into());
        };
        no_flags(flags, "virDomainRename")?;
        self.domain(&dom)?.rename(&name).await?;
        Ok(0)
    }
}
