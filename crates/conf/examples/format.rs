//! Prints a network, port or status document as libvirt would.
//!
//! `cargo run -p oxivirt-conf --example format -- network < default.xml` reads standard input;
//! without an argument the program formats the network below.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its terminal")]

use std::io::Read as _;
use std::process::ExitCode;

use oxivirt_conf::network::{Counters, Form, NetworkDef};
use oxivirt_conf::port::NetworkPortDef;
use oxivirt_conf::status::NetworkStatus;
use oxivirt_conf::{Classified as _, ParseError};

const NETWORK: &str = "<network><name>example</name><forward mode='nat'/>
  <ip address='192.168.199.1' prefix='24'><dhcp>
    <range start='192.168.199.2' end='192.168.199.99'/></dhcp></ip></network>";

fn format(kind: &str, text: &str) -> Option<Result<String, ParseError>> {
    Some(match kind {
        "network" => NetworkDef::parse(text).map(|def| def.format(Form::LIVE)),
        "network-inactive" => NetworkDef::parse(text).map(|def| def.format(Form::Inactive)),
        "port" => NetworkPortDef::parse(text).map(|port| port.format()),
        "status" => NetworkStatus::parse(text).map(|status| status.format(Counters::NONE)),
        _ => return None,
    })
}

fn main() -> ExitCode {
    let kind = std::env::args().nth(1);
    let mut text = String::from(NETWORK);
    if kind.is_some() {
        text.clear();
        if let Err(error) = std::io::stdin().read_to_string(&mut text) {
            eprintln!("cannot read standard input: {error}");
            return ExitCode::FAILURE;
        }
    }
    match format(kind.as_deref().unwrap_or("network"), &text) {
        Some(Ok(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Some(Err(error)) => {
            eprintln!("error {} (domain {}): {error}", error.code().0, error.domain().0);
            ExitCode::FAILURE
        }
        None => {
            eprintln!("usage: format network|network-inactive|port|status < document");
            ExitCode::FAILURE
        }
    }
}
