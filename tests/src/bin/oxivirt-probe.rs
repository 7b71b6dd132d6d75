//! Both sides of the packet probes, inside the namespaces.
//!
//! `oxivirt-probe serve ADDRESS…` answers until its input ends, `oxivirt-probe occupy ADDRESS:PORT`
//! holds a port that long; `oxivirt-probe ask` reads questions,
//! one a line, and prints what became of them.

use std::process::ExitCode;

use oxivirt_tests::error::{Error, Result};
use oxivirt_tests::probe::{Question, ask, serve};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oxivirt-probe: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((verb, addresses)) if verb == "serve" => {
            let addresses = addresses
                .iter()
                .map(|text| {
                    text.parse().map_err(|_| Error::Format {
                        what: "an address".into(),
                        found: text.clone(),
                    })
                })
                .collect::<Result<Vec<_>>>()?;
            serve(&addresses)
        }
        Some((verb, [port])) if verb == "occupy" => {
            let failed = |source| Error::Run { command: format!("listen on {port}"), source };
            let _listener = std::net::TcpListener::bind(port).map_err(failed)?;
            println!("ready");
            std::io::read_to_string(std::io::stdin()).map_err(failed)?;
            Ok(())
        }
        Some((verb, [])) if verb == "ask" => {
            let text = std::io::read_to_string(std::io::stdin())
                .map_err(|source| Error::Run { command: "read questions".into(), source })?;
            let questions = text.lines().map(str::parse).collect::<Result<Vec<Question>>>()?;
            for (number, outcome) in ask(&questions) {
                println!("{number} {outcome}");
            }
            Ok(())
        }
        _ => Err(Error::Wrong(
            "usage: oxivirt-probe serve ADDRESS… | occupy ADDRESS:PORT | ask".into(),
        )),
    }
}
