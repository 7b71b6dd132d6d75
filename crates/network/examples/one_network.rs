//! Starts a NAT network below a new directory, shows it, and stops it again.
//!
//! `one_network`, with the privileges to make bridges; try it in `unshare --net`.

use std::error::Error;

use oxivirt::{Connect, CreateFlags, OpenOptions, Registry};
use oxivirt_network::embed::{self, Environment};

const NETWORK: &str = "<network><name>example</name><forward mode='nat'/><bridge name='virbr9'/>
  <ip address='192.168.199.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.199.2' end='192.168.199.99'/></dhcp></ip></network>";

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what the example is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let mut registry = Registry::new();
    let environment = Environment::of_process();
    embed::register(&mut registry, environment);
    let connect = Connect::open(
        &format!("network:///embed?root={}", root.path().display()),
        &registry,
        &OpenOptions::default(),
    )
    .await?;
    let network = connect.network_create_xml(NETWORK, CreateFlags::NONE).await?;
    println!("{}", network.xml_desc(oxivirt::XmlFlags::NONE).await?);
    network.destroy().await?;
    Ok(())
}
