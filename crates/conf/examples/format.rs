//! Reads a network, port or status document from standard input and prints it as libvirt would.
//!
//! `cargo run -p oxivirt-conf --example format -- network < default.xml`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its terminal")]

use std::io::Read as _;
use std::process::ExitCode;

use oxivirt_conf::ParseError;
use oxivirt_conf::network::{Counters, Form, NetworkDef};
use oxivirt_conf::port::NetworkPortDef;
use oxivirt_conf::status::NetworkStatus;

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
    let kind = std::env::args().nth(1).unwrap_or_else(|| String::from("network"));
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        eprintln!("cannot read standard input: {error}");
        return ExitCode::FAILURE;
    }
    match format(&kind, &text) {
        Some(Ok(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Some(Err(error)) => {
            eprintln!(
                "error {} (domain {}): {error}",
                error.code().number(),
                error.domain().number()
            );
            ExitCode::FAILURE
        }
        None => {
            eprintln!("usage: format network|network-inactive|port|status < document");
            ExitCode::FAILURE
        }
    }
}
