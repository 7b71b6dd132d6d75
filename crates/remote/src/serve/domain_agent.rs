//! Calls that a guest's agent answers, and the calls of QEMU's program.

use std::time::Duration;

use oxivirt::{
    AgentTimeout, DomainAgentDriver, DomainGuestInfoTypes, Error, ErrorCode, ErrorDomain,
    GuestPassword, Result,
};
use oxivirt_rpc::xdr::{List, Text};
use tarpc::context::Context;

use super::Calls;
use crate::protocol::Reply;
use crate::protocol::domain_agent::DomainAgentCalls;
use crate::protocol::qemu::QemuCalls;
use crate::wire::{
    Domain, FILE_SYSTEMS_MAX, FileSystem, FileSystems, GUEST_INFO_MAX, GuestTime, TypedParam,
    taken, text,
};

/// The password is the hash that the guest stores (`VIR_DOMAIN_PASSWORD_ENCRYPTED`).
const PASSWORD_ENCRYPTED: u32 = 1;

fn texts(list: &List<Text, FILE_SYSTEMS_MAX>) -> Vec<String> {
    list.0.iter().map(Text::to_text).collect()
}

fn count(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

impl Calls {
    fn agent(&self, api: &str) -> Result<&dyn DomainAgentDriver> {
        self.connection()?.domain_agent_driver(api)
    }
}

impl DomainAgentCalls for Calls {
    async fn domain_get_hostname(self, _: Context, dom: Domain, flags: u32) -> Reply<Text> {
        let driver = self.agent("virDomainGetHostname")?;
        Ok(driver.domain_hostname(&(&dom).into(), flags).await?.into())
    }

    async fn domain_fstrim(
        self,
        _: Context,
        dom: Domain,
        mount_point: Option<Text>,
        minimum: u64,
        flags: u32,
    ) -> Reply<()> {
        let (driver, mountpoint) = (self.agent("virDomainFSTrim")?, text(mount_point.as_ref()));
        let domain = (&dom).into();
        Ok(driver.domain_fs_trim(&domain, mountpoint.as_deref(), minimum, flags).await?)
    }

    async fn domain_fsfreeze(
        self,
        _: Context,
        dom: Domain,
        mountpoints: List<Text, FILE_SYSTEMS_MAX>,
        flags: u32,
    ) -> Reply<i32> {
        let driver = self.agent("virDomainFSFreeze")?;
        Ok(count(driver.domain_fs_freeze(&(&dom).into(), &texts(&mountpoints), flags).await?))
    }

    async fn domain_fsthaw(
        self,
        _: Context,
        dom: Domain,
        mountpoints: List<Text, FILE_SYSTEMS_MAX>,
        flags: u32,
    ) -> Reply<i32> {
        let driver = self.agent("virDomainFSThaw")?;
        Ok(count(driver.domain_fs_thaw(&(&dom).into(), &texts(&mountpoints), flags).await?))
    }

    async fn domain_get_time(self, _: Context, dom: Domain, flags: u32) -> Reply<GuestTime> {
        let time = self.agent("virDomainGetTime")?.domain_time(&(&dom).into(), flags).await?;
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Ok(GuestTime { seconds, nseconds: time.subsec_nanos() })
    }

    async fn domain_set_time(
        self,
        _: Context,
        dom: Domain,
        seconds: i64,
        nseconds: u32,
        flags: u32,
    ) -> Reply<()> {
        let seconds = u64::try_from(seconds).ok().filter(|_| nseconds < 1_000_000_000);
        let Some(seconds) = seconds else {
            let detail = "time is out of range";
            return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::DOMAIN, detail).into());
        };
        let time = Duration::new(seconds, nseconds);
        Ok(self.agent("virDomainSetTime")?.domain_set_time(&(&dom).into(), time, flags).await?)
    }

    async fn domain_get_fsinfo(self, _: Context, dom: Domain, flags: u32) -> Reply<FileSystems> {
        let driver = self.agent("virDomainGetFSInfo")?;
        let systems = driver.domain_fs_info(&(&dom).into(), flags).await?;
        let info: Vec<_> = systems.iter().map(FileSystem::from).take(FILE_SYSTEMS_MAX).collect();
        let ret = u32::try_from(info.len()).unwrap_or(u32::MAX);
        Ok(FileSystems { info: List(info), ret })
    }

    async fn domain_set_user_password(
        self,
        _: Context,
        dom: Domain,
        user: Option<Text>,
        password: Option<Text>,
        flags: u32,
    ) -> Reply<()> {
        let driver = self.agent("virDomainSetUserPassword")?;
        if let flags @ 1.. = flags & !PASSWORD_ENCRYPTED {
            let function = "qemuDomainSetUserPassword";
            return Err(Error::unsupported_flags(ErrorDomain::QEMU, flags, function).into());
        }
        let missing = |what: &str| {
            let message = format!("{what} in virDomainSetUserPassword must not be NULL");
            Error::plain(ErrorCode::INVALID_ARG, ErrorDomain::NONE, message)
        };
        let password = GuestPassword {
            user: text(user.as_ref()).ok_or_else(|| missing("user"))?,
            password: text(password.as_ref()).ok_or_else(|| missing("password"))?,
            is_encrypted: flags & PASSWORD_ENCRYPTED != 0,
        };
        Ok(driver.domain_set_user_password(&(&dom).into(), &password).await?)
    }

    async fn domain_get_guest_info(
        self,
        _: Context,
        dom: Domain,
        types: u32,
        flags: u32,
    ) -> Reply<List<TypedParam, GUEST_INFO_MAX>> {
        let types = DomainGuestInfoTypes::from_bits_retain(types);
        let driver = self.agent("virDomainGetGuestInfo")?;
        let params = driver.domain_guest_info(&(&dom).into(), types, flags).await?;
        Ok(taken(&params, i32::MAX))
    }

    async fn domain_agent_set_response_timeout(
        self,
        _: Context,
        dom: Domain,
        timeout: i32,
        flags: u32,
    ) -> Reply<i32> {
        let driver = self.agent("virDomainAgentSetResponseTimeout")?;
        let timeout = AgentTimeout::from_number(timeout);
        driver.domain_set_agent_timeout(&(&dom).into(), timeout, flags).await?;
        Ok(0)
    }
}

impl QemuCalls for Calls {
    async fn domain_monitor_command(
        self,
        _: Context,
        dom: Domain,
        cmd: Text,
        flags: u32,
    ) -> Reply<Text> {
        let driver = self.connection()?.domain_tuning_driver("virDomainQemuMonitorCommand")?;
        Ok(driver.domain_monitor_command(&(&dom).into(), &cmd.to_text(), flags).await?.into())
    }

    async fn domain_agent_command(
        self,
        _: Context,
        dom: Domain,
        cmd: Text,
        timeout: i32,
        flags: u32,
    ) -> Reply<Option<Text>> {
        let driver = self.agent("virDomainQemuAgentCommand")?;
        let (domain, timeout) = ((&dom).into(), AgentTimeout::from_number(timeout));
        let answer = driver.domain_agent_command(&domain, &cmd.to_text(), timeout, flags).await?;
        Ok(answer.map(Text::from))
    }
}
