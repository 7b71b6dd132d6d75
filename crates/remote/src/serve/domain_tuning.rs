//! Calls that change how a domain runs, and those about its devices.

use oxivirt::{
    DomainAffectFlags, DomainDeviceDriver, DomainDeviceFlags, DomainKeys, DomainMemoryFlags,
    DomainParameters, DomainTuningDriver, DomainVcpuFlags, Result,
};
use oxivirt_rpc::xdr::{List, Text};
use tarpc::context::Context;

use super::streams::Opened;
use super::{Calls, guard};
use crate::protocol::Reply;
use crate::protocol::domain_device::DomainDeviceCalls;
use crate::protocol::domain_tuning::DomainTuningCalls;
use crate::wire::{
    Domain, IO_TUNE_MAX, KEYS_MAX, Opaque, PARAMETERS_MAX, TypedParam, api_params, cpus_of_bits,
};

/// Flags of a change: the running domain, the stored definition.
const LIVE: u32 = 1;
const CONFIG: u32 = 2;

impl Calls {
    fn tuning(&self, api: &str) -> Result<&dyn DomainTuningDriver> {
        self.connection()?.domain_tuning_driver(api)
    }

    fn devices(&self, api: &str) -> Result<&dyn DomainDeviceDriver> {
        self.connection()?.domain_device_driver(api)
    }

    /// Checks what a change of the stored definition needs beside the call's own permission.
    async fn permit_save(&self, dom: &Domain, flags: u32) -> Result<()> {
        if flags & (LIVE | CONFIG) == 0 || flags & CONFIG != 0 {
            guard::permit(&self.session, &dom.into(), "save").await?;
        }
        Ok(())
    }

    async fn set_parameters<const MAX: usize>(
        &self,
        api: &str,
        dom: &Domain,
        set: DomainParameters,
        params: &List<TypedParam, MAX>,
        flags: u32,
    ) -> Result<()> {
        self.permit_save(dom, flags).await?;
        let flags = DomainAffectFlags::from_bits_retain(flags);
        let params = api_params(params);
        self.tuning(api)?.domain_set_parameters(&dom.into(), &set, &params, flags).await
    }
}

impl DomainTuningCalls for Calls {
    async fn domain_pin_vcpu(
        self,
        _: Context,
        dom: Domain,
        vcpu: u32,
        cpumap: Opaque,
    ) -> Reply<()> {
        let (driver, cpus) = (self.tuning("virDomainPinVcpu")?, cpus_of_bits(&cpumap.0));
        let flags = DomainAffectFlags::LIVE;
        Ok(driver.domain_pin_vcpu(&(&dom).into(), vcpu, &cpus, flags).await?)
    }

    async fn domain_set_max_memory(self, _: Context, dom: Domain, memory: u64) -> Reply<()> {
        let driver = self.tuning("virDomainSetMaxMemory")?;
        let flags = DomainMemoryFlags::MAXIMUM;
        Ok(driver.domain_set_memory(&(&dom).into(), memory, flags).await?)
    }

    async fn domain_set_memory(self, _: Context, dom: Domain, memory: u64) -> Reply<()> {
        let driver = self.tuning("virDomainSetMemory")?;
        let flags = DomainMemoryFlags::LIVE;
        Ok(driver.domain_set_memory(&(&dom).into(), memory, flags).await?)
    }

    async fn domain_set_vcpus(self, _: Context, dom: Domain, nvcpus: u32) -> Reply<()> {
        let driver = self.tuning("virDomainSetVcpus")?;
        Ok(driver.domain_set_vcpus(&(&dom).into(), nvcpus, DomainVcpuFlags::LIVE).await?)
    }

    async fn domain_set_scheduler_parameters(
        self,
        _: Context,
        dom: Domain,
        params: List<TypedParam, PARAMETERS_MAX>,
    ) -> Reply<()> {
        let (api, set) = ("virDomainSetSchedulerParameters", DomainParameters::Scheduler);
        Ok(self.set_parameters(api, &dom, set, &params, 0).await?)
    }

    async fn domain_set_memory_parameters(
        self,
        _: Context,
        dom: Domain,
        params: List<TypedParam, PARAMETERS_MAX>,
        flags: u32,
    ) -> Reply<()> {
        let (api, set) = ("virDomainSetMemoryParameters", DomainParameters::Memory);
        Ok(self.set_parameters(api, &dom, set, &params, flags).await?)
    }

    async fn domain_set_vcpus_flags(
        self,
        _: Context,
        dom: Domain,
        nvcpus: u32,
        flags: u32,
    ) -> Reply<()> {
        self.permit_save(&dom, flags).await?;
        let flags = DomainVcpuFlags::from_bits_retain(flags);
        let driver = self.tuning("virDomainSetVcpusFlags")?;
        Ok(driver.domain_set_vcpus(&(&dom).into(), nvcpus, flags).await?)
    }

    async fn domain_set_memory_flags(
        self,
        _: Context,
        dom: Domain,
        memory: u64,
        flags: u32,
    ) -> Reply<()> {
        self.permit_save(&dom, flags).await?;
        let flags = DomainMemoryFlags::from_bits_retain(flags);
        let driver = self.tuning("virDomainSetMemoryFlags")?;
        Ok(driver.domain_set_memory(&(&dom).into(), memory, flags).await?)
    }

    async fn domain_set_blkio_parameters(
        self,
        _: Context,
        dom: Domain,
        params: List<TypedParam, PARAMETERS_MAX>,
        flags: u32,
    ) -> Reply<()> {
        let (api, set) = ("virDomainSetBlkioParameters", DomainParameters::Blkio);
        Ok(self.set_parameters(api, &dom, set, &params, flags).await?)
    }

    async fn domain_inject_nmi(self, _: Context, dom: Domain, flags: u32) -> Reply<()> {
        let driver = self.tuning("virDomainInjectNMI")?;
        Ok(driver.domain_inject_nmi(&(&dom).into(), flags).await?)
    }

    async fn domain_screenshot(
        self,
        _: Context,
        dom: Domain,
        screen: u32,
        flags: u32,
    ) -> Reply<Option<Text>> {
        self.session.streams.check()?;
        let driver = self.tuning("virDomainScreenshot")?;
        let picture = driver.domain_screenshot(&(&dom).into(), screen, flags).await?;
        self.open_stream(Opened::Console(picture.stream));
        Ok(Some(picture.mime.into()))
    }

    async fn domain_set_scheduler_parameters_flags(
        self,
        _: Context,
        dom: Domain,
        params: List<TypedParam, PARAMETERS_MAX>,
        flags: u32,
    ) -> Reply<()> {
        let (api, set) = ("virDomainSetSchedulerParametersFlags", DomainParameters::Scheduler);
        Ok(self.set_parameters(api, &dom, set, &params, flags).await?)
    }

    async fn domain_pin_vcpu_flags(
        self,
        _: Context,
        dom: Domain,
        vcpu: u32,
        cpumap: Opaque,
        flags: u32,
    ) -> Reply<()> {
        self.permit_save(&dom, flags).await?;
        let (driver, cpus) = (self.tuning("virDomainPinVcpuFlags")?, cpus_of_bits(&cpumap.0));
        let flags = DomainAffectFlags::from_bits_retain(flags);
        Ok(driver.domain_pin_vcpu(&(&dom).into(), vcpu, &cpus, flags).await?)
    }

    async fn domain_send_key(
        self,
        _: Context,
        dom: Domain,
        codeset: u32,
        holdtime: u32,
        keycodes: List<u32, KEYS_MAX>,
        flags: u32,
    ) -> Reply<()> {
        let keys = DomainKeys { codeset, hold_ms: holdtime, codes: keycodes.0 };
        Ok(self.tuning("virDomainSendKey")?.domain_send_key(&(&dom).into(), &keys, flags).await?)
    }

    async fn domain_set_block_io_tune(
        self,
        _: Context,
        dom: Domain,
        disk: Text,
        params: List<TypedParam, IO_TUNE_MAX>,
        flags: u32,
    ) -> Reply<()> {
        let set = DomainParameters::BlockIoTune(disk.to_text());
        Ok(self.set_parameters("virDomainSetBlockIoTune", &dom, set, &params, flags).await?)
    }

    async fn domain_set_numa_parameters(
        self,
        _: Context,
        dom: Domain,
        params: List<TypedParam, PARAMETERS_MAX>,
        flags: u32,
    ) -> Reply<()> {
        let (api, set) = ("virDomainSetNumaParameters", DomainParameters::Numa);
        Ok(self.set_parameters(api, &dom, set, &params, flags).await?)
    }

    async fn domain_set_interface_parameters(
        self,
        _: Context,
        dom: Domain,
        device: Text,
        params: List<TypedParam, PARAMETERS_MAX>,
        flags: u32,
    ) -> Reply<()> {
        let set = DomainParameters::Interface(device.to_text());
        Ok(self
            .set_parameters("virDomainSetInterfaceParameters", &dom, set, &params, flags)
            .await?)
    }

    async fn domain_pin_emulator(
        self,
        _: Context,
        dom: Domain,
        cpumap: Opaque,
        flags: u32,
    ) -> Reply<()> {
        self.permit_save(&dom, flags).await?;
        let (driver, cpus) = (self.tuning("virDomainPinEmulator")?, cpus_of_bits(&cpumap.0));
        let flags = DomainAffectFlags::from_bits_retain(flags);
        Ok(driver.domain_pin_emulator(&(&dom).into(), &cpus, flags).await?)
    }

    async fn domain_set_memory_stats_period(
        self,
        _: Context,
        dom: Domain,
        period: i32,
        flags: u32,
    ) -> Reply<()> {
        self.permit_save(&dom, flags).await?;
        let driver = self.tuning("virDomainSetMemoryStatsPeriod")?;
        let flags = DomainAffectFlags::from_bits_retain(flags);
        Ok(driver.domain_set_memory_stats_period(&(&dom).into(), period, flags).await?)
    }
}

impl DomainDeviceCalls for Calls {
    async fn domain_attach_device(self, _: Context, dom: Domain, xml: Text) -> Reply<()> {
        let (driver, flags) = (self.devices("virDomainAttachDevice")?, DomainDeviceFlags::LIVE);
        Ok(driver.domain_attach_device(&(&dom).into(), &xml.to_text(), flags).await?)
    }

    async fn domain_detach_device(self, _: Context, dom: Domain, xml: Text) -> Reply<()> {
        let (driver, flags) = (self.devices("virDomainDetachDevice")?, DomainDeviceFlags::LIVE);
        Ok(driver.domain_detach_device(&(&dom).into(), &xml.to_text(), flags).await?)
    }

    async fn domain_attach_device_flags(
        self,
        _: Context,
        dom: Domain,
        xml: Text,
        flags: u32,
    ) -> Reply<()> {
        self.permit_save(&dom, flags).await?;
        let flags = DomainDeviceFlags::from_bits_retain(flags);
        let driver = self.devices("virDomainAttachDeviceFlags")?;
        Ok(driver.domain_attach_device(&(&dom).into(), &xml.to_text(), flags).await?)
    }

    async fn domain_detach_device_flags(
        self,
        _: Context,
        dom: Domain,
        xml: Text,
        flags: u32,
    ) -> Reply<()> {
        self.permit_save(&dom, flags).await?;
        let flags = DomainDeviceFlags::from_bits_retain(flags);
        let driver = self.devices("virDomainDetachDeviceFlags")?;
        Ok(driver.domain_detach_device(&(&dom).into(), &xml.to_text(), flags).await?)
    }

    async fn domain_update_device_flags(
        self,
        _: Context,
        dom: Domain,
        xml: Text,
        flags: u32,
    ) -> Reply<()> {
        self.permit_save(&dom, flags).await?;
        let flags = DomainDeviceFlags::from_bits_retain(flags);
        let driver = self.devices("virDomainUpdateDeviceFlags")?;
        Ok(driver.domain_update_device(&(&dom).into(), &xml.to_text(), flags).await?)
    }

    async fn domain_detach_device_alias(
        self,
        _: Context,
        dom: Domain,
        alias: Text,
        flags: u32,
    ) -> Reply<()> {
        self.permit_save(&dom, flags).await?;
        let flags = DomainDeviceFlags::from_bits_retain(flags);
        let driver = self.devices("virDomainDetachDeviceAlias")?;
        Ok(driver.domain_detach_device_alias(&(&dom).into(), &alias.to_text(), flags).await?)
    }
}
