//! A connection that is opened again when it has ended by itself.

use std::fmt;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::lock::Mutex;
use futures::stream::{self, BoxStream};

use crate::{
    Connect, EventStream, NetworkEvent, NetworkEventId, NetworkRef, OpenOptions, Registry, Result,
};

/// Opens a connection when it is first needed, and again whenever the last one has been lost.
///
/// It never waits: the program decides whether and when to try again after a failure. A call on a connection
/// that was lost meanwhile may or may not have been carried out; it is not repeated.
///
/// ```
/// # use std::sync::Arc;
/// # use oxivirt::{OpenOptions, Reconnect, Registry, Result};
/// # async fn example(registry: Registry) -> Result<()> {
/// let daemon = Reconnect::new("network:///system", Arc::new(registry), OpenOptions::default());
/// let network = daemon.connect().await?.network_lookup_by_name("default").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Reconnect {
    uri: String,
    registry: Arc<Registry>,
    options: OpenOptions,
    current: Arc<Mutex<Option<Connect>>>,
}

impl fmt::Debug for Reconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl Reconnect {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(uri: impl Into<String>, registry: Arc<Registry>, options: OpenOptions) -> Self {
        Self { uri: uri.into(), registry, options, current: Arc::default() }
    }

    /// The connection, opened if there is none or the last one was lost.
    ///
    /// # Errors
    /// Those of [`Connect::open`].
    pub async fn connect(&self) -> Result<Connect> {
        let mut current = self.current.lock().await;
        if let Some(connect) = &*current
            && connect.is_alive().await.unwrap_or(false)
        {
            return Ok(connect.clone());
        }
        *current = None;
        let connect = Connect::open(&self.uri, &self.registry, &self.options).await?;
        Ok(current.insert(connect).clone())
    }

    /// Events of kind `id`, of one network or of all, over all connections that there will be.
    ///
    /// Events during a loss of the connection are missed: after an error, and at first, the program has to
    /// read the state itself. Each attempt that fails is an item; the next item is the next attempt.
    #[must_use]
    pub fn network_events(
        &self,
        network: Option<NetworkRef>,
        id: NetworkEventId,
    ) -> BoxStream<'static, Result<NetworkEvent>> {
        let start = (self.clone(), None::<EventStream>);
        stream::unfold(start, move |(daemon, events)| {
            let network = network.clone();
            async move {
                let mut events = events;
                loop {
                    let mut open = match events.take() {
                        Some(open) => open,
                        None => match daemon.register(network.as_ref(), id).await {
                            Ok(open) => open,
                            Err(error) => return Some((Err(error), (daemon, None))),
                        },
                    };
                    // It ends with its connection.
                    if let Some(event) = open.next().await {
                        return Some((Ok(event), (daemon, Some(open))));
                    }
                }
            }
        })
        .boxed()
    }

    async fn register(
        &self,
        network: Option<&NetworkRef>,
        id: NetworkEventId,
    ) -> Result<EventStream> {
        let connect = self.connect().await?;
        EventStream::register(Arc::clone(connect.connection()), network, id).await
    }

    /// Ends the connection, if there is one.
    ///
    /// # Errors
    /// Those of [`Connect::close`]; the connection is opened again when needed in either case.
    pub async fn close(&self) -> Result<()> {
        match self.current.lock().await.take() {
            Some(connect) => connect.close().await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CallbackId, Callbacks, Connection, DriverOpener, LifecycleEvent, NetworkDriver,
        NetworkEventCallback, Uri, Uuid,
    };
    use async_trait::async_trait;
    use futures::executor::block_on;
    use std::sync::Mutex as StdMutex;

    /// A daemon whose connections can be cut.
    #[derive(Debug, Default)]
    struct Daemon {
        /// The driver of each connection; `None` once it was cut.
        connections: StdMutex<Vec<Arc<Line>>>,
        is_down: StdMutex<bool>,
    }

    #[derive(Debug, Default)]
    struct Line {
        callbacks: StdMutex<Option<Callbacks<NetworkEvent>>>,
    }

    #[async_trait]
    impl Connection for Line {
        fn networks(&self) -> Option<&dyn NetworkDriver> {
            Some(self)
        }

        async fn uri(&self) -> Result<String> {
            Ok("line:///".to_owned())
        }

        async fn is_alive(&self) -> Result<bool> {
            Ok(self.callbacks.lock().unwrap().is_some())
        }
    }

    #[async_trait]
    impl NetworkDriver for Line {
        async fn network_event_register(
            &self,
            network: Option<&NetworkRef>,
            id: NetworkEventId,
            callback: NetworkEventCallback,
        ) -> Result<CallbackId> {
            let callbacks = self.callbacks.lock().unwrap();
            Ok(callbacks.as_ref().unwrap().register(network.map(|net| net.uuid), id, callback))
        }
    }

    struct Opener(Arc<Daemon>);

    #[async_trait]
    impl DriverOpener for Opener {
        fn name(&self) -> &str {
            "line"
        }

        fn accepts(&self, uri: &Uri) -> bool {
            uri.driver() == "line"
        }

        async fn open(&self, _: &Uri, _: &OpenOptions) -> Result<Arc<dyn Connection>> {
            if *self.0.is_down.lock().unwrap() {
                return Err(crate::Error::no_network("the daemon is down"));
            }
            let line = Arc::new(Line { callbacks: StdMutex::new(Some(Callbacks::new())) });
            self.0.connections.lock().unwrap().push(Arc::clone(&line));
            Ok(line)
        }
    }

    impl Daemon {
        fn n_connections(&self) -> usize {
            self.connections.lock().unwrap().len()
        }

        fn emit(&self, name: &str) {
            let network = NetworkRef { name: name.to_owned(), uuid: Uuid::nil() };
            let event = NetworkEvent::lifecycle(network, LifecycleEvent::Started);
            let lines = self.connections.lock().unwrap();
            let callbacks = lines.last().unwrap().callbacks.lock().unwrap();
            callbacks.as_ref().unwrap().emit(&event);
        }

        fn cut(&self) {
            for line in &*self.connections.lock().unwrap() {
                *line.callbacks.lock().unwrap() = None;
            }
        }
    }

    fn reconnect() -> (Arc<Daemon>, Reconnect) {
        let daemon = Arc::new(Daemon::default());
        let mut registry = Registry::new();
        registry.register(Opener(Arc::clone(&daemon)));
        let reconnect = Reconnect::new("line:///", Arc::new(registry), OpenOptions::default());
        (daemon, reconnect)
    }

    #[test]
    fn a_lost_connection_is_opened_again() {
        let (daemon, reconnect) = reconnect();
        for _ in 0..2 {
            block_on(reconnect.connect()).unwrap();
        }
        assert_eq!(daemon.n_connections(), 1);
        daemon.cut();
        block_on(reconnect.connect()).unwrap();
        assert_eq!(daemon.n_connections(), 2);
    }

    #[test]
    fn events_go_on_after_a_loss() {
        let (daemon, reconnect) = reconnect();
        let mut events = reconnect.network_events(None, NetworkEventId::Lifecycle);
        let mut next = |expect: &str| {
            // registers first: earlier events are not delivered
            let mut item = std::pin::pin!(events.next());
            assert!(block_on(futures::future::poll_immediate(&mut item)).is_none(), "too early");
            daemon.emit(expect);
            let event = block_on(item).unwrap().unwrap();
            assert_eq!(event.network().name, expect);
        };
        next("one");
        next("two");
        daemon.cut();
        next("three");
        daemon.cut();
        *daemon.is_down.lock().unwrap() = true;
        assert!(block_on(events.next()).unwrap().is_err());
        *daemon.is_down.lock().unwrap() = false;
        assert_eq!(daemon.n_connections(), 2);
    }
}
