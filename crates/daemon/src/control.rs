//! What the administration protocol ([`oxivirt_remote::admin`]) can change.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oxivirt::{Error, ErrorCode, ErrorDomain, Result};
use oxivirt_remote::admin::Control;
use oxivirt_rpc::server::Server;
use oxivirt_rpc::server::accept::Encryption;
use tokio::sync::Notify;

use crate::config::TlsConfig;
use crate::listeners::ports;
use crate::log::{Log, LogError};

/// The daemon, as an administrator sees it.
pub(crate) struct Controls {
    /// In the order of their names.
    pub(crate) servers: Vec<Arc<Server>>,
    pub(crate) log: Log,
    /// TLS of the port that has it, and the files its certificates come from.
    pub(crate) encryption: Option<(Arc<Encryption>, TlsConfig)>,
    pub(crate) timeout: Mutex<Option<Duration>>,
    /// Notified when the daemon has to end.
    pub(crate) end: Notify,
}

impl Controls {
    /// After how long without clients and running objects the daemon ends.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        *self.timeout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the certificates again, if a port uses them.
    ///
    /// # Errors
    /// They cannot be used; connections go on with the old ones.
    pub(crate) fn reload_certificates(&self) -> Result<()> {
        let Some((encryption, files)) = &self.encryption else { return Ok(()) };
        let settings =
            ports::settings(files).map_err(|error| internal(oxivirt_sys::chain::text(&error)))?;
        encryption.replace(settings);
        Ok(())
    }
}

fn internal(detail: String) -> Error {
    Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::RPC, detail)
}

fn log_error(error: &LogError) -> Error {
    match error {
        LogError::Open { source, .. } => Error::io(ErrorDomain::NONE, source, error),
        _ => Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NONE, error.to_string()),
    }
}

impl Control for Controls {
    fn servers(&self) -> Vec<Arc<Server>> {
        self.servers.clone()
    }

    fn log_outputs(&self) -> String {
        self.log.outputs()
    }

    fn log_filters(&self) -> String {
        self.log.filters()
    }

    fn set_log_outputs(&self, outputs: &str) -> Result<()> {
        self.log.set_outputs(outputs).map_err(|error| log_error(&error))
    }

    fn set_log_filters(&self, filters: &str) -> Result<()> {
        self.log.set_filters(filters).map_err(|error| log_error(&error))
    }

    fn update_tls(&self, server: &str) -> Result<()> {
        if self.encryption.is_none() || server == "admin" {
            let detail = "no tls service found, unable to update tls files";
            return Err(internal(detail.to_owned()));
        }
        self.reload_certificates()
    }

    fn set_timeout(&self, timeout: Option<Duration>) {
        *self.timeout.lock().unwrap_or_else(PoisonError::into_inner) = timeout;
    }

    fn shut_down(&self) {
        self.end.notify_one();
    }
}
