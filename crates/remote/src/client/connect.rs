//! Calls about the connection.

use std::time::Duration;

use async_trait::async_trait;
use oxivirt::{
    CloseCallback, CloseReason, Connection, DomainDriver, Error, ErrorCode, ErrorDomain,
    HostDriver, NetworkDriver, Result, StorageDriver, Version,
};
use oxivirt_rpc::client::Reason;

use super::{RemoteDriver, Secrecy};

#[async_trait]
impl Connection for RemoteDriver {
    async fn uri(&self) -> Result<String> {
        Ok(self.uri.clone())
    }

    async fn driver_type(&self) -> Result<String> {
        Ok(self.ask(self.connect.connect_get_type(self.context())).await?.to_text())
    }

    async fn hypervisor_version(&self) -> Result<Version> {
        let number = self.ask(self.connect.connect_get_version(self.context())).await?;
        Ok(Version::from_number(number))
    }

    async fn lib_version(&self) -> Result<Version> {
        let number = self.ask(self.connect.connect_get_lib_version(self.context())).await?;
        Ok(Version::from_number(number))
    }

    async fn hostname(&self) -> Result<String> {
        Ok(self.ask(self.connect.connect_get_hostname(self.context())).await?.to_text())
    }

    async fn is_alive(&self) -> Result<bool> {
        Ok(self.outgoing.ended().is_none())
    }

    async fn is_secure(&self) -> Result<bool> {
        if self.secrecy == Secrecy::None {
            return Ok(false);
        }
        Ok(self.ask(self.connect.connect_is_secure(self.context())).await? != 0)
    }

    async fn is_encrypted(&self) -> Result<bool> {
        Ok(self.secrecy == Secrecy::Encrypted)
    }

    async fn set_keepalive(&self, interval: Duration, count: u32) -> Result<()> {
        if !self.keepalive {
            let detail = "the caller doesn't support keepalive protocol; perhaps it's missing event \
                          loop implementation";
            return Err(Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::REMOTE, detail));
        }
        self.outgoing.keepalive(interval, count);
        Ok(())
    }

    async fn register_close_callback(&self, callback: CloseCallback) -> Result<()> {
        // an old daemon does not know the call; the end of its connection is noticed all the same
        drop(self.ask(self.connect.connect_register_close_callback(self.context())).await);
        let outgoing = self.outgoing.clone();
        drop(tokio::spawn(async move {
            callback(match outgoing.end().await {
                Reason::EndOfFile => CloseReason::EndOfFile,
                Reason::Silent => CloseReason::KeepAlive,
                Reason::Error => CloseReason::Error,
                // closing it here is not reported
                Reason::Closed => return,
            });
        }));
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.outgoing.leave();
        let closed = self.ask(self.connect.connect_close(self.context())).await;
        self.outgoing.close();
        closed
    }

    fn host(&self) -> Option<&dyn HostDriver> {
        Some(self)
    }

    fn domains(&self) -> Option<&dyn DomainDriver> {
        Some(self)
    }

    fn networks(&self) -> Option<&dyn NetworkDriver> {
        Some(self)
    }

    fn storage(&self) -> Option<&dyn StorageDriver> {
        Some(self)
    }
}
