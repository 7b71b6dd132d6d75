//! Numbers for whoever watches the daemon, in the text format of Prometheus.
//!
//! Off unless `metrics_listen` names a socket (a path) or a port of this host. Anybody who can reach it may read
//! it, so other addresses are refused; it says how many and how long, and names networks.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oxivirt::{ListFlags, NetworkDriver as _, NetworkEventId};
use oxivirt_network::Driver;
use oxivirt_network::apply::linux::LinuxHost;
use oxivirt_network::counts::Count;
use oxivirt_remote::serve::Observer;
use oxivirt_rpc::server::Server;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};

use crate::sockets::{self, SocketError, SocketFile};

/// Upper ends of the classes of latency, in microseconds.
const CLASSES: [u64; 8] = [100, 300, 1_000, 3_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// The longest question read, and how long it may take.
const QUESTION_MAX: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(5);

/// Readers at the same time.
const READERS: usize = 8;

/// Why nobody can watch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum MetricsError {
    /// Neither a path nor an address of this host.
    #[error("metrics_listen: '{0}' is neither an absolute path nor a port of this host")]
    Address(String),
    /// The port cannot be had.
    #[error("metrics_listen: cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    /// The socket cannot be had.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// One procedure.
#[derive(Debug, Clone, Default)]
struct Calls {
    ok: u64,
    failed: u64,
    micros: u64,
    classes: [u64; CLASSES.len()],
}

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    calls: Mutex<BTreeMap<&'static str, Calls>>,
    heals: AtomicU64,
}

impl Observer for Metrics {
    fn called(&self, name: &'static str, elapsed: Duration, is_ok: bool) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = calls.entry(name).or_default();
        *(if is_ok { &mut entry.ok } else { &mut entry.failed }) += 1;
        entry.micros = entry.micros.saturating_add(micros);
        for (count, limit) in entry.classes.iter_mut().zip(CLASSES) {
            *count += u64::from(micros <= limit);
        }
    }
}

/// Where the numbers are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Socket(PathBuf),
    Port(SocketAddr),
}

impl Place {
    /// Reads the setting: a path, or a port with or without an address of this host.
    ///
    /// # Errors
    /// [`MetricsError::Address`]
    pub(crate) fn parse(text: &str) -> Result<Self, MetricsError> {
        if text.starts_with('/') {
            return Ok(Self::Socket(text.into()));
        }
        let port = text.parse().map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)));
        let address = port.ok().or_else(|| text.parse().ok());
        match address.filter(|address| address.ip().is_loopback()) {
            Some(address) => Ok(Self::Port(address)),
            None => Err(MetricsError::Address(text.to_owned())),
        }
    }
}

/// What the numbers are about.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) servers: Vec<Arc<Server>>,
    pub(crate) driver: Arc<Driver<LinuxHost>>,
}

impl Watched {
    /// Counts what the driver repairs.
    pub(crate) async fn listen(&self) {
        let metrics = Arc::clone(&self.metrics);
        let count = Box::new(move |_: &oxivirt::NetworkEvent| {
            metrics.heals.fetch_add(1, Ordering::Relaxed);
        });
        let registered =
            self.driver.network_event_register(None, NetworkEventId::Healed, count).await;
        if let Err(error) = registered {
            tracing::warn!(%error, "repairs are not counted");
        }
    }

    async fn text(&self) -> String {
        let mut out = String::new();
        self.metrics.tell(&mut out);
        head(&mut out, "oxivirt_clients", "gauge", "Connected clients.");
        for server in &self.servers {
            let (clients, anonymous) = server.counts();
            let name = server.name();
            line(
                &mut out,
                format_args!("oxivirt_clients{{server=\"{name}\",known=\"yes\"}}"),
                clients - anonymous.min(clients),
            );
            line(
                &mut out,
                format_args!("oxivirt_clients{{server=\"{name}\",known=\"no\"}}"),
                anonymous,
            );
        }
        head(&mut out, "oxivirt_networks", "gauge", "Networks.");
        for (state, flags) in [("active", ListFlags::ACTIVE), ("inactive", ListFlags::INACTIVE)] {
            let networks = self.driver.list_all_networks(flags).await.unwrap_or_default();
            line(&mut out, format_args!("oxivirt_networks{{state=\"{state}\"}}"), networks.len());
        }
        head(&mut out, "oxivirt_leases", "gauge", "Addresses handed out.");
        for network in self.driver.list_all_networks(ListFlags::ACTIVE).await.unwrap_or_default() {
            let leases = self.driver.network_dhcp_leases(&network, None, 0).await;
            let name = escaped(&network.name);
            let n = leases.unwrap_or_default().len();
            line(&mut out, format_args!("oxivirt_leases{{network=\"{name}\"}}"), n);
        }
        self.tell_rules(&mut out).await;
        out
    }

    /// What rules have counted.
    async fn tell_rules(&self, out: &mut String) {
        let counts = match self.driver.rule_counts().await {
            Ok(counts) => counts,
            Err(error) => {
                tracing::warn!(%error, "rules not counted");
                return;
            }
        };
        let mut tell = |unit: &str, help: &str, value: &dyn Fn(&Count) -> u64| {
            let metric = format!("oxivirt_rule_{unit}_total");
            head(out, &metric, "counter", help);
            for (key, count) in &counts {
                let (network, part) = (escaped(&key.network), key.part);
                let action = key.action.as_str();
                let labels = format!("network=\"{network}\",rules=\"{part}\",action=\"{action}\"");
                line(out, format_args!("{metric}{{{labels}}}"), value(count));
            }
        };
        tell("packets", "Packets seen by rules.", &|count| count.packets);
        tell("bytes", "Bytes of packets seen by rules.", &|count| count.bytes);
    }
}

impl Metrics {
    fn tell(&self, out: &mut String) {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        head(out, "oxivirt_calls_total", "counter", "Calls that were answered.");
        for (name, entry) in &calls {
            for (result, n) in [("ok", entry.ok), ("error", entry.failed)] {
                let labels = format_args!("{{procedure=\"{name}\",result=\"{result}\"}}");
                line(out, format_args!("oxivirt_calls_total{labels}"), n);
            }
        }
        head(out, "oxivirt_call_seconds", "histogram", "How long calls took.");
        for (name, entry) in &calls {
            let bucket = format!("oxivirt_call_seconds_bucket{{procedure=\"{name}\",le=");
            for (count, limit) in entry.classes.iter().zip(CLASSES) {
                line(out, format_args!("{bucket}\"{}\"}}", seconds(limit)), count);
            }
            let n = entry.ok + entry.failed;
            line(out, format_args!("{bucket}\"+Inf\"}}"), n);
            let labels = format!("{{procedure=\"{name}\"}}");
            line(out, format_args!("oxivirt_call_seconds_sum{labels}"), seconds(entry.micros));
            line(out, format_args!("oxivirt_call_seconds_count{labels}"), n);
        }
        head(out, "oxivirt_heals_total", "counter", "Repairs of what networks had lost.");
        line(out, format_args!("oxivirt_heals_total"), self.heals.load(Ordering::Relaxed));
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

fn line(out: &mut String, name: std::fmt::Arguments<'_>, value: impl std::fmt::Display) {
    let written = writeln!(out, "{name} {value}");
    debug_assert!(written.is_ok(), "a string takes everything");
}

/// A value between double quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Tells the numbers to whoever comes, until the returned future is dropped.
///
/// # Errors
/// [`MetricsError`]
pub(crate) async fn serve(
    place: &Place,
    watched: Watched,
) -> Result<(tokio::task::JoinHandle<()>, Option<SocketFile>), MetricsError> {
    let readers = Arc::new(tokio::sync::Semaphore::new(READERS));
    match place {
        Place::Socket(path) => {
            let (listener, file) = sockets::listen(path, 0o600, None, 16)?;
            Ok((tokio::spawn(unix(listener, watched, readers)), Some(file)))
        }
        Place::Port(address) => {
            let failed = |source| MetricsError::Listen { address: *address, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            Ok((tokio::spawn(tcp(listener, watched, readers)), None))
        }
    }
}

type Readers = Arc<tokio::sync::Semaphore>;

async fn unix(listener: UnixListener, watched: Watched, readers: Readers) {
    while let Ok(permit) = Arc::clone(&readers).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => answer(stream, watched.clone(), permit),
            Err(_) => tokio::time::sleep(PATIENCE).await,
        }
    }
}

async fn tcp(listener: TcpListener, watched: Watched, readers: Readers) {
    while let Ok(permit) = Arc::clone(&readers).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => answer(stream, watched.clone(), permit),
            Err(_) => tokio::time::sleep(PATIENCE).await,
        }
    }
}

fn answer<S>(mut stream: S, watched: Watched, permit: tokio::sync::OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    drop(tokio::spawn(async move {
        let told = async {
            let mut question = Vec::new();
            let mut chunk = [0; 512];
            // whatever is asked, the answer is the same
            while !question.windows(4).any(|end| end == b"\r\n\r\n")
                && question.len() < QUESTION_MAX
            {
                match stream.read(&mut chunk).await {
                    Ok(0) | Err(_) => return,
                    Ok(n) => question.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                }
            }
            let text = watched.text().await;
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n",
                text.len()
            );
            // a reader that has gone misses nothing
            drop(stream.write_all(format!("{head}{text}").as_bytes()).await);
            drop(stream.shutdown().await);
        };
        drop(tokio::time::timeout(PATIENCE, told).await);
        drop(permit);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(Place::parse("/s").unwrap(), Place::Socket("/s".into()));
        assert_eq!(Place::parse("9").unwrap(), Place::Port("127.0.0.1:9".parse().unwrap()));
        assert_eq!(Place::parse("[::1]:9").unwrap(), Place::Port("[::1]:9".parse().unwrap()));
        for wrong in ["0.0.0.0:9", "192.0.2.1:9", "name:9", "", "70000"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn calls_are_counted_by_class() {
        let metrics = Metrics::default();
        metrics.called("x", Duration::from_micros(200), true);
        metrics.called("x", Duration::from_millis(2), false);
        let mut text = String::new();
        metrics.tell(&mut text);
        for expect in [
            "oxivirt_calls_total{procedure=\"x\",result=\"ok\"} 1\n",
            "oxivirt_calls_total{procedure=\"x\",result=\"error\"} 1\n",
            "oxivirt_call_seconds_bucket{procedure=\"x\",le=\"0.0001\"} 0\n",
            "oxivirt_call_seconds_bucket{procedure=\"x\",le=\"0.0003\"} 1\n",
            "oxivirt_call_seconds_bucket{procedure=\"x\",le=\"+Inf\"} 2\n",
            "oxivirt_call_seconds_sum{procedure=\"x\"} 0.0022\n",
            "oxivirt_heals_total 0\n",
        ] {
            assert!(text.contains(expect), "{expect} is not in\n{text}");
        }
        assert_eq!(escaped("a\"b\\c\n"), "a\\\"b\\\\c\\n");
    }
}
