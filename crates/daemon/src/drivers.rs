//! The drivers behind the daemon, seen as one connection.
//!
//! A driver implements [`Driver`] in a module of its own and has an [`Entry`], which a
//! [`Profile`](crate::profile::Profile) lists. Nothing else of the daemon knows which drivers there are.

mod network;
mod qemu;
mod storage;

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use oxivirt::{
    CloseCallback, Connection, DomainDriver, Error, ErrorDomain, HostDriver, NetworkDriver, Result,
    StorageDriver, Version,
};
use prometheus::proto::MetricFamily;

use crate::paths::Paths;

/// The driver of networks.
pub(crate) const NETWORK: Entry =
    Entry { name: "network", open: |paths, _| Box::pin(network::open(paths)) };

/// The driver of storage pools.
pub(crate) const STORAGE: Entry =
    Entry { name: "storage", open: |paths, _| Box::pin(storage::open(paths)) };

/// The driver of QEMU guests.
pub(crate) const QEMU: Entry =
    Entry { name: "QEMU", open: |paths, networks| Box::pin(qemu::open(paths, networks)) };

/// How a driver is opened.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its name in messages.
    pub(crate) name: &'static str,
    /// Opens it, with the networks of a driver that was opened before it.
    pub(crate) open: for<'a> fn(&'a Paths, Option<Networks>) -> Opening<'a>,
}

impl Entry {
    /// Whether a configuration means it by `name`.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// A driver of networks that other drivers use.
pub(crate) type Networks = Arc<dyn NetworkDriver>;

/// A driver that is being opened.
pub(crate) type Opening<'a> =
    Pin<Box<dyn Future<Output = std::result::Result<Box<dyn Driver>, OpenError>> + Send + 'a>>;

/// Why a driver did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum OpenError {
    /// The driver refused.
    #[error(transparent)]
    Driver(#[from] Error),
    /// The kernel's interfaces cannot be used.
    #[error("cannot open the kernel's network interfaces")]
    Host(#[from] oxivirt_network::apply::HostError),
}

/// What the daemon asks of a driver, besides the calls of clients.
#[async_trait]
pub(crate) trait Driver: Send + Sync + Debug {
    /// The driver as clients see it.
    fn connection(&self) -> &dyn Connection;

    /// The networks that drivers opened after this one can use.
    fn networks(&self) -> Option<Networks> {
        None
    }

    /// Reads definitions from disk again and checks what runs.
    ///
    /// # Errors
    /// The driver's own; what runs goes on.
    async fn reload(&self) -> Result<()>;

    /// Whether something runs that the daemon has to stay for, although no client is connected.
    async fn is_active(&self) -> bool;

    /// Its metrics at this moment.
    async fn metrics(&self) -> Vec<MetricFamily>;
}

/// The open drivers. Each answers the calls of its families, the first one calls about the connection.
#[derive(Debug)]
pub(crate) struct Drivers(Vec<(&'static str, Arc<dyn Driver>)>);

impl Drivers {
    /// Opens drivers in order.
    ///
    /// # Errors
    /// The name of the first that does not open, and why; those opened before it are closed.
    pub(crate) async fn open(
        entries: impl IntoIterator<Item = &Entry>,
        paths: &Paths,
    ) -> std::result::Result<Self, (&'static str, OpenError)> {
        let mut drivers: Vec<(&'static str, Arc<dyn Driver>)> = Vec::new();
        for Entry { name, open } in entries {
            let networks = drivers.iter().find_map(|(_, driver)| driver.networks());
            let driver = open(paths, networks).await.map_err(|error| (*name, error))?;
            drivers.push((name, Arc::from(driver)));
        }
        Ok(Self(drivers))
    }

    /// The same drivers, with that of this name first; `None` if it is not open.
    pub(crate) fn led_by(&self, name: &str) -> Option<Self> {
        let first = self.0.iter().position(|(own, _)| *own == name)?;
        let mut drivers = self.0.clone();
        drivers.swap(0, first);
        Some(Self(drivers))
    }

    /// Reloads every driver, also after one has failed.
    pub(crate) async fn reload(&self) {
        for (_, driver) in &self.0 {
            if let Err(error) = driver.reload().await {
                tracing::error!(%error, "cannot reload driver: objects that changed on disk are not seen");
            }
        }
    }

    /// Whether a driver has something that runs.
    pub(crate) async fn is_active(&self) -> bool {
        for (_, driver) in &self.0 {
            if driver.is_active().await {
                return true;
            }
        }
        false
    }

    /// The metrics of all drivers.
    pub(crate) async fn metrics(&self) -> Vec<MetricFamily> {
        let mut families = Vec::new();
        for (_, driver) in &self.0 {
            families.extend(driver.metrics().await);
        }
        families
    }

    fn connections(&self) -> impl Iterator<Item = &dyn Connection> {
        self.0.iter().map(|(_, driver)| driver.connection())
    }

    fn first(&self, api: &str) -> Result<&dyn Connection> {
        self.connections().next().ok_or_else(|| Error::unsupported(ErrorDomain::DOMAIN, api))
    }
}

#[async_trait]
impl Connection for Drivers {
    async fn uri(&self) -> Result<String> {
        self.first("virConnectGetURI")?.uri().await
    }

    async fn driver_type(&self) -> Result<String> {
        self.first("virConnectGetType")?.driver_type().await
    }

    async fn hypervisor_version(&self) -> Result<Version> {
        self.first("virConnectGetVersion")?.hypervisor_version().await
    }

    async fn lib_version(&self) -> Result<Version> {
        self.first("virConnectGetLibVersion")?.lib_version().await
    }

    async fn hostname(&self) -> Result<String> {
        self.first("virConnectGetHostname")?.hostname().await
    }

    async fn is_alive(&self) -> Result<bool> {
        self.first("virConnectIsAlive")?.is_alive().await
    }

    async fn is_secure(&self) -> Result<bool> {
        self.first("virConnectIsSecure")?.is_secure().await
    }

    async fn is_encrypted(&self) -> Result<bool> {
        self.first("virConnectIsEncrypted")?.is_encrypted().await
    }

    async fn set_keepalive(&self, interval: Duration, count: u32) -> Result<()> {
        self.first("virConnectSetKeepAlive")?.set_keepalive(interval, count).await
    }

    async fn register_close_callback(&self, callback: CloseCallback) -> Result<()> {
        self.first("virConnectRegisterCloseCallback")?.register_close_callback(callback).await
    }

    async fn close(&self) -> Result<()> {
        self.first("virConnectClose")?.close().await
    }

    fn host(&self) -> Option<&dyn HostDriver> {
        self.connections().find_map(Connection::host)
    }

    fn domains(&self) -> Option<&dyn DomainDriver> {
        self.connections().find_map(Connection::domains)
    }

    fn networks(&self) -> Option<&dyn NetworkDriver> {
        self.connections().find_map(Connection::networks)
    }

    fn storage(&self) -> Option<&dyn StorageDriver> {
        self.connections().find_map(Connection::storage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A driver of nothing, under a name.
    #[derive(Debug)]
    struct Named(&'static str);

    #[async_trait]
    impl Connection for Named {
        async fn uri(&self) -> Result<String> {
            Ok(self.0.to_owned())
        }
    }

    #[async_trait]
    impl Driver for Named {
        fn connection(&self) -> &dyn Connection {
            self
        }

        async fn reload(&self) -> Result<()> {
            Ok(())
        }

        async fn is_active(&self) -> bool {
            self.0 == "busy"
        }

        async fn metrics(&self) -> Vec<MetricFamily> {
            vec![MetricFamily::default()]
        }
    }

    const IDLE: Entry =
        Entry { name: "idle", open: |_, _| Box::pin(async { Ok(Box::new(Named("idle")) as _) }) };
    const BUSY: Entry =
        Entry { name: "busy", open: |_, _| Box::pin(async { Ok(Box::new(Named("busy")) as _) }) };
    const BROKEN: Entry = Entry {
        name: "broken",
        open: |_, _| Box::pin(async { Err(OpenError::Driver(Error::internal("no"))) }),
    };

    #[tokio::test]
    async fn several_drivers_are_one_connection() {
        let paths = Paths::system("x", std::path::Path::new("/"));
        let drivers = Drivers::open(&[IDLE, BUSY], &paths).await.unwrap();
        assert_eq!(drivers.uri().await.unwrap(), "idle");
        assert!(drivers.is_active().await);
        assert_eq!(drivers.metrics().await.len(), 2);
        assert!(drivers.networks().is_none());
        assert_eq!(drivers.led_by("busy").unwrap().uri().await.unwrap(), "busy");
        assert!(drivers.led_by("other").is_none());
        let (name, _) = Drivers::open(&[IDLE, BROKEN], &paths).await.unwrap_err();
        assert_eq!(name, "broken");
    }
}
