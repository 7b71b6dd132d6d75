//! A driver that answers two calls; every other call fails with "not supported".

use std::error::Error;
use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use oxivirt::{
    Connect, Connection, DriverOpener, ListFlags, NetworkDriver, NetworkRef, OpenOptions, Registry,
    Result, Uri, Uuid,
};

#[derive(Debug)]
struct OneNetwork;

#[async_trait]
impl Connection for OneNetwork {
    async fn uri(&self) -> Result<String> {
        Ok("one:///".to_owned())
    }

    fn networks(&self) -> Option<&dyn NetworkDriver> {
        Some(self)
    }
}

#[async_trait]
impl NetworkDriver for OneNetwork {
    async fn list_all_networks(&self, _: ListFlags) -> Result<Vec<NetworkRef>> {
        Ok(vec![NetworkRef { name: "the only one".to_owned(), uuid: Uuid::from_u128(1) }])
    }
}

struct Opener;

#[async_trait]
impl DriverOpener for Opener {
    fn name(&self) -> &str {
        "one"
    }

    fn accepts(&self, uri: &Uri) -> bool {
        uri.driver() == "one"
    }

    async fn open(&self, _: &Uri, _: &OpenOptions) -> Result<Arc<dyn Connection>> {
        Ok(Arc::new(OneNetwork))
    }
}

#[expect(clippy::print_stdout, reason = "printing is what the example is for")]
fn main() -> std::result::Result<(), Box<dyn Error>> {
    let mut registry = Registry::new();
    registry.register(Opener);
    // this driver never waits, so no runtime is needed
    let mut example = pin!(async {
        let connect = Connect::builder(&registry).open("one:///").await?;
        for network in connect.list_all_networks(ListFlags::NONE).await? {
            println!("{}", network.name());
            if let Err(error) = network.start().await {
                println!("{error}");
            }
        }
        Ok::<(), oxivirt::Error>(())
    });
    match example.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Ok(result?),
        Poll::Pending => Err("the driver waited".into()),
    }
}
