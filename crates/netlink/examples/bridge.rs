//! Makes a bridge with an address, lists it, and removes it.
//!
//! `unshare --net cargo run -p oxivirt-netlink --example bridge`: the bridge belongs to the network
//! namespace of the process, and making one needs CAP_NET_ADMIN there.
#![expect(clippy::print_stdout, reason = "printing is what the example is for")]

use std::error::Error;

use oxivirt_netlink::{Bridge, Handle, Stp};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let handle = Handle::open()?;
    let bridge = Bridge {
        name: "example0".parse()?,
        address: [0x52, 0x54, 0, 0, 0, 1],
        stp: Stp::Off,
        forward_delay: 0,
    };
    // Fails if the name is taken, so what is removed below is ours.
    handle.create_bridge(&bridge).await?;
    let link = handle.link(&bridge.name).await?.ok_or("the new bridge has disappeared")?;
    handle.add_address(link.index, &bridge.name, "192.168.199.1/24".parse()?).await?;
    handle.set_up(&bridge.name).await?;

    for link in handle.links().await? {
        let addresses = handle.addresses(link.index).await?;
        println!("{}: {} {:?}, mtu {}, {addresses:?}", link.index, link.name, link.kind, link.mtu);
    }
    handle.delete_link(link.index).await?;
    Ok(())
}
