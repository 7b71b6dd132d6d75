//! What must fail: with libvirt's error, in one clear line, and without a trace.

use std::path::Path;
use std::time::Duration;

use oxivirt_tests::error::{Error, Result};
use oxivirt_tests::guest::occupy;
use oxivirt_tests::host::is_documented_leftover;
use oxivirt_tests::process::Run;
use oxivirt_tests::session::Session;
use oxivirt_tests::snapshot::{Change, Section};
use oxivirt_tests::{Host, Subject, apply, scenario};

use super::{host, host_of_ours, host_with_nftables};

const NAT: &str = include_str!("../../data/networks/nat.xml");
const NAME: &str = "nat";
const BRIDGE: &str = "virbr0";

const INTERNAL: u32 = 1;
const SYSTEM: u32 = 38;

/// One of the errors that are right, by number, and a part of the message of each.
type Expected<'a> = &'a [(u32, &'a str)];

#[track_caller]
fn assert_refused(outcome: &Result<Duration>, expected: Expected<'_>) {
    match outcome {
        Err(Error::Refused { number, message, .. }) => {
            let fits = |(right, part): &(u32, &str)| number == right && message.contains(part);
            assert!(expected.iter().any(fits), "error {number}: {message}");
            assert!(!message.contains('\n') && message.len() < 400, "not a clear line: {message}");
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// What a call that failed may leave: directories of libvirt's layout and the switches of forwarding.
/// libvirt also leaves its shared chains and the files that it wrote for dnsmasq.
fn may_stay(subject: Subject, change: &Change) -> bool {
    if change.section != Section::File || subject == Subject::Libvirt {
        return is_documented_leftover(NAME, BRIDGE, change);
    }
    let directory = change.after.as_ref().is_some_and(|after| after.starts_with("directory"));
    directory || change.key.ends_with("driver.pid")
}

/// Calls `verb` in a session that `alter` has changed the program of; it is refused and leaves
/// nothing.
///
/// Links that `host` has by then have no link-local address (`addrgenmode none`): the kernel would add it
/// some time after the link is up, between the snapshots.
#[track_caller]
fn check_refused(host: &Host, verb: &str, expected: Expected<'_>, alter: impl Fn(Run) -> Run) {
    let before = host.snapshot().unwrap();
    let command = alter(Session::command(host).unwrap());
    let outcome = Session::begin(&command)
        .and_then(|mut session| session.call(verb, NAME, if verb == "define" { NAT } else { "" }));
    assert_refused(&outcome, expected);
    let left =
        before.diff(&host.snapshot().unwrap()).except(|change| may_stay(host.subject(), change));
    assert!(left.is_empty(), "left behind:\n{left}");
}

fn unchanged(run: Run) -> Run {
    run
}

// The host is in the way.

#[apply(scenario)]
fn a_foreign_bridge_is_not_touched() {
    // libvirt sets the foreign bridge down and deletes it (fault F1).
    let host = host_of_ours();
    host.define(NAT).unwrap();
    host.netns()
        .sh("ip link add virbr0 type bridge
             ip address add 198.51.100.1/24 dev virbr0
             ip link set virbr0 addrgenmode none; ip link set virbr0 up")
        .unwrap();
    check_refused(&host, "start", &[(SYSTEM, "virbr0")], unchanged);
}

#[apply(scenario)]
fn a_link_that_is_no_bridge_is_not_touched() {
    let host = host_of_ours();
    host.define(NAT).unwrap();
    host.netns()
        .sh("ip link add virbr0 type veth peer name virbr0-peer; ip link set virbr0 addrgenmode none; ip link set virbr0 up")
        .unwrap();
    check_refused(&host, "start", &[(SYSTEM, "virbr0")], unchanged);
}

#[apply(scenario)]
fn a_colliding_route_is_named() {
    let host = host();
    host.define(NAT).unwrap();
    host.netns()
        .sh("ip link add uplink type bridge
             ip address add 192.168.122.7/24 dev uplink
             ip link set uplink addrgenmode none; ip link set uplink up")
        .unwrap();
    let expected = "already in use by interface uplink";
    check_refused(&host, "start", &[(INTERNAL, expected)], unchanged);
}

#[apply(scenario)]
fn a_colliding_route_over_the_bridge_leaves_it() {
    // libvirt deletes the link that it just complained about (fault F1).
    let host = host_of_ours();
    host.define(NAT).unwrap();
    host.netns()
        .sh("ip link add virbr0 type bridge
             ip address add 192.168.122.7/24 dev virbr0
             ip link set virbr0 addrgenmode none; ip link set virbr0 up")
        .unwrap();
    let expected = "already in use by interface virbr0";
    check_refused(&host, "start", &[(INTERNAL, expected)], unchanged);
}

#[apply(scenario)]
fn a_port_that_is_taken_ends_the_start() {
    // libvirt's rollback removes rules that were never added, and says so in its log only.
    let host = host();
    host.define(NAT).unwrap();
    // dnsmasq cannot bind its DNS port on an address that is in use.
    let script = "ip link add other type bridge
                  ip address add 192.168.122.1/32 dev other
                  ip link set other addrgenmode none; ip link set other up";
    host.netns().sh(script).unwrap();
    let _taken = occupy(host.netns(), "192.168.122.1:53").unwrap();
    check_refused(&host, "start", &[(INTERNAL, "Address already in use")], unchanged);
}

// Something is missing.

#[apply(scenario)]
fn missing_dnsmasq_is_named() {
    // A running libvirtd has its PATH already.
    let host = host_with_nftables();
    host.define(NAT).unwrap();
    let expected: Expected<'_> = &[(SYSTEM, "dnsmasq"), (INTERNAL, "dnsmasq")];
    check_refused(&host, "start", expected, |run| {
        run.with_program_behind(["/usr/bin/env", "PATH=/nonexistent"])
    });
}

#[apply(scenario)]
fn without_privileges_nothing_changes() {
    // A libvirtd without privileges is another daemon, with another URI.
    let host = host_of_ours();
    host.define(NAT).unwrap();
    let give_away = format!("chown -R nobody {}", host.root().display());
    host.netns().sh(&give_away).unwrap();
    let drop_rights = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all"];
    check_refused(&host, "start", &[(SYSTEM, "Operation not permitted")], |run| {
        run.with_program_behind(drop_rights)
    });
}

#[apply(scenario)]
fn a_root_of_another_user_is_refused() {
    let host = host_of_ours();
    host.define(NAT).unwrap();
    let drop_rights = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all"];
    check_refused(&host, "start", &[(SYSTEM, "Permission denied")], |run| {
        run.with_program_behind(drop_rights)
    });
}

// The disk.

/// What is wrong with a directory.
#[derive(Debug, Clone, Copy)]
enum Disk {
    Full,
    ReadOnly,
}

/// Puts a disk of its own over a directory of libvirt's layout, keeping what is in there.
fn mount(host: &Host, directory: &str, disk: Disk) {
    let path = host.layout(directory);
    let path = path.display();
    let spoil = match disk {
        Disk::Full => "dd if=/dev/zero of=$D/filler bs=1k 2>/dev/null || true",
        Disk::ReadOnly => "mount -o remount,ro $D",
    };
    let script = format!(
        "D={path}
         mkdir -p $D
         cp -a $D /run/kept
         mount -t tmpfs -o size=64k,mode=755 tmpfs $D
         cp -a /run/kept/. $D
         rm -rf /run/kept
         {spoil}"
    );
    host.netns().sh(&script).unwrap();
}

#[track_caller]
fn check_disk(verb: &str, directory: &str) {
    for disk in [Disk::Full, Disk::ReadOnly] {
        let host = host();
        host.restart().unwrap();
        if verb == "start" {
            host.define(NAT).unwrap();
        }
        mount(&host, directory, disk);
        let cause = match disk {
            Disk::Full => "No space left on device",
            Disk::ReadOnly => "Read-only file system",
        };
        // The driver cannot write it, or dnsmasq cannot and says so.
        let expected: Expected<'_> = &[(SYSTEM, cause), (INTERNAL, cause)];
        println!("{disk:?} disk:");
        check_refused(&host, verb, expected, unchanged);
    }
}

#[apply(scenario)]
fn a_definition_that_cannot_be_written_is_not_there() {
    check_disk("define", "/etc/libvirt/qemu/networks");
}

#[apply(scenario)]
fn without_a_status_file_nothing_runs() {
    check_disk("start", "/run/libvirt/network");
}

#[apply(scenario)]
fn without_dnsmasq_files_nothing_runs() {
    check_disk("start", "/var/lib/libvirt/dnsmasq");
}

// Documents.

/// Defines a document by the shell, with little memory and time; the shell fails and says `part`.
#[track_caller]
fn check_document(document: &str, parts: &[&str]) {
    let host = host();
    // What every driver makes when it is opened is not left behind by the document.
    host.restart().unwrap();
    let before = host.snapshot().unwrap();
    let file = host.document(document).unwrap();
    let finished = host
        .command(&["net-define", &file.path().to_string_lossy()])
        .unwrap()
        .through_shell("ulimit -v 2000000; ulimit -t 20; exec \"$@\"")
        .output()
        .unwrap();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let said = finished.stderr.as_str();
    assert!(said.starts_with("error: Failed to define network from "), "{said}");
    assert!(parts.iter().any(|part| said.contains(part)), "{said}");
    // Below may be the line of the document, however long.
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 2 && errors.iter().all(|line| line.len() < 400), "{said}");
    let left =
        before.diff(&host.snapshot().unwrap()).except(|change| may_stay(host.subject(), change));
    assert!(left.is_empty(), "left behind:\n{left}");
}

#[apply(scenario)]
fn an_empty_document() {
    check_document("", &["error: "]);
}

#[apply(scenario)]
fn a_document_that_ends_early() {
    check_document("<network>\n  <name>x</name>", &["at line 2: "]);
}

#[apply(scenario)]
fn another_document() {
    check_document("<domain><name>x</name></domain>", &["network"]);
}

#[apply(scenario)]
fn a_name_that_is_a_path() {
    let document = "<network><name>../../x</name></network>";
    check_document(document, &["invalid char in name: /"]);
}

#[apply(scenario)]
fn an_address_that_is_none() {
    let document = "<network><name>x</name><ip address='1.2.3.400' prefix='24'/></network>";
    check_document(document, &["1.2.3.400"]);
}

#[apply(scenario)]
fn elements_in_elements() {
    let depth = 200_000;
    let document = format!("<network>{}{}</network>", "<a>".repeat(depth), "</a>".repeat(depth));
    check_document(&document, &["depth", "deep", "nest"]);
}

#[apply(scenario)]
fn entities_of_entities() {
    let mut document = String::from("<!DOCTYPE network [<!ENTITY e0 'aaaaaaaaaaaaaaaaaaaa'>");
    for level in 1..12 {
        let references = format!("&e{};", level - 1).repeat(20);
        document.push_str(&format!("<!ENTITY e{level} '{references}'>"));
    }
    document.push_str("]><network><name>&e11;</name></network>");
    check_document(&document, &["entit", "amplification", "loop"]);
}

#[apply(scenario)]
fn an_entity_that_is_a_file() {
    let document = "<!DOCTYPE network [<!ENTITY f SYSTEM 'file:///etc/passwd'>]>\
                    <network><name>&f;</name></network>";
    let host = host();
    let file = host.document(document).unwrap();
    let finished = host.shell(&["net-define", &file.path().to_string_lossy()]).unwrap();
    assert!(!finished.status.success(), "{}", finished.stdout);
    let said = format!("{}{}", finished.stdout, finished.stderr);
    assert!(!said.contains("root:"), "{said}");
}

#[apply(scenario)]
fn a_document_of_twenty_megabytes() {
    // The shell reads 10 MiB at most.
    let filler = "x".repeat(20 << 20);
    let document = format!("<network><name>x</name><title>{filler}</title></network>");
    let host = host();
    let file = host.document(&document).unwrap();
    let finished = host.shell(&["net-define", &file.path().to_string_lossy()]).unwrap();
    assert_eq!(finished.status.code(), Some(1));
    let path = file.path().display();
    let expected =
        format!("error: Failed to read file '{path}': Value too large for defined data type\n");
    assert!(finished.stderr.starts_with(&expected), "{}", finished.stderr);
}

#[apply(scenario)]
fn a_file_that_is_not_there() {
    let host = host();
    let missing = host.root().join("missing.xml");
    let finished = host.shell(&["net-define", &missing.to_string_lossy()]).unwrap();
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("No such file or directory"), "{}", finished.stderr);
    assert!(!Path::new(&missing).exists());
}
