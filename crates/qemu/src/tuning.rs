//! Changes of a guest's memory and processors, its keyboard and screen.
//!
//! libvirt 11.3.0: `qemuDomainSetMemoryFlags` and its like, src/qemu/qemu_driver.c

mod keys;

use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::fchown;

use async_trait::async_trait;
use oxivirt::{
    DomainAffectFlags as Affect, DomainKeys, DomainMemoryFlags as Memory, DomainParameters,
    DomainRef, DomainScreenshot, DomainTuningDriver, DomainVcpuFlags as Vcpus, Error, ErrorCode,
    ErrorDomain, Result, TypedParam,
};
use oxivirt_conf::domain::cpu::{CpuTopology, EmulatorPin, VcpuPin};
use oxivirt_conf::domain::device::memballoon::MemballoonStats;
use oxivirt_conf::domain::{DomainDef, Size};
use oxivirt_qmp::QmpError;
use oxivirt_qmp::command::{Balloon, InjectNmi, QomSet, Screendump, SendKey};
use rustix::thread::{CpuSet, Pid, sched_setaffinity};
use serde_json::{Value, json};

use crate::driver::{Driver, check_flags};
use crate::error;
use crate::host::format_ranges;
use crate::metadata::affected;
use crate::power::Working;
use crate::process;
use crate::registry::{Entry, View};
use crate::shared::Shared;
use crate::statistics::{balloon, balloon_path, threads};

/// Most bytes of a picture of a screen.
const PICTURE: u64 = 64 << 20;
/// A command for people (`VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP`).
const HMP: u32 = 1;

fn invalid_argument(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail)
}

/// What a call changes: the running guest, the stored definition.
fn targets(view: &View, bits: u32) -> Result<(bool, bool)> {
    let flags = affected(view, Affect::from_bits_retain(bits & 0b11))?;
    Ok((flags.contains(Affect::LIVE), flags.contains(Affect::CONFIG)))
}

impl Shared {
    /// Stores a changed definition.
    fn store_changed(&self, entry: &Entry, change: impl FnOnce(&mut DomainDef)) -> Result<()> {
        let def = entry.view().persistent_def().with(change);
        self.store_def(entry, def)
    }

    /// Changes the definition of the running guest, in its status file too.
    async fn change_live(
        &self,
        entry: &Entry,
        work: &Working<'_>,
        change: impl FnOnce(&mut DomainDef),
    ) {
        let def = entry.view().def.with(change);
        entry.update(|view| Some(View { def, ..view.clone() }));
        self.save(entry, &work.live).await;
    }

    async fn set_memory(&self, entry: &Entry, kib: u64, flags: Memory) -> Result<()> {
        let known = Memory::LIVE | Memory::CONFIG | Memory::MAXIMUM;
        check_flags(flags.bits(), known.bits(), "qemuDomainSetMemoryFlags")?;
        let view = entry.view();
        self.check_exists(&view)?;
        let (is_live, is_config) = targets(&view, flags.bits())?;
        if flags.contains(Memory::MAXIMUM) {
            if is_live {
                let detail = "cannot resize the maximum memory on an active domain";
                return Err(error::invalid(detail));
            }
            return self.store_changed(entry, |def| {
                let size = Size::from_kib(kib);
                def.memory.get_or_insert_default().size = size;
                if def.current_memory.is_some_and(|current| current.kib() > kib) {
                    def.current_memory = Some(size);
                }
            });
        }
        let too_much = || invalid_argument("cannot set memory higher than max memory");
        if is_config && kib > view.persistent_def().max_memory_kib() {
            return Err(too_much());
        }
        if is_live {
            let work = self.work(entry, ErrorDomain::DOMAIN).await?;
            if kib > entry.view().def.max_memory_kib() {
                return Err(too_much());
            }
            let command = Balloon { value: kib.saturating_mul(1024) };
            work.monitor.run(&command).await.map_err(|failure| match failure {
                QmpError::Rejected { .. } => error::invalid(
                    "Unable to change memory of active domain without the balloon device and \
                     guest OS balloon driver",
                ),
                failure => error::monitor(&failure),
            })?;
        }
        if is_config {
            self.store_changed(entry, |def| def.current_memory = Some(Size::from_kib(kib)))?;
        }
        Ok(())
    }

    async fn set_memory_stats_period(
        &self,
        entry: &Entry,
        seconds: i32,
        flags: Affect,
    ) -> Result<()> {
        check_flags(flags.bits(), 0b11, "qemuDomainSetMemoryStatsPeriod")?;
        let seconds = u32::try_from(seconds).map_err(|_| {
            let message = "period in virDomainSetMemoryStatsPeriod must be zero or greater";
            Error::plain(ErrorCode::INVALID_ARG, ErrorDomain::NONE, message)
        })?;
        let view = entry.view();
        self.check_exists(&view)?;
        let (is_live, is_config) = targets(&view, flags.bits())?;
        let no_balloon = || {
            let detail = "Memory balloon model must be virtio to set the collection period";
            error::invalid(detail)
        };
        let set = |def: &mut DomainDef| {
            let mut balloons = def.devices.iter_mut().flat_map(|devices| &mut devices.memballoons);
            if let Some(balloon) = balloons.next() {
                let period = Some(seconds).filter(|seconds| *seconds > 0);
                balloon.stats = period.map(|period| MemballoonStats {
                    period: Some(period),
                    ..MemballoonStats::default()
                });
            }
        };
        if is_config {
            balloon(view.persistent_def().def()).ok_or_else(no_balloon)?;
        }
        if is_live {
            let path = balloon(view.def.def()).and_then(balloon_path).ok_or_else(no_balloon)?;
            let work = self.work(entry, ErrorDomain::DOMAIN).await?;
            let property = "guest-stats-polling-interval".to_owned();
            let command = QomSet { path, property, value: Value::from(seconds) };
            work.monitor.run(&command).await.map_err(|failure| error::monitor(&failure))?;
            self.change_live(entry, &work, set).await;
        }
        if is_config {
            self.store_changed(entry, set)?;
        }
        Ok(())
    }

    async fn set_vcpus(&self, entry: &Entry, count: u32, flags: Vcpus) -> Result<()> {
        let known =
            Vcpus::LIVE | Vcpus::CONFIG | Vcpus::MAXIMUM | Vcpus::GUEST | Vcpus::HOTPLUGGABLE;
        check_flags(flags.bits(), known.bits(), "qemuDomainSetVcpusFlags")?;
        if count == 0 {
            let message = "nvcpus in virDomainSetVcpusFlags must be greater than zero";
            return Err(Error::plain(ErrorCode::INVALID_ARG, ErrorDomain::NONE, message));
        }
        let view = entry.view();
        self.check_exists(&view)?;
        let (is_live, is_config) = targets(&view, flags.bits())?;
        if flags.contains(Vcpus::GUEST) {
            return self.set_guest_vcpus(&view, count).await;
        }
        if flags.contains(Vcpus::MAXIMUM) {
            if is_live {
                let detail = "maximum vcpu count of a live domain can't be modified";
                return Err(error::invalid(detail));
            }
            let topology = view.persistent_def().cpu.as_ref().and_then(|cpu| cpu.topology.as_ref());
            if topology.is_some_and(|topology| places(topology) != Some(count)) {
                return Err(invalid_argument("CPU topology doesn't match the desired vcpu count"));
            }
            return self.store_changed(entry, |def| {
                let vcpu = def.vcpu.get_or_insert_default();
                vcpu.current = vcpu.current.filter(|current| *current < count);
                vcpu.count = Some(count);
            });
        }
        for (is_meant, guest, name) in
            [(is_live, &view.def, "live"), (is_config, view.persistent_def(), "persistent")]
        {
            let max = guest.max_vcpus();
            if is_meant && count > max {
                return Err(invalid_argument(format!(
                    "requested vcpus is greater than max allowable vcpus for the {name} domain: \
                     {count} > {max}"
                )));
            }
        }
        if is_live && count != view.def.vcpus() {
            let detail = "vCPUs of a running domain cannot be added or removed";
            return Err(Error::new(ErrorCode::OPERATION_UNSUPPORTED, ErrorDomain::QEMU, detail));
        }
        if is_config {
            self.store_changed(entry, |def| {
                let vcpu = def.vcpu.get_or_insert_default();
                vcpu.current = Some(count).filter(|count| Some(*count) != vcpu.count);
            })?;
        }
        Ok(())
    }

    async fn pin_vcpu(&self, entry: &Entry, vcpu: u32, cpus: &[bool], flags: Affect) -> Result<()> {
        check_flags(flags.bits(), 0b11, "qemuDomainPinVcpuFlags")?;
        let view = entry.view();
        self.check_exists(&view)?;
        let (is_live, is_config) = targets(&view, flags.bits())?;
        let cpuset = set(cpus, "Empty cpu list for pinning")?;
        for (is_meant, guest, name) in
            [(is_live, &view.def, "live"), (is_config, view.persistent_def(), "persistent")]
        {
            if is_meant && vcpu >= guest.max_vcpus() {
                let detail = format!(
                    "vcpu {vcpu} is out of range of {name} cpu count {}",
                    guest.max_vcpus()
                );
                return Err(invalid_argument(detail));
            }
        }
        let pin = |def: &mut DomainDef| {
            let pins = &mut def.cputune.get_or_insert_default().vcpu_pins;
            pins.retain(|pin| pin.vcpu != Some(vcpu));
            let place = pins.partition_point(|pin| pin.vcpu < Some(vcpu));
            let (vcpu, cpuset) = (Some(vcpu), Some(cpuset.clone()));
            pins.insert(place, VcpuPin { vcpu, cpuset, ..VcpuPin::default() });
        };
        if is_live {
            let work = self.work(entry, ErrorDomain::DOMAIN).await?;
            if let Some(tid) = threads(&entry.view()).get(&vcpu) {
                bind(*tid, cpus)?;
            }
            self.change_live(entry, &work, pin).await;
        }
        if is_config {
            self.store_changed(entry, pin)?;
        }
        Ok(())
    }

    async fn pin_emulator(&self, entry: &Entry, cpus: &[bool], flags: Affect) -> Result<()> {
        check_flags(flags.bits(), 0b11, "qemuDomainPinEmulator")?;
        let view = entry.view();
        self.check_exists(&view)?;
        let (is_live, is_config) = targets(&view, flags.bits())?;
        let cpuset = set(cpus, "Empty cpu list for pinning")?;
        let pin = |def: &mut DomainDef| {
            let cpuset = Some(cpuset.clone());
            let pin = EmulatorPin { cpuset, ..EmulatorPin::default() };
            def.cputune.get_or_insert_default().emulator_pin = Some(pin);
        };
        if is_live {
            let work = self.work(entry, ErrorDomain::DOMAIN).await?;
            let pid =
                work.live.process().map(|process| process.pid()).ok_or_else(error::not_running)?;
            let vcpus: Vec<i32> = threads(&entry.view()).into_values().collect();
            for tid in process::threads(pid).into_iter().filter(|tid| !vcpus.contains(tid)) {
                bind(tid, cpus)?;
            }
            self.change_live(entry, &work, pin).await;
        }
        if is_config {
            self.store_changed(entry, pin)?;
        }
        Ok(())
    }

    async fn send_key(&self, entry: &Entry, keys: &DomainKeys) -> Result<()> {
        let translated = keys::translate(keys)?;
        let work = self.work(entry, ErrorDomain::DOMAIN).await?;
        let hold_time = Some(keys.hold_ms).filter(|time| *time > 0);
        let command = SendKey { keys: translated, hold_time };
        work.monitor.run(&command).await.map_err(|failure| error::monitor(&failure)).map(drop)
    }

    /// Lets the emulator draw into a file that this process has open: whatever takes the file's place
    /// afterwards is not read.
    async fn screenshot(&self, entry: &Entry, screen: u32) -> Result<DomainScreenshot> {
        let work = self.work(entry, ErrorDomain::DOMAIN).await?;
        let view = entry.view();
        let videos = view.def.devices.as_ref().map_or(&[][..], |devices| &devices.videos);
        if videos.is_empty() {
            return Err(error::invalid("no screens to take screenshot from"));
        }
        let video = usize::try_from(screen).ok().and_then(|at| videos.get(at));
        let video = video.ok_or_else(|| invalid_argument("no such screen"))?;
        let device = video.info.alias.as_ref().and_then(|alias| alias.name.clone());
        let device = device.filter(|_| screen > 0);
        let dir = self.layout.domain_dir(work.live.id(), view.def.name());
        let failed = |failure: &std::io::Error| {
            let detail = format!("cannot make a picture in '{}'", dir.display());
            Error::io(ErrorDomain::QEMU, failure, detail)
        };
        let mut file = tempfile::Builder::new()
            .prefix("qemu.screendump.")
            .tempfile_in(&dir)
            .map_err(|failure| failed(&failure))?;
        if let Some(user) = &self.config.credentials {
            fchown(file.as_file(), Some(user.uid), Some(user.gid))
                .map_err(|failure| failed(&failure))?;
        }
        let filename = file.path().to_string_lossy().into_owned();
        let head = device.as_ref().map(|_| 0);
        let mut command = Screendump { filename, device, head, format: Some("png".to_owned()) };
        let mut mime = "image/png";
        let drawn = match work.monitor.run(&command).await {
            // An emulator without that format.
            Err(QmpError::Rejected { .. }) => {
                (command.format, mime) = (None, "image/x-portable-pixmap");
                work.monitor.run(&command).await
            }
            drawn => drawn,
        };
        drawn.map_err(|failure| error::monitor(&failure))?;
        let mut picture = Vec::new();
        let read = file.seek(SeekFrom::Start(0));
        let read = read.and_then(|_| file.as_file_mut().take(PICTURE).read_to_end(&mut picture));
        read.map_err(|failure| failed(&failure))?;
        let stream = Box::new(futures::io::Cursor::new(picture));
        Ok(DomainScreenshot { mime: mime.to_owned(), stream })
    }

    async fn monitor_command(&self, entry: &Entry, command: &str, flags: u32) -> Result<String> {
        check_flags(flags, HMP, "qemuDomainQemuMonitorCommand")?;
        let work = self.work(entry, ErrorDomain::DOMAIN).await?;
        tracing::warn!(domain = entry.view().def.name(), "a client talks to the monitor");
        if flags & HMP != 0 {
            let arguments = json!({ "command-line": command });
            let answer = work.monitor.execute("human-monitor-command", &arguments).await;
            let answer = answer.map_err(|failure| error::monitor(&failure))?;
            return Ok(answer.as_str().unwrap_or_default().to_owned());
        }
        let internal =
            |detail: String| Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::QEMU, detail);
        let parsed: Value = serde_json::from_str(command)
            .map_err(|failure| internal(format!("cannot parse json {command}: {failure}")))?;
        let name = parsed.get("execute").and_then(Value::as_str);
        let name = name.ok_or_else(|| internal("malformed monitor command".to_owned()))?;
        let arguments = parsed.get("arguments").cloned().unwrap_or_else(|| json!({}));
        match work.monitor.execute(name, &arguments).await {
            Ok(value) => Ok(json!({ "return": value }).to_string()),
            Err(QmpError::Rejected { class, description, .. }) => {
                let error = json!({ "class": class.as_str(), "desc": description });
                Ok(json!({ "error": error }).to_string())
            }
            Err(failure) => Err(error::monitor(&failure)),
        }
    }
}

/// Processors that a topology has places for.
fn places(topology: &CpuTopology) -> Option<u32> {
    let CpuTopology { sockets, dies, clusters, cores, threads, .. } = topology;
    let parts = [sockets, dies, clusters, cores, threads].map(|part| part.unwrap_or(1));
    parts.into_iter().try_fold(1_u32, u32::checked_mul)
}

/// A map of processors as documents have it.
fn set(cpus: &[bool], empty: &str) -> Result<String> {
    let numbers = (0_u32..).zip(cpus).filter(|(_, is_set)| **is_set).map(|(number, _)| number);
    let numbers: Vec<u32> = numbers.collect();
    if numbers.is_empty() {
        return Err(invalid_argument(empty));
    }
    Ok(format_ranges(&numbers))
}

/// Binds a thread to processors of the host.
fn bind(tid: i32, cpus: &[bool]) -> Result<()> {
    let mut set = CpuSet::new();
    for (number, _) in cpus.iter().enumerate().filter(|(_, is_set)| **is_set) {
        if number < CpuSet::MAX_CPU {
            set.set(number);
        }
    }
    sched_setaffinity(Pid::from_raw(tid), &set).map_err(|errno| {
        let detail = format!("cannot set CPU affinity on process {tid}");
        Error::io(ErrorDomain::NONE, &errno.into(), detail)
    })
}

#[async_trait]
impl DomainTuningDriver for Driver {
    async fn domain_set_memory(&self, domain: &DomainRef, kib: u64, flags: Memory) -> Result<()> {
        let (shared, entry) = self.both(domain)?;
        self.detached(async move { shared.set_memory(&entry, kib, flags).await }).await
    }

    async fn domain_set_memory_stats_period(
        &self,
        domain: &DomainRef,
        seconds: i32,
        flags: Affect,
    ) -> Result<()> {
        let (shared, entry) = self.both(domain)?;
        self.detached(async move { shared.set_memory_stats_period(&entry, seconds, flags).await })
            .await
    }

    async fn domain_set_vcpus(&self, domain: &DomainRef, count: u32, flags: Vcpus) -> Result<()> {
        let (shared, entry) = self.both(domain)?;
        self.detached(async move { shared.set_vcpus(&entry, count, flags).await }).await
    }

    async fn domain_pin_vcpu(
        &self,
        domain: &DomainRef,
        vcpu: u32,
        cpus: &[bool],
        flags: Affect,
    ) -> Result<()> {
        let ((shared, entry), cpus) = (self.both(domain)?, cpus.to_vec());
        self.detached(async move { shared.pin_vcpu(&entry, vcpu, &cpus, flags).await }).await
    }

    async fn domain_pin_emulator(
        &self,
        domain: &DomainRef,
        cpus: &[bool],
        flags: Affect,
    ) -> Result<()> {
        let ((shared, entry), cpus) = (self.both(domain)?, cpus.to_vec());
        self.detached(async move { shared.pin_emulator(&entry, &cpus, flags).await }).await
    }

    /// Not supported: guests with limits do not start either.
    async fn domain_set_parameters(
        &self,
        domain: &DomainRef,
        set: &DomainParameters,
        _: &[TypedParam],
        _: Affect,
    ) -> Result<()> {
        self.both(domain)?;
        let api = match set {
            DomainParameters::Scheduler => "virDomainSetSchedulerParametersFlags",
            DomainParameters::Memory => "virDomainSetMemoryParameters",
            DomainParameters::Blkio => "virDomainSetBlkioParameters",
            DomainParameters::Numa => "virDomainSetNumaParameters",
            DomainParameters::Interface(_) => "virDomainSetInterfaceParameters",
            DomainParameters::BlockIoTune(_) => "virDomainSetBlockIoTune",
        };
        Err(Error::unsupported(ErrorDomain::DOMAIN, api))
    }

    async fn domain_send_key(
        &self,
        domain: &DomainRef,
        keys: &DomainKeys,
        flags: u32,
    ) -> Result<()> {
        check_flags(flags, 0, "qemuDomainSendKey")?;
        let ((shared, entry), keys) = (self.both(domain)?, keys.clone());
        self.detached(async move { shared.send_key(&entry, &keys).await }).await
    }

    async fn domain_inject_nmi(&self, domain: &DomainRef, flags: u32) -> Result<()> {
        check_flags(flags, 0, "qemuDomainInjectNMI")?;
        let (shared, entry) = self.both(domain)?;
        self.detached(async move {
            let work = shared.work(&entry, ErrorDomain::DOMAIN).await?;
            let sent = work.monitor.run(&InjectNmi {}).await;
            sent.map_err(|failure| error::monitor(&failure)).map(drop)
        })
        .await
    }

    async fn domain_screenshot(
        &self,
        domain: &DomainRef,
        screen: u32,
        flags: u32,
    ) -> Result<DomainScreenshot> {
        check_flags(flags, 0, "qemuDomainScreenshot")?;
        let (shared, entry) = self.both(domain)?;
        self.detached(async move { shared.screenshot(&entry, screen).await }).await
    }

    async fn domain_monitor_command(
        &self,
        domain: &DomainRef,
        command: &str,
        flags: u32,
    ) -> Result<String> {
        let ((shared, entry), command) = (self.both(domain)?, command.to_owned());
        self.detached(async move { shared.monitor_command(&entry, &command, flags).await }).await
    }
}
