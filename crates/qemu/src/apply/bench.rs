//! What one start has in its hands: descriptors, the process that waits, the monitor.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use oxivirt::PortCreateFlags;
use oxivirt_engine::Executor;
use oxivirt_netlink::tap::Tap;
use oxivirt_qmp::command::{
    Balloon, Cont, ExpirePassword, MigrateCapability, MigrateSetCapabilities, QomList, QomSet,
    QueryBalloon, QueryChardev, QueryCpusFast, QueryIothreads, SetLink, SetPassword,
};
use oxivirt_qmp::{Events, Monitor, Options, QmpError};
use oxivirt_sys::file::{self, Durability};
use rand::Rng as _;
use serde_json::Value;

use super::launcher::{self, Waiting};
use super::{Host, HostError, on_thread};
use crate::label::{LabeledFile, Owner};
use crate::live::Live;
use crate::plan::step::{DisplayPassword, Settings, TapDevice};
use crate::plan::{Step, Undo};
use crate::process::Process;

/// Length of a master key in bytes.
const KEY: usize = 32;

/// Carries out the steps of one start, or undoes those of any.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    host: &'a Host,
    live: &'a Live,
    hands: Mutex<Hands>,
}

/// What steps leave for later ones.
#[derive(Debug, Default)]
struct Hands {
    /// What the process inherits.
    slots: BTreeMap<usize, OwnedFd>,
    waiting: Option<Waiting>,
    /// Length of the log when the process has not written yet.
    log_start: Option<(PathBuf, u64)>,
    events: Option<Events>,
    found: Found,
}

/// What only the emulator knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Terminals by the ids of character devices.
    pub(crate) terminals: BTreeMap<String, String>,
    /// Character devices whose guest's side is open.
    pub(crate) open: Vec<String>,
    /// Threads of virtual processors by their number.
    pub(crate) threads: BTreeMap<u32, i32>,
    /// Devices with an alias, in the emulator's order.
    pub(crate) devices: Vec<String>,
    /// Memory that the guest has, in bytes.
    pub(crate) balloon: Option<u64>,
}

impl<'a> Bench<'a> {
    /// An empty one.
    #[must_use]
    pub(crate) fn new(host: &'a Host, live: &'a Live) -> Self {
        Self { host, live, hands: Mutex::default() }
    }

    fn hands(&self) -> std::sync::MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the emulator was asked for.
    pub(crate) fn found(&self) -> Found {
        self.hands().found.clone()
    }

    /// The events of the monitor; once.
    pub(crate) fn take_events(&self) -> Option<Events> {
        self.hands().events.take()
    }

    /// What the emulator has written into its log, at most the last `limit` bytes.
    pub(crate) fn complaint(&self, limit: u64) -> Option<String> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let (path, start) = self.hands().log_start.clone()?;
        let mut file = File::open(path).ok()?;
        let end = file.seek(SeekFrom::End(0)).ok()?;
        file.seek(SeekFrom::Start(start.max(end.saturating_sub(limit)))).ok()?;
        let mut text = Vec::new();
        file.take(limit).read_to_end(&mut text).ok()?;
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    async fn keep(
        &self,
        slot: usize,
        open: impl FnOnce() -> Result<OwnedFd, HostError> + Send + 'static,
    ) -> Result<(), HostError> {
        let descriptor = on_thread(open).await?;
        self.hands().slots.insert(slot, descriptor);
        Ok(())
    }

    async fn open_log(&self, slot: usize, path: &Path, header: &str) -> Result<(), HostError> {
        let (path, text) = (path.to_owned(), format!("{}{header}", crate::log::time()));
        let log = path.clone();
        let (descriptor, start) = on_thread(move || {
            let mut options = OpenOptions::new();
            let file = options.append(true).create(true).mode(0o600).open(&path);
            let mut file = file.map_err(failed("open", &path))?;
            file.write_all(text.as_bytes()).map_err(failed("write", &path))?;
            let length = file.metadata().map_err(failed("open", &path))?.len();
            Ok((OwnedFd::from(file), length))
        })
        .await?;
        let mut hands = self.hands();
        hands.slots.insert(slot, descriptor);
        hands.log_start = Some((log, start));
        Ok(())
    }

    async fn open_tap(&self, slots: &[usize], tap: &TapDevice) -> Result<(), HostError> {
        let queues = u16::try_from(slots.len()).unwrap_or(u16::MAX);
        let device = Tap { name: tap.name.clone(), has_vnet_header: tap.has_vnet_header, queues };
        let descriptors = on_thread(move || Ok(device.create()?)).await?;
        self.hands().slots.extend(slots.iter().copied().zip(descriptors));
        self.host.links.set_address(&tap.name, tap.address).await?;
        self.host.links.set_mtu(&tap.name, tap.mtu).await?;
        self.host.change_queues(&tap.name, &tap.queues).await
    }

    async fn launch(&self, plan: &oxivirt_launch::Plan) -> Result<(), HostError> {
        // Closed on this side once they are sent: a tap has to go with its process.
        let slots = std::mem::take(&mut self.hands().slots);
        let descriptors: Vec<OwnedFd> = slots.into_values().collect();
        let (program, plan) = (self.host.launcher.clone(), plan.clone());
        let waiting = on_thread(move || launcher::launch(&program, &plan, &descriptors)).await?;
        let failed = |source| HostError::Process { pid: waiting.pid, source };
        let process = Process::open(waiting.pid).map_err(failed)?;
        let process = process.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        self.live.set_process(process);
        self.hands().waiting = Some(waiting);
        Ok(())
    }

    async fn execute(&self) -> Result<(), HostError> {
        let waiting = self.hands().waiting.take().ok_or(HostError::Order)?;
        on_thread(move || waiting.execute()).await
    }

    async fn connect(&self, socket: &Path) -> Result<(), HostError> {
        // The process may end before it greets.
        let process = self.live.process().ok_or(HostError::Order)?;
        let options = Options::default();
        let connected = Box::pin(Monitor::connect(socket, &options));
        let ended = Box::pin(process.ended());
        let (monitor, events) = match futures::future::select(connected, ended).await {
            futures::future::Either::Left((connected, _)) => connected?,
            futures::future::Either::Right(((), connected)) => {
                drop(connected);
                let source = std::io::ErrorKind::UnexpectedEof.into();
                return Err(QmpError::Descriptor(source).into());
            }
        };
        self.live.set_monitor(monitor);
        self.hands().events = Some(events);
        Ok(())
    }

    fn monitor(&self) -> Result<&Monitor, HostError> {
        self.live.monitor().ok_or(HostError::Order)
    }

    /// All of it in one go; the emulator answers in order.
    async fn configure(&self, settings: &Settings) -> Result<(), HostError> {
        let Settings { balloon_bytes, links_down, passwords, reports } = settings;
        let monitor = self.monitor()?;
        let events = MigrateCapability { capability: "events".to_owned(), state: true };
        let (with_events, balloon) = (
            MigrateSetCapabilities { capabilities: vec![events] },
            balloon_bytes.map(|value| Balloon { value }),
        );
        let cables: Vec<SetLink> =
            links_down.iter().map(|name| SetLink { name: name.clone(), up: false }).collect();
        let peripheral = QomList { path: "/machine/peripheral".to_owned() };
        let reports = reports.as_ref().map(|(path, seconds)| QomSet {
            path: path.clone(),
            property: "guest-stats-polling-interval".to_owned(),
            value: Value::from(*seconds),
        });
        let set_reports = async {
            match &reports {
                Some(reports) => monitor.run(reports).await.map(drop),
                None => Ok(()),
            }
        };
        let set_balloon = async {
            match &balloon {
                Some(balloon) => monitor.run(balloon).await.map(drop),
                None => Ok(()),
            }
        };
        let (capabilities, chardevs, cpus, _, cables, set, memory, devices, protected, reported) = futures::join!(
            monitor.run(&with_events),
            monitor.run(&QueryChardev {}),
            monitor.run(&QueryCpusFast {}),
            monitor.run(&QueryIothreads {}),
            monitor.run_all(&cables),
            set_balloon,
            monitor.run(&QueryBalloon {}),
            monitor.run(&peripheral),
            set_passwords(monitor, passwords),
            set_reports,
        );
        capabilities?;
        set?;
        protected?;
        reported?;
        cables.into_iter().collect::<Result<Vec<_>, _>>()?;
        let found = crate::live::found(chardevs?, cpus?, devices?, memory.ok());
        self.live.set_balloon(found.balloon);
        self.hands().found = found;
        Ok(())
    }

    async fn place_threads(&self, path: &str) -> Result<(), HostError> {
        let group = self.host.hierarchies.group(path);
        let threads = self.found().threads;
        let pid = self.live.process().ok_or(HostError::Order)?.pid();
        on_thread(move || {
            let emulator = group.child("emulator");
            emulator.create_threaded()?;
            for (number, tid) in &threads {
                let own = group.child(&format!("vcpu{number}"));
                own.create_threaded()?;
                own.add_thread(*tid)?;
            }
            for tid in crate::process::threads(pid) {
                if !threads.values().any(|known| *known == tid) {
                    emulator.add_thread(tid)?;
                }
            }
            Ok(())
        })
        .await
    }
}

impl Executor<Step> for Bench<'_> {
    type Error = HostError;

    async fn run(&self, step: &Step) -> Result<(), HostError> {
        match step {
            Step::CreatePort { network, xml, .. } => {
                let flags = PortCreateFlags::NONE;
                self.host.networks()?.network_port_create_xml(network, xml, flags).await?;
                Ok(())
            }
            Step::CreateDirectory { path, mode, owner } => {
                let (path, mode, owner) = (path.clone(), *mode, *owner);
                on_thread(move || create_directory(&path, mode, owner)).await
            }
            Step::WriteMasterKey { path, owner } => {
                let (path, owner) = (path.clone(), *owner);
                on_thread(move || write_key(&path, owner)).await
            }
            Step::CopyVariables { template, path } => {
                let (template, path) = (template.clone(), path.clone());
                on_thread(move || copy_variables(&template, &path)).await
            }
            Step::Listen { slot, path, owner } => {
                let (path, owner) = (path.clone(), *owner);
                self.keep(*slot, move || listen(&path, owner)).await
            }
            Step::OpenOutput { slot, path, truncate } => {
                let (path, truncate) = (path.clone(), *truncate);
                self.keep(*slot, move || output(&path, truncate)).await
            }
            Step::OpenPidFile { slot, path } => {
                let path = path.clone();
                self.keep(*slot, move || pid_file(&path)).await
            }
            Step::OpenLog { slot, path, header } => self.open_log(*slot, path, header).await,
            Step::OpenTap { slots, tap } => self.open_tap(slots, tap).await,
            Step::OpenVhost { slot, path } => {
                let path = path.clone();
                self.keep(*slot, move || {
                    let file = OpenOptions::new().read(true).write(true).open(&path);
                    Ok(file.map_err(failed("open", &path))?.into())
                })
                .await
            }
            Step::AssignOwner { path, guest, owner } => {
                let (path, guest, owner) = (path.clone(), *guest, *owner);
                let boot_time = self.host.boot_time;
                on_thread(move || Ok(LabeledFile::open(&path, boot_time)?.assign(owner, guest)?))
                    .await
            }
            Step::CreateCgroup { path } => {
                let group = self.host.hierarchies.group(path);
                on_thread(move || {
                    // One that a guest of this number left.
                    drop(group.remove());
                    Ok(group.create()?)
                })
                .await
            }
            Step::Launch { plan, .. } => self.launch(plan).await,
            Step::JoinCgroup { path } => {
                let pid = self.live.process().ok_or(HostError::Order)?.pid();
                Ok(self.host.hierarchies.group(path).add_process(pid)?)
            }
            Step::Execute => self.execute().await,
            Step::Connect { socket } => self.connect(socket).await,
            Step::Configure(settings) => self.configure(settings).await,
            Step::PlaceThreads { path } => self.place_threads(path).await,
            Step::AttachTap { link, bridge, port } => self.host.attach(link, bridge, port).await,
            Step::Resume => {
                self.monitor()?.run(&Cont {}).await?;
                Ok(())
            }
        }
    }

    async fn undo(&self, undo: &Undo) -> Result<(), HostError> {
        self.host.revert(undo).await
    }
}

fn failed(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> HostError {
    let path = path.to_owned();
    move |source| HostError::Path { action, path: path.clone(), source }
}

/// An empty directory, in place of whatever an earlier guest left.
fn create_directory(path: &Path, mode: u32, owner: Option<Owner>) -> Result<(), HostError> {
    super::remove_tree(path)?;
    if let Some(parent) = path.parent() {
        file::create_dir(parent)?;
    }
    std::fs::create_dir(path).map_err(failed("create", path))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(failed("create", path))?;
    give(path, owner)
}

fn give(path: &Path, owner: Option<Owner>) -> Result<(), HostError> {
    match owner {
        Some(owner) => {
            chown(path, Some(owner.uid), Some(owner.gid)).map_err(failed("change owner of", path))
        }
        None => Ok(()),
    }
}

fn write_key(path: &Path, owner: Option<Owner>) -> Result<(), HostError> {
    let mut key = [0; KEY];
    rand::rng().fill_bytes(&mut key);
    file::replace(path, &key, 0o600, Durability::Regenerated)?;
    give(path, owner)
}

fn copy_variables(template: &Path, path: &Path) -> Result<(), HostError> {
    if path.exists() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        file::create_dir(parent)?;
    }
    let content = std::fs::read(template).map_err(failed("read", template))?;
    Ok(file::replace(path, &content, 0o600, Durability::Synced)?)
}

fn listen(path: &Path, owner: Option<Owner>) -> Result<OwnedFd, HostError> {
    file::remove(path)?;
    let socket = UnixListener::bind(path).map_err(failed("listen on", path))?;
    let mode = std::fs::Permissions::from_mode(0o775);
    std::fs::set_permissions(path, mode).map_err(failed("listen on", path))?;
    give(path, owner)?;
    Ok(socket.into())
}

fn output(path: &Path, truncate: bool) -> Result<OwnedFd, HostError> {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600);
    let options = if truncate { options.write(true).truncate(true) } else { options.append(true) };
    Ok(options.open(path).map_err(failed("open", path))?.into())
}

fn pid_file(path: &Path) -> Result<OwnedFd, HostError> {
    file::remove(path)?;
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o644).open(path);
    Ok(file.map_err(failed("create", path))?.into())
}
/// Sets passwords of displays and when they end.
pub(crate) async fn set_passwords(
    monitor: &Monitor,
    passwords: &[DisplayPassword],
) -> Result<(), QmpError> {
    for DisplayPassword { protocol, password, connected, expires } in passwords {
        let set = SetPassword {
            protocol: protocol.clone(),
            password: password.clone(),
            connected: connected.clone(),
        };
        monitor.run(&set).await?;
        let expire = ExpirePassword { protocol: protocol.clone(), time: expires.clone() };
        monitor.run(&expire).await?;
    }
    Ok(())
}
