//! A stand-in for firewalld on the bus that the environment names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zbus::interface;
use zbus::object_server::SignalEmitter;

use crate::error::{Error, Result};

const NAME: &str = "org.fedoraproject.FirewallD1";
const PATH: &str = "/org/fedoraproject/FirewallD1";

/// What the interfaces share.
#[derive(Debug)]
struct State {
    zones: Vec<String>,
    links: BTreeMap<String, String>,
    calls: File,
}

type Shared = Arc<Mutex<State>>;

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refusal(text: String) -> zbus::fdo::Error {
    zbus::fdo::Error::Failed(text)
}

struct Main;

#[interface(name = "org.fedoraproject.FirewallD1")]
impl Main {
    #[zbus(signal)]
    async fn reloaded(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;
}

struct Zone(Shared);

impl State {
    fn note(&mut self, call: &str) -> zbus::fdo::Result<()> {
        writeln!(self.calls, "{call}").map_err(|error| refusal(error.to_string()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as the bus delivers them")]
#[interface(name = "org.fedoraproject.FirewallD1.zone")]
impl Zone {
    #[zbus(name = "getZones")]
    fn get_zones(&self) -> Vec<String> {
        lock(&self.0).zones.clone()
    }

    #[zbus(name = "getActiveZones")]
    fn get_active_zones(&self) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
        let mut active: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        for (link, zone) in &lock(&self.0).links {
            let zone = active.entry(zone.clone()).or_default();
            zone.entry("interfaces".to_owned()).or_default().push(link.clone());
        }
        active
    }

    #[zbus(name = "changeZoneOfInterface")]
    fn change_zone(&self, zone: String, link: String) -> zbus::fdo::Result<String> {
        let mut state = lock(&self.0);
        state.note(&format!("changeZoneOfInterface {zone} {link}"))?;
        if !state.zones.contains(&zone) {
            return Err(refusal(format!("INVALID_ZONE: {zone}")));
        }
        state.links.insert(link, zone.clone());
        Ok(zone)
    }

    #[zbus(name = "removeInterface")]
    fn remove(&self, zone: String, link: String) -> zbus::fdo::Result<String> {
        let mut state = lock(&self.0);
        state.note(&format!("removeInterface '{zone}' {link}"))?;
        state.links.remove(&link).ok_or_else(|| refusal(format!("UNKNOWN_INTERFACE: {link}")))
    }
}

struct Policy(Vec<String>);

#[interface(name = "org.fedoraproject.FirewallD1.policy")]
impl Policy {
    #[zbus(name = "getPolicies")]
    fn get_policies(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// Serves until standard input ends. What is asked for goes to the file `calls`; `names` are zones, after
/// a `-` policies. A line `reload` on standard input makes it forget which links are where, and say so.
///
/// # Errors
/// There is no bus, or it has a firewalld already.
pub async fn firewalld(calls: &Path, names: &[&str]) -> Result<()> {
    let mut names = names.split(|name| *name == "-");
    let mut of = || -> Vec<String> {
        names.next().unwrap_or_default().iter().map(|name| (*name).to_owned()).collect()
    };
    let (zones, policies) = (of(), of());
    let calls = File::create(calls).map_err(Error::file(calls))?;
    let state = Arc::new(Mutex::new(State { zones, links: BTreeMap::new(), calls }));
    let wrong = |error: zbus::Error| Error::Wrong(format!("message bus: {error}"));
    let connection = zbus::connection::Builder::system()
        .and_then(|builder| builder.name(NAME))
        .and_then(|builder| builder.serve_at(PATH, Main))
        .and_then(|builder| builder.serve_at(PATH, Zone(Arc::clone(&state))))
        .and_then(|builder| builder.serve_at(PATH, Policy(policies)))
        .map_err(wrong)?
        .build()
        .await
        .map_err(wrong)?;
    println!("ready");
    let (lines, mut read) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            drop(lines.send(line));
        }
    });
    while let Some(line) = read.recv().await {
        if line == "reload" {
            lock(&state).links.clear();
            let emitter = SignalEmitter::new(&connection, PATH).map_err(wrong)?;
            Main::reloaded(&emitter).await.map_err(wrong)?;
        }
    }
    Ok(())
}
