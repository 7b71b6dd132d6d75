//! Hostile and broken clients: the daemon keeps running, other clients get answers, memory is released.

use std::thread;
use std::time::Duration;

use oxivirt_tests::process::wait_until;
use oxivirt_tests::raw::{self, Raw};
use oxivirt_tests::{Daemon, apply, scenario};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::{daemon, daemon_and_virsh};

/// How much more memory the daemon may have after it all, in KiB: what allocators keep.
const KEPT_KIB: u64 = 48 * 1024;

const UUID: u128 = 0x0f0f_0f0f_0000_4000_8000_0000_0000_0001;

fn document(name: &str) -> String {
    format!(
        "<network><name>{name}</name><uuid>0f0f0f0f-0000-4000-8000-000000000001</uuid>\
         <bridge name='{name}br'/><ip address='192.168.190.1' netmask='255.255.255.0'><dhcp>\
         <range start='192.168.190.2' end='192.168.190.99'/></dhcp></ip></network>"
    )
}

fn memory_kib(daemon: &Daemon) -> u64 {
    let status = daemon.netns().sh(&format!("cat /proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse().unwrap()
}

/// Waits until the daemon has less memory than this.
#[track_caller]
fn wait_for_memory(daemon: &Daemon, limit_kib: u64) {
    let what = format!("memory below {limit_kib} KiB");
    wait_until(&what, || Ok(memory_kib(daemon) < limit_kib)).unwrap();
}

/// Waits until no descriptors of clients are left in the daemon.
#[track_caller]
fn wait_for_descriptors(daemon: &Daemon) {
    wait_until("descriptors of clients to be closed", || {
        let fds = daemon.netns().sh(&format!("ls /proc/{}/fd | wc -l", daemon.pid()))?;
        Ok(fds.trim().parse::<u32>().unwrap() < 60)
    })
    .unwrap();
}

/// An answer must come; the socket has a deadline.
#[track_caller]
fn still_serves(daemon: &Daemon) {
    let mut raw = Raw::open(&daemon.socket()).unwrap();
    raw.ask(raw::LIB_VERSION, 2, &[]).unwrap();
}

fn define(daemon: &Daemon, name: &str) {
    let mut raw = Raw::open(&daemon.socket()).unwrap();
    let answer = raw.ask(41, 2, &raw::text(&document(name))).unwrap();
    assert_eq!(answer[24..28], [0; 4], "{}", String::from_utf8_lossy(&answer));
}

#[apply(scenario)]
fn invalid_packets_affect_no_other_client() {
    let daemon = daemon();
    let before = memory_kib(&daemon);
    let mut rng = StdRng::seed_from_u64(7);
    let mut held = Vec::new();
    for round in 0..300 {
        let mut raw = Raw::connect(&daemon.socket()).unwrap();
        let bytes: Vec<u8> = match round % 5 {
            // anything
            0 => (0..rng.random_range(1..5000)).map(|_| rng.random()).collect(),
            // a large packet that never comes
            1 => 0x01ff_ffff_u32.to_be_bytes().to_vec(),
            // half a header
            2 => raw::call(66, 0, &[])[..rng.random_range(1..28)].to_vec(),
            // a list that announces four thousand million elements
            3 => {
                let mut bytes = raw::call(66, 0, &[]);
                bytes.extend(raw::call(419, 1, &[0xff; 8]));
                bytes
            }
            // real packets with rubbish behind the header
            _ => {
                let procedure = rng.random_range(0..460);
                let payload: Vec<u8> =
                    (0..rng.random_range(0..200)).map(|_| rng.random()).collect();
                let mut bytes = raw::call(66, 0, &[]);
                bytes.extend(raw::call(procedure, 1, &payload));
                bytes
            }
        };
        drop(raw.send(&bytes));
        held.push(raw);
    }
    still_serves(&daemon);
    drop(held);
    still_serves(&daemon);
    wait_for_memory(&daemon, before + KEPT_KIB);
}

#[apply(scenario)]
fn ten_thousand_clients_come_and_go() {
    let daemon = daemon();
    // the first ones make the allocator take what it keeps
    for _ in 0..500 {
        drop(Raw::open(&daemon.socket()).unwrap());
    }
    let before = memory_kib(&daemon);
    for number in 0..10_000_u32 {
        let mut raw = Raw::connect(&daemon.socket()).unwrap();
        // with and without a word, with and without waiting for the answer
        if number % 3 != 0 {
            raw.send(&raw::call(raw::AUTH_LIST, 0, &[])).unwrap();
        }
        if number % 3 == 2 {
            raw.packet().unwrap();
        }
    }
    let at_once: Vec<Raw> = (0..500).map(|_| Raw::open(&daemon.socket()).unwrap()).collect();
    still_serves(&daemon);
    drop(at_once);
    still_serves(&daemon);
    wait_for_memory(&daemon, before + KEPT_KIB);
    wait_for_descriptors(&daemon);
}

#[apply(scenario)]
fn clients_that_do_not_read_block_no_other_client() {
    let daemon = daemon();
    define(&daemon, "deaf");
    let before = memory_kib(&daemon);
    // one calls without end and never reads an answer
    let mut greedy = Raw::open(&daemon.socket()).unwrap();
    greedy.stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let many: Vec<u8> = (0..1000)
        .flat_map(|serial| {
            let mut payload = raw::network("deaf", UUID);
            payload.extend([0; 4]);
            raw::call(43, serial, &payload)
        })
        .collect();
    while greedy.send(&many).is_ok() {}
    // one registers for every event and never reads
    let mut deaf = Raw::open(&daemon.socket()).unwrap();
    deaf.ask(raw::REGISTER, 2, &[0; 8]).unwrap();
    let mut busy = Raw::open(&daemon.socket()).unwrap();
    let xml = raw::text(&document("deaf"));
    let n_events = 3000;
    for serial in 0..n_events {
        busy.ask(41, serial, &xml).unwrap();
    }
    still_serves(&daemon);
    let during = memory_kib(&daemon);
    assert!(during < before + 2 * KEPT_KIB, "{before} KiB before, {during} KiB during");
    // what did arrive is whole and in order
    let packet = deaf.packet().unwrap();
    assert_eq!(&packet[12..16], 315_u32.to_be_bytes());
    drop((greedy, deaf, busy));
    still_serves(&daemon);
}

#[apply(scenario)]
fn a_client_that_vanishes_stops_nothing_half_way() {
    let daemon = daemon_and_virsh();
    define(&daemon, "gone");
    let is_active = || {
        let list = daemon.virsh(&["net-list", "--name"]).stdout().unwrap();
        Ok(list.trim() == "gone")
    };
    let mut rng = StdRng::seed_from_u64(11);
    for round in 0..8 {
        for (procedure, active) in [(raw::CREATE, true), (raw::DESTROY, false)] {
            let mut raw = Raw::open(&daemon.socket()).unwrap();
            raw.send(&raw::call(procedure, 2, &raw::network("gone", UUID))).unwrap();
            if round > 0 {
                thread::sleep(Duration::from_micros(rng.random_range(0..20_000)));
            }
            drop(raw);
            let what = if active { "the network to start" } else { "the network to stop" };
            let is_so = || {
                let has_bridge = daemon.netns().sh("ip -o link show gonebr").is_ok();
                let has_dnsmasq = !daemon.netns().processes_of("dnsmasq")?.is_empty();
                Ok([is_active()?, has_bridge, has_dnsmasq] == [active; 3])
            };
            wait_until(what, is_so).unwrap();
        }
    }
    let journal = daemon.root().join("run/oxivirt/network/journal");
    assert_eq!(std::fs::read_dir(journal).unwrap().count(), 0, "something is half done");
}

#[apply(scenario)]
fn clients_killed_at_random_leave_nothing() {
    let daemon = daemon_and_virsh();
    define(&daemon, "kill");
    let uri = daemon.uri();
    let script = format!(
        "for i in $(seq 40); do\n\
           virsh -q -c '{uri}' net-event --loop --all >/dev/null 2>&1 & a=$!\n\
           virsh -q -c '{uri}' net-dumpxml kill >/dev/null 2>&1 & b=$!\n\
           sleep 0.0$((i % 7))\n\
           kill -9 $a $b 2>/dev/null\n\
         done\nwait\n"
    );
    daemon.netns().run(["sh", "-c", &script]).output().unwrap();
    still_serves(&daemon);
    wait_for_descriptors(&daemon);
}
