//! Both sides of the packet probes, inside the namespaces.
//!
//! What runs until its input ends: `oxivirt-campaign probe serve ADDRESS…` answers, `occupy ADDRESS:PORT`
//! holds a port, `stream ADDRESS` sends numbered datagrams, `count ADDRESS` counts them, `flood ADDRESS
//! KILOBYTES` sends at the given rate, `resolver accept|refuse` stands in for the host's
//! resolver, `firewalld FILE ZONE… [- POLICY…]` for its firewalld,
//! `polkit FILE ACTION[=NETWORK]…` for its policy. What ends by itself: `ask` reads questions, one a
//! line, and prints what became of them, `meter ADDRESS MILLISECONDS` measures a flood, `dhcp6
//! INTERFACE DUID NAME` asks for an address, `arp DEVICE MAC FROM TO` asks through a macvtap.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::probe::{
    Question, arp, ask, count, dhcp6, firewalld, flood, meter, polkit, resolver, serve, stream,
};

pub(super) fn run(words: &[String]) -> Result<bool> {
    start(words)?;
    Ok(true)
}

fn start(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["serve", ref addresses @ ..] => {
            let addresses = addresses.iter().copied().map(parse);
            serve(&addresses.collect::<Result<Vec<_>>>()?)
        }
        ["occupy", port] => occupy(port),
        ["ask"] => answer(),
        ["stream", to] => stream(parse(to)?),
        ["count", address] => count(parse(address)?),
        ["flood", to, rate] => flood(parse(to)?, parse(rate)?),
        ["meter", address, time] => meter(parse(address)?, Duration::from_millis(parse(time)?)),
        ["dhcp6", interface, duid, name] => dhcp6(interface, &bytes(duid)?, name),
        ["arp", device, mac, from, to] => {
            arp(Path::new(device), &bytes(mac)?, parse(from)?, parse(to)?)
        }
        ["resolver", word] => stand_in(resolver(word == "refuse")),
        ["polkit", calls, ref rules @ ..] => stand_in(polkit(Path::new(calls), rules)),
        ["firewalld", calls, ref names @ ..] => stand_in(firewalld(Path::new(calls), names)),
        _ => Err(Error::Wrong("wrong words; see the program's documentation".into())),
    }
}

fn parse<T: FromStr>(word: &str) -> Result<T> {
    word.parse().map_err(|_| wrong(word))
}

fn wrong(word: &str) -> Error {
    Error::Format { what: "an argument".into(), found: word.into() }
}

/// Reads `00:01:ff`.
fn bytes(text: &str) -> Result<Vec<u8>> {
    text.split(':').map(|byte| u8::from_str_radix(byte, 16).map_err(|_| wrong(text))).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn stand_in(service: impl Future<Output = Result<()>>) -> Result<()> {
    service.await
}

fn occupy(port: &str) -> Result<()> {
    let failed = |source| Error::Run { command: format!("listen on {port}"), source };
    let _listener = std::net::TcpListener::bind(port).map_err(failed)?;
    println!("ready");
    std::io::read_to_string(std::io::stdin()).map_err(failed)?;
    Ok(())
}

fn answer() -> Result<()> {
    let text = std::io::read_to_string(std::io::stdin())
        .map_err(|source| Error::Run { command: "read questions".into(), source })?;
    let questions = text.lines().map(str::parse).collect::<Result<Vec<Question>>>()?;
    for (number, outcome) in ask(&questions) {
        println!("{number} {outcome}");
    }
    Ok(())
}
