//! The contract between a connection and the API: what belongs to the connection itself, and one
//! driver per object family.
//!
//! A driver implements [`Connection`] and hands out the driver traits of the families it has
//! ([`DomainDriver`], [`HostDriver`], [`NetworkDriver`], [`StorageDriver`]). The other families of libvirt
//! (secrets, node devices, interfaces, network filters) get a trait beside these in [`driver`](crate::driver)
//! and a method beside [`Connection::networks`] with their first implementation; a method with the
//! default `None` changes no existing driver.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

use crate::{
    CloseReason, DomainAgentDriver, DomainDeviceDriver, DomainDriver, DomainStatsDriver,
    DomainTuningDriver, Error, ErrorDomain, HostDriver, NetworkDriver, Result, StorageDriver,
    Version,
};

/// Called when a connection ends without having been closed on this side.
pub type CloseCallback = Box<dyn Fn(CloseReason) + Send + Sync>;

/// libvirt raises the absence of a connection call in the domain of its domain calls.
fn no_connection_call<T>(api: &str) -> Result<T> {
    Err(Error::unsupported(ErrorDomain::DOMAIN, api))
}

/// An open connection of a driver.
///
/// All methods may be called at the same time from any task. Every method but [`Connection::uri`]
/// has a default.
///
/// libvirt: `virConnectPtr` and its table of drivers, src/datatypes.h
#[async_trait]
#[expect(unused_variables, reason = "the defaults answer without looking at their parameters")]
pub trait Connection: Send + Sync + Debug {
    /// The URI of the connection as the driver sees it (`virConnectGetURI`).
    async fn uri(&self) -> Result<String>;

    /// Type of the driver: `network`, `TEST` (`virConnectGetType`).
    async fn driver_type(&self) -> Result<String> {
        no_connection_call("virConnectGetType")
    }

    /// Version of the hypervisor (`virConnectGetVersion`).
    async fn hypervisor_version(&self) -> Result<Version> {
        no_connection_call("virConnectGetVersion")
    }

    /// libvirt release that the driver is compatible with (`virConnectGetLibVersion`).
    async fn lib_version(&self) -> Result<Version> {
        Ok(Version::LIBVIRT)
    }

    /// Name of the host the driver works on (`virConnectGetHostname`).
    async fn hostname(&self) -> Result<String> {
        no_connection_call("virConnectGetHostname")
    }

    /// Whether the connection can still be used (`virConnectIsAlive`).
    async fn is_alive(&self) -> Result<bool> {
        Ok(true)
    }

    /// Whether no other process or host can read the conversation (`virConnectIsSecure`).
    async fn is_secure(&self) -> Result<bool> {
        Ok(true)
    }

    /// Whether the conversation is encrypted (`virConnectIsEncrypted`).
    async fn is_encrypted(&self) -> Result<bool> {
        Ok(false)
    }

    /// Sends a keepalive ping after each `interval` of silence and closes the connection after
    /// `count` unanswered ones; a zero interval stops it (`virConnectSetKeepAlive`).
    async fn set_keepalive(&self, interval: Duration, count: u32) -> Result<()> {
        no_connection_call("virConnectSetKeepAlive")
    }

    /// Calls `callback` when the connection ends without [`Connection::close`]
    /// (`virConnectRegisterCloseCallback`).
    async fn register_close_callback(&self, callback: CloseCallback) -> Result<()> {
        no_connection_call("virConnectRegisterCloseCallback")
    }

    /// Ends the connection; calls after it fail (`virConnectClose`).
    async fn close(&self) -> Result<()> {
        Ok(())
    }

    // ---- families, in the order of libvirt's protocol ----

    /// Calls about the host; `None` if the driver has none.
    fn host(&self) -> Option<&dyn HostDriver> {
        None
    }

    /// Calls about domains; `None` if the driver has none.
    fn domains(&self) -> Option<&dyn DomainDriver> {
        None
    }

    /// Calls about networks and their ports; `None` if the driver has none.
    fn networks(&self) -> Option<&dyn NetworkDriver> {
        None
    }

    /// Calls about storage pools and volumes; `None` if the driver has none.
    fn storage(&self) -> Option<&dyn StorageDriver> {
        None
    }
}

impl dyn Connection + '_ {
    /// The host driver, for a call of the function `api`.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT) in the name of `api` if the
    /// connection has no host driver.
    pub fn host_driver(&self, api: &str) -> Result<&dyn HostDriver> {
        // libvirt keeps host calls in its hypervisor driver
        self.host().ok_or_else(|| Error::unsupported(ErrorDomain::DOMAIN, api))
    }

    /// The domain driver, for a call of the function `api`.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT) in the name of `api` if the
    /// connection has no domain driver.
    pub fn domain_driver(&self, api: &str) -> Result<&dyn DomainDriver> {
        self.domains().ok_or_else(|| Error::unsupported(ErrorDomain::DOMAIN, api))
    }

    /// The driver's calls about figures of domains, for a call of the function `api`.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT) in the name of `api` if it has none.
    pub fn domain_stats_driver(&self, api: &str) -> Result<&dyn DomainStatsDriver> {
        part(self.domain_driver(api)?.statistics(), api)
    }

    /// The driver's calls that the guest agent answers, for a call of the function `api`.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT) in the name of `api` if it has none.
    pub fn domain_agent_driver(&self, api: &str) -> Result<&dyn DomainAgentDriver> {
        part(self.domain_driver(api)?.agent(), api)
    }

    /// The driver's calls that change how a domain runs, for a call of the function `api`.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT) in the name of `api` if it has none.
    pub fn domain_tuning_driver(&self, api: &str) -> Result<&dyn DomainTuningDriver> {
        part(self.domain_driver(api)?.tuning(), api)
    }

    /// The driver's calls about devices of domains, for a call of the function `api`.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT) in the name of `api` if it has none.
    pub fn domain_device_driver(&self, api: &str) -> Result<&dyn DomainDeviceDriver> {
        part(self.domain_driver(api)?.devices(), api)
    }

    /// The network driver, for a call of the function `api`.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT) in the name of `api` if the
    /// connection has no network driver.
    pub fn network_driver(&self, api: &str) -> Result<&dyn NetworkDriver> {
        self.networks().ok_or_else(|| Error::unsupported(ErrorDomain::NETWORK, api))
    }

    /// The storage driver, for a call of the function `api`.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT) in the name of `api` if the
    /// connection has no storage driver.
    pub fn storage_driver(&self, api: &str) -> Result<&dyn StorageDriver> {
        self.storage().ok_or_else(|| Error::unsupported(ErrorDomain::STORAGE, api))
    }
}

fn part<'d, T: ?Sized>(part: Option<&'d T>, api: &str) -> Result<&'d T> {
    part.ok_or_else(|| Error::unsupported(ErrorDomain::DOMAIN, api))
}
