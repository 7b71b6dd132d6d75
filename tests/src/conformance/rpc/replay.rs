//! One conversation with a daemon of ours.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::mask::{Numbers, Words, word};
use super::{BESIDE, Line, Outcome, Scenario, Verdict};
use crate::bus::Bus;
use crate::daemon::Daemon;
use crate::error::{Error, Result};
use crate::netns::Netns;
use crate::process::{PATIENCE, Running};
use crate::raw;

/// Serial of a call that was not recorded.
const FENCE: u32 = 0x7fff_ffff;

/// A connection, and received packets that were not compared yet.
struct Connection {
    stream: UnixStream,
    sent: Vec<u8>,
    bytes: Vec<u8>,
    waiting: Vec<Vec<u8>>,
    is_closed: bool,
    failure: Option<String>,
    n_packets: usize,
}

impl Connection {
    fn open(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path).map_err(Error::file(path))?;
        Ok(Self {
            stream,
            sent: Vec::new(),
            bytes: Vec::new(),
            waiting: Vec::new(),
            is_closed: false,
            failure: None,
            n_packets: 0,
        })
    }

    /// Reads once; whether anything came.
    fn read(&mut self, patience: Duration) -> bool {
        let mut chunk = vec![0; 65536];
        if self.is_closed || self.stream.set_read_timeout(Some(patience)).is_err() {
            return false;
        }
        match self.stream.read(&mut chunk) {
            Ok(0) => self.is_closed = true,
            Ok(n) => self.bytes.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => self.is_closed = true,
        }
        while self.bytes.len() >= 28 {
            let len = word(&self.bytes, 0) as usize;
            if self.bytes.len() < len.max(28) {
                break;
            }
            let packet = self.bytes.drain(..len.max(28)).collect();
            self.waiting.push(packet);
        }
        !self.is_closed
    }

    /// The first packet that `wanted` takes.
    fn take(&mut self, wanted: impl Fn(&Words) -> bool) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.waiting.iter().position(|packet| wanted(&Words::of(packet))) {
                return Some(self.waiting.remove(at));
            }
            if !self.read(PATIENCE) {
                return None;
            }
        }
    }

    /// What came though nothing was expected: before the answer to one more call, or before the
    /// end of a connection that takes no more calls.
    fn surplus(&mut self) -> Option<String> {
        let mut call = raw::call(raw::LIB_VERSION, 2, &[]);
        call[20..24].copy_from_slice(&FENCE.to_be_bytes());
        let has_answered = if self.takes_calls() && self.stream.write_all(&call).is_ok() {
            self.take(|words| words.is_reply() && words.serial == FENCE).is_some()
        } else {
            drop(self.stream.shutdown(std::net::Shutdown::Write));
            while self.read(PATIENCE) {}
            false
        };
        if let Some(packet) = self.waiting.iter().find(|packet| !Words::of(packet).is_ping()) {
            return Some(format!("a packet that was not recorded: {:?}", Words::of(packet)));
        }
        let is_over = has_answered || self.is_closed;
        (!is_over).then(|| "neither answered at last nor closed".to_owned())
    }

    /// Whether the daemon reads a new call: not in the middle of a packet.
    fn takes_calls(&self) -> bool {
        let mut rest = &self.sent[..];
        while rest.len() >= 4 {
            let len = word(rest, 0) as usize;
            match rest.get(len.max(4)..) {
                Some(behind) => rest = behind,
                None => return false,
            }
        }
        rest.is_empty()
    }

    fn fail(&mut self, why: String) {
        self.failure.get_or_insert(why);
    }
}

/// The conversation with a daemon that asks a policy about each call. It was held with libvirtd, whose
/// socket has another name.
const GUARDED: &str = "36";

/// A daemon that asks a policy about each call, where the network `lan0` was defined before; the policy is a
/// stand-in that says what polkit does without rules of the administrator. `None` if there is no bus.
fn guarded(inputs: &Path) -> Result<Option<(Daemon, Bus, Running)>> {
    const CONFIG: &str = "auth_unix_rw = \"none\"\naccess_drivers = [\"polkit\"]\n";
    const WRITER: [&str; 3] = [
        "org.libvirt.api.connect.getattr",
        "org.libvirt.api.network.write",
        "org.libvirt.api.network.save",
    ];
    const ALLOW_ALL: [&str; 5] = [
        "org.libvirt.api.connect.getattr",
        "org.libvirt.api.connect.read",
        "org.libvirt.api.connect.search-networks",
        "org.libvirt.api.network.getattr",
        "org.libvirt.api.network.read",
    ];
    let netns = Netns::new()?;
    if Bus::NEED.missing().is_some() {
        return Ok(None);
    }
    let bus = Bus::on(&netns)?;
    let calls = bus.file("calls").display().to_string();
    let words = |rules: &'static [&'static str]| -> Vec<&str> {
        ["polkit", &calls].into_iter().chain(rules.iter().copied()).collect()
    };
    let policy = bus.stand_in(&netns, &words(&WRITER))?;
    let daemon = Daemon::start_with_bus(netns, &bus, CONFIG)?;
    prepare(&daemon, "virsh net-define lan0.xml", inputs)?;
    policy.finish()?;
    let policy = bus.stand_in(daemon.netns(), &words(&ALLOW_ALL))?;
    Ok(Some((daemon, bus, policy)))
}

/// Holds the conversation; one outcome per connection.
///
/// # Errors
/// No daemon, or the preparations failed.
pub(super) fn run(scenario: &Scenario, inputs: &Path) -> Result<Vec<Outcome>> {
    if scenario.number() == GUARDED {
        return match guarded(inputs)? {
            Some((daemon, _bus, _policy)) => hold(scenario, &daemon, inputs, "libvirt"),
            None => {
                let verdict = Verdict::NotRun { reason: "dbus-daemon is not installed".to_owned() };
                Ok(vec![Outcome { name: scenario.id.clone(), verdict }])
            }
        };
    }
    let daemon = Daemon::start("", &[])?;
    if let Some(setup) = &scenario.setup {
        prepare(&daemon, setup, inputs)?;
    }
    hold(scenario, &daemon, inputs, "virtnetworkd")
}

/// Holds the conversation over the sockets that were recorded under names with this beginning.
fn hold(
    scenario: &Scenario,
    daemon: &Daemon,
    inputs: &Path,
    recorded: &str,
) -> Result<Vec<Outcome>> {
    let mut numbers = Numbers::default();
    let mut connections: BTreeMap<u64, Connection> = BTreeMap::new();
    for line in scenario.lines() {
        if !line.socket.is_empty() && !line.socket.starts_with(recorded) {
            // between a client and another daemon
            continue;
        }
        if line.event == Some("connect") {
            beside(scenario, line.connection, daemon, inputs)?;
            let socket = line.socket.replacen(recorded, "virtnetworkd", 1);
            let path = daemon.root().join("run/libvirt").join(socket);
            connections.insert(line.connection, Connection::open(&path)?);
        } else if let Some(connection) = connections.get_mut(&line.connection)
            && connection.failure.is_none()
        {
            step(connection, &line, &mut numbers);
        }
    }
    let outcomes = connections.into_iter().map(|(number, mut connection)| {
        let surplus = connection.surplus();
        let difference = connection.failure.or(surplus);
        Outcome {
            name: format!("{} connection {number}", scenario.id),
            verdict: match difference {
                None => Verdict::Passed,
                Some(difference) => Verdict::Failed { difference },
            },
        }
    });
    Ok(outcomes.collect())
}

fn beside(scenario: &Scenario, connection: u64, daemon: &Daemon, inputs: &Path) -> Result<()> {
    let found = BESIDE
        .iter()
        .find(|(number, before, _)| *number == scenario.number() && *before == connection);
    found.map_or(Ok(()), |(_, _, command)| prepare(daemon, command, inputs))
}

fn prepare(daemon: &Daemon, setup: &str, inputs: &Path) -> Result<()> {
    let below = format!("{}/var/lib/libvirt", daemon.root().display());
    let script =
        format!("cd '{}'\n{}", inputs.display(), setup.replace("/var/lib/libvirt", &below));
    let uri = daemon.uri();
    let run = daemon.netns().run(["sh", "-ec", &script]).env("VIRSH_DEFAULT_CONNECT_URI", uri);
    run.output()?.ok().map(drop)
}

fn step(connection: &mut Connection, line: &Line<'_>, numbers: &mut Numbers) {
    match (line.event, line.is_from_client) {
        (Some("close"), true) => {
            drop(connection.stream.shutdown(std::net::Shutdown::Write));
        }
        (Some("close"), false) => {
            while connection.read(PATIENCE) {}
            if !connection.is_closed {
                connection.fail("the connection was not closed".to_owned());
            }
        }
        // The bytes that carry descriptors belong to no packet.
        (Some("fds"), true) => {
            if let Err(error) = connection.stream.write_all(&line.packet) {
                connection.fail(format!("cannot send: {error}"));
            }
        }
        (Some(_), _) => {}
        (None, true) => {
            let packet = numbers.sent(&line.packet);
            connection.sent.extend_from_slice(&packet);
            if let Err(error) = connection.stream.write_all(&packet) {
                connection.fail(format!("cannot send: {error}"));
            }
        }
        (None, false) => expect(connection, &line.packet, numbers),
    }
}

/// Waits for the packet that was recorded next.
fn expect(connection: &mut Connection, recorded: &[u8], numbers: &mut Numbers) {
    connection.n_packets += 1;
    let expect = Words::of(recorded);
    let found = connection.take(|found| {
        let same = found.program == expect.program && found.procedure == expect.procedure;
        same && found.kind == expect.kind && found.serial == expect.serial
    });
    let failure = match found {
        None => Some("nothing came".to_owned()),
        Some(found) => numbers.compare(recorded, &found).err(),
    };
    if let Some(failure) = failure {
        let n = connection.n_packets;
        let procedure = expect.procedure;
        connection.fail(format!("answer {n} (procedure {procedure}): {failure}"));
    }
}
