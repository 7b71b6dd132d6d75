//! Times reading and writing of documents here and in libvirt: `oxivirt-campaign bench-format [PYTHON]`.
//!
//! Both sides get the same bytes; libvirt through its Python binding on the in-memory driver, the
//! cost of an empty call subtracted. Prints medians and ratios, and the peak of memory that reading
//! a large document takes, as a multiple of its size.

use std::fs;
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oxivirt_conf::network::{Form, NetworkDef};

use crate::error::{Error, Result};

const SCRIPT: &str = include_str!("../differential/bench.py");

/// A document, what it is called and how often it is timed.
struct Case {
    name: &'static str,
    text: String,
    count: u32,
}

fn cases() -> Vec<Case> {
    let small = "<network>\n  <name>bench</name>\n  <uuid>d1f9a3c0-9b5e-4c0e-8a70-6f6d4f1c2b3a</uuid>\n  \
        <forward mode='nat'/>\n  <bridge name='virbr0' stp='on' delay='0'/>\n  \
        <mac address='52:54:00:c5:e1:70'/>\n  <ip address='192.168.122.1' netmask='255.255.255.0'>\n    \
        <dhcp>\n      <range start='192.168.122.2' end='192.168.122.254'/>\n    </dhcp>\n  </ip>\n</network>\n";
    vec![
        Case { name: "default network", text: small.to_owned(), count: 4000 },
        Case { name: "1,000 hosts", text: with_hosts(1000), count: 100 },
    ]
}

fn with_hosts(count: u32) -> String {
    let host = |n: u32| {
        let (high, low) = (n / 250 % 250, n % 250 + 2);
        format!(
            "      <host mac='52:54:00:{:02x}:{high:02x}:{low:02x}' name='guest-{n}' ip='10.7.{high}.{low}'/>\n",
            n / 62_500
        )
    };
    let hosts: String = (0..count).map(host).collect();
    format!(
        "<network>\n  <name>bench</name>\n  <uuid>d1f9a3c0-9b5e-4c0e-8a70-6f6d4f1c2b3a</uuid>\n  \
         <forward mode='nat'/>\n  <ip address='10.7.0.1' prefix='16'>\n    <dhcp>\n{hosts}    </dhcp>\n  \
         </ip>\n</network>\n"
    )
}

fn median<T>(count: u32, call: impl Fn() -> T) -> Duration {
    let time = |_| {
        let start = Instant::now();
        black_box(call());
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..count).map(time).collect();
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "the process lives as long as the measurement")]
fn libvirt(python: &str, cases: &[Case]) -> io::Result<Vec<(Duration, Duration)>> {
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(|| io::Error::other("no pipe"))?;
    let mut stdout = child.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
    let mut results = Vec::new();
    for case in cases {
        let length = u32::try_from(case.text.len()).map_err(io::Error::other)?;
        stdin.write_all(&length.to_be_bytes())?;
        stdin.write_all(&case.count.to_be_bytes())?;
        stdin.write_all(case.text.as_bytes())?;
        stdin.flush()?;
        let mut words = [[0; 8]; 2];
        for word in &mut words {
            stdout.read_exact(word)?;
        }
        let [parse, format] = words.map(|word| Duration::from_nanos(u64::from_be_bytes(word)));
        results.push((parse, format));
    }
    drop(stdin);
    child.wait()?;
    Ok(results)
}

/// The most memory this process has held, in KiB.
fn peak_kib() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    number.ok_or_else(|| io::Error::other("no VmHWM in /proc/self/status"))
}

fn memory() -> io::Result<(usize, f64)> {
    let text = with_hosts(100_000);
    let before = peak_kib()?;
    let def = NetworkDef::parse(&text).map_err(io::Error::other)?;
    let after = peak_kib()?;
    black_box(def);
    let used = after.saturating_sub(before) * 1024;
    Ok((text.len(), used as f64 / text.len() as f64))
}

fn measure(python: &str) -> io::Result<()> {
    // First, while the peak is still that of the program itself.
    let (size, factor) = memory()?;
    let cases = cases();
    let theirs = libvirt(python, &cases)?;
    println!("{:<24} {:>12} {:>12} {:>8}", "", "here", "libvirt", "ratio");
    for (case, (their_parse, their_format)) in cases.iter().zip(theirs) {
        let def = NetworkDef::parse(&case.text).map_err(io::Error::other)?;
        let parse = median(case.count, || NetworkDef::parse(&case.text));
        let format = median(case.count, || def.format(Form::Inactive));
        for (what, ours, theirs) in
            [("parse", parse, their_parse), ("format", format, their_format)]
        {
            let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
            println!(
                "{:<24} {ours:>12.1?} {theirs:>12.1?} {ratio:>8.1}",
                format!("{what} {}", case.name)
            );
        }
    }
    println!("memory: {factor:.1} times the input of {size} bytes");
    Ok(())
}

pub(super) fn run(words: &[String]) -> Result<bool> {
    let python = words.first().map_or("/usr/bin/python3", String::as_str);
    measure(python).map_err(|error| {
        let what = "cannot compare with libvirt (is python3-libvirt installed?)";
        Error::Wrong(format!("{what}: {error}"))
    })?;
    Ok(true)
}
