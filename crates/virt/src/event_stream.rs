//! Events as a stream, beside callbacks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};

use crate::{CallbackId, Connection, NetworkEvent, NetworkEventId, NetworkRef, Result};

/// The events of one registration, in the order in which they happened.
///
/// It ends with the connection. Events are queued without limit until they are taken. Dropping the
/// stream discards further events; the driver removes the registration at [`EventStream::end`], else when
/// the connection is closed.
#[derive(Debug)]
pub struct EventStream {
    connection: Arc<dyn Connection>,
    id: CallbackId,
    events: UnboundedReceiver<NetworkEvent>,
}

impl EventStream {
    /// Registers for events of kind `id`, of one network or of all.
    pub(crate) async fn register(
        connection: Arc<dyn Connection>,
        network: Option<&NetworkRef>,
        id: NetworkEventId,
    ) -> Result<Self> {
        let (sender, events) = unbounded();
        // sending fails once the stream is dropped, and then the event has no receiver
        let callback =
            Box::new(move |event: &NetworkEvent| drop(sender.unbounded_send(event.clone())));
        let driver = connection.network_driver("virConnectNetworkEventRegisterAny")?;
        let id = driver.network_event_register(network, id, callback).await?;
        Ok(Self { connection, id, events })
    }

    /// Removes the registration.
    ///
    /// # Errors
    /// [`ErrorCode::INTERNAL_ERROR`](crate::ErrorCode::INTERNAL_ERROR) if the connection has ended.
    pub async fn end(self) -> Result<()> {
        let driver = self.connection.network_driver("virConnectNetworkEventDeregisterAny")?;
        driver.network_event_deregister(self.id).await
    }
}

impl Stream for EventStream {
    type Item = NetworkEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<NetworkEvent>> {
        Pin::new(&mut self.events).poll_next(cx)
    }
}
