//! The agent's client against a scripted agent in the same process.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "functions that tests share")]

use std::time::Duration;

use oxivirt_qmp::ErrorClass;
use oxivirt_qmp::agent::{
    Agent, AgentError, AgentOptions, FsfreezeStatus, NetworkGetInterfaces, Ping, ShutdownMode,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// An agent, as far as a test needs one.
struct Guest {
    stream: BufReader<UnixStream>,
}

impl Guest {
    /// The bytes of the next line.
    async fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await.unwrap();
        line
    }

    async fn command(&mut self) -> Value {
        serde_json::from_slice(&self.line().await).unwrap()
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Answers a synchronisation; `before` comes ahead of it.
    async fn synchronize(&mut self, before: &[u8]) {
        let command = self.command().await;
        assert_eq!(command["execute"], "guest-sync-delimited");
        assert!(command.get("id").is_none());
        self.send(before).await;
        let id = &command["arguments"]["id"];
        self.send(format!("{{\"return\": {id}}}\n").as_bytes()).await;
    }
}

fn open() -> (Agent, Guest) {
    let (near, far) = UnixStream::pair().unwrap();
    let agent = Agent::from_stream(near, AgentOptions::default());
    (agent, Guest { stream: BufReader::new(far) })
}

#[tokio::test]
async fn a_command_follows_its_synchronisation() {
    let (agent, mut guest) = open();
    let answer = async {
        guest.synchronize(b"\xff").await;
        assert_eq!(guest.command().await["execute"], "guest-network-get-interfaces");
        let card = json!({"name": "eth0", "hardware-address": "52:54:00:00:00:01",
            "ip-addresses": [{"ip-address": "192.168.122.5", "ip-address-type": "ipv4",
                "prefix": 24}], "statistics": {}});
        guest.send(format!("{}\n", json!({"return": [card]})).as_bytes()).await;
    };
    let (cards, ()) = tokio::join!(agent.run(&NetworkGetInterfaces {}), answer);
    let cards = cards.unwrap();
    assert_eq!(cards[0].ip_addresses[0].prefix, 24);
}

#[tokio::test]
async fn what_an_earlier_conversation_left_is_discarded() {
    let (agent, mut guest) = open();
    let answer = async {
        let stale = b"{\"return\": {}}\nhalf a li\xff{\"return\": 1}\nnonsense\n\xff";
        guest.synchronize(stale).await;
        guest.command().await;
        guest.send(b"{\"return\": \"thawed\"}\n").await;
    };
    let (status, ()) = tokio::join!(agent.run(&FsfreezeStatus {}), answer);
    assert_eq!(status.unwrap(), "thawed");
}

#[tokio::test(start_paused = true)]
async fn a_silent_agent_is_a_timeout_and_the_next_try_resets_its_reader() {
    let (agent, mut guest) = open();
    let error = agent.run(&Ping {}).await.unwrap_err();
    let AgentError::Timeout { command, after } = error else { panic!("{error:?}") };
    assert_eq!((command.as_str(), after), ("guest-sync-delimited", Duration::from_secs(5)));
    // The agent starts, and finds what was sent to it meanwhile.
    let answer = async {
        let first = guest.command().await;
        let second = guest.line().await;
        assert_eq!(second[0], 0xff);
        let second: Value = serde_json::from_slice(&second[1..]).unwrap();
        for command in [first, second] {
            guest.send(b"\xff").await;
            let id = &command["arguments"]["id"];
            guest.send(format!("{{\"return\": {id}}}\n").as_bytes()).await;
        }
        assert_eq!(guest.command().await["execute"], "guest-ping");
        guest.send(b"{\"return\": {}}\n").await;
    };
    let (pinged, ()) = tokio::join!(agent.run(&Ping {}), answer);
    pinged.unwrap();
}

#[tokio::test]
async fn an_error_of_the_agent_is_reported_with_its_words() {
    let (agent, mut guest) = open();
    let answer = async {
        guest.synchronize(b"\xff").await;
        guest.command().await;
        let error = json!({"class": "CommandNotFound", "desc": "Command has been disabled"});
        guest.send(format!("{}\n", json!({"error": error})).as_bytes()).await;
    };
    let (result, ()) = tokio::join!(agent.run(&Ping {}), answer);
    let error = result.unwrap_err();
    let text = "unable to execute QEMU agent command 'guest-ping': Command has been disabled";
    assert_eq!(error.to_string(), text);
    assert!(matches!(error, AgentError::Rejected { class: ErrorClass::CommandNotFound, .. }));
}

#[tokio::test]
async fn a_guest_that_powers_off_without_a_reply_has_shut_down() {
    let (agent, mut guest) = open();
    let answer = async {
        guest.synchronize(b"\xff").await;
        let command = guest.command().await;
        assert_eq!(command["arguments"], json!({"mode": "powerdown"}));
        drop(guest);
    };
    let deadline = Duration::from_secs(60);
    let (result, ()) = tokio::join!(agent.shutdown(ShutdownMode::Powerdown, deadline), answer);
    result.unwrap();
    assert!(matches!(agent.run(&Ping {}).await, Err(AgentError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_floods_its_port_is_a_timeout() {
    let (agent, guest) = open();
    let flood = async {
        let mut stream = guest.stream.into_inner();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let run = async {
        let error = agent.run(&Ping {}).await.unwrap_err();
        assert!(matches!(error, AgentError::Timeout { .. }), "{error:?}");
        drop(agent);
    };
    tokio::join!(run, flood);
}

#[tokio::test]
async fn a_reply_that_is_too_long_is_an_error_and_the_next_command_works() {
    let (agent, mut guest) = open();
    let answer = async {
        guest.synchronize(b"\xff").await;
        guest.command().await;
        guest.send(&vec![b'['; (1 << 20) + 2]).await;
        let line = guest.line().await;
        let command: Value = serde_json::from_slice(&line[1..]).unwrap();
        guest.send(b"\n\xff").await;
        let id = &command["arguments"]["id"];
        guest.send(format!("{{\"return\": {id}}}\n").as_bytes()).await;
        guest.command().await;
        guest.send(b"{\"return\": {}}\n").await;
    };
    let run = async {
        let error = agent.run(&Ping {}).await.unwrap_err();
        assert!(matches!(error, AgentError::Protocol(_)), "{error:?}");
        agent.run(&Ping {}).await.unwrap();
    };
    tokio::join!(run, answer);
}
