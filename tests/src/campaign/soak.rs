//! Many networks on one host (`cargo xtask soak`).
//!
//! `oxivirt-campaign soak [--networks N] [--peer PATH] [--peer-networks N]` defines, starts, lists, changes and
//! destroys N networks with DHCP in namespaces, all at once, and prints what it took; the host has to
//! be as before. In between the driver is closed and opened again over the running networks: nothing
//! was lost meanwhile, so `nft monitor` and `ip monitor` have to stay silent. Where PATH names the script that runs a libvirt, both do the same with a smaller number in
//! the same run.
//!
//! The driver sees the kernel's usual limit of 128 inotify instances for a user, and what its
//! processes take of it is counted.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::host::{Backend, Host, Subject, campaign, is_documented_leftover};
use crate::monitor::Monitors;
use crate::snapshot::Section;
use oxivirt::{
    Connect, DefineFlags, ListFlags, OpenOptions, Registry, Update, UpdateCommand, UpdateFlags,
    UpdateSection,
};
use oxivirt_network::embed::Environment;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Calls that wait for an answer at the same time.
const AT_ONCE: usize = 64;
/// Inotify instances of a user by the kernel's default.
const INOTIFY_LIMIT: usize = 128;
const HOST: &str = "<host ip='10.250.0.1'><hostname>new</hostname></host>";

/// What both do, in this order.
const PHASES: [&str; 7] = ["define", "start", "restart", "list", "update", "destroy", "undefine"];
/// After these the process waits for a line on standard input.
const PAUSES: [&str; 2] = ["start", "restart"];

/// The same over libvirt's library, with as many threads as help it.
const LIBVIRT: &str = r#"
import libvirt, sys, time
from concurrent.futures import ThreadPoolExecutor
libvirt.registerErrorHandler(lambda context, error: None, None)
uri, count = sys.argv[1], int(sys.argv[2])
connection = libvirt.open(uri)
pool = ThreadPoolExecutor(8)
def network(i):
    return connection.networkLookupByName("soak%d" % i)
def xml(i):
    return ("<network><name>soak%d</name><forward mode='nat'/><bridge name='sk%d'/>"
            "<ip address='10.%d.%d.1' prefix='24'><dhcp><range start='10.%d.%d.2' end='10.%d.%d.254'/></dhcp></ip></network>"
            % ((i, i) + (i // 250 + 1, i % 250) * 3))
def listing(_):
    for net in connection.listAllNetworks():
        net.isActive(), net.isPersistent(), net.autostart()
def update(i):
    network(i).update(3, 10, -1, "<host ip='10.250.0.1'><hostname>new</hostname></host>", 3)
def again():
    # The daemon was stopped and started meanwhile.
    global connection
    sys.stdin.readline()
    connection = libvirt.open(uri)
phases = [("define", lambda i: connection.networkDefineXML(xml(i)), count),
          ("start", lambda i: network(i).create(), count), ("list", listing, 10), ("update", update, count),
          ("destroy", lambda i: network(i).destroy(), count), ("undefine", lambda i: network(i).undefine(), count)]
for name, call, times in phases:
    begin = time.perf_counter()
    list(pool.map(call, range(times)))
    print(name, time.perf_counter() - begin, 0, flush=True)
    if name == "start":
        again()
"#;

pub(super) fn run(words: &[String]) -> Result<bool> {
    match words {
        [flag, uri, count] if flag == "--inside" => {
            inside(uri, count.parse().unwrap_or(0)).map_err(Error::Wrong)?;
        }
        words => soak(words)?,
    }
    Ok(true)
}

fn soak(words: &[String]) -> Result<()> {
    let (mut networks, mut peer, mut peer_networks) = (1000, None, 100);
    let number = |text: &String| {
        let number = text.parse().ok().filter(|number| (1..=10_000).contains(number));
        number.ok_or_else(|| Error::Wrong(format!("'{text}' is no number of networks")))
    };
    for pair in words.chunks(2) {
        match pair {
            [name, value] if name == "--networks" => networks = number(value)?,
            [name, value] if name == "--peer-networks" => peer_networks = number(value)?,
            [name, value] if name == "--peer" => peer = Some(PathBuf::from(value)),
            _ => return Err(Error::Wrong(format!("unknown option '{}'", pair.join(" ")))),
        }
    }
    measure(&Host::new(Subject::Oxivirt)?, networks)?;
    let Some(peer) = peer else {
        println!("libvirt: not run, --peer names no script that runs one");
        return Ok(());
    };
    let ours = measure(&Host::new(Subject::Oxivirt)?, peer_networks)?;
    let theirs = measure(&Host::libvirt(&peer, Backend::Nftables)?, peer_networks)?;
    for phase in PHASES {
        let time = |times: &BTreeMap<String, f64>| times.get(phase).copied().unwrap_or(f64::NAN);
        println!("{phase} of {peer_networks}: {:.1} times faster", time(&theirs) / time(&ours));
    }
    Ok(())
}

/// Seconds by phase.
type Times = BTreeMap<String, f64>;

fn measure(host: &Host, count: usize) -> Result<Times> {
    let subject = host.subject();
    println!("{subject}, {count} networks");
    host.restart()?;
    let before = host.snapshot()?;
    let (count_word, uri) = (count.to_string(), host.uri());
    let run = match subject {
        Subject::Oxivirt => {
            limit_inotify(host)?;
            campaign("soak")?.args(["--inside", &uri, &count_word]).behind(host.netns().prefix())
        }
        Subject::Libvirt => {
            host.netns().run(["/usr/bin/python3", "-c", LIBVIRT, &uri, &count_word])
        }
    };
    let mut process = run.start()?;
    let mut times = Times::new();
    let mut monitors = None;
    while times.len() < PHASES.len() {
        let line = process.line()?;
        let words: Vec<_> = line.split(' ').collect();
        let [phase, seconds, kib] = words.as_slice() else {
            return Err(Error::Format { what: "the soak's process".into(), found: line });
        };
        let seconds: f64 = seconds.parse().unwrap_or(f64::NAN);
        let memory = match kib.parse::<u64>() {
            Ok(kib) if kib > 0 => format!(", driver {} MiB", kib / 1024),
            _ => String::new(),
        };
        println!("  {phase}: {seconds:.2} s{memory}");
        times.insert((*phase).to_owned(), seconds);
        match (*phase, subject) {
            ("start", Subject::Oxivirt) => {
                count_processes(host, count)?;
                monitors = Some(Monitors::start(host.netns())?);
            }
            ("start", Subject::Libvirt) => {
                count_processes(host, count)?;
                let seconds = restart(host, count)?;
                println!("  restart: {seconds:.2} s");
                times.insert("restart".to_owned(), seconds);
            }
            ("restart", _) => monitors.take().map_or(Ok(()), expect_silence)?,
            _ => continue,
        }
        process.send("go on")?;
    }
    process.finish()?;
    let mut left = before.diff(&host.snapshot()?);
    for i in 0..count {
        let (name, bridge) = (format!("soak{i}"), format!("sk{i}"));
        left = left.except(|change| is_documented_leftover(&name, &bridge, change));
    }
    if subject == Subject::Oxivirt && !left.is_empty() {
        return Err(Error::Wrong(format!("the host is not as before:\n{left}")));
    }
    println!("  the host is as before, but for {} changes", left.changes().len());
    Ok(times)
}

/// Seconds until a libvirt that is started over running networks answers with all of them.
fn restart(host: &Host, networks: usize) -> Result<f64> {
    host.daemon_down()?;
    let begin = Instant::now();
    host.daemon_up()?;
    let listed = host.done(&["net-list", "--name"])?;
    let seconds = begin.elapsed().as_secs_f64();
    match listed.lines().filter(|line| line.starts_with("soak")).count() {
        found if found == networks => Ok(seconds),
        found => Err(Error::Wrong(format!("{found} of {networks} networks after the restart"))),
    }
}

fn expect_silence(monitors: Monitors<'_>) -> Result<()> {
    let changes = monitors.finish()?;
    if !changes.is_empty() {
        return Err(Error::Wrong(format!("written while the driver was opened again:\n{changes}")));
    }
    println!("  nothing in the kernel was written while the driver was opened again");
    Ok(())
}

/// Shows the driver a limit, in its own mount namespace only.
fn limit_inotify(host: &Host) -> Result<()> {
    let file = "/proc/sys/fs/inotify/max_user_instances";
    let script =
        format!("echo {INOTIFY_LIMIT} >/dev/shm/limit.$$ && mount --bind /dev/shm/limit.$$ {file}");
    host.netns().sh(&script).map(drop)
}

fn count_processes(host: &Host, networks: usize) -> Result<()> {
    let processes = host.netns().processes()?;
    let dnsmasq: Vec<_> =
        processes.iter().filter(|process| process.command.contains("dnsmasq")).collect();
    let (mut kib, mut watches) = (0, 0);
    for process in &dnsmasq {
        let proc = Path::new("/proc").join(process.outside.to_string());
        let rollup = std::fs::read_to_string(proc.join("smaps_rollup")).unwrap_or_default();
        let pss =
            rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().split(' ').next());
        kib += pss.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0);
        let Ok(files) = std::fs::read_dir(proc.join("fd")) else { continue };
        let is_watch = |file: std::io::Result<std::fs::DirEntry>| {
            let target = file.and_then(|file| std::fs::read_link(file.path()));
            target.is_ok_and(|target| target.to_string_lossy().contains("inotify"))
        };
        watches += files.map(is_watch).filter(|is| *is).count();
    }
    println!(
        "  {} dnsmasq processes for {networks} networks, {} MiB in all, {watches} inotify instances",
        dnsmasq.len(),
        kib / 1024
    );
    if host.subject() == Subject::Oxivirt && watches > INOTIFY_LIMIT {
        return Err(Error::Wrong(format!("{watches} inotify instances, {INOTIFY_LIMIT} allowed")));
    }
    let links = host.snapshot()?.count(Section::Link);
    match links >= networks {
        true => Ok(()),
        false => Err(Error::Wrong(format!("{links} links for {networks} networks"))),
    }
}

fn xml(i: usize) -> String {
    let net = format!("10.{}.{}", i / 250 + 1, i % 250);
    format!(
        "<network><name>soak{i}</name><forward mode='nat'/><bridge name='sk{i}'/>\
         <ip address='{net}.1' prefix='24'><dhcp><range start='{net}.2' end='{net}.254'/></dhcp>\
         </ip></network>"
    )
}

/// The driver and its one client.
fn inside(uri: &str, count: usize) -> std::result::Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut connect = open(uri).await?;
        for phase in PHASES {
            let begin = Instant::now();
            match phase {
                "restart" => {
                    connect.close().await.map_err(|error| error.to_string())?;
                    drop(connect);
                    connect = open(uri).await?;
                    let active = connect.list_all_networks(ListFlags::ACTIVE).await;
                    let active = active.map_err(|error| error.to_string())?.len();
                    if active != count {
                        return Err(format!("{active} of {count} networks after the restart"));
                    }
                }
                "list" => all_at_once(&connect, phase, 10).await?,
                _ => all_at_once(&connect, phase, count).await?,
            }
            println!("{phase} {} {}", begin.elapsed().as_secs_f64(), memory_kib());
            if PAUSES.contains(&phase) {
                let mut line = String::new();
                std::io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    })
}

async fn open(uri: &str) -> std::result::Result<Arc<Connect>, String> {
    let mut registry = Registry::new();
    oxivirt_network::register(&mut registry, Environment::of_process());
    let connect = Connect::open(uri, &registry, &OpenOptions::default()).await;
    Ok(Arc::new(connect.map_err(|error| error.to_string())?))
}

async fn all_at_once(
    connect: &Arc<Connect>,
    phase: &'static str,
    times: usize,
) -> std::result::Result<(), String> {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut calls = JoinSet::new();
    for i in 0..times {
        let (connect, slots) = (Arc::clone(connect), Arc::clone(&slots));
        calls.spawn(async move {
            let _slot = slots.acquire().await;
            call(&connect, phase, i).await.map_err(|error| format!("{phase} {i}: {error}"))
        });
    }
    let (mut done, mut reported) = (0, Instant::now());
    while let Some(ended) = calls.join_next().await {
        ended.map_err(|error| error.to_string())??;
        done += 1;
        if reported.elapsed() > Duration::from_secs(1) {
            reported = Instant::now();
            eprint!("\r  {phase} {done}/{times}   ");
            drop(std::io::stderr().flush());
        }
    }
    eprint!("\r");
    Ok(())
}

async fn call(connect: &Connect, phase: &str, i: usize) -> oxivirt::Result<()> {
    if phase == "define" {
        return connect.network_define_xml(&xml(i), DefineFlags::NONE).await.map(drop);
    }
    if phase == "list" {
        for network in connect.list_all_networks(ListFlags::NONE).await? {
            network.is_active().await?;
            network.is_persistent().await?;
            network.autostart().await?;
        }
        return Ok(());
    }
    let network = connect.network_lookup_by_name(&format!("soak{i}")).await?;
    match phase {
        "start" => network.create().await,
        "update" => {
            let update = Update {
                command: UpdateCommand::AddLast,
                section: UpdateSection::DnsHost,
                parent_index: -1,
                xml: HOST.to_owned(),
                flags: UpdateFlags::LIVE | UpdateFlags::CONFIG,
            };
            network.update(&update).await
        }
        "destroy" => network.destroy().await,
        _ => network.undefine().await,
    }
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}
