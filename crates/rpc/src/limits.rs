//! Limits of one client and of all clients together.

use std::time::Duration;

/// Limits of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Calls that run at the same time; more are not read (`max_client_requests`).
    pub requests: usize,
    /// Bytes of unread events; a client with more is disconnected.
    pub events: usize,
    /// Silence after which a ping is sent; `None` sends no pings (`keepalive_interval`).
    pub keepalive_interval: Option<Duration>,
    /// Unanswered pings after which the client is disconnected (`keepalive_count`).
    pub keepalive_count: u32,
    /// How long authentication may take.
    pub authentication: Duration,
}

impl Default for ConnectionLimits {
    /// libvirt's defaults, and generous values for what libvirt does not limit.
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

/// Threads that libvirt's daemons have for calls. Calls are tasks here and need no thread each; the numbers are
/// kept for the administration interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// Fewest threads.
    pub min: u32,
    /// Most threads.
    pub max: u32,
    /// Threads for calls of high priority.
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
    /// Clients that are not authenticated; 0 for any number (`max_anonymous_clients`).
    pub anonymous: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { clients: 5000, anonymous: 20 }
    }
}
