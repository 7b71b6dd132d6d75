//! Calls that add, remove and change devices of a domain.

use std::fmt::Debug;

use async_trait::async_trait;
use oxivirt_types::domain::DomainDeviceFlags;

use crate::{DomainRef, Result};

/// The calls about devices of a domain. Each changes the running guest, its stored definition, or both, and
/// the stored definition only if the running guest took the change.
///
/// libvirt: `virHypervisorDriver`, src/driver-hypervisor.h
#[async_trait]
pub trait DomainDeviceDriver: Send + Sync + Debug {
    /// Adds a device (`virDomainAttachDeviceFlags`).
    async fn domain_attach_device(
        &self,
        domain: &DomainRef,
        xml: &str,
        flags: DomainDeviceFlags,
    ) -> Result<()>;

    /// Removes the device that `xml` identifies (`virDomainDetachDeviceFlags`). A guest may keep a device: then
    /// the call succeeds and the device goes later, or never.
    async fn domain_detach_device(
        &self,
        domain: &DomainRef,
        xml: &str,
        flags: DomainDeviceFlags,
    ) -> Result<()>;

    /// Removes the device with this alias (`virDomainDetachDeviceAlias`).
    async fn domain_detach_device_alias(
        &self,
        domain: &DomainRef,
        alias: &str,
        flags: DomainDeviceFlags,
    ) -> Result<()>;

    /// Changes the device that `xml` identifies to be as `xml` says (`virDomainUpdateDeviceFlags`).
    async fn domain_update_device(
        &self,
        domain: &DomainRef,
        xml: &str,
        flags: DomainDeviceFlags,
    ) -> Result<()>;
}
