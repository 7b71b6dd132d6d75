//! Prints the size of an encoded specification: `cargo run -p oxivirt-netserv-api --example encode`.

use oxivirt_netserv_api::message::{self, Request};
use oxivirt_netserv_api::{Dhcp4Spec, NetworkSpec, Range4};
use uuid::Uuid;

#[expect(clippy::print_stdout, reason = "the output of an example")]
fn main() -> Result<(), message::MessageError> {
    let mut spec = NetworkSpec::new(Uuid::from_u128(1), "virbr0", 7, [0x52, 0x54, 0, 1, 2, 3]);
    let range = Range4 { start: [192, 0, 2, 2].into(), end: [192, 0, 2, 254].into(), lease: None };
    spec.dhcp4 =
        Some(Dhcp4Spec { ranges: vec![range], ..Dhcp4Spec::new([192, 0, 2, 1].into(), 24) });
    let bytes = message::encode(1, &Request::Add(Box::new(spec)))?;
    println!("{} bytes", bytes.len());
    Ok(())
}
