//! Our shell under the name `virsh`, side by side with the real one, on networks in memory.
//!
//! `data/shell-commands.txt` holds command strings, one a line. Both shells get each of them, loud and quiet;
//! both streams and the exit status have to be the same. What is meant to be different (`docs/deviations.md`,
//! prose of help pages) is not in the list.

use oxivirt_tests::{apply, scenario};
use std::os::unix::fs::symlink;
use std::path::Path;

use oxivirt_tests::host::program;
use oxivirt_tests::process::{Run, find};
use oxivirt_tests::require::skip;

const COMMANDS: &str = include_str!("../data/shell-commands.txt");

const FILES: &[(&str, &str)] = &[
    (
        "blue.xml",
        "<network><name>blue</name><uuid>7d1c0a52-93e4-4f0b-8a6e-000000000001</uuid><title>Lab floor 1</title>\
         <forward mode='route'/><bridge name='labbr1'/><ip address='10.61.1.1' prefix='24'><dhcp>\
         <range start='10.61.1.10' end='10.61.1.99'/></dhcp></ip></network>",
    ),
    (
        "green.xml",
        "<network><name>Green</name><uuid>7d1c0a52-93e4-4f0b-8a6e-000000000002</uuid><bridge name='labbr2'/></network>",
    ),
    ("bad.xml", "<network><name>x</name><bridge></network>"),
    ("noname.xml", "<network><bridge name='x'/></network>"),
    ("h.xml", "<host mac='52:54:00:61:00:05' name='printer' ip='192.168.122.40'/>"),
    (
        "meta.xml",
        "<network><name>m</name><uuid>7d1c0a52-93e4-4f0b-8a6e-000000000003</uuid><metadata>\
         <r:row xmlns:r='urn:r' n='4'>B<x/></r:row><!-- c --></metadata><dns><txt name='a' value='&lt;&amp;'/></dns>\
         <ip address='10.1.1.1' netmask='255.255.255.0'>\n  </ip></network>",
    ),
];

/// Global options, and lines on standard input.
const CALLS: &[(&[&str], &str)] = &[
    (&["-d"], ""),
    (&["-d", "x", "uri"], ""),
    (&["-k", "x", "uri"], ""),
    (&["-K", "-5", "uri"], ""),
    (&["--keepalive-interval", "x"], ""),
    (&["-e", "^1", "uri"], ""),
    (&["-x"], ""),
    (&["--foo=bar"], ""),
    (&["--ke"], ""),
    (&["--q=1"], ""),
    (&["-l", "/none/x"], ""),
    (&["-c", "test:///none", "uri"], ""),
    (&["-c", "test://", "uri"], ""),
    (&["-c", "qemu://system", "uri"], ""),
    (&["-c=test:///default", "uri"], ""),
    (&["-qtd", "9", "-c", "test:///default", "quit"], ""),
    (&["-d", "0", "-c", "test:///default", "echo", "a", "b"], ""),
    (&["-c", "test:///default", "echo", "a;b", "#c"], ""),
    (&["-c", "test:///default", "#x", "uri"], ""),
    (&["-c", "test:///default", ""], ""),
    (&["-c", "test:///default"], "uri\n"),
    (&["-q", "-c", "test:///default"], "uri\n\n   \n# x\nnet-list --name;uri\nquit\nuri\n"),
    (&["-q", "-c", "test:///default"], "\"open\nuri \\\nfoo\n"),
    (
        &["-q", "-r", "-c", "test:///default"],
        "net-destroy default\nconnect test:///default\nnet-destroy default\n",
    ),
];

/// Runs a shell; status and both streams, without what is different in any two runs.
fn run(dir: &Path, shell: &str, words: &[&str], input: &str) -> (Option<i32>, String, String) {
    let home = format!("HOME={}", dir.display());
    let dir = dir.display().to_string();
    let line = [
        "env",
        "-i",
        "-C",
        &dir,
        &home,
        "PATH=/usr/bin:/bin",
        "LANG=C.UTF-8",
        "TERM=dumb",
        "TZ=UTC",
        shell,
    ];
    let finished = Run::new(line).args(words).input(input.as_bytes()).output().unwrap();
    (finished.status.code(), finished.stdout, finished.stderr)
}

#[apply(scenario)]
fn both_say_the_same() {
    let Some(virsh) = find("virsh") else { skip("virsh is not installed") };
    let virsh = virsh.display().to_string();
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join(".bin/virsh");
    std::fs::create_dir(dir.path().join(".bin")).unwrap();
    symlink(program("oxish").unwrap(), &link).unwrap();
    std::fs::create_dir(dir.path().join("dir")).unwrap();
    for (name, text) in FILES {
        let mut file = std::fs::File::create(dir.path().join(name)).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    }
    let ours = link.display().to_string();
    let mut differences = Vec::new();
    let mut check = |words: &[&str], input: &str| {
        let real = run(dir.path(), &virsh, words, input);
        let found = run(dir.path(), &ours, words, input);
        if real != found {
            differences.push(format!("{words:?} {input:?}\n  virsh {real:?}\n  ours  {found:?}"));
        }
    };
    for command in COMMANDS.lines() {
        check(&["-c", "test:///default", command], "");
        check(&["-q", "-c", "test:///default", command], "");
    }
    for (words, input) in CALLS {
        check(words, input);
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn main() -> std::process::ExitCode {
    oxivirt_tests::harness::main()
}
