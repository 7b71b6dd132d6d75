//! Calls about the connection.

use std::sync::atomic::Ordering;

use oxivirt::{Error, ErrorCode, ErrorDomain, Version};
use oxivirt_rpc::xdr::{List, Text};
use tarpc::context::Context;

use super::Calls;
use super::session::{Identity, not_open};
use crate::protocol::Reply;
use crate::protocol::connect::ConnectCalls;
use crate::wire::{IDENTITY_MAX, RemoteError, SaslData, SaslStep, TypedParam, text};

/// Features that a client may ask for, with libvirt's numbers (`virDrvFeature`).
mod feature {
    pub(super) const FD_PASSING: i32 = 8;
    pub(super) const TYPED_PARAM_STRING: i32 = 9;
    pub(super) const KEEPALIVE: i32 = 10;
    pub(super) const XML_MIGRATABLE: i32 = 11;
    pub(super) const EVENT_CALLBACK: i32 = 14;
    pub(super) const CLOSE_CALLBACK: i32 = 15;
    pub(super) const NETWORK_UPDATE_ORDER: i32 = 16;
}

impl ConnectCalls for Calls {
    async fn connect_open(self, _: Context, name: Option<Text>, flags: u32) -> Reply<()> {
        Ok(self.session.open(text(name.as_ref()).as_deref(), flags)?)
    }

    async fn connect_close(self, _: Context) -> Reply<()> {
        self.closes.store(true, Ordering::Relaxed);
        self.session.close().await;
        Ok(())
    }

    async fn connect_get_type(self, _: Context) -> Reply<Text> {
        Ok(self.connection()?.driver_type().await?.into())
    }

    async fn connect_get_version(self, _: Context) -> Reply<u64> {
        Ok(self.connection()?.hypervisor_version().await?.number())
    }

    async fn connect_get_hostname(self, _: Context) -> Reply<Text> {
        Ok(self.connection()?.hostname().await?.into())
    }

    async fn connect_supports_feature(self, _: Context, feature: i32) -> Reply<i32> {
        if feature == feature::KEEPALIVE {
            self.session.client.start_keepalive();
            return Ok(1);
        }
        if !self.session.has_host() {
            return Err(not_open("hypervisor connection not open").into());
        }
        if feature == feature::XML_MIGRATABLE {
            return Ok(i32::from(self.has_domains()));
        }
        Ok(i32::from(matches!(
            feature,
            feature::FD_PASSING
                | feature::TYPED_PARAM_STRING
                | feature::EVENT_CALLBACK
                | feature::CLOSE_CALLBACK
                | feature::NETWORK_UPDATE_ORDER
        )))
    }

    async fn auth_list(self, _: Context) -> Reply<List<i32, 20>> {
        Ok(List(vec![self.session.authentications().number()]))
    }

    async fn auth_sasl_init(self, _: Context) -> Reply<Text> {
        Err(no_sasl())
    }

    async fn auth_sasl_start(self, _: Context, _: Text, _: i32, _: SaslData) -> Reply<SaslStep> {
        Err(no_sasl())
    }

    async fn auth_sasl_step(self, _: Context, _: i32, _: SaslData) -> Reply<SaslStep> {
        Err(no_sasl())
    }

    async fn auth_polkit(self, _: Context) -> Reply<i32> {
        self.session.authenticate_by_policy().await?;
        Ok(1)
    }

    async fn connect_get_uri(self, _: Context) -> Reply<Text> {
        let uri = self.session.uri();
        Ok(uri.ok_or_else(|| not_open("hypervisor connection not open"))?.into())
    }

    async fn connect_is_secure(self, _: Context) -> Reply<i32> {
        Ok(i32::from(self.session.client.peer.is_secure()))
    }

    async fn connect_get_lib_version(self, _: Context) -> Reply<u64> {
        Ok(Version::LIBVIRT.number())
    }

    async fn connect_register_close_callback(self, _: Context) -> Reply<()> {
        Ok(())
    }

    async fn connect_unregister_close_callback(self, _: Context) -> Reply<()> {
        Ok(())
    }

    async fn connect_set_identity(
        self,
        _: Context,
        params: List<TypedParam, IDENTITY_MAX>,
        flags: u32,
    ) -> Reply<()> {
        if flags != 0 {
            let function = "virConnectSetIdentity";
            return Err(Error::unsupported_flags(ErrorDomain::NONE, flags, function).into());
        }
        self.session.set_identity(Identity::from_params(params.0)?);
        Ok(())
    }
}

/// SASL is not offered on any socket.
fn no_sasl() -> RemoteError {
    Error::bare(ErrorCode::AUTH_FAILED, ErrorDomain::RPC).into()
}
