//! Calls that change how a domain runs, and act in the place of its keyboard and screen.

use std::fmt::Debug;

use async_trait::async_trait;
use oxivirt_types::domain::{DomainAffectFlags, DomainMemoryFlags, DomainVcpuFlags};

use crate::{DomainParameters, DomainRef, DomainStream, Result, TypedParam};

/// Keys that are pressed together (`virDomainSendKey`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainKeys {
    /// What the codes mean (`virKeycodeSet`): 0 linux, 1 xt, 2 atset1, 3 atset2, 4 atset3, 5 osx, 6 `xt_kbd`,
    /// 7 usb, 8 win32, 9 qnum.
    pub codeset: u32,
    /// Milliseconds until they are released; 0 leaves it to the hypervisor.
    pub hold_ms: u32,
    /// The codes, at most 16.
    pub codes: Vec<u32>,
}

/// A picture of a screen.
#[derive(Debug)]
pub struct DomainScreenshot {
    /// Its format, `image/png` for example.
    pub mime: String,
    /// Its bytes.
    pub stream: Box<dyn DomainStream>,
}

/// The calls that change how a domain runs.
///
/// libvirt: `virHypervisorDriver`, src/driver-hypervisor.h
#[async_trait]
pub trait DomainTuningDriver: Send + Sync + Debug {
    /// Sets its memory in KiB (`virDomainSetMemoryFlags`).
    async fn domain_set_memory(
        &self,
        domain: &DomainRef,
        kib: u64,
        flags: DomainMemoryFlags,
    ) -> Result<()>;

    /// Lets the guest report its memory every `seconds`, never for 0 (`virDomainSetMemoryStatsPeriod`).
    async fn domain_set_memory_stats_period(
        &self,
        domain: &DomainRef,
        seconds: i32,
        flags: DomainAffectFlags,
    ) -> Result<()>;

    /// Sets the number of its virtual CPUs (`virDomainSetVcpusFlags`).
    async fn domain_set_vcpus(
        &self,
        domain: &DomainRef,
        count: u32,
        flags: DomainVcpuFlags,
    ) -> Result<()>;

    /// Binds a virtual CPU to processors of the host: one entry for each, whether it may run there
    /// (`virDomainPinVcpuFlags`).
    async fn domain_pin_vcpu(
        &self,
        domain: &DomainRef,
        vcpu: u32,
        cpus: &[bool],
        flags: DomainAffectFlags,
    ) -> Result<()>;

    /// Binds the emulator's other threads to processors of the host (`virDomainPinEmulator`).
    async fn domain_pin_emulator(
        &self,
        domain: &DomainRef,
        cpus: &[bool],
        flags: DomainAffectFlags,
    ) -> Result<()>;

    /// Changes parameters of a set; those that are not named stay.
    async fn domain_set_parameters(
        &self,
        domain: &DomainRef,
        set: &DomainParameters,
        params: &[TypedParam],
        flags: DomainAffectFlags,
    ) -> Result<()>;

    /// Presses keys; `flags` must be 0 (`virDomainSendKey`).
    async fn domain_send_key(
        &self,
        domain: &DomainRef,
        keys: &DomainKeys,
        flags: u32,
    ) -> Result<()>;

    /// Sends a non-maskable interrupt; `flags` must be 0 (`virDomainInjectNMI`).
    async fn domain_inject_nmi(&self, domain: &DomainRef, flags: u32) -> Result<()>;

    /// A picture of a screen, numbered from 0; `flags` must be 0 (`virDomainScreenshot`).
    async fn domain_screenshot(
        &self,
        domain: &DomainRef,
        screen: u32,
        flags: u32,
    ) -> Result<DomainScreenshot>;

    /// The emulator's answer to a command of its monitor; flag 1 is a command for people
    /// (`virDomainQemuMonitorCommand`).
    async fn domain_monitor_command(
        &self,
        domain: &DomainRef,
        command: &str,
        flags: u32,
    ) -> Result<String>;
}
