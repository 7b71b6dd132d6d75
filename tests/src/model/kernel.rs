//! The driver on the real kernel, in a process of its own that can be killed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead as _;
use std::thread;
use std::time::Duration;

use oxivirt::NetworkDriver;
use serde::{Deserialize, Serialize};

use super::{Answer, Call, Kind, Loss, System, World, perform};
use crate::error::{Error, Result};
use crate::host::{CAMPAIGN, Host, Subject, campaign};
use crate::netns::Process;
use crate::process::Running;
use crate::snapshot::{Section, Snapshot};

/// A request to the process with the driver, one JSON document a line.
#[derive(Debug, Serialize, Deserialize)]
enum Request {
    Call(u8, Call),
    World,
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    Called(Answer),
    World(World),
    Failed(String),
}

/// Answers requests from standard input with a driver, until it ends.
pub async fn serve(driver: &dyn NetworkDriver) {
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let reply = match serde_json::from_str(&line) {
            Ok(Request::Call(network, call)) => {
                Reply::Called(perform::call(driver, network, &call).await)
            }
            Ok(Request::World) => match perform::world(driver).await {
                Ok(world) => Reply::World(world),
                Err(error) => Reply::Failed(error.to_string()),
            },
            Err(error) => Reply::Failed(error.to_string()),
        };
        println!("{}", serde_json::to_string(&reply).unwrap_or_default());
    }
}

/// A host in namespaces and the process with its driver.
#[derive(Debug)]
pub struct Kernel {
    host: Host,
    before: Snapshot,
    /// Absent only while the process is exchanged.
    process: Option<Running>,
}

impl Kernel {
    /// A host with nothing on it, and a driver.
    ///
    /// # Errors
    /// No namespaces, or the program is not built.
    pub fn new() -> Result<Self> {
        let host = Host::new(Subject::Oxivirt)?;
        // The directories of a driver are there from its first opening on.
        host.restart()?;
        let before = host.snapshot()?;
        let mut kernel = Self { host, before, process: None };
        kernel.begin()?;
        Ok(kernel)
    }

    fn begin(&mut self) -> Result<()> {
        let model = campaign("model")?.args(["--serve", &self.host.uri()]);
        let mut process = model.behind(self.host.netns().prefix()).start()?;
        match process.line()?.as_str() {
            "ready" => self.process = Some(process),
            other => return Err(format_error(other)),
        }
        Ok(())
    }

    fn process(&mut self) -> Result<&mut Running> {
        self.process.as_mut().ok_or_else(|| Error::Wrong("the driver does not run".into()))
    }

    fn end(&mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.finish().map(drop),
            None => Ok(()),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Reply> {
        let text = serde_json::to_string(request).unwrap_or_default();
        let process = self.process()?;
        process.send(&text)?;
        let line = process.line()?;
        serde_json::from_str(&line).map_err(|_| format_error(&line))
    }
}

fn format_error(found: &str) -> Error {
    Error::Format { what: "the model's process".into(), found: found.into() }
}

impl System for Kernel {
    fn call(&mut self, network: u8, call: &Call) -> Result<Answer> {
        match self.ask(&Request::Call(network, call.clone()))? {
            Reply::Called(answer) => Ok(answer),
            other => Err(format_error(&format!("{other:?}"))),
        }
    }

    /// A kill by the clock hits every place sooner or later; the crash test hits each on purpose.
    fn crash(&mut self, network: u8, call: &Call, late: u8) -> Result<Option<Answer>> {
        let text = serde_json::to_string(&Request::Call(network, call.clone())).unwrap_or_default();
        let drivers = self.host.netns().processes_of(CAMPAIGN)?;
        let process = self.process()?;
        process.send(&text)?;
        thread::sleep(Duration::from_micros(600) * u32::from(late));
        drivers.iter().try_for_each(Process::kill)?;
        let line = process.line();
        drop(self.process.take());
        self.begin()?;
        let Ok(line) = line else { return Ok(None) };
        match serde_json::from_str(&line) {
            Ok(Reply::Called(answer)) => Ok(Some(answer)),
            _ => Ok(None),
        }
    }

    fn restart(&mut self) -> Result<()> {
        self.end()?;
        self.begin()
    }

    fn lose(&mut self, loss: Loss) -> Result<()> {
        self.end()?;
        let script = match loss {
            Loss::Rules => "nft flush ruleset".to_owned(),
            Loss::Addresses => {
                "for l in $(ls /sys/class/net | grep ^virbr); do ip address flush dev $l; done"
                    .to_owned()
            }
            Loss::Bridge(network) => {
                format!("ip link delete {} 2>/dev/null || true", perform::bridge(network))
            }
            Loss::Dnsmasq => {
                let processes = self.host.netns().processes_of("dnsmasq")?;
                processes.iter().try_for_each(Process::kill)?;
                return self.begin();
            }
        };
        self.host.netns().sh(&script)?;
        self.begin()
    }

    fn world(&mut self) -> Result<World> {
        match self.ask(&Request::World)? {
            Reply::World(world) => Ok(world),
            other => Err(format_error(&format!("{other:?}"))),
        }
    }

    fn check(&mut self, world: &World) -> std::result::Result<(), String> {
        let now = self.host.snapshot().map_err(|error| error.chain())?;
        let found = Picture::of(&self.before, &now);
        let expected = Picture::expected(world, &self.host);
        super::compare("the host", &found, &expected)
    }
}

/// What is there because of networks.
#[derive(Debug, Default, PartialEq, Eq)]
struct Picture {
    /// Bridges with their addresses.
    bridges: BTreeMap<String, BTreeSet<String>>,
    chains: BTreeSet<String>,
    /// Configuration files of running dnsmasqs.
    dnsmasq: BTreeSet<String>,
    queues: BTreeSet<String>,
    files: BTreeSet<String>,
}

impl Picture {
    fn of(before: &Snapshot, now: &Snapshot) -> Self {
        let mut picture = Self::default();
        let difference = before.diff(now);
        let new = difference.changes().iter().filter(|change| change.before.is_none());
        // Links first: addresses are filed with them.
        for change in new.clone().filter(|change| change.section == Section::Link) {
            picture.bridges.insert(change.key.clone(), BTreeSet::new());
        }
        for change in new {
            let key = change.key.as_str();
            match change.section {
                Section::Address if !key.contains(" fe80::") => {
                    let (link, address) = key.split_once(' ').unwrap_or_default();
                    let addresses = picture.bridges.entry(link.to_owned()).or_default();
                    addresses.insert(address.to_owned());
                }
                Section::Nftables => {
                    let name = key.strip_prefix("chain inet oxivirt_network ");
                    let own = name.filter(|name| name.contains("virbr"));
                    picture.chains.extend(own.map(str::to_owned));
                }
                Section::Process => {
                    let conf = key.split(' ').find_map(|word| word.strip_prefix("--conf-file="));
                    picture.dnsmasq.extend(conf.map(str::to_owned));
                }
                Section::Qdisc if key.ends_with(" 1:") => {
                    picture.queues.insert(key.to_owned());
                }
                Section::File => {
                    picture.files.extend(is_document(key).then(|| key.to_owned()));
                }
                _ => {}
            }
        }
        picture
    }

    fn expected(world: &World, host: &Host) -> Self {
        let mut picture = Self::default();
        for (&network, net) in &world.nets {
            let (name, bridge) = (perform::name(network), perform::bridge(network));
            let config = net.stored.iter().map(|_| format!("etc/libvirt/qemu/networks/{name}.xml"));
            picture.files.extend(config);
            let Some(live) = &net.live else { continue };
            picture.files.insert(format!("run/libvirt/network/{name}.xml"));
            picture.files.insert(format!("run/oxivirt/network/running/{name}.xml"));
            let port = |port: &u8| {
                format!("run/libvirt/network/{name}/ports/{}.xml", perform::port_uuid(*port))
            };
            picture.files.extend(net.ports.keys().map(port));
            let addresses: &[String] = match live.kind {
                Kind::Direct => continue,
                Kind::Isolated => &[],
                Kind::Nat => {
                    let conf = host.dnsmasq_directory().join(format!("{name}.conf"));
                    picture.dnsmasq.insert(conf.display().to_string());
                    picture.chains.insert(format!("nat_{bridge}-0"));
                    picture.queues.insert(format!("{bridge} 1:"));
                    &[format!("10.{network}.0.1/24")]
                }
                Kind::Route => &[format!("10.{network}.1.1/24"), format!("fd00:9{network}::1/64")],
            };
            picture.chains.extend([format!("in_{bridge}"), format!("out_{bridge}")]);
            picture.bridges.insert(bridge, addresses.iter().cloned().collect());
        }
        picture
    }
}

/// Whether a file is a document of the driver; everything else is a consequence.
fn is_document(key: &str) -> bool {
    key.ends_with(".xml") && !key.contains("/autostart/")
}
