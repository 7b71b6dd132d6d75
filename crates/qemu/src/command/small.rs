//! Input devices, hubs, watchdogs, memory balloons, random numbers, panic notifiers.

use oxivirt_conf::domain::MachineKind;
use oxivirt_conf::domain::address::Address;
use oxivirt_conf::domain::device::chardev::CharType;
use oxivirt_conf::domain::device::input::{Input, InputBus, InputType};
use oxivirt_conf::domain::device::memballoon::MemballoonModel;
use oxivirt_conf::domain::device::other::PanicModel;
use oxivirt_conf::domain::device::rng::{Rng, RngBackendModel};
use oxivirt_conf::domain::device::watchdog::{WatchdogAction, WatchdogModel};

use super::Build;
use super::address::{alias, virtio_switches};
use super::chardev::Backend;
use super::error::{PlanError, Result};
use super::props::Props;

impl Build<'_> {
    pub(super) fn generation_id(&mut self) {
        let Some(id) = self.def.genid.as_ref().and_then(|genid| genid.uuid.as_ref()) else {
            return;
        };
        let props = Props::driver("vmgenid").with("guid", id.to_string()).with("id", "vmgenid0");
        self.push_device(&props);
    }

    /// libvirt 11.3.0: `qemuBuildInputCommandLine`, src/qemu/qemu_command.c
    pub(super) fn inputs(&mut self) -> Result<()> {
        let devices = self.devices;
        for input in &devices.inputs {
            let id = alias(&input.info)?;
            if input.kind == Some(InputType::Evdev) {
                self.event_device(input, id);
                continue;
            }
            let props = match input.bus {
                Some(InputBus::Usb) => Props::driver(match input.kind {
                    Some(InputType::Tablet) => "usb-tablet",
                    Some(InputType::Keyboard) => "usb-kbd",
                    _ => "usb-mouse",
                })
                .with("id", id),
                Some(InputBus::Virtio) => self.virtio_input(input, id),
                _ => continue,
            };
            let props = props.with_all(self.address(&input.info)?);
            self.device(&input.info, props)?;
        }
        Ok(())
    }

    fn virtio_input(&self, input: &Input, id: &str) -> Props {
        let name = match input.kind {
            Some(InputType::Tablet) => "virtio-tablet",
            Some(InputType::Keyboard) => "virtio-keyboard",
            Some(InputType::Passthrough) => "virtio-input-host",
            _ => "virtio-mouse",
        };
        let model = input.model.map(|model| model.as_str());
        let driver = self.virtio(name, model, &input.info);
        let source = input.source.as_ref().and_then(|source| source.evdev.as_deref());
        virtio_switches!(Props::driver(driver), input.driver.as_ref())
            .with("id", id)
            .with_opt("evdev", source)
    }

    fn event_device(&mut self, input: &Input, id: &str) {
        let source = input.source.as_ref();
        let props = Props::object("input-linux", id)
            .with_opt("evdev", source.and_then(|source| source.dev.as_deref()))
            .with_switch("repeat", source.and_then(|source| source.repeat))
            .with_opt("grab_all", source.and_then(|source| source.grab).map(|_| true))
            .with_opt("grab-toggle", source.and_then(|source| source.grab_toggle.as_deref()));
        self.object(&props);
    }

    pub(super) fn hubs(&mut self) -> Result<()> {
        let devices = self.devices;
        for hub in &devices.hubs {
            let props = Props::driver("usb-hub").with("id", alias(&hub.info)?);
            let props = props.with_all(self.address(&hub.info)?);
            self.device(&hub.info, props)?;
        }
        Ok(())
    }

    /// libvirt 11.3.0: `qemuBuildWatchdogCommandLine`, src/qemu/qemu_command.c
    pub(super) fn watchdogs(&mut self) -> Result<()> {
        let devices = self.devices;
        let Some(first) = devices.watchdogs.first() else { return Ok(()) };
        for watchdog in &devices.watchdogs {
            if watchdog.model == Some(WatchdogModel::Itco) {
                if self.machine == MachineKind::Q35 {
                    self.option("-global", "ICH9-LPC.noreboot=off");
                }
                continue;
            }
            let model = watchdog.model.map_or("", WatchdogModel::as_str);
            let props = Props::driver(model).with("id", alias(&watchdog.info)?);
            let props = props.with_all(self.address(&watchdog.info)?);
            self.device(&watchdog.info, props)?;
        }
        // The driver dumps; the emulator only stops.
        let action = match first.action {
            Some(WatchdogAction::Dump) => "pause",
            Some(action) => action.as_str(),
            None => "reset",
        };
        self.option("-watchdog-action", action);
        Ok(())
    }

    /// libvirt 11.3.0: `qemuBuildMemballoonCommandLine`, src/qemu/qemu_command.c
    pub(super) fn balloons(&mut self) -> Result<()> {
        let devices = self.devices;
        for balloon in &devices.memballoons {
            let model = match balloon.model {
                None | Some(MemballoonModel::None) => continue,
                Some(MemballoonModel::Xen) => {
                    let text =
                        "Memory balloon device type 'xen' is not supported by this version of qemu";
                    return Err(PlanError::Unsupported(String::from(text)));
                }
                Some(model) => model,
            };
            let driver = self.virtio("virtio-balloon", Some(model.as_str()), &balloon.info);
            let props = virtio_switches!(Props::driver(driver), balloon.driver.as_ref())
                .with("id", alias(&balloon.info)?)
                .with_switch("deflate-on-oom", balloon.autodeflate)
                .with_switch("free-page-reporting", balloon.free_page_reporting)
                .with_all(self.address(&balloon.info)?);
            self.device(&balloon.info, props)?;
        }
        Ok(())
    }

    /// libvirt 11.3.0: `qemuBuildRNGCommandLine`, src/qemu/qemu_command.c
    pub(super) fn random(&mut self) -> Result<()> {
        let devices = self.devices;
        for rng in &devices.rngs {
            let id = alias(&rng.info)?;
            self.random_backend(rng, id)?;
            let model = rng.model.map(|model| model.as_str());
            let driver = self.virtio("virtio-rng", model, &rng.info);
            let rate = rng.rate.as_ref();
            let period = rate.map(|rate| rate.period.filter(|&period| period > 0).unwrap_or(1000));
            let bytes = rate.and_then(|rate| rate.bytes).filter(|&bytes| bytes > 0);
            let props = virtio_switches!(Props::driver(driver), rng.driver.as_ref())
                .with("rng", format!("obj{id}"))
                .with("id", id)
                .with_opt("max-bytes", bytes)
                .with_opt("period", bytes.and(period))
                .with_all(self.address(&rng.info)?);
            self.device(&rng.info, props)?;
        }
        Ok(())
    }

    fn random_backend(&mut self, rng: &Rng, id: &str) -> Result<()> {
        let backend = rng.backends.first();
        let object = format!("obj{id}");
        let props = match backend.and_then(|backend| backend.model) {
            Some(RngBackendModel::Random) => {
                let path = backend.and_then(|backend| backend.path.as_deref());
                Props::object("rng-random", object).with_opt("filename", path)
            }
            Some(RngBackendModel::Builtin) => Props::object("rng-builtin", object),
            Some(RngBackendModel::Egd) => {
                let backend = backend.ok_or_else(|| PlanError::unprepared("backend of a rng"))?;
                let kind = match backend.kind.as_deref() {
                    Some("tcp") => CharType::Tcp,
                    Some("unix") => CharType::Unix,
                    Some("udp") => CharType::Udp,
                    Some("pipe") => CharType::Pipe,
                    Some("file") => CharType::File,
                    Some("dev") => CharType::Dev,
                    Some("pty") => CharType::Pty,
                    Some(kind) => {
                        let text = format!("unsupported backend type '{kind}' of a rng");
                        return Err(PlanError::Unsupported(text));
                    }
                    None => CharType::Tcp,
                };
                let protocol = backend.protocol.as_ref().and_then(|protocol| protocol.kind);
                let sources = &backend.sources;
                let chardev =
                    self.chardev(&Backend { kind, sources, protocol, log: None, alias: id })?;
                Props::object("rng-egd", object).with("chardev", chardev)
            }
            None => return Err(PlanError::unprepared("backend of a rng")),
        };
        self.object(&props);
        Ok(())
    }

    /// libvirt 11.3.0: `qemuBuildPanicCommandLine`, src/qemu/qemu_command.c
    pub(super) fn panics(&mut self) -> Result<()> {
        let devices = self.devices;
        for panic in &devices.panics {
            match panic.model {
                Some(PanicModel::Isa) => {
                    let port = match &panic.info.address {
                        Some(Address::Isa(isa)) => isa.iobase.map(|port| port.0),
                        _ => None,
                    };
                    self.push_device(&Props::driver("pvpanic").with_opt("ioport", port));
                }
                Some(PanicModel::Pvpanic) => {
                    let props = Props::driver("pvpanic-pci").with_all(self.address(&panic.info)?);
                    self.device(&panic.info, props)?;
                }
                // A property of the processor, or of the machine.
                Some(PanicModel::Hyperv | PanicModel::Pseries | PanicModel::S390) | None => {}
            }
        }
        Ok(())
    }

    pub(super) fn core_information(&mut self) {
        let feature = self.def.features.as_ref().and_then(|it| it.vmcoreinfo.as_ref());
        if feature.is_some_and(|it| it.state == Some(oxivirt_conf::OnOff::On)) {
            self.push_device(&Props::driver("vmcoreinfo"));
        }
    }

    /// Elements that nothing here plans yet: named, so that no part of a definition is dropped.
    pub(super) fn refuse_unplanned(&self) -> Result<()> {
        let devices = self.devices;
        let lists = [
            ("lease", devices.leases.len()),
            ("smartcard", devices.smartcards.len()),
            ("tpm", devices.tpms.len()),
            ("hostdev", devices.hostdevs.len()),
            ("shmem", devices.shmems.len()),
            ("crypto", devices.cryptos.len()),
            ("nvram", usize::from(devices.nvram.is_some())),
            ("iommu", usize::from(devices.iommu.is_some())),
            ("vsock", usize::from(devices.vsock.is_some())),
            ("pstore", usize::from(devices.pstore.is_some())),
            ("launchSecurity", usize::from(self.def.launch_security.is_some())),
            ("keywrap", usize::from(self.def.keywrap.is_some())),
        ];
        match lists.iter().find(|(_, n)| *n > 0) {
            Some((name, _)) => Err(PlanError::element(name)),
            None => Ok(()),
        }
    }
}
