//! Recorded conversations with libvirtd's administration socket (`tests/data/admin`), held again with the
//! daemon: every answer has to be the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oxivirt_tests::process::wait_until;
use oxivirt_tests::raw::Raw;
use oxivirt_tests::{Daemon, apply, scenario};
use serde_json::Value;

use super::daemon;

const ADMIN: u32 = 0x0690_0690;
const LIST_SERVERS: u32 = 4;
const LIST_CLIENTS: u32 = 8;
const LOOKUP_CLIENT: u32 = 9;
const CLIENT_INFO: u32 = 10;
const CLIENT_CLOSE: u32 = 11;
const CLIENT_LIMITS: u32 = 12;

/// `VIR_ERR_NO_CLIENT`
const NO_CLIENT: u32 = 96;

/// The main server's name, with its length: as recorded, and the daemon's.
const RECORDED_NAME: &[u8] = b"\0\0\0\x08libvirtd";
const NAME: &[u8] = b"\0\0\0\x0cvirtnetworkd";

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn procedure(packet: &[u8]) -> u32 {
    if word(packet, 4) == ADMIN { word(packet, 12) } else { 0 }
}

fn is_error(packet: &[u8]) -> bool {
    word(packet, 24) == 1
}

/// A recorded packet with the name of the daemon's main server.
fn renamed(packet: &[u8]) -> Vec<u8> {
    let mut renamed = Vec::new();
    let mut rest = packet;
    while let Some(at) =
        rest.windows(RECORDED_NAME.len()).position(|window| window == RECORDED_NAME)
    {
        renamed.extend_from_slice(&rest[..at]);
        renamed.extend_from_slice(NAME);
        rest = &rest[at + RECORDED_NAME.len()..];
    }
    renamed.extend_from_slice(rest);
    let length = u32::try_from(renamed.len()).unwrap();
    renamed[..4].copy_from_slice(&length.to_be_bytes());
    renamed
}

/// The places of a client's number, from the places where its server's name begins.
fn number_after_name(packet: &[u8], at: usize) -> usize {
    at + 4 + (word(packet, at) as usize).next_multiple_of(4)
}

/// The numbers of the clients in an answer that lists or names clients, and their times, set to zero.
fn clients(packet: &mut [u8]) -> Vec<u64> {
    let (count, mut at) = match procedure(packet) {
        _ if is_error(packet) => return Vec::new(),
        LIST_CLIENTS => (word(packet, 28), 32),
        LOOKUP_CLIENT => (1, 28),
        _ => return Vec::new(),
    };
    let mut numbers = Vec::new();
    for _ in 0..count {
        at = number_after_name(packet, at);
        numbers.push(u64::from_be_bytes(packet[at..at + 8].try_into().unwrap()));
        packet[at..at + 16].fill(0);
        at += 20;
    }
    numbers
}

/// Numbers of clients: as recorded, and what they are now.
#[derive(Default)]
struct Numbers(BTreeMap<u64, u64>);

impl Numbers {
    /// A recorded call as it has to be sent.
    fn call(&self, recorded: &[u8]) -> Vec<u8> {
        let mut packet = renamed(recorded);
        if [LOOKUP_CLIENT, CLIENT_INFO, CLIENT_CLOSE].contains(&procedure(&packet)) {
            let at = number_after_name(&packet, 28);
            if let Some(now) =
                packet.get(at..at + 8).and_then(|number| self.now(number.try_into().unwrap()))
            {
                packet[at..at + 8].copy_from_slice(&now.to_be_bytes());
            }
        }
        packet
    }

    fn now(&self, recorded: [u8; 8]) -> Option<u64> {
        self.0.get(&u64::from_be_bytes(recorded)).copied()
    }

    /// Both answers without what differs from run to run.
    fn comparable(&mut self, recorded: &[u8], found: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut recorded, mut found) = (renamed(recorded), found.to_vec());
        if procedure(&recorded) == LIST_SERVERS && !is_error(&recorded) {
            // libvirt's order is that of a hash table
            return (sorted_names(&recorded), sorted_names(&found));
        }
        let (before, now) = (clients(&mut recorded), clients(&mut found));
        self.0.extend(before.into_iter().zip(now));
        if procedure(&recorded) == CLIENT_INFO && !is_error(&recorded) {
            // the process number is last
            let (before, now) = (recorded.len() - 4, found.len() - 4);
            recorded.truncate(before);
            found.truncate(now);
        }
        if is_error(&recorded) && word(&recorded, 28) == NO_CLIENT {
            return (self.message(&recorded, true), self.message(&found, false));
        }
        (recorded, found)
    }

    /// Number, domain and text of an error, with the numbers of clients that are known as they are now.
    fn message(&self, packet: &[u8], is_recorded: bool) -> Vec<u8> {
        let text = &packet[44..44 + word(packet, 40) as usize];
        let mut text = String::from_utf8(text.to_vec()).unwrap();
        if is_recorded {
            for (before, now) in &self.0 {
                text = text.replace(&format!("'{before}'"), &format!("'{now}'"));
            }
        }
        [&packet[28..36], text.as_bytes()].concat()
    }
}

fn sorted_names(packet: &[u8]) -> Vec<u8> {
    let mut names = Vec::new();
    let mut at = 32;
    for _ in 0..word(packet, 28) {
        let end = number_after_name(packet, at);
        names.push(&packet[at..end]);
        at = end;
    }
    names.sort_unstable();
    [&packet[..32], &names.concat(), &packet[at..]].concat()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Holds one conversation.
struct Replay<'a> {
    daemon: &'a Daemon,
    connections: BTreeMap<u64, Raw>,
    numbers: Numbers,
    /// The last call, as it was sent.
    call: Vec<u8>,
}

impl Replay<'_> {
    fn line(&mut self, line: &Value) {
        let connection = line["conn"].as_u64().unwrap();
        let is_call = line["dir"] == "c2s";
        if line["event"] == "connect" {
            let socket = line["socket"].as_str().unwrap().replace("libvirt-", "virtnetworkd-");
            let path = self.daemon.root().join("run/libvirt").join(socket);
            self.connections.insert(connection, Raw::connect(&path).unwrap());
            return;
        }
        let raw = self.connections.get_mut(&connection).unwrap();
        if line["event"] == "close" {
            if is_call {
                raw.stream.shutdown(std::net::Shutdown::Write).unwrap();
            }
            let error = raw.packet().expect_err("a packet that was not recorded").chain();
            assert!(error.contains("was closed"), "{error}");
            self.connections.remove(&connection);
            return;
        }
        let packet = unhex(line["hex"].as_str().unwrap());
        if is_call {
            self.call = self.numbers.call(&packet);
            raw.send(&self.call).unwrap();
            return;
        }
        let (mut expect, mut found) = self.numbers.comparable(&packet, &raw.packet().unwrap());
        if [LIST_CLIENTS, CLIENT_LIMITS].contains(&procedure(&packet)) && !is_error(&packet) {
            // the daemon may not have seen yet that a client has connected or closed: ask again
            let (numbers, call) = (&mut self.numbers, &self.call);
            let counted = wait_until("the recorded clients", || {
                if expect == found {
                    return Ok(true);
                }
                raw.send(call)?;
                (expect, found) = numbers.comparable(&packet, &raw.packet()?);
                Ok(false)
            });
            // what differs is in the message below
            drop(counted);
        }
        assert_eq!(
            found.escape_ascii().to_string(),
            expect.escape_ascii().to_string(),
            "packet {}: {}",
            line["n"],
            line["message"]
        );
    }
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/admin")
}

#[track_caller]
fn check(name: &str) {
    let daemon = daemon();
    let text = std::fs::read_to_string(data().join(name).with_extension("jsonl")).unwrap();
    let mut replay = Replay {
        daemon: &daemon,
        connections: BTreeMap::new(),
        numbers: Numbers::default(),
        call: Vec::new(),
    };
    let mut n_packets = 0;
    for line in text.lines().skip(1) {
        let line: Value = serde_json::from_str(line).unwrap();
        n_packets += usize::from(line["hex"].is_string());
        replay.line(&line);
    }
    let meta: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(meta["meta"]["packets"], n_packets);
}

#[apply(scenario)]
fn virt_admin_commands_are_answered_as_by_libvirtd() {
    check("01-commands");
}

#[apply(scenario)]
fn admin_parameters_are_checked_as_by_libvirtd() {
    check("02-values");
}

#[apply(scenario)]
fn admin_flags_are_checked_as_by_libvirtd() {
    check("03-flags");
}

#[apply(scenario)]
fn log_definitions_are_checked_as_by_libvirtd() {
    check("04-logging");
}

#[apply(scenario)]
fn clients_that_close_are_gone_as_with_libvirtd() {
    check("05-clients");
}

#[apply(scenario)]
fn unknown_servers_and_clients_are_reported_as_by_libvirtd() {
    check("06-names");
}
