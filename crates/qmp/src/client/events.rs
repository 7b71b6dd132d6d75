//! The queue between the connection and the reader of its events.

use std::collections::VecDeque;
use std::sync::Arc;

use super::shared::Shared;
use crate::event::Event;
use crate::limits::Limits;

/// What the reader of events receives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Incoming {
    /// An event.
    Event(Event),
    /// The reader was too slow and so many events were dropped here: their effects have to be read
    /// with queries.
    Lost(u64),
}

/// The events of a connection, in the order in which QEMU sent them.
///
/// The queue is bounded. A reader that does not read makes events get lost, never replies wait.
#[derive(Debug)]
pub struct Events {
    shared: Arc<Shared>,
}

impl Events {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The next event; `None` after the last one of a connection that has ended. May be dropped and
    /// called again without losing one.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.shared.next_event().await
    }
}

/// Bounded queue with a mark where events were dropped.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Event>,
    bytes: usize,
    /// Dropped after everything in `waiting`.
    lost: u64,
}

impl Queue {
    /// Appends an event, or counts it as lost.
    ///
    /// After the first loss everything counts until the reader has caught up: the mark stands where
    /// the gap is, and the order is kept.
    pub(super) fn push(&mut self, event: Event, limits: &Limits) {
        let weight = event.weight();
        let full = self.waiting.len() >= limits.events
            || self.bytes.saturating_add(weight) > limits.event_bytes;
        if self.lost > 0 || full {
            if self.lost == 0 {
                tracing::warn!(event = event.name, "dropping monitor events: queue is full");
            }
            self.lost = self.lost.saturating_add(1);
            return;
        }
        self.bytes += weight;
        self.waiting.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<Incoming> {
        if let Some(event) = self.waiting.pop_front() {
            self.bytes = self.bytes.saturating_sub(event.weight());
            return Some(Incoming::Event(event));
        }
        let lost = std::mem::take(&mut self.lost);
        (lost > 0).then_some(Incoming::Lost(lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;

    fn event(name: &str) -> Event {
        Event { name: name.to_owned(), data: None, timestamp: Timestamp::default() }
    }

    fn drain(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop())
            .map(|incoming| match incoming {
                Incoming::Event(event) => event.name,
                Incoming::Lost(n) => format!("lost {n}"),
            })
            .collect()
    }

    #[test]
    fn events_beyond_the_bound_are_counted_in_their_place() {
        let limits = Limits { events: 2, ..Limits::default() };
        let mut queue = Queue::default();
        for name in ["A", "B", "C", "D"] {
            queue.push(event(name), &limits);
        }
        assert!(matches!(queue.pop(), Some(Incoming::Event(first)) if first.name == "A"));
        // There is a place again, but E comes after the gap.
        queue.push(event("E"), &limits);
        assert_eq!(drain(&mut queue), ["B", "lost 3"]);
        queue.push(event("F"), &limits);
        assert_eq!(drain(&mut queue), ["F"]);
    }

    #[test]
    fn bytes_are_bounded_as_well() {
        let limits = Limits { event_bytes: 10, ..Limits::default() };
        let mut queue = Queue::default();
        queue.push(event("SIXSIX"), &limits);
        queue.push(event("SEVENTY"), &limits);
        assert_eq!(drain(&mut queue), ["SIXSIX", "lost 1"]);
        queue.push(event("0123456789"), &limits);
        assert_eq!(drain(&mut queue), ["0123456789"]);
        assert_eq!(queue.bytes, 0);
    }
}
