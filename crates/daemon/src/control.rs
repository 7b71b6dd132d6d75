//! What an administrator can reach, for [`oxivirt_remote::admin`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oxivirt::{Error, ErrorCode, ErrorDomain, Result};
use oxivirt_remote::admin::Control;
use oxivirt_rpc::server::Server;
use oxivirt_rpc::server::accept::Encryption;
use tokio::sync::Notify;

use crate::config::TlsConfig;
use crate::log::{Log, LogError};
use crate::ports;

/// The daemon, as its administrator sees it.
pub(crate) struct Controls {
    /// By name.
    pub(crate) servers: Vec<Arc<Server>>,
    pub(crate) log: Log,
    /// Encryption of the port that has it, and the files it is made of.
    pub(crate) encryption: Option<(Arc<Encryption>, TlsConfig)>,
    pub(crate) timeout: Mutex<Option<Duration>>,
    /// Told when the daemon is to end.
    pub(crate) end: Notify,
}

impl Controls {
    /// After how long without anything to do the daemon ends.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        *self.timeout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the certificates again, if there are any.
    ///
    /// # Errors
    /// They are wrong; the old ones stay.
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
