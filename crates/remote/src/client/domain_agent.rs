//! Calls that a guest's agent answers.

use std::time::Duration;

use async_trait::async_trait;
use oxivirt::{
    AgentTimeout, DomainAgentDriver, DomainFileSystem, DomainGuestInfoTypes, DomainRef,
    GuestPassword, Result, TypedParam,
};
use oxivirt_rpc::xdr::Text;

use super::RemoteDriver;
use crate::wire::api_params;

fn count(n: i32) -> u32 {
    u32::try_from(n).unwrap_or_default()
}

#[async_trait]
impl DomainAgentDriver for RemoteDriver {
    async fn domain_agent_command(
        &self,
        domain: &DomainRef,
        command: &str,
        timeout: AgentTimeout,
        flags: u32,
    ) -> Result<Option<String>> {
        let (context, dom, command) = (self.context(), domain.into(), command.into());
        let timeout = timeout.number();
        let asked = self.qemu.domain_agent_command(context, dom, command, timeout, flags);
        Ok(self.ask(asked).await?.as_ref().map(Text::to_text))
    }

    async fn domain_set_agent_timeout(
        &self,
        domain: &DomainRef,
        timeout: AgentTimeout,
        flags: u32,
    ) -> Result<()> {
        let (context, dom, timeout) = (self.context(), domain.into(), timeout.number());
        let client = &self.domain_agent;
        let asked = client.domain_agent_set_response_timeout(context, dom, timeout, flags);
        self.ask(asked).await.map(drop)
    }

    async fn domain_hostname(&self, domain: &DomainRef, flags: u32) -> Result<String> {
        let asked = self.domain_agent.domain_get_hostname(self.context(), domain.into(), flags);
        Ok(self.ask(asked).await?.to_text())
    }

    async fn domain_guest_info(
        &self,
        domain: &DomainRef,
        types: DomainGuestInfoTypes,
        flags: u32,
    ) -> Result<Vec<TypedParam>> {
        let (context, dom, types) = (self.context(), domain.into(), types.bits());
        let asked = self.domain_agent.domain_get_guest_info(context, dom, types, flags);
        Ok(api_params(&self.ask(asked).await?))
    }

    async fn domain_time(&self, domain: &DomainRef, flags: u32) -> Result<Duration> {
        let asked = self.domain_agent.domain_get_time(self.context(), domain.into(), flags);
        let time = self.ask(asked).await?;
        Ok(Duration::new(u64::try_from(time.seconds).unwrap_or_default(), time.nseconds))
    }

    async fn domain_set_time(&self, domain: &DomainRef, time: Duration, flags: u32) -> Result<()> {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let (context, dom, nanoseconds) = (self.context(), domain.into(), time.subsec_nanos());
        let client = &self.domain_agent;
        self.ask(client.domain_set_time(context, dom, seconds, nanoseconds, flags)).await
    }

    async fn domain_fs_freeze(
        &self,
        domain: &DomainRef,
        mountpoints: &[String],
        flags: u32,
    ) -> Result<u32> {
        let mountpoints = mountpoints.iter().map(|path| path.as_str().into()).collect();
        let (context, dom) = (self.context(), domain.into());
        let asked = self.domain_agent.domain_fsfreeze(context, dom, mountpoints, flags);
        Ok(count(self.ask(asked).await?))
    }

    async fn domain_fs_thaw(
        &self,
        domain: &DomainRef,
        mountpoints: &[String],
        flags: u32,
    ) -> Result<u32> {
        let mountpoints = mountpoints.iter().map(|path| path.as_str().into()).collect();
        let (context, dom) = (self.context(), domain.into());
        let asked = self.domain_agent.domain_fsthaw(context, dom, mountpoints, flags);
        Ok(count(self.ask(asked).await?))
    }

    async fn domain_fs_trim(
        &self,
        domain: &DomainRef,
        mountpoint: Option<&str>,
        minimum: u64,
        flags: u32,
    ) -> Result<()> {
        let (context, dom, mountpoint) =
            (self.context(), domain.into(), mountpoint.map(Into::into));
        self.ask(self.domain_agent.domain_fstrim(context, dom, mountpoint, minimum, flags)).await
    }

    async fn domain_fs_info(
        &self,
        domain: &DomainRef,
        flags: u32,
    ) -> Result<Vec<DomainFileSystem>> {
        let asked = self.domain_agent.domain_get_fsinfo(self.context(), domain.into(), flags);
        Ok(self.ask(asked).await?.info.0.iter().map(DomainFileSystem::from).collect())
    }

    async fn domain_set_user_password(
        &self,
        domain: &DomainRef,
        password: &GuestPassword,
    ) -> Result<()> {
        let GuestPassword { user, password, is_encrypted } = password;
        let (user, password) = (Some(user.as_str().into()), Some(password.as_str().into()));
        let (context, dom, flags) = (self.context(), domain.into(), u32::from(*is_encrypted));
        let client = &self.domain_agent;
        self.ask(client.domain_set_user_password(context, dom, user, password, flags)).await
    }
}
