//! Prints when a lease of an hour ends on both clocks: `cargo run -p oxivirt-netserv --example clock`.

use std::time::Duration;

use oxivirt_netserv::Now;

#[expect(clippy::print_stdout, reason = "the output of an example")]
fn main() {
    let now = Now::new(Duration::from_secs(5_000), 1_700_000_000);
    let deadline = now.boot + Duration::from_secs(3600);
    println!("boot {} s, unix {}", deadline.as_secs(), now.unix_of(deadline));
}
