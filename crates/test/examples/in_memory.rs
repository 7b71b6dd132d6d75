//! Lists the networks of `test:///default`, without privileges and without touching the host.

use std::error::Error;

use oxivirt::{Connect, ListFlags, OpenOptions, Registry};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "printing is what the example is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut registry = Registry::new();
    oxivirt_test::register(&mut registry);
    let connect = Connect::open("test:///default", &registry, &OpenOptions::default()).await?;
    for network in connect.list_all_networks(ListFlags::NONE).await? {
        println!("{} {}", network.name(), network.uuid());
    }
    Ok(())
}
