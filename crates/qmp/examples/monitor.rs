//! Connects to a monitor, asks for the state of the guest and waits for an event.
//!
//! `cargo run -p oxivirt-qmp --example monitor [SOCKET]`; without a socket of QEMU
//! (`-qmp unix:PATH,server=on,wait=off`) a stand-in answers from within the example.
#![expect(clippy::print_stdout, reason = "printing is what the example is for")]

use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;

use oxivirt_qmp::command::QueryStatus;
use oxivirt_qmp::{Monitor, Options};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// Greets, answers every command, and reports a pause after `query-status`.
async fn stand_in(mut stream: UnixStream) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let version = json!({"qemu": {"major": 10, "minor": 0, "micro": 2}, "package": ""});
    let greeting = json!({"QMP": {"version": version, "capabilities": []}});
    writer.write_all(format!("{greeting}\r\n").as_bytes()).await?;
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let command: Value = serde_json::from_str(&line)?;
        let is_query = command.get("execute").is_some_and(|name| name == "query-status");
        let value =
            if is_query { json!({"status": "running", "running": true}) } else { json!({}) };
        let reply = json!({"return": value, "id": command.get("id")});
        writer.write_all(format!("{reply}\r\n").as_bytes()).await?;
        if is_query {
            let time = json!({"seconds": 1, "microseconds": 0});
            let event = json!({"event": "STOP", "timestamp": time});
            writer.write_all(format!("{event}\r\n").as_bytes()).await?;
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::default();
    let (monitor, mut events) = match std::env::args().nth(1) {
        Some(path) => Monitor::connect(path, &options).await?,
        None => {
            let (near, far) = UnixStream::pair()?;
            drop(tokio::spawn(stand_in(far)));
            Monitor::from_fd(OwnedFd::from(near.into_std()?), &options).await?
        }
    };
    println!("QEMU {:?}", monitor.greeting().version.qemu);
    let status = monitor.run(&QueryStatus {}).await?;
    println!("status: {:?}, running: {}", status.status, status.running);
    println!("{:?}", events.next().await);
    Ok(())
}
