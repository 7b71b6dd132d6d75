//! How much a peer may make this side hold.

/// Bounds on what one connection accepts and keeps.
///
/// QEMU runs with the guest's data and may be taken over by it; the agent is the guest. Neither may
/// exhaust the memory of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message without its line end. libvirt 11.3.0: `QEMU_MONITOR_MAX_RESPONSE`.
    pub message: usize,
    /// How deep arrays and objects of one message may nest. At most 127, where `serde_json` stops.
    pub depth: usize,
    /// Commands that are queued or unanswered at the same time; further calls wait.
    pub in_flight: usize,
    /// Events that wait for their reader.
    pub events: usize,
    /// Bytes of the events that wait for their reader.
    pub event_bytes: usize,
}

impl Limits {
    /// Bounds for a guest agent: 1 MiB for a message.
    #[must_use]
    pub const fn agent() -> Self {
        Self { message: 1 << 20, depth: 32, in_flight: 1, events: 0, event_bytes: 0 }
    }
}

impl Default for Limits {
    /// 10 MiB for a message, 120 levels, 512 commands, 4,096 events of 4 MiB together.
    fn default() -> Self {
        Self { message: 10 << 20, depth: 120, in_flight: 512, events: 4096, event_bytes: 4 << 20 }
    }
}
