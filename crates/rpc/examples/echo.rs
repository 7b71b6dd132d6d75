//! A program with one procedure that returns its argument: server and client in one process.
//!
//! `cargo run -p oxivirt-rpc --example echo`
#![expect(clippy::print_stdout, reason = "printing is what the example is for")]

use std::error::Error;

use oxivirt_rpc::frame::{self, Header, Kind, Packet, STATUS_OK};
use oxivirt_rpc::identity::Peer;
use oxivirt_rpc::limits::{ConnectionLimits, ServerLimits, Workers};
use oxivirt_rpc::server::client::Admission;
use oxivirt_rpc::server::{Server, Service, Step, Then, connection};
use oxivirt_rpc::{client, xdr};

/// Number of the program; those of libvirt begin with 0x2000.
const PROGRAM: u32 = 0x3000_0001;

struct Echo;

impl Service for Echo {
    fn packet(&self, packet: Packet<'_>, out: &mut Vec<u8>) -> Step {
        // The argument was read from the wire: it is decoded before it is trusted.
        let Ok(text) = xdr::from_bytes_exact::<String>(packet.payload) else {
            return Step::Done(Then::Close);
        };
        let header = packet.header.reply(STATUS_OK);
        match frame::append(out, header, |out| xdr::append(out, &text)) {
            Ok(()) => Step::Done(Then::Continue),
            Err(_) => Step::Done(Then::Close),
        }
    }

    fn closed(&self) {}
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (near, far) = tokio::io::duplex(4096);
    let server = Server::new(
        "echo",
        ServerLimits::default(),
        ConnectionLimits::default(),
        Workers::default(),
    );
    let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
    let served = server.add(peer, Admission { read_only: false, authenticated: true });
    drop(tokio::spawn(async move { connection::serve(far, &served, &Echo).await }));

    let (outgoing, mut incoming) = client::start(near);
    let header = Header {
        program: PROGRAM,
        version: 1,
        procedure: 1,
        kind: Kind::Call,
        serial: 0,
        status: STATUS_OK,
    };
    let mut packet = Vec::new();
    frame::append(&mut packet, header, |out| xdr::append(out, "hello"))
        .map_err(|_| "the argument does not fit into a packet")?;
    if !outgoing.send(packet) {
        return Err("the connection is closed".into());
    }
    let (header, payload) = incoming.replies.recv().await.ok_or("no reply")?;
    println!("serial {}: {}", header.serial, xdr::from_bytes_exact::<String>(&payload)?);
    outgoing.close();
    Ok(())
}
