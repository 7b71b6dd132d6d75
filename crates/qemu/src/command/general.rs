//! Name, machine, processors' number, clock, power, boot: what is no device.

use oxivirt_conf::domain::clock::{ClockBasis, ClockOffset, TickPolicy, Timer, TimerName};
use oxivirt_conf::domain::{MachineKind, VirtType};
use oxivirt_conf::{OnOff, YesNo};

use super::Build;
use super::error::{PlanError, Result};
use super::props::{Props, Words, on_off};

impl Build<'_> {
    pub(super) fn name(&mut self) -> Result<()> {
        let name = self.def.name.as_deref().ok_or_else(|| PlanError::unprepared("name"))?;
        let mut words = Words::default().pair("guest", name);
        if self.facts.config.set_process_name {
            words = words.pair("process", format_args!("qemu:{name}"));
        }
        self.option("-name", words.pair("debug-threads", "on").finish());
        let extension = self.def.qemu.deprecation.as_deref();
        match extension.or(self.facts.config.deprecation_behavior.as_deref()) {
            Some("omit") => self.option("-compat", "deprecated-output=hide"),
            Some("reject") => {
                self.option("-compat", "deprecated-output=hide,deprecated-input=reject");
            }
            Some("crash") => {
                self.option("-compat", "deprecated-output=hide,deprecated-input=crash");
            }
            _ => {}
        }
        self.arguments.push(String::from("-S"));
        Ok(())
    }

    pub(super) fn master_key(&mut self) {
        let file = self.facts.directories.library.join("master-key.aes");
        let props = Props::object("secret", "masterKey0")
            .with("format", "raw")
            .with("file", file.to_string_lossy());
        self.object(&props);
    }

    /// libvirt 11.3.0: `qemuBuildMachineCommandLine`, src/qemu/qemu_command.c
    pub(super) fn machine(&mut self) -> Result<()> {
        let kind = self.def.os.as_ref().and_then(|os| os.kind.as_ref());
        let name = kind.and_then(|kind| kind.machine.as_deref());
        let name = name.ok_or_else(|| PlanError::unprepared("machine"))?;
        let features = self.def.features.as_ref();
        let mut words = Words::new(name).pair("usb", "off");
        words = words.pair_opt("vmport", state(features.and_then(|it| it.vmport.as_ref())));
        if let Some(ioapic) = features.and_then(|it| it.ioapic.as_ref()).and_then(|it| it.driver) {
            let mode = match ioapic.as_str() {
                "qemu" => "split",
                _ => "on",
            };
            words = words.pair("kernel_irqchip", mode);
        }
        words = words.pair_opt("i8042", state(features.and_then(|it| it.ps2.as_ref())));
        let smm = features.and_then(|it| it.smm.as_ref());
        words = words.pair_opt("smm", smm.map(|smm| smm.state.unwrap_or(OnOff::On)));
        let dump = self.def.memory.as_ref().and_then(|memory| memory.dump_core);
        let dump = dump.map_or(self.facts.config.dump_guest_core, |dump| dump == OnOff::On);
        words = words.pair("dump-guest-core", on_off(dump));
        if self.def.memory_backing.as_ref().is_some_and(|backing| backing.no_share_pages) {
            words = words.pair("mem-merge", "off");
        }
        words = words.pair_opt("memory-backend", self.default_ram());
        words = self.pflash_machine(words);
        words = words.pair_opt("hpet", self.hpet());
        words = words.pair_opt("pcspk-audiodev", self.loudspeaker());
        words = words.pair_opt("acpi", self.acpi());
        self.option("-machine", words.finish());
        let accelerator = match self.def.virt_type {
            Some(VirtType::Kvm) => {
                let ring = features.and_then(|it| it.kvm.as_ref());
                let ring = ring.and_then(|kvm| kvm.dirty_ring.as_ref());
                let ring = ring.filter(|ring| ring.state == Some(OnOff::On));
                let size = ring.and_then(|ring| ring.size);
                Words::new("kvm").pair_opt("dirty-ring-size", size)
            }
            Some(VirtType::Hvf) => Words::new("hvf"),
            _ => {
                let cache = features.and_then(|it| it.tcg.as_ref()).and_then(|tcg| tcg.tb_cache);
                let mib = cache.map(|size| size.kib() / 1024);
                Words::new("tcg").pair_opt("tb-size", mib)
            }
        };
        self.option("-accel", accelerator.finish());
        let tseg = smm.and_then(|smm| smm.tseg).map(|size| size.bytes / (1024 * 1024));
        if let Some(mib) = tseg.filter(|_| self.machine == MachineKind::Q35) {
            self.option("-global", format!("mch.extended-tseg-mbytes={mib}"));
        }
        Ok(())
    }

    fn hpet(&self) -> Option<OnOff> {
        let timer = self.timer(TimerName::Hpet)?;
        let is_supported = self.machine.is_x86() && self.emulator.has("machine-hpet");
        let present = timer.present.filter(|_| is_supported)?;
        Some(if present == YesNo::Yes { OnOff::On } else { OnOff::Off })
    }

    /// Whether the guest has ACPI; nothing if its machine has no such switch.
    fn acpi(&self) -> Option<OnOff> {
        let has_switch = self.machine_facts().and_then(|machine| machine.acpi) == Some(true);
        let acpi = self.def.features.as_ref().is_some_and(|features| features.acpi);
        has_switch.then_some(if acpi { OnOff::On } else { OnOff::Off })
    }

    /// The option of emulators whose machines have no switch for ACPI.
    pub(super) fn no_acpi(&mut self) {
        let acpi = self.def.features.as_ref().is_some_and(|features| features.acpi);
        let has_switch = self.emulator.machines.iter().any(|machine| machine.acpi.is_some());
        if !acpi && !has_switch && self.machine.is_x86() {
            self.arguments.push(String::from("-no-acpi"));
        }
    }

    pub(super) fn timer(&self, name: TimerName) -> Option<&Timer> {
        let clock = self.def.clock.as_ref()?;
        clock.timers.iter().find(|timer| timer.name == Some(name))
    }

    pub(super) fn smp(&mut self) -> Result<()> {
        let vcpu = self.def.vcpu.as_ref().ok_or_else(|| PlanError::unprepared("vcpu"))?;
        let max = vcpu.count.unwrap_or(1);
        let hotpluggable = self.def.vcpus.as_ref().map_or(0, |vcpus| {
            let is_plugged = |vcpu: &&oxivirt_conf::domain::cpu::Vcpu| {
                vcpu.enabled == Some(YesNo::Yes) && vcpu.hotpluggable == Some(YesNo::Yes)
            };
            u32::try_from(vcpus.vcpus.iter().filter(is_plugged).count()).unwrap_or(0)
        });
        let current = vcpu.current.unwrap_or(max).saturating_sub(hotpluggable).max(1);
        let mut words = Words::new(&current.to_string());
        if current != max {
            words = words.pair("maxcpus", max);
        }
        let topology = self.def.cpu.as_ref().and_then(|cpu| cpu.topology.as_ref());
        words = match topology {
            Some(topology) => {
                let dies = topology.dies.unwrap_or(1);
                let clusters = topology.clusters.unwrap_or(1);
                words
                    .pair("sockets", topology.sockets.unwrap_or(1))
                    .pair_opt("dies", self.emulator.has("smp-dies").then_some(dies))
                    .pair_opt("clusters", self.emulator.has("smp-clusters").then_some(clusters))
                    .pair("cores", topology.cores.unwrap_or(1))
                    .pair("threads", topology.threads.unwrap_or(1))
            }
            None => words.pair("sockets", max).pair("cores", 1).pair("threads", 1),
        };
        self.option("-smp", words.finish());
        Ok(())
    }

    pub(super) fn identity(&mut self) -> Result<()> {
        let uuid = self.def.uuid.as_ref().ok_or_else(|| PlanError::unprepared("uuid"))?;
        self.option("-uuid", uuid.to_string());
        Ok(())
    }

    pub(super) fn monitor(&mut self) {
        if self.devices.graphics.is_empty() {
            self.option("-display", "none");
        }
        self.arguments.push(String::from("-no-user-config"));
        self.arguments.push(String::from("-nodefaults"));
        let path = self.facts.directories.library.join("monitor.sock");
        let number = self.pass(super::Descriptor::Monitor { path });
        let words = Words::new("socket").pair("id", "charmonitor").pair("fd", number);
        self.option("-chardev", words.raw("server=on,wait=off").finish());
        self.option("-mon", "chardev=charmonitor,id=monitor,mode=control");
    }

    /// libvirt 11.3.0: `qemuBuildClockCommandLine`, src/qemu/qemu_command.c
    pub(super) fn clock(&mut self) -> Result<()> {
        let mut words = Words::default().pair("base", self.clock_base()?);
        if let Some(timer) = self.timer(TimerName::Rtc) {
            let clock = timer.track.as_deref().and_then(|track| match track {
                "guest" => Some("vm"),
                "wall" => Some("host"),
                "realtime" => Some("rt"),
                _ => None,
            });
            words = words.pair_opt("clock", clock);
            if timer.tick_policy == Some(TickPolicy::Catchup) {
                words = words.pair("driftfix", "slew");
            }
        }
        self.option("-rtc", words.finish());
        self.lost_ticks();
        let hpet = self.timer(TimerName::Hpet).and_then(|timer| timer.present);
        let is_old = self.machine.is_x86() && !self.emulator.has("machine-hpet");
        if hpet == Some(YesNo::No) && is_old {
            self.arguments.push(String::from("-no-hpet"));
        }
        Ok(())
    }

    fn lost_ticks(&mut self) {
        if let Some(timer) = self.timer(TimerName::Pit) {
            let policy = match timer.tick_policy {
                Some(TickPolicy::Delay) => Some("delay"),
                Some(TickPolicy::Discard) => Some("discard"),
                _ => None,
            };
            if let Some(policy) = policy.filter(|_| self.emulator.has("kvm-pit-lost-tick-policy")) {
                self.option("-global", format!("kvm-pit.lost_tick_policy={policy}"));
            }
        }
    }

    fn clock_base(&self) -> Result<String> {
        let Some(clock) = &self.def.clock else { return Ok(String::from("utc")) };
        match clock.offset {
            Some(ClockOffset::LocalTime | ClockOffset::Timezone) => Ok(String::from("localtime")),
            Some(ClockOffset::Absolute) => Ok(date(clock.start.unwrap_or(0))),
            Some(ClockOffset::Variable) => {
                let adjustment = clock.adjustment.as_deref().unwrap_or("0").parse::<i64>();
                let adjustment = adjustment.map_err(|_| {
                    PlanError::Internal(String::from("unexpected clock adjustment"))
                })?;
                let local = match clock.basis {
                    Some(ClockBasis::LocalTime) => self.facts.local_offset,
                    _ => 0,
                };
                let now = self.facts.now.saturating_add(local);
                Ok(date(now.saturating_add(adjustment)))
            }
            Some(ClockOffset::Utc) | None => Ok(String::from("utc")),
        }
    }

    pub(super) fn power(&mut self) {
        self.arguments.push(String::from("-no-shutdown"));
        let Some(pm) = &self.def.pm else { return };
        let device = if self.machine == MachineKind::Q35 { "ICH9-LPC" } else { "PIIX4_PM" };
        let states = [("disable_s3", &pm.suspend_to_mem), ("disable_s4", &pm.suspend_to_disk)];
        for (name, state) in states {
            if let Some(enabled) = state.as_ref().and_then(|state| state.enabled) {
                let value = u32::from(enabled == YesNo::No);
                self.option("-global", format!("{device}.{name}={value}"));
            }
        }
    }

    pub(super) fn boot_menu(&mut self) {
        let Some(os) = &self.def.os else { return };
        let mut words = Words::default();
        if let Some(menu) = &os.boot_menu {
            let enable = menu.enable.map(|enable| on_off(enable == YesNo::Yes));
            words = words.pair_opt("menu", enable);
            let timeout = menu.timeout.filter(|_| menu.enable == Some(YesNo::Yes));
            words = words.pair_opt("splash-time", timeout);
        }
        let timeout = os.bios.as_ref().and_then(|bios| bios.reboot_timeout);
        words = words.pair_opt("reboot-timeout", timeout).pair("strict", "on");
        self.option("-boot", words.finish());
        let files = [("-kernel", &os.kernel), ("-initrd", &os.initrd), ("-append", &os.cmdline)];
        for (option, value) in files.into_iter().chain([("-dtb", &os.dtb)]) {
            if let Some(value) = value {
                self.option(option, value.clone());
            }
        }
        for table in os.acpi.iter().flat_map(|acpi| &acpi.tables) {
            let path = table.path.as_deref().unwrap_or_default();
            let words = match table.kind.as_deref() {
                Some("slic") => Words::default().pair("sig", "SLIC"),
                Some("msdm") => Words::default().pair("sig", "MSDM"),
                _ => Words::default(),
            };
            self.option("-acpitable", words.pair("file", path).finish());
        }
    }

    pub(super) fn sandbox(&mut self) {
        if !self.emulator.has("seccomp-sandbox") {
            return;
        }
        let is_on = self.facts.config.seccomp_sandbox.unwrap_or(true);
        self.option(
            "-sandbox",
            if is_on {
                "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
            } else {
                "off"
            },
        );
    }
}

fn state(feature: Option<&oxivirt_conf::domain::features::State>) -> Option<OnOff> {
    feature.and_then(|feature| feature.state)
}

/// Seconds since 1970 as `2009-02-13T23:31:30`; the year is at most 9999.
fn date(seconds: i64) -> String {
    const DAY: i64 = 86_400;
    const MAX: i64 = 253_402_300_799;
    let seconds = seconds.clamp(0, MAX);
    let (days, second) = (seconds / DAY, seconds % DAY);
    // The civil calendar from days, in eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates() {
        assert_eq!(date(0), "1970-01-01T00:00:00");
        assert_eq!(date(1_234_567_890), "2009-02-13T23:31:30");
        assert_eq!(date(951_782_399), "2000-02-28T23:59:59");
        assert_eq!(date(951_782_400), "2000-02-29T00:00:00");
        assert_eq!(date(i64::MAX), "9999-12-31T23:59:59");
    }
}
