//! How much one client, and all of them, may have.

use std::time::Duration;

/// Limits of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Calls of it that run at the same time; further ones are not read (`max_client_requests`).
    pub requests: usize,
    /// Bytes of events that wait for it; a client that lets more pile up is dropped.
    pub events: usize,
    /// After so much silence it is asked for a sign of life; `None` never.
    pub keepalive_interval: Option<Duration>,
    /// After so many unanswered questions it is dropped.
    pub keepalive_count: u32,
    /// How long it may take to say who it is.
    pub authentication: Duration,
}

impl Default for ConnectionLimits {
    /// libvirt's defaults; what libvirt does not bound, generously.
    fn default() -> Self {
        Self {
            requests: 5,
            events: 4 * 1024 * 1024,
            keepalive_interval: Some(Duration::from_secs(5)),
            keepalive_count: 5,
            authentication: Duration::from_secs(60),
        }
    }
}

/// Threads that libvirt's daemons have for calls. Here calls are tasks and need none of their own: the numbers
/// are kept so that an administrator reads what was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// At least.
    pub min: u32,
    /// At most.
    pub max: u32,
    /// For calls that may not wait.
    pub priority: u32,
}

impl Default for Workers {
    fn default() -> Self {
        Self { min: 5, max: 20, priority: 5 }
    }
}

/// Limits of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Clients at the same time (`max_clients`).
    pub clients: usize,
    /// Clients that have not said who they are; 0 for any number (`max_anonymous_clients`).
    pub anonymous: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { clients: 5000, anonymous: 20 }
    }
}
