//! Events as a stream, beside callbacks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};

use crate::{CallbackId, Event, EventId, NetworkDriver, NetworkRef, Result};

/// The events of one registration, in the order in which they happened.
///
/// It ends with the connection. Events wait in memory until they are taken, however many. Whoever drops the
/// stream hears nothing more; the driver forgets the registration at [`EventStream::end`], else when the
/// connection is closed.
#[derive(Debug)]
pub struct EventStream {
    driver: Arc<dyn NetworkDriver>,
    id: CallbackId,
    events: UnboundedReceiver<Event>,
}

impl EventStream {
    /// Registers for events of kind `id`, of one network or of all.
    pub(crate) async fn register(
        driver: Arc<dyn NetworkDriver>,
        network: Option<&NetworkRef>,
        id: EventId,
    ) -> Result<Self> {
        let (sender, events) = unbounded();
        // Nobody takes them any more: there is no loss in losing them.
        let callback = Box::new(move |event: &Event| drop(sender.unbounded_send(event.clone())));
        let id = driver.network_event_register(network, id, callback).await?;
        Ok(Self { driver, id, events })
    }

    /// Forgets the registration.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn end(self) -> Result<()> {
        self.driver.network_event_deregister(self.id).await
    }
}

impl Stream for EventStream {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        Pin::new(&mut self.events).poll_next(cx)
    }
}
