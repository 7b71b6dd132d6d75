//! The drivers of a program, and the choice of the one that opens a URI.
//!
//! There is no global list: the program fills a [`Registry`] at start and passes it to
//! [`Connect::open`](crate::Connect::open). So a library never pulls in a driver, and a test can
//! have drivers of its own.

use crate::report::NetworkPlan;
use crate::{Connection, Error, ErrorCode, ErrorDomain, Result, Uri};
use async_trait::async_trait;
use std::{fmt, sync::Arc, time::Duration};

/// Whether a connection may change anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Access {
    /// Every call is allowed.
    #[default]
    ReadWrite,
    /// Calls that change something fail with [`ErrorCode::OPERATION_DENIED`].
    ReadOnly,
}

impl Access {
    /// Checks that the function `api` may change something; `domain` is the one of its family.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] if the access is read-only.
    ///
    /// libvirt: `virCheckReadOnlyGoto`
    pub fn check_change(self, domain: ErrorDomain, api: &str) -> Result<()> {
        match self {
            Self::ReadWrite => Ok(()),
            Self::ReadOnly => {
                let detail = format!("read only access prevents {api}");
                Err(Error::new(ErrorCode::OPERATION_DENIED, domain, detail))
            }
        }
    }
}

/// Kind of a piece of a credential.
///
/// libvirt: `virConnectCredentialType`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialKind {
    /// Name to act as.
    UserName,
    /// Name to prove.
    AuthName,
    /// Password.
    PassPhrase,
    /// Answer that may be shown while it is typed.
    EchoPrompt,
    /// Answer that must not be shown.
    NoEchoPrompt,
}

/// A question that the peer asks the user while a connection is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Kind of the answer.
    pub kind: CredentialKind,
    /// The question, without a colon.
    pub prompt: String,
    /// Answer to take when the user gives none.
    pub default: Option<String>,
}

/// Answers the questions of a peer that authenticates the user.
///
/// libvirt: `virConnectAuthCallbackPtr`
pub trait Authenticator: Send + Sync {
    /// One answer per question, in their order.
    ///
    /// # Errors
    /// [`ErrorCode::AUTH_FAILED`] if a question cannot be answered,
    /// [`ErrorCode::AUTH_CANCELLED`] if the user declines.
    fn answer(&self, questions: &[Credential]) -> Result<Vec<String>>;
}

/// How to open a connection.
#[derive(Clone, Default)]
pub struct OpenOptions {
    /// Whether it may change anything.
    pub access: Access,
    /// Answers questions of the peer; without it, a peer that asks refuses the connection.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// How long a call to a daemon may take, from its start to its answer; it fails with
    /// [`ErrorCode::OPERATION_TIMEOUT`] then, and the daemon may still carry it out. Without a
    /// deadline a call waits as long as the connection lives, as in libvirt.
    pub deadline: Option<Duration>,
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions").field("access", &self.access).finish_non_exhaustive()
    }
}

/// Opens connections of one driver.
#[async_trait]
pub trait DriverOpener: Send + Sync {
    /// Name of the driver, for listings.
    fn name(&self) -> &str;

    /// Whether `uri` is for this driver. Looks at the URI only.
    fn accepts(&self, uri: &Uri) -> bool;

    /// Opens a connection.
    ///
    /// # Errors
    /// The driver cannot serve `uri`; the code says why.
    async fn open(&self, uri: &Uri, options: &OpenOptions) -> Result<Arc<dyn Connection>>;

    /// What [`DriverOpener::open`] would change on the driver's host. Nothing is changed.
    ///
    /// A driver that takes over running networks when it opens has one plan per such network.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver makes no such plans, or the error with which opening
    /// would fail.
    async fn plan_open(&self, _uri: &Uri) -> Result<Vec<NetworkPlan>> {
        Err(Error::unsupported(ErrorDomain::NONE, "oxivirtConnectPlanOpen"))
    }
}

/// The drivers of a program, in order of preference.
#[derive(Default)]
pub struct Registry {
    openers: Vec<Box<dyn DriverOpener>>,
}

impl Registry {
    /// No driver.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a driver after those already registered.
    pub fn register(&mut self, opener: impl DriverOpener + 'static) {
        self.openers.push(Box::new(opener));
    }

    /// Names of the drivers, in order of preference.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.openers.iter().map(|opener| opener.name())
    }

    /// The first driver that accepts `uri`.
    ///
    /// # Errors
    /// [`ErrorCode::NO_CONNECT`] if there is none.
    pub fn opener(&self, uri: &Uri) -> Result<&dyn DriverOpener> {
        match self.openers.iter().find(|opener| opener.accepts(uri)) {
            Some(opener) => Ok(&**opener),
            None => Err(Error::new(ErrorCode::NO_CONNECT, ErrorDomain::NONE, uri.as_str())),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
