//! libvirt's error numbers with their messages, and the checked address types.
//!
//! `cargo run -p oxivirt-types --example errors`
#![expect(clippy::print_stdout, reason = "printing is what the example is for")]

use std::error::Error;

use oxivirt_types::error::{ErrorCode, ErrorDomain};
use oxivirt_types::ip;
use oxivirt_types::link_name::LinkName;
use oxivirt_types::mac::MacAddr;

fn main() -> Result<(), Box<dyn Error>> {
    for code in [ErrorCode::NO_DOMAIN, ErrorCode::NO_NETWORK, ErrorCode::OPERATION_DENIED] {
        println!("{code}: {}", code.template().alone);
    }
    println!("domain of the network driver: {}", ErrorDomain::NETWORK);

    let mac: MacAddr = "52:54:00:61:AA:01".parse()?;
    println!("{mac}, multicast: {}", mac.is_multicast());
    println!("prefix of 255.255.252.0: {:?}", ip::netmask_prefix([255, 255, 252, 0].into()));
    // The kernel takes 15 bytes; a longer name is refused when it is read, not when it is used.
    match "a-name-of-20-letters".parse::<LinkName>() {
        Ok(name) => println!("{name}"),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
