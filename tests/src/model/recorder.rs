//! The driver on a host that only keeps books, in this process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oxivirt_network::apply::recorder::Recorder;
use oxivirt_network::layout::Layout;
use oxivirt_network::{Driver, HookOptions, Options, RestoreSettings, StartWithHost};
use tokio::runtime::Runtime;

use super::world::LIMIT;
use super::{Answer, Call, Kind, Loss, Net, System, World, perform};
use crate::error::{Error, Result};

/// A driver and its host.
#[derive(Debug)]
pub struct Recorded {
    host: Arc<Recorder>,
    dir: tempfile::TempDir,
    /// Absent only while the driver is exchanged.
    running: Option<(Driver<Recorder>, Runtime)>,
}

impl Recorded {
    /// A host with nothing on it, and a driver.
    ///
    /// Files are in memory where the system has a place for that: a model run writes very many.
    ///
    /// # Errors
    /// No directory, or the driver does not open.
    pub fn new() -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let dir = tempfile::tempdir_in(&place).map_err(Error::file(&place))?;
        let mut system = Self { host: Arc::new(Recorder::new()), dir, running: None };
        system.restart()?;
        Ok(system)
    }

    fn layout(&self) -> Layout {
        Layout::below(self.dir.path())
    }

    fn running(&self) -> Result<&(Driver<Recorder>, Runtime)> {
        self.running.as_ref().ok_or_else(|| Error::Wrong("the driver does not run".into()))
    }

    /// Ends the driver: its tasks stop where they wait, as if the process had died there.
    fn end(&mut self) {
        if let Some((driver, runtime)) = self.running.take() {
            drop(driver);
            drop(runtime);
        }
    }
}

impl System for Recorded {
    fn call(&mut self, network: u8, call: &Call) -> Result<Answer> {
        let (driver, runtime) = self.running()?;
        Ok(runtime.block_on(perform::call(driver, network, call)))
    }

    fn crash(&mut self, network: u8, call: &Call, late: u8) -> Result<Option<Answer>> {
        let host = Arc::clone(&self.host);
        host.hang_at(Some(host.steps().len() + usize::from(late)));
        let (driver, runtime) = self.running()?;
        let answer = runtime.block_on(async {
            tokio::select! {
                answer = perform::call(driver, network, call) => Some(answer),
                () = host.hung() => None,
            }
        });
        if answer.is_none() {
            self.end();
        }
        self.host.hang_at(None);
        if answer.is_none() {
            self.restart()?;
        }
        Ok(answer)
    }

    fn restart(&mut self) -> Result<()> {
        self.end();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::file(Path::new("runtime")))?;
        let options = Options {
            layout: self.layout(),
            lease_helper: "/helper".into(),
            uri: "network:///embed".to_owned(),
            autostart: StartWithHost::Never,
            restore_settings: RestoreSettings::WithLastNetwork,
            hooks: HookOptions::default(),
        };
        let driver = runtime.block_on(Driver::open(Arc::clone(&self.host), options));
        let driver = driver.map_err(|error| Error::Wrong(error.to_string()))?;
        self.running = Some((driver, runtime));
        Ok(())
    }

    fn lose(&mut self, loss: Loss) -> Result<()> {
        self.end();
        self.host.change(|state| match loss {
            Loss::Rules => state.chains.clear(),
            Loss::Dnsmasq => state.dnsmasq.clear(),
            Loss::Addresses => state.links.values_mut().for_each(|link| link.addresses.clear()),
            Loss::Bridge(network) => {
                let bridge = perform::bridge(network);
                state.bridges.remove(&bridge);
                state.links.remove(&bridge);
            }
        });
        self.restart()
    }

    fn world(&mut self) -> Result<World> {
        let (driver, runtime) = self.running()?;
        let world = runtime.block_on(perform::world(driver));
        world.map_err(|error| Error::Wrong(error.to_string()))
    }

    fn check(&mut self, world: &World) -> std::result::Result<(), String> {
        let found = Picture::of(&self.host, &self.layout());
        let expected = Picture::expected(world, &self.layout());
        super::compare("the host", &found, &expected)
    }
}

/// What is there because of networks.
#[derive(Debug, Default, PartialEq, Eq)]
struct Picture {
    bridges: BTreeMap<String, BridgePicture>,
    chains: BTreeSet<String>,
    /// Names that each dnsmasq knows.
    dnsmasq: BTreeMap<PathBuf, BTreeSet<String>>,
    /// Settings of the whole host that are on.
    forwarding: BTreeSet<String>,
    files: BTreeSet<PathBuf>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct BridgePicture {
    addresses: BTreeSet<String>,
    n_routes: usize,
    n_classes: usize,
    /// Addresses of guests that the host's name service knows.
    macs: BTreeSet<String>,
}

impl Picture {
    fn of(host: &Recorder, layout: &Layout) -> Self {
        let state = host.state();
        let bridge = |name: &String| {
            let books = state.links.get(name).cloned().unwrap_or_default();
            let picture = BridgePicture {
                addresses: books.addresses.iter().map(ToString::to_string).collect(),
                n_routes: books.routes.len(),
                n_classes: books.classes.len(),
                macs: name.parse().map(|name| macs(&layout.macs(&name))).unwrap_or_default(),
            };
            (name.clone(), picture)
        };
        let names = |conf: &PathBuf| {
            let path = conf.with_extension("addnhosts");
            let text = state.files.get(&path).cloned().unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let words = text.split_whitespace().filter(|word| word.starts_with('h'));
            (conf.clone(), words.map(str::to_owned).collect())
        };
        let on = state.sysctls.iter().filter(|(key, value)| {
            *value == "1" && (key.ends_with("ip_forward") || key.ends_with("all/forwarding"))
        });
        let mut files = BTreeSet::new();
        let bridges: Vec<_> = state.bridges.keys().collect();
        walk(layout.root(), &bridges, &mut files);
        Self {
            bridges: state.bridges.keys().map(bridge).collect(),
            chains: state.chains,
            dnsmasq: state.dnsmasq.iter().map(names).collect(),
            forwarding: on.map(|(key, _)| key.clone()).collect(),
            files,
        }
    }

    fn expected(world: &World, layout: &Layout) -> Self {
        let mut picture = Self::default();
        for (&network, net) in &world.nets {
            let name = perform::name(network);
            if net.stored.is_some() {
                picture.files.insert(layout.config_file(&name));
            }
            if net.autostart {
                picture.files.insert(layout.autostart_link(&name));
            }
            if let Some(live) = &net.live {
                picture.files.extend([layout.status_file(&name), layout.record(&name)]);
                picture.live(network, net, live.kind, layout);
            }
        }
        if !picture.forwarding.is_empty() {
            picture.files.insert(layout.old_settings());
        }
        picture
    }

    fn live(&mut self, network: u8, net: &Net, kind: Kind, layout: &Layout) {
        let (name, bridge) = (perform::name(network), perform::bridge(network));
        for port in net.ports.keys() {
            self.files.insert(layout.port_file(&name, perform::port_uuid(*port)));
        }
        let mut chains = vec![format!("in_{bridge}"), format!("out_{bridge}")];
        let forward4 = "net/ipv4/ip_forward".to_owned();
        let (addresses, n_routes): (&[String], usize) = match kind {
            Kind::Direct => return,
            Kind::Isolated => (&[], 0),
            Kind::Nat => {
                chains.push(format!("nat_{bridge}-0"));
                let names = net.live.iter().flat_map(|live| &live.hosts);
                let names = names.map(|host| format!("h{host}")).collect();
                self.dnsmasq.insert(layout.dnsmasq_conf(&name), names);
                self.forwarding.insert(forward4);
                (&[format!("10.{network}.0.1/24")], 0)
            }
            Kind::Route => {
                self.forwarding.extend([forward4, "net/ipv6/conf/all/forwarding".to_owned()]);
                (&[format!("10.{network}.1.1/24"), format!("fd00:9{network}::1/64")], 1)
            }
        };
        let mut picture = BridgePicture {
            addresses: addresses.iter().cloned().collect(),
            n_routes,
            ..BridgePicture::default()
        };
        if kind == Kind::Nat {
            assert!(net.ports.values().sum::<u64>() <= LIMIT, "the model guarantees too much");
            // The tree's own two, and one for each guarantee.
            picture.n_classes = 2 + net.ports.values().filter(|floor| **floor > 0).count();
        }
        if kind != Kind::Isolated {
            picture.macs = net.ports.keys().map(|port| perform::mac(network, *port)).collect();
        }
        self.chains.extend(chains);
        self.bridges.insert(bridge, picture);
    }
}

/// The addresses in a MAC map.
fn macs(path: &Path) -> BTreeSet<String> {
    let content = std::fs::read(path).unwrap_or_default();
    let map: serde_json::Value = serde_json::from_slice(&content).unwrap_or_default();
    let domains = map.as_array().into_iter().flatten();
    let macs = domains.flat_map(|domain| domain["macs"].as_array().into_iter().flatten());
    macs.filter_map(|mac| Some(mac.as_str()?.to_owned())).collect()
}

/// The driver's files below a directory, without those that are there whatever runs.
fn walk(dir: &Path, bridges: &[&String], found: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let is_link = path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
        match path.is_dir() && !is_link {
            true => walk(&path, bridges, found),
            false if path.ends_with("driver.pid") => {}
            // Compared with its bridge.
            false if bridges.iter().any(|bridge| path.ends_with(format!("{bridge}.macs"))) => {}
            false => drop(found.insert(path)),
        }
    }
}
