//! The client against a scripted peer in the same process.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "functions that tests share"
)]

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use oxivirt_qmp::command::{Empty, QomGet, QueryStatus, RunState, Stop};
use oxivirt_qmp::{
    CloseReason, ErrorClass, Events, Incoming, Limits, Monitor, Options, ProtocolError, QmpError,
    Request,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10},
 "package": ""}, "capabilities": ["oob"]}}"#;

/// The other end of a connection.
struct Peer {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Peer {
    fn new(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { lines: BufReader::new(reader).lines(), writer }
    }

    async fn send(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).await.unwrap();
        self.writer.write_all(b"\r\n").await.unwrap();
    }

    /// The next command.
    async fn command(&mut self) -> Value {
        let line = self.lines.next_line().await.unwrap().expect("a command");
        serde_json::from_str(&line).unwrap()
    }

    async fn answer(&mut self, command: &Value, value: Value) {
        self.send(&json!({"return": value, "id": command["id"]}).to_string()).await;
    }

    async fn greet(&mut self) -> Value {
        self.send(&GREETING.replace('\n', "")).await;
        let negotiation = self.command().await;
        self.answer(&negotiation, json!({})).await;
        negotiation
    }
}

async fn open(options: Options) -> (Monitor, Events, Peer) {
    let (near, far) = UnixStream::pair().unwrap();
    let near = OwnedFd::from(near.into_std().unwrap());
    let mut peer = Peer::new(far);
    let (opened, negotiation) = tokio::join!(Monitor::from_fd(near, &options), peer.greet());
    assert_eq!(negotiation["execute"], "qmp_capabilities");
    let (monitor, events) = opened.unwrap();
    (monitor, events, peer)
}

fn with_deadline(deadline: Duration) -> Options {
    Options { deadline, ..Options::default() }
}

async fn event(events: &mut Events) -> String {
    match events.next().await {
        Some(Incoming::Event(event)) => event.name,
        other => panic!("{other:?}"),
    }
}

fn protocol_error(error: QmpError) -> ProtocolError {
    match error {
        QmpError::Closed(CloseReason::Protocol(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn oob_is_enabled_when_offered_and_wanted() {
    let (near, far) = UnixStream::pair().unwrap();
    let mut peer = Peer::new(far);
    let near = OwnedFd::from(near.into_std().unwrap());
    let options = Options::default();
    let (opened, negotiation) = tokio::join!(Monitor::from_fd(near, &options), peer.greet());
    assert_eq!(negotiation["arguments"], json!({"enable": ["oob"]}));
    let (monitor, _events) = opened.unwrap();
    assert!(monitor.is_oob());
    assert_eq!(monitor.greeting().version.qemu.major, 10);
    let yank = Request::raw("yank", &json!({"instances": []})).unwrap().out_of_band();
    let ticket = monitor.submit(yank).await.unwrap();
    let command = peer.command().await;
    assert_eq!(command["exec-oob"], "yank");
    peer.answer(&command, json!({})).await;
    ticket.reply::<Empty>().await.unwrap();

    let (monitor, _events, _peer) = open(Options { oob: false, ..Options::default() }).await;
    assert!(!monitor.is_oob());
}

#[tokio::test]
async fn replies_go_to_their_calls_in_any_order() {
    let (monitor, _events, mut peer) = open(Options::default()).await;
    let reads: Vec<QomGet> = (0..500)
        .map(|n| QomGet { path: String::from("/machine"), property: format!("p{n}") })
        .collect();
    let answer = async {
        let mut commands = Vec::new();
        for _ in 0..500 {
            commands.push(peer.command().await);
        }
        for command in commands.iter().rev() {
            peer.answer(command, command["arguments"]["property"].clone()).await;
        }
    };
    let (values, ()) = tokio::join!(monitor.run_all(&reads), answer);
    let values: Vec<Value> = values.into_iter().map(Result::unwrap).collect();
    assert_eq!(values, (0..500).map(|n| json!(format!("p{n}"))).collect::<Vec<_>>());
}

#[tokio::test]
async fn more_commands_than_places_are_sent_as_replies_come() {
    let limits = Limits { in_flight: 3, ..Limits::default() };
    let (monitor, _events, mut peer) = open(Options { limits, ..Options::default() }).await;
    let stops = vec![Stop {}; 10];
    let answer = async {
        for _ in 0..10 {
            let command = peer.command().await;
            peer.answer(&command, json!({})).await;
        }
    };
    let (results, ()) = tokio::join!(monitor.run_all(&stops), answer);
    assert!(results.iter().all(Result::is_ok));
}

#[tokio::test]
async fn an_error_is_the_result_of_its_command_only() {
    let (monitor, _events, mut peer) = open(Options::default()).await;
    let answer = async {
        let (first, second) = (peer.command().await, peer.command().await);
        let error = json!({"class": "DeviceNotFound", "desc": "Device 'x' not found"});
        peer.send(&json!({"error": error, "id": first["id"]}).to_string()).await;
        peer.answer(&second, json!({})).await;
    };
    let (results, ()) = tokio::join!(monitor.run_all(&[Stop {}, Stop {}]), answer);
    let [Err(error), Ok(_)] = &results[..] else { panic!("{results:?}") };
    assert_eq!(error.class(), Some(&ErrorClass::DeviceNotFound));
    assert_eq!(error.to_string(), "unable to execute QEMU command 'stop': Device 'x' not found");
}

#[tokio::test]
async fn a_reply_of_another_form_is_an_error_of_its_command() {
    let (monitor, _events, mut peer) = open(Options::default()).await;
    let answer = async {
        let command = peer.command().await;
        peer.answer(&command, json!({"running": 1})).await;
        let command = peer.command().await;
        peer.answer(&command, json!({"running": true, "status": "running"})).await;
    };
    let run = async {
        let error = monitor.run(&QueryStatus {}).await.unwrap_err();
        assert!(matches!(error, QmpError::Reply { .. }), "{error:?}");
        assert_eq!(monitor.run(&QueryStatus {}).await.unwrap().status, RunState::Running);
    };
    tokio::join!(run, answer);
}

#[tokio::test]
async fn unread_events_hold_up_no_reply_and_their_loss_is_reported() {
    let limits = Limits { events: 2, ..Limits::default() };
    let (monitor, mut events, mut peer) = open(Options { limits, ..Options::default() }).await;
    let answer = async {
        let command = peer.command().await;
        for name in ["A", "B", "C", "D"] {
            peer.send(&json!({"event": name}).to_string()).await;
        }
        peer.answer(&command, json!({})).await;
    };
    let (reply, ()) = tokio::join!(monitor.run(&Stop {}), answer);
    reply.unwrap();
    assert_eq!(event(&mut events).await, "A");
    assert_eq!(event(&mut events).await, "B");
    assert!(matches!(events.next().await, Some(Incoming::Lost(2))));
    peer.send(r#"{"event": "E"}"#).await;
    assert_eq!(event(&mut events).await, "E");
}

#[tokio::test]
async fn the_end_of_the_stream_reaches_every_caller() {
    let (monitor, mut events, mut peer) = open(Options::default()).await;
    let end = async {
        peer.command().await;
        peer.send(r#"{"event": "SHUTDOWN", "data": {"guest": false}}"#).await;
        drop(peer);
    };
    let (stop, status, reason, ()) =
        tokio::join!(monitor.run(&Stop {}), monitor.run(&Stop {}), monitor.closed(), end);
    assert!(matches!(stop, Err(QmpError::Closed(CloseReason::EndOfStream))), "{stop:?}");
    assert!(status.unwrap_err().is_closed());
    assert!(matches!(reason, CloseReason::EndOfStream));
    // What was sent before the end is not lost.
    assert_eq!(event(&mut events).await, "SHUTDOWN");
    assert!(events.next().await.is_none());
    assert!(events.next().await.is_none());
    assert!(monitor.run(&Stop {}).await.unwrap_err().is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_reply_is_unresponsive_until_it_does() {
    let (monitor, _events, mut peer) = open(with_deadline(Duration::from_secs(3))).await;
    let error = monitor.run(&Stop {}).await.unwrap_err();
    let expected = Duration::from_secs(3);
    assert!(matches!(error, QmpError::Timeout { after, .. } if after == expected), "{error:?}");
    assert!(monitor.is_unresponsive());
    // No call waits for the late reply, but it shows that QEMU works.
    let late = peer.command().await;
    let answer = async {
        peer.answer(&late, json!({})).await;
        let command = peer.command().await;
        peer.answer(&command, json!({"running": false, "status": "paused"})).await;
    };
    let (status, ()) = tokio::join!(monitor.run(&QueryStatus {}), answer);
    assert_eq!(status.unwrap().status, RunState::Paused);
    assert!(!monitor.is_unresponsive());
}

#[tokio::test(start_paused = true)]
async fn a_hung_peer_takes_no_more_than_its_places() {
    let limits = Limits { in_flight: 2, ..Limits::default() };
    let options = Options { limits, ..with_deadline(Duration::from_secs(1)) };
    let (monitor, _events, _peer) = open(options).await;
    for _ in 0..5 {
        assert!(monitor.run(&Stop {}).await.unwrap_err().is_timeout());
    }
    assert!(monitor.is_unresponsive());
    monitor.close();
    assert!(matches!(monitor.run(&Stop {}).await, Err(QmpError::Closed(CloseReason::Local))));
}

#[tokio::test]
async fn close_ends_waiting_calls_at_once() {
    let (monitor, mut events, mut peer) = open(Options::default()).await;
    let close = async {
        peer.command().await;
        monitor.close();
    };
    let (result, ()) = tokio::join!(monitor.run(&Stop {}), close);
    assert!(matches!(result, Err(QmpError::Closed(CloseReason::Local))), "{result:?}");
    assert!(events.next().await.is_none());
    // The socket is closed as well.
    assert!(peer.lines.next_line().await.unwrap().is_none());
}

#[tokio::test]
async fn dropping_the_last_clone_closes_the_connection() {
    let (monitor, mut events, mut peer) = open(Options::default()).await;
    let clone = monitor.clone();
    drop(monitor);
    assert!(clone.close_reason().is_none());
    drop(clone);
    assert!(events.next().await.is_none());
    assert!(peer.lines.next_line().await.unwrap().is_none());
}

#[tokio::test]
async fn a_call_dropped_before_it_is_sent_is_withdrawn() {
    let (monitor, _events, mut peer) = open(Options::default()).await;
    // Queued in this task and withdrawn before the connection's task runs.
    let ticket = monitor.submit(Request::new(&Stop {}).unwrap()).await.unwrap();
    drop(ticket);
    let answer = async {
        let command = peer.command().await;
        assert_eq!(command["execute"], "query-status");
        peer.answer(&command, json!({"running": false, "status": "paused"})).await;
    };
    let (status, ()) = tokio::join!(monitor.run(&QueryStatus {}), answer);
    status.unwrap();
}

#[tokio::test]
async fn the_reply_to_a_dropped_call_is_discarded() {
    let (monitor, _events, mut peer) = open(Options::default()).await;
    let ticket = monitor.submit(Request::new(&Stop {}).unwrap()).await.unwrap();
    let sent = peer.command().await;
    drop(ticket);
    let answer = async {
        let command = peer.command().await;
        peer.answer(&sent, json!({})).await;
        peer.answer(&command, json!({"running": false, "status": "paused"})).await;
    };
    let (status, ()) = tokio::join!(monitor.run(&QueryStatus {}), answer);
    status.unwrap();
}

#[tokio::test]
async fn descriptors_travel_one_command_at_a_time() {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream as StdStream;

    let (monitor, _events, peer) = open(Options::default()).await;
    let stream = peer.writer.reunite(peer.lines.into_inner().into_inner()).unwrap();
    let (mut one, first) = StdStream::pair().unwrap();
    let (_two, second) = StdStream::pair().unwrap();
    let give =
        async { tokio::join!(monitor.getfd("a", first.into()), monitor.getfd("b", second.into())) };
    let take = async {
        let received = receive(&stream).await;
        assert_eq!(received.0["arguments"]["fdname"], "a");
        assert_eq!(received.1.len(), 1);
        // The other command waits for the reply, although it was queued at the same time.
        let mut byte = [0];
        assert_eq!(stream.try_read(&mut byte).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        reply(&stream, &received.0).await;
        let second = receive(&stream).await;
        assert_eq!((&second.0["arguments"]["fdname"], second.1.len()), (&json!("b"), 1));
        reply(&stream, &second.0).await;
        received.1
    };
    let ((a, b), mut taken) = tokio::join!(give, take);
    a.unwrap();
    b.unwrap();
    // This side has closed its copy: the end of the stream comes with the peer's.
    drop(taken.pop());
    assert_eq!(one.read(&mut [0; 1]).unwrap(), 0);
}

/// One command with its descriptors.
async fn receive(stream: &UnixStream) -> (Value, Vec<OwnedFd>) {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    let mut bytes = vec![0; 4096];
    let received = stream
        .async_io(tokio::io::Interest::READABLE, || {
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut slices = [io::IoSliceMut::new(&mut bytes)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let message = recvmsg(stream, &mut slices, &mut control, flags)?;
            let mut descriptors = Vec::new();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    descriptors.extend(rights);
                }
            }
            Ok((message.bytes, descriptors))
        })
        .await
        .unwrap();
    (serde_json::from_slice(&bytes[..received.0]).unwrap(), received.1)
}

async fn reply(stream: &UnixStream, command: &Value) {
    let line = format!("{}\r\n", json!({"return": {}, "id": command["id"]}));
    stream.writable().await.unwrap();
    assert_eq!(stream.try_write(line.as_bytes()).unwrap(), line.len());
}

#[tokio::test]
async fn nonsense_ends_the_connection_with_a_typed_error() {
    let cases = [
        ("garbage", "malformed"),
        ("{}", "neither"),
        (r#"{"return": {}}"#, "id none"),
        (r#"{"return": {}, "id": "libvirt-99"}"#, "id libvirt-99"),
        (r#"{"return": {}, "id": "libvirt-1"}"#, "id libvirt-1"),
        (r#"{"return": {}, "id": {"a": 1}}"#, "id {\"a\": 1}"),
        (r#"{"error": {"class": "GenericError", "desc": "JSON parse error"}}"#, "id none"),
        (r#"{"QMP": {"version": {"qemu": {"major": 1, "minor": 1, "micro": 1}}}}"#, "greeting"),
    ];
    for (line, expected) in cases {
        let (monitor, mut events, mut peer) = open(Options::default()).await;
        let answer = async {
            peer.command().await;
            peer.send(line).await;
        };
        let (result, ()) = tokio::join!(monitor.run(&Stop {}), answer);
        let error = protocol_error(result.unwrap_err()).to_string();
        assert!(error.contains(expected), "{line}: {error}");
        assert!(events.next().await.is_none());
    }
}

#[tokio::test]
async fn a_message_without_end_is_cut_off() {
    let limits = Limits { message: 1000, ..Limits::default() };
    let (monitor, _events, mut peer) = open(Options { limits, ..Options::default() }).await;
    let flood = async {
        // Fails once the other side has closed.
        while peer.writer.write_all(&[b'x'; 512]).await.is_ok() {}
    };
    let (reason, ()) = tokio::join!(monitor.closed(), flood);
    let expected = ProtocolError::TooLong { limit: 1000 };
    assert!(matches!(reason, CloseReason::Protocol(found) if found == expected));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_greet_is_given_up() {
    let (near, far) = UnixStream::pair().unwrap();
    let near = OwnedFd::from(near.into_std().unwrap());
    let options = with_deadline(Duration::from_secs(2));
    let error = Monitor::from_fd(near, &options).await.unwrap_err();
    assert!(matches!(error, QmpError::Timeout { command, .. } if command == "greeting"));
    drop(far);
}

#[tokio::test]
async fn a_peer_that_greets_wrongly_is_rejected() {
    for (bytes, expected) in [
        (&b"{\"event\": \"STOP\"}\r\n"[..], "greeting out of place"),
        (b"\x7fELF\n", "malformed"),
        (b"", "end of stream"),
    ] {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(bytes).await.unwrap();
        drop(far);
        let near = OwnedFd::from(near.into_std().unwrap());
        let error = Monitor::from_fd(near, &Options::default()).await.unwrap_err();
        let QmpError::Closed(reason) = error else { panic!("{error:?}") };
        let text = match &reason {
            CloseReason::Protocol(error) => error.to_string(),
            other => other.to_string(),
        };
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn a_missing_socket_and_a_descriptor_of_another_kind_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("monitor.sock");
    let error = Monitor::connect(&path, &Options::default()).await.unwrap_err();
    assert!(matches!(error, QmpError::Connect { path: found, .. } if found == path));
    let file = OwnedFd::from(tempfile::tempfile().unwrap());
    let error = Monitor::from_fd(file, &Options::default()).await.unwrap_err();
    assert!(matches!(error, QmpError::Descriptor(_)));
}

#[tokio::test]
async fn arguments_that_qemu_cannot_read_are_not_sent() {
    let (monitor, _events, _peer) = open(Options::default()).await;
    for arguments in [json!({"name": "a\u{0}b"}), json!({"name": "\u{ffff}"}), json!([])] {
        let error = monitor.execute("x", &arguments).await.unwrap_err();
        assert!(matches!(error, QmpError::Arguments { .. }), "{error:?}");
    }
    assert!(monitor.close_reason().is_none());
}
