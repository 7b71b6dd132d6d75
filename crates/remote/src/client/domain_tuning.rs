//! Calls that change how a domain runs, and those about its devices.

use async_trait::async_trait;
use oxivirt::{
    DomainAffectFlags, DomainDeviceDriver, DomainDeviceFlags, DomainKeys, DomainMemoryFlags,
    DomainParameters, DomainRef, DomainScreenshot, DomainTuningDriver, DomainVcpuFlags, Error,
    ErrorCode, ErrorDomain, Result, TypedParam,
};
use oxivirt_rpc::xdr::{self, List, Text};

use super::RemoteDriver;
use crate::protocol::domain_tuning::DomainTuningCallsRequest;
use crate::wire::{self, Domain, Opaque, cpu_bits, text};

/// Number of the call that makes a picture of a screen.
const SCREENSHOT: i32 = 211;

fn map(cpus: &[bool]) -> Opaque {
    Opaque(cpu_bits(cpus, cpus.len().div_ceil(8)))
}

fn wire_params<const MAX: usize>(params: &[TypedParam]) -> List<wire::TypedParam, MAX> {
    params.iter().map(wire::TypedParam::from).collect()
}

#[async_trait]
impl DomainTuningDriver for RemoteDriver {
    async fn domain_set_memory(
        &self,
        domain: &DomainRef,
        kib: u64,
        flags: DomainMemoryFlags,
    ) -> Result<()> {
        let (context, dom, flags) = (self.context(), domain.into(), flags.bits());
        self.ask(self.domain_tuning.domain_set_memory_flags(context, dom, kib, flags)).await
    }

    async fn domain_set_memory_stats_period(
        &self,
        domain: &DomainRef,
        seconds: i32,
        flags: DomainAffectFlags,
    ) -> Result<()> {
        let (context, dom, flags) = (self.context(), domain.into(), flags.bits());
        let client = &self.domain_tuning;
        self.ask(client.domain_set_memory_stats_period(context, dom, seconds, flags)).await
    }

    async fn domain_set_vcpus(
        &self,
        domain: &DomainRef,
        count: u32,
        flags: DomainVcpuFlags,
    ) -> Result<()> {
        let (context, dom, flags) = (self.context(), domain.into(), flags.bits());
        self.ask(self.domain_tuning.domain_set_vcpus_flags(context, dom, count, flags)).await
    }

    async fn domain_pin_vcpu(
        &self,
        domain: &DomainRef,
        vcpu: u32,
        cpus: &[bool],
        flags: DomainAffectFlags,
    ) -> Result<()> {
        let (context, dom, flags) = (self.context(), domain.into(), flags.bits());
        let client = &self.domain_tuning;
        self.ask(client.domain_pin_vcpu_flags(context, dom, vcpu, map(cpus), flags)).await
    }

    async fn domain_pin_emulator(
        &self,
        domain: &DomainRef,
        cpus: &[bool],
        flags: DomainAffectFlags,
    ) -> Result<()> {
        let (context, dom, flags) = (self.context(), domain.into(), flags.bits());
        self.ask(self.domain_tuning.domain_pin_emulator(context, dom, map(cpus), flags)).await
    }

    async fn domain_set_parameters(
        &self,
        domain: &DomainRef,
        set: &DomainParameters,
        params: &[TypedParam],
        flags: DomainAffectFlags,
    ) -> Result<()> {
        let (context, dom, flags) = (self.context(), Domain::from(domain), flags.bits());
        let client = &self.domain_tuning;
        match set {
            DomainParameters::Scheduler => {
                let params = wire_params(params);
                let asked =
                    client.domain_set_scheduler_parameters_flags(context, dom, params, flags);
                self.ask(asked).await
            }
            DomainParameters::Memory => {
                let params = wire_params(params);
                self.ask(client.domain_set_memory_parameters(context, dom, params, flags)).await
            }
            DomainParameters::Blkio => {
                let params = wire_params(params);
                self.ask(client.domain_set_blkio_parameters(context, dom, params, flags)).await
            }
            DomainParameters::Numa => {
                let params = wire_params(params);
                self.ask(client.domain_set_numa_parameters(context, dom, params, flags)).await
            }
            DomainParameters::Interface(device) => {
                let (device, params) = (device.as_str().into(), wire_params(params));
                let asked =
                    client.domain_set_interface_parameters(context, dom, device, params, flags);
                self.ask(asked).await
            }
            DomainParameters::BlockIoTune(disk) => {
                let (disk, params) = (disk.as_str().into(), wire_params(params));
                self.ask(client.domain_set_block_io_tune(context, dom, disk, params, flags)).await
            }
        }
    }

    async fn domain_send_key(
        &self,
        domain: &DomainRef,
        keys: &DomainKeys,
        flags: u32,
    ) -> Result<()> {
        let DomainKeys { codeset, hold_ms, codes } = keys;
        let (context, dom, codes) =
            (self.context(), domain.into(), codes.iter().copied().collect());
        let client = &self.domain_tuning;
        self.ask(client.domain_send_key(context, dom, *codeset, *hold_ms, codes, flags)).await
    }

    async fn domain_inject_nmi(&self, domain: &DomainRef, flags: u32) -> Result<()> {
        self.ask(self.domain_tuning.domain_inject_nmi(self.context(), domain.into(), flags)).await
    }

    async fn domain_screenshot(
        &self,
        domain: &DomainRef,
        screen: u32,
        flags: u32,
    ) -> Result<DomainScreenshot> {
        let dom = domain.into();
        let request = DomainTuningCallsRequest::DomainScreenshot { dom, screen, flags };
        let (stream, answer) = self.open_stream(SCREENSHOT, &request).await?;
        let mime: Option<Text> = xdr::from_bytes(&answer)
            .map_err(|error| Error::new(ErrorCode::RPC, ErrorDomain::RPC, error.to_string()))?;
        Ok(DomainScreenshot {
            mime: text(mime.as_ref()).unwrap_or_default(),
            stream: Box::new(stream),
        })
    }

    async fn domain_monitor_command(
        &self,
        domain: &DomainRef,
        command: &str,
        flags: u32,
    ) -> Result<String> {
        let (context, dom, command) = (self.context(), domain.into(), command.into());
        let asked = self.qemu.domain_monitor_command(context, dom, command, flags);
        Ok(self.ask(asked).await?.to_text())
    }
}

#[async_trait]
impl DomainDeviceDriver for RemoteDriver {
    async fn domain_attach_device(
        &self,
        domain: &DomainRef,
        xml: &str,
        flags: DomainDeviceFlags,
    ) -> Result<()> {
        let (context, dom, flags) = (self.context(), domain.into(), flags.bits());
        let client = &self.domain_device;
        self.ask(client.domain_attach_device_flags(context, dom, xml.into(), flags)).await
    }

    async fn domain_detach_device(
        &self,
        domain: &DomainRef,
        xml: &str,
        flags: DomainDeviceFlags,
    ) -> Result<()> {
        let (context, dom, flags) = (self.context(), domain.into(), flags.bits());
        let client = &self.domain_device;
        self.ask(client.domain_detach_device_flags(context, dom, xml.into(), flags)).await
    }

    async fn domain_detach_device_alias(
        &self,
        domain: &DomainRef,
        alias: &str,
        flags: DomainDeviceFlags,
    ) -> Result<()> {
        let (context, dom, flags) = (self.context(), domain.into(), flags.bits());
        let client = &self.domain_device;
        self.ask(client.domain_detach_device_alias(context, dom, alias.into(), flags)).await
    }

    async fn domain_update_device(
        &self,
        domain: &DomainRef,
        xml: &str,
        flags: DomainDeviceFlags,
    ) -> Result<()> {
        let (context, dom, flags) = (self.context(), domain.into(), flags.bits());
        let client = &self.domain_device;
        self.ask(client.domain_update_device_flags(context, dom, xml.into(), flags)).await
    }
}
