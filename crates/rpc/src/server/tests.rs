use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::frame::{self, Header, Kind, Packet, STATUS_OK};
use crate::identity::Peer;
use crate::keepalive;
use crate::limits::{ConnectionLimits, ServerLimits, Workers};
use crate::server::client::Admission;
use crate::server::connection::{self, End};
use crate::server::{Client, Server, Service, Step, Then};

/// Answers calls once `open` has permits; procedure 2 is answered at once, 3 closes.
struct Gate {
    open: Arc<Semaphore>,
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    closed: Mutex<bool>,
}

fn call(procedure: i32, serial: u32) -> Header {
    Header { program: 9, version: 1, procedure, kind: Kind::Call, serial, status: STATUS_OK }
}

impl Service for Gate {
    fn packet(&self, packet: Packet<'_>, out: &mut Vec<u8>) -> Step {
        let header = packet.header;
        if header.procedure == 2 {
            frame::append_empty(out, header.reply(STATUS_OK));
            return Step::Done(Then::Continue);
        }
        self.begun.fetch_add(1, Ordering::SeqCst);
        let (open, ended) = (Arc::clone(&self.open), Arc::clone(&self.ended));
        Step::Answer(Box::pin(async move {
            drop(open.acquire().await);
            ended.fetch_add(1, Ordering::SeqCst);
            let mut out = Vec::new();
            frame::append_empty(&mut out, header.reply(STATUS_OK));
            (out, if header.procedure == 3 { Then::Close } else { Then::Continue })
        }))
    }

    fn closed(&self) {
        *self.closed.lock().unwrap() = true;
    }
}

struct Bench {
    far: DuplexStream,
    client: Arc<Client>,
    gate: Arc<Gate>,
    served: JoinHandle<End>,
}

fn bench(limits: ConnectionLimits, authenticated: bool) -> Bench {
    let server = Server::new("t", ServerLimits::default(), limits, Workers::default());
    let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
    let client = server.add(peer, Admission { read_only: false, authenticated });
    let (near, far) = tokio::io::duplex(1 << 20);
    let gate = Arc::new(Gate {
        open: Arc::new(Semaphore::new(0)),
        begun: Arc::default(),
        ended: Arc::default(),
        closed: Mutex::default(),
    });
    let (task_client, task_gate) = (Arc::clone(&client), Arc::clone(&gate));
    let served =
        tokio::spawn(async move { connection::serve(near, &task_client, &*task_gate).await });
    Bench { far, client, gate, served }
}

impl Bench {
    async fn send(&mut self, headers: &[Header]) {
        let mut bytes = Vec::new();
        for header in headers {
            frame::append_empty(&mut bytes, *header);
        }
        self.far.write_all(&bytes).await.unwrap();
    }

    async fn header(&mut self) -> Header {
        let mut bytes = [0; frame::HEADER];
        self.far.read_exact(&mut bytes).await.unwrap();
        frame::first(&bytes).unwrap().unwrap().header
    }
}

/// Returns once all tasks wait: only then does the clock, which is paused, go on.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn no_packet_is_read_at_the_limit_of_calls() {
    let mut bench = bench(ConnectionLimits { requests: 2, ..ConnectionLimits::default() }, true);
    bench.send(&[call(1, 1), call(1, 2), call(1, 3), call(2, 4)]).await;
    settle().await;
    assert_eq!(bench.gate.begun.load(Ordering::SeqCst), 2);
    bench.gate.open.add_permits(1);
    let mut serials: Vec<u32> = Vec::new();
    for _ in 0..4 {
        serials.push(bench.header().await.serial);
    }
    serials.sort_unstable();
    assert_eq!(serials, [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn running_calls_finish_after_a_client_disconnects() {
    let mut bench = bench(ConnectionLimits::default(), true);
    bench.send(&[call(1, 1)]).await;
    settle().await;
    drop(bench.far);
    assert!(matches!(bench.served.await.unwrap(), End::Peer));
    assert_eq!(bench.client.server().running(), 1);
    bench.gate.open.add_permits(1);
    bench.client.server().idle().await;
    assert_eq!(bench.gate.ended.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_is_sent_before_the_end() {
    let mut bench = bench(ConnectionLimits::default(), true);
    bench.gate.open.add_permits(1);
    bench.send(&[call(3, 7)]).await;
    assert_eq!(bench.header().await.serial, 7);
    assert!(matches!(bench.served.await.unwrap(), End::Closed));
}

#[tokio::test(start_paused = true)]
async fn unauthenticated_client_is_disconnected_after_the_timeout() {
    let authentication = Duration::from_millis(50);
    let limits = ConnectionLimits { authentication, ..ConnectionLimits::default() };
    assert!(matches!(bench(limits, false).served.await.unwrap(), End::Anonymous));
    let bench = bench(limits, true);
    tokio::time::sleep(authentication * 3).await;
    assert!(!bench.served.is_finished());
}

#[tokio::test(start_paused = true)]
async fn unread_events_end_the_connection() {
    let bench = bench(ConnectionLimits { events: 1 << 21, ..ConnectionLimits::default() }, true);
    let mut event = Vec::new();
    let header = Header::message(9, 5, 1);
    frame::append::<()>(&mut event, header, |out| {
        out.resize(out.len() + 100_000, 0);
        Ok(())
    })
    .unwrap();
    for _ in 0..60 {
        bench.client.send(event.clone());
        tokio::task::yield_now().await;
    }
    assert!(matches!(bench.served.await.unwrap(), End::Closed));
}

#[tokio::test(start_paused = true)]
async fn keepalive_ping_is_answered_and_sent() {
    let limits = ConnectionLimits {
        keepalive_interval: Some(Duration::from_millis(40)),
        keepalive_count: 2,
        ..ConnectionLimits::default()
    };
    let mut bench = bench(limits, true);
    let mut ping = Vec::new();
    keepalive::append(&mut ping, keepalive::PING);
    bench.far.write_all(&ping).await.unwrap();
    assert_eq!(bench.header().await.procedure, keepalive::PONG);
    bench.client.start_keepalive();
    for _ in 0..2 {
        assert_eq!(bench.header().await.procedure, keepalive::PING);
    }
    assert!(matches!(bench.served.await.unwrap(), End::Silent));
}

#[tokio::test(start_paused = true)]
async fn wrong_length_ends_the_connection_without_an_answer() {
    let mut bench = bench(ConnectionLimits::default(), true);
    bench.far.write_all(&[0, 0, 0, 3]).await.unwrap();
    let mut rest = Vec::new();
    bench.far.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    assert!(matches!(bench.served.await.unwrap(), End::Protocol(_)));
}

#[tokio::test(start_paused = true)]
async fn further_clients_wait_at_the_client_limit() {
    let limits = ServerLimits { clients: 2, anonymous: 1 };
    let server = Server::new("t", limits, ConnectionLimits::default(), Workers::default());
    let peer = || Peer::Tcp(([127, 0, 0, 1], 1).into());
    let wait = Duration::from_millis(20);
    let unknown = server.add(peer(), Admission { read_only: false, authenticated: false });
    assert!(tokio::time::timeout(wait, server.wait_capacity()).await.is_err(), "one is unknown");
    unknown.authenticate();
    server.wait_capacity().await;
    let second = server.add(peer(), Admission { read_only: false, authenticated: true });
    assert!(tokio::time::timeout(wait, server.wait_capacity()).await.is_err(), "two are there");
    server.remove(second.id);
    server.wait_capacity().await;
    assert_eq!(server.counts(), (1, 0));
    server.set_limits(ServerLimits { clients: 1, anonymous: 0 });
    assert!(
        tokio::time::timeout(wait, server.wait_capacity()).await.is_err(),
        "the limit is lower"
    );
}
