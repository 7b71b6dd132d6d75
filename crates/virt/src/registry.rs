//! Which drivers a program has, and which of them takes a URI.
//!
//! There is no global list: the program fills a [`Registry`] at start and hands it to
//! [`Connect::open`](crate::Connect::open). So a library never pulls in a driver, and a test can
//! have drivers of its own.

use crate::{Error, ErrorCode, ErrorDomain, NetworkDriver, Result, Uri};
use async_trait::async_trait;
use std::{fmt, sync::Arc, time::Duration};

/// Whether a connection may change anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Access {
    /// Every call is allowed.
    #[default]
    ReadWrite,
    /// Calls which change something fail with number 29.
    ReadOnly,
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
    /// Answer which may be seen while it is typed.
    EchoPrompt,
    /// Answer which must not be seen.
    NoEchoPrompt,
}

/// A question to whoever opens the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// What is asked for.
    pub kind: CredentialKind,
    /// The question, without a colon.
    pub prompt: String,
    /// Answer to take when the user gives none.
    pub default: Option<String>,
}

/// Answers the questions of a peer which wants to know who we are.
///
/// libvirt: `virConnectAuthCallbackPtr`
pub trait Authenticator: Send + Sync {
    /// One answer per question, in their order.
    ///
    /// # Errors
    /// Number 45 or 79 if an answer cannot be had.
    fn answer(&self, questions: &[Credential]) -> Result<Vec<String>>;
}

/// How to open a connection.
#[derive(Clone, Default)]
pub struct OpenOptions {
    /// Whether it may change anything.
    pub access: Access,
    /// Who answers questions; without one, a peer which asks refuses us.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// How long a call to a daemon may take, from its start to its answer; it fails with number 68
    /// then, and the daemon may still carry it out. Without one a call waits as long as the
    /// connection lives, as in libvirt.
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
    /// Whatever keeps the driver from serving `uri`.
    async fn open(&self, uri: &Uri, options: &OpenOptions) -> Result<Arc<dyn NetworkDriver>>;
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

    /// Adds a driver after those which are there.
    pub fn register(&mut self, opener: impl DriverOpener + 'static) {
        self.openers.push(Box::new(opener));
    }

    /// Names of the drivers, in order of preference.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.openers.iter().map(|opener| opener.name())
    }

    /// The first driver which takes `uri`.
    ///
    /// # Errors
    /// Number 5 if there is none.
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
