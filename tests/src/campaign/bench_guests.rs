//! How long guests take to start, to end, to be listed and to be found again (`cargo xtask bench guests`).
//!
//! `oxivirt-campaign bench-guests [--peer PATH] [--rounds N] [--json]` makes the same calls by the same client to our
//! daemon and, where a script runs one, to a libvirtd, in turn. Both are on hosts of their own whose first
//! process collects orphans at once: libvirt counts a process as alive until its parent has waited for it. Guests stay
//! in their firmware, on KVM where there is one; those that take a lease boot a kernel.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use oxivirt::{Connect, DefineFlags, Domain, OpenOptions, Registry};
use oxivirt_remote::client::Environment;
use oxivirt_types::domain::{
    DomainCreateFlags, DomainDefineFlags, DomainDestroyFlags, DomainListFlags, DomainState,
    DomainUndefineFlags, DomainXmlFlags,
};
use serde_json::json;

use crate::error::{Error, Result};
use crate::guest_crash::has_kvm;
use crate::guest_daemon::GuestDaemon;
use crate::host::program;
use crate::libvirt_guests::LibvirtGuests;
use crate::process::{PATIENCE, Run};
use crate::qemu::{self, Image};
use crate::require::{self, Need};

use super::bench_start::median_ms;

const NETWORK: &str = include_str!("../../data/networks/default.xml");
/// The network's name.
const DEFAULT: &str = "default";
const NAME: &str = "bench";

/// Rounds before the measured ones: the first start asks the emulator what it can do.
const WARM_UP: usize = 2;
const ROUNDS: usize = 15;
/// Guests that boot, for each daemon.
const BOOTS: usize = 3;
/// Guests that run while a daemon is started again, and how often it is.
const RUNNING: usize = 20;
const RESTARTS: usize = 5;
/// Guests of the long list, and how often it is asked for.
const LISTED: usize = 1000;
const LISTS: usize = 5;
/// Lines of a log that an error has.
const LOG: usize = 30;
/// Time between two looks at what is announced by nothing.
const LOOK: Duration = Duration::from_millis(2);

/// Which daemon it is.
enum Kind {
    Ours(GuestDaemon),
    Libvirt(LibvirtGuests),
}

/// One of the two.
struct Candidate {
    kind: Kind,
    connect: Connect,
    /// Kernel and initramfs: each daemon gives its own copy to its user.
    image: Option<Image>,
}

/// A line of the table: medians of the candidates in their order.
struct Row {
    what: String,
    unit: &'static str,
    values: Vec<f64>,
    /// How many times less than libvirt we mean to need.
    goal: f64,
}

struct Options {
    peer: Option<PathBuf>,
    rounds: usize,
    is_json: bool,
}

impl Options {
    fn read(words: &[String]) -> Result<Self> {
        let mut options = Self { peer: None, rounds: ROUNDS, is_json: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--json" => options.is_json = true,
                "--peer" => options.peer = words.next().map(PathBuf::from),
                "--rounds" => {
                    let rounds = words.next().and_then(|word| word.parse().ok());
                    options.rounds = rounds.filter(|rounds| *rounds > 0).ok_or_else(|| {
                        Error::Wrong("--rounds wants a number above 0".to_owned())
                    })?;
                }
                other => return Err(Error::Wrong(format!("unknown option '{other}'"))),
            }
        }
        Ok(options)
    }
}

pub(super) fn run(words: &[String]) -> Result<bool> {
    let mut options = Options::read(words)?;
    if !require::check("bench guests", &[Need::Netns, qemu::NEED])? {
        return Ok(true);
    }
    if options.peer.is_none() && require::check("bench guests: libvirt", &[Need::Peer])? {
        options.peer = Some(require::peer());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::Wrong(format!("no runtime: {source}")))?;
    let rows = runtime.block_on(measure(&options))?;
    let profile = profile()?;
    let accelerator = if has_kvm() { "kvm" } else { "tcg" };
    if options.is_json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        let document = json!({ "programs": profile, "accelerator": accelerator, "rows": rows });
        println!("{document:#}");
        return Ok(true);
    }
    println!("programs: {profile}; guests in their firmware: {accelerator}; medians, in turn");
    println!("{:<44}{:>12}{:>12}{:>9}{:>8}", "", "oxivirt", "libvirt", "times", "goal");
    rows.iter().for_each(Row::print);
    Ok(true)
}

async fn measure(options: &Options) -> Result<Vec<Row>> {
    let mut candidates = vec![Candidate::ours().await?];
    if let Some(script) = &options.peer {
        let libvirt = LibvirtGuests::new(script)?;
        candidates.push(Candidate::new(Kind::Libvirt(libvirt)).await?);
    }
    let mut rows = Vec::new();
    let memory = candidates.iter().map(Candidate::memory).collect::<Result<_>>()?;
    rows.push(Row::new("memory of the daemon, fresh", "MiB", memory, 1.0));
    rows.extend(lives(&mut candidates, options.rounds).await?);
    rows.extend(leases(&mut candidates).await?);
    rows.extend(restarts(&mut candidates).await?);
    rows.extend(lists(&candidates).await?);
    Ok(rows)
}

/// Defines, starts and destroys a guest with a disk, a card and a display.
async fn lives(candidates: &mut [Candidate], rounds: usize) -> Result<Vec<Row>> {
    let mut times = vec![[Vec::new(), Vec::new(), Vec::new(), Vec::new()]; candidates.len()];
    for round in 0..WARM_UP + rounds {
        for (times, candidate) in times.iter_mut().zip(candidates.iter()) {
            let measured = candidate.life().await?;
            if round >= WARM_UP {
                times.iter_mut().zip(measured).for_each(|(times, time)| times.push(time));
            }
        }
    }
    let goals =
        [("define", 1.0), ("start until it runs", 3.5), ("destroy", 8.0), ("undefine", 1.0)];
    let rows = goals.iter().enumerate().map(|(at, (what, goal))| {
        let values = times.iter_mut().map(|times| median_ms(&mut times[at])).collect();
        Row::new(what, "ms", values, *goal)
    });
    Ok(rows.collect())
}

/// Boots guests with new addresses on the default network.
async fn leases(candidates: &mut [Candidate]) -> Result<Option<Row>> {
    if !require::check("bench guests: leases", &[Need::Guest])? {
        return Ok(None);
    }
    let mut times = vec![Vec::new(); candidates.len()];
    for _ in 0..BOOTS {
        for (times, candidate) in times.iter_mut().zip(candidates.iter_mut()) {
            times.push(candidate.lease().await?);
        }
    }
    let values = times.iter_mut().map(|times| median_ms(times)).collect();
    Ok(Some(Row::new("start of a new guest until its lease", "ms", values, 2.0)))
}

/// Starts the daemons again over guests that run.
async fn restarts(candidates: &mut [Candidate]) -> Result<Vec<Row>> {
    let mut times = vec![Vec::new(); candidates.len()];
    for candidate in candidates.iter() {
        candidate.start_many().await?;
    }
    for _ in 0..RESTARTS {
        for (times, candidate) in times.iter_mut().zip(candidates.iter_mut()) {
            times.push(candidate.restart().await?);
        }
    }
    let memory = candidates.iter().map(Candidate::memory).collect::<Result<_>>()?;
    for candidate in candidates.iter() {
        candidate.remove_many().await?;
    }
    let values = times.iter_mut().map(|times| median_ms(times)).collect();
    Ok(vec![
        Row::new(&format!("restart over {RUNNING} guests until all answer"), "ms", values, 5.0),
        Row::new(&format!("memory of the daemon, {RUNNING} guests"), "MiB", memory, 1.0),
    ])
}

/// Lists many guests with their documents.
async fn lists(candidates: &[Candidate]) -> Result<Vec<Row>> {
    let mut times = vec![[Vec::new(), Vec::new()]; candidates.len()];
    for candidate in candidates {
        candidate.define_many().await?;
    }
    for _ in 0..LISTS {
        for (times, candidate) in times.iter_mut().zip(candidates) {
            times[0].push(candidate.list_one_by_one().await?);
            times[1].push(candidate.list_at_once().await?);
        }
    }
    let whats = ["one call at a time", "without waiting"];
    let rows = whats.iter().enumerate().map(|(at, what)| {
        let values = times.iter_mut().map(|times| median_ms(&mut times[at])).collect();
        Row::new(&format!("list {LISTED} with documents, {what}"), "ms", values, 10.0)
    });
    Ok(rows.collect())
}

impl Candidate {
    async fn ours() -> Result<Self> {
        Self::new(Kind::Ours(GuestDaemon::new()?)).await
    }

    /// A host with the default network and an empty disk.
    async fn new(kind: Kind) -> Result<Self> {
        let connect = connect(&kind.uri()).await.map_err(refused)?;
        let candidate = Self { kind, connect, image: None };
        let disk = candidate.kind.root().join("disk.qcow2");
        Run::new(["qemu-img", "create", "-q", "-f", "qcow2"])
            .args([&disk])
            .args(["64M"])
            .stdout()?;
        let network = candidate.connect.network_define_xml(NETWORK, DefineFlags::NONE).await;
        network.map_err(refused)?.create().await.map_err(refused)?;
        Ok(candidate)
    }

    fn memory(&self) -> Result<f64> {
        let kib = match &self.kind {
            Kind::Ours(daemon) => daemon.memory_kib()?,
            Kind::Libvirt(daemon) => daemon.memory_kib()?,
        };
        Ok(kib as f64 / 1024.0)
    }

    /// Times of define, start, destroy and undefine.
    async fn life(&self) -> Result<[Duration; 4]> {
        let disk = self.kind.root().join("disk.qcow2");
        let devices = format!(
            "<disk type='file'><driver name='qemu' type='qcow2'/><source file='{}'/>\
             <target dev='vda' bus='virtio'/></disk><interface type='network'>\
             <source network='{DEFAULT}'/><model type='virtio'/></interface>\
             <serial type='pty'/><graphics type='vnc'/>",
            disk.display()
        );
        let xml = bare(NAME, &devices);
        let (define, domain) =
            timed(self.connect.domain_define_xml(&xml, DomainDefineFlags::empty())).await?;
        let (start, domain) = timed(domain.create(DomainCreateFlags::empty())).await?;
        let state = domain.state().await.map_err(refused)?.state;
        if state != DomainState::Running {
            return Err(Error::Wrong(format!("state {state:?} after a start")));
        }
        let (destroy, ()) = timed(domain.destroy(DomainDestroyFlags::empty())).await?;
        let (undefine, ()) = timed(domain.undefine(DomainUndefineFlags::empty())).await?;
        Ok([define, start, destroy, undefine])
    }

    /// Time from the start of a guest to its lease.
    async fn lease(&mut self) -> Result<Duration> {
        let image = self.image()?;
        let mac = format!("52:54:00:{}", hex(rand::random::<[u8; 3]>()));
        let xml = format!(
            "<domain type='qemu'><name>boot</name><memory unit='MiB'>128</memory><os>\
             <type machine='q35'>hvm</type><kernel>{}</kernel><initrd>{}</initrd>\
             <cmdline>console=ttyS0 quiet panic=-1 name=boot</cmdline></os>\
             <features><acpi/></features><devices><interface type='network'><mac address='{mac}'/>\
             <source network='{DEFAULT}'/><model type='virtio'/></interface></devices></domain>",
            image.kernel.display(),
            image.initramfs.display(),
        );
        let domain = self.connect.domain_define_xml(&xml, DomainDefineFlags::empty()).await;
        let domain = domain.map_err(refused)?;
        let network = self.connect.network_lookup_by_name(DEFAULT).await.map_err(refused)?;
        let begin = Instant::now();
        let domain = domain.create(DomainCreateFlags::empty()).await.map_err(refused)?;
        while network.dhcp_leases(Some(&mac)).await.map_err(refused)?.is_empty() {
            patient(begin, "a lease")?;
            tokio::time::sleep(LOOK).await;
        }
        let time = begin.elapsed();
        domain.destroy(DomainDestroyFlags::empty()).await.map_err(refused)?;
        domain.undefine(DomainUndefineFlags::empty()).await.map_err(refused)?;
        Ok(time)
    }

    fn image(&mut self) -> Result<Image> {
        if let Some(image) = &self.image {
            return Ok(image.clone());
        }
        let (from, root) = (Image::get()?, self.kind.root());
        let image = Image { kernel: root.join("vmlinuz"), initramfs: root.join("initramfs") };
        for (from, to) in [(&from.kernel, &image.kernel), (&from.initramfs, &image.initramfs)] {
            std::fs::copy(from, to).map_err(Error::file(to))?;
        }
        self.image = Some(image.clone());
        Ok(image)
    }

    async fn start_many(&self) -> Result<()> {
        for number in 0..RUNNING {
            let xml = bare(&format!("r{number}"), "");
            let created = self.connect.domain_create_xml(&xml, DomainCreateFlags::PAUSED).await;
            created.map_err(refused)?;
        }
        Ok(())
    }

    async fn remove_many(&self) -> Result<()> {
        for domain in self.all().await? {
            domain.destroy(DomainDestroyFlags::empty()).await.map_err(refused)?;
        }
        Ok(())
    }

    async fn all(&self) -> Result<Vec<Domain>> {
        self.connect.list_all_domains(DomainListFlags::empty()).await.map_err(refused)
    }

    /// Time from the signal that ends the daemon until every guest answers on its monitor.
    async fn restart(&mut self) -> Result<Duration> {
        let begin = Instant::now();
        match &mut self.kind {
            Kind::Ours(daemon) => {
                daemon.stop();
                daemon.spawn()?;
            }
            Kind::Libvirt(daemon) => {
                daemon.stop()?;
                daemon.spawn()?;
            }
        }
        let uri = self.kind.uri();
        self.connect = loop {
            match connect(&uri).await {
                Ok(connect) => break connect,
                Err(error) => patient(begin, &format!("a daemon ({error})"))?,
            }
            tokio::time::sleep(LOOK).await;
        };
        let domains = self.all().await?;
        if domains.len() != RUNNING {
            let (name, count) = (self.kind.name(), domains.len());
            let log = self.kind.log();
            return Err(Error::Wrong(format!("{name}: {count} guests after a restart\n{log}")));
        }
        for domain in &domains {
            domain.reset().await.map_err(refused)?;
        }
        Ok(begin.elapsed())
    }

    async fn define_many(&self) -> Result<()> {
        for number in 0..LISTED {
            let xml = bare(&format!("d{number}"), "<serial type='pty'/><graphics type='vnc'/>");
            let defined = self.connect.domain_define_xml(&xml, DomainDefineFlags::empty()).await;
            defined.map_err(refused)?;
        }
        Ok(())
    }

    async fn list_one_by_one(&self) -> Result<Duration> {
        let begin = Instant::now();
        for domain in listed(self.all().await?)? {
            domain.xml_desc(DomainXmlFlags::empty()).await.map_err(refused)?;
        }
        Ok(begin.elapsed())
    }

    async fn list_at_once(&self) -> Result<Duration> {
        let begin = Instant::now();
        let domains = listed(self.all().await?)?;
        let documents = domains.iter().map(|domain| domain.xml_desc(DomainXmlFlags::empty()));
        futures::future::try_join_all(documents).await.map_err(refused)?;
        Ok(begin.elapsed())
    }
}

impl Kind {
    fn uri(&self) -> String {
        match self {
            Self::Ours(daemon) => daemon.uri(),
            Self::Libvirt(daemon) => daemon.host().uri(),
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Ours(_) => "oxivirt",
            Self::Libvirt(_) => "libvirt",
        }
    }

    /// The end of what the daemon has written.
    fn log(&self) -> String {
        let name = match self {
            Self::Ours(_) => "log",
            Self::Libvirt(_) => "libvirtd.log",
        };
        let text = std::fs::read_to_string(self.root().join(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(LOG)..).unwrap_or_default().join("\n")
    }

    fn root(&self) -> PathBuf {
        match self {
            Self::Ours(daemon) => daemon.root().path().to_owned(),
            Self::Libvirt(daemon) => daemon.host().root().to_owned(),
        }
    }
}

impl Row {
    fn new(what: &str, unit: &'static str, values: Vec<f64>, goal: f64) -> Self {
        Self { what: what.to_owned(), unit, values, goal }
    }

    fn times(&self) -> Option<f64> {
        match self.values.as_slice() {
            [ours, theirs] => Some(theirs / ours),
            _ => None,
        }
    }

    fn print(&self) {
        let value = |at| match self.values.get(at) {
            Some(value) => format!("{value:.1} {}", self.unit),
            None => "-".to_owned(),
        };
        let times = self.times().map_or_else(|| "-".to_owned(), |times| format!("{times:.1}"));
        let Self { what, goal, .. } = self;
        println!("{what:<44}{:>12}{:>12}{times:>9}{goal:>8.1}", value(0), value(1));
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "what": self.what,
            "unit": self.unit,
            "oxivirt": self.values.first(),
            "libvirt": self.values.get(1),
            "times": self.times(),
            "goal": self.goal,
        })
    }
}

/// A guest that stays in its firmware.
fn bare(name: &str, devices: &str) -> String {
    let kind = if has_kvm() { "kvm" } else { "qemu" };
    format!(
        "<domain type='{kind}'><name>{name}</name><memory unit='MiB'>32</memory>\
         <os><type machine='q35'>hvm</type></os><features><acpi/></features>\
         <devices>{devices}</devices></domain>"
    )
}

/// What the programs were built as, by their directory.
fn profile() -> Result<String> {
    let path = program("oxivirtd")?;
    let directory = path.parent().and_then(|directory| directory.file_name());
    Ok(directory.map_or_else(String::new, |name| name.to_string_lossy().into_owned()))
}

fn listed(domains: Vec<Domain>) -> Result<Vec<Domain>> {
    match domains.len() {
        LISTED => Ok(domains),
        other => Err(Error::Wrong(format!("{other} guests are listed"))),
    }
}

fn patient(begin: Instant, what: &str) -> Result<()> {
    match begin.elapsed() > PATIENCE {
        true => Err(Error::Wait { what: what.to_owned(), after: PATIENCE }),
        false => Ok(()),
    }
}

fn hex(bytes: [u8; 3]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

async fn timed<T>(call: impl Future<Output = oxivirt::Result<T>>) -> Result<(Duration, T)> {
    let begin = Instant::now();
    let value = call.await.map_err(refused)?;
    Ok((begin.elapsed(), value))
}

async fn connect(uri: &str) -> oxivirt::Result<Connect> {
    let mut registry = Registry::new();
    oxivirt_remote::client::register(&mut registry, Environment::of_process());
    let options = OpenOptions { deadline: Some(PATIENCE), ..OpenOptions::default() };
    Connect::open(uri, &registry, &options).await
}

#[expect(clippy::needless_pass_by_value, reason = "passed to `map_err`")]
fn refused(error: oxivirt::Error) -> Error {
    Error::Refused {
        number: u32::try_from(error.code().0).unwrap_or_default(),
        domain: u32::try_from(error.domain().0).unwrap_or_default(),
        message: error.message().to_owned(),
    }
}
