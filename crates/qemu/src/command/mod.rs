//! From a definition to what is started: pure.
//!
//! [`prepare()`] completes the live copy of a definition, [`command_line`] makes the program's arguments,
//! its environment and the descriptors it inherits. Both depend on nothing but their parameters: what only
//! the host can answer is in the definition (ports, links, connections of networks, backing chains) or in
//! [`Facts`].
//!
//! A file per family of devices; [`command_line`] has their order. The order of options and of the keys of
//! their JSON objects is libvirt's, so that the log of a guest can be compared.

mod address;
mod alias;
mod boot;
mod chardev;
mod controller;
mod cpu;
mod disk;
mod display;
mod error;
mod facts;
mod filesystem;
mod firmware;
mod general;
mod interface;
mod memory;
mod prepare;
mod processor;
mod props;
mod small;
mod smbios;
mod sound;
mod storage;
mod threads;

use std::collections::BTreeMap;
use std::path::PathBuf;

use oxivirt_conf::domain::address::DeviceInfo;
use oxivirt_conf::domain::device::Devices;
use oxivirt_conf::domain::device::sound::AudioType;
use oxivirt_conf::domain::{DomainDef, MachineKind, VirtType};
use oxivirt_conf::emulator::{EmulatorCapabilities, Machine};

pub use error::PlanError;
pub use facts::{Config, Directories, Facts, Host, HugePageMount};
pub use prepare::{Prepared, prepare};
pub use processor::HostProcessor;
pub use props::Props;
pub use storage::{Layer, NodeNames, disk_nodes};

use boot::BootOrder;
use error::Result;

/// What is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The emulator.
    pub program: PathBuf,
    /// Its arguments without the program's name.
    pub arguments: Vec<String>,
    /// Its whole environment, in the order in which the log of the guest has it.
    pub environment: Vec<(String, String)>,
    /// The descriptors it inherits; the position is the index that [`Facts::number`] gets.
    pub descriptors: Vec<Descriptor>,
    /// How many sets of descriptors were made: `<fdset index=…/>` of the status document.
    pub descriptor_sets: u32,
}

impl CommandLine {
    /// The environment by name.
    #[must_use]
    pub fn environment_map(&self) -> BTreeMap<String, String> {
        self.environment.iter().cloned().collect()
    }
}

/// A descriptor that the process inherits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Descriptor {
    /// A socket that listens at the path: the monitor.
    Monitor {
        /// Where it is bound.
        path: PathBuf,
    },
    /// A socket that listens at the path: a character device.
    Listen {
        /// Alias of the device.
        alias: String,
        /// Where it is bound.
        path: PathBuf,
    },
    /// A file that output is written to.
    Output {
        /// Alias of the device.
        alias: String,
        /// The file.
        path: PathBuf,
        /// Whether the file is emptied first.
        truncate: bool,
        /// Whether it is a copy (`<log>`) of what goes elsewhere.
        is_log: bool,
    },
    /// A queue of a tap device.
    Tap {
        /// Alias of the interface.
        alias: String,
        /// The queue, from 0.
        queue: u32,
        /// How many there are.
        queues: u32,
        /// Name of the tap device.
        link: Option<String>,
        /// Whether it is a port of a bridge.
        is_bridged: bool,
    },
    /// The kernel's packet handling for a queue.
    VhostNet {
        /// Alias of the interface.
        alias: String,
        /// The queue, from 0.
        queue: u32,
        /// Its device.
        path: PathBuf,
    },
}

/// Makes the command line of a prepared definition.
///
/// # Errors
/// [`PlanError`]: an element that is not run, or something that the emulator lacks.
///
/// libvirt 11.3.0: `qemuBuildCommandLine`, src/qemu/qemu_command.c
pub fn command_line(
    def: &DomainDef,
    emulator: &EmulatorCapabilities,
    facts: &Facts,
) -> Result<CommandLine> {
    let devices = def.devices.as_ref().ok_or_else(|| PlanError::unprepared("devices"))?;
    let program = devices.emulator.as_deref().unwrap_or(&emulator.emulator);
    let mut build = Build {
        def,
        devices,
        emulator,
        facts,
        machine: MachineKind::of(def),
        boot: BootOrder::of(def),
        arguments: Vec::new(),
        environment: Vec::new(),
        descriptors: Vec::new(),
        fdsets: 0,
    };
    build.refuse_unplanned()?;
    build.environment();
    build.everything()?;
    Ok(CommandLine {
        program: PathBuf::from(program),
        arguments: build.arguments,
        environment: build.environment,
        descriptors: build.descriptors,
        descriptor_sets: build.fdsets,
    })
}

/// A command line in the making.
struct Build<'a> {
    def: &'a DomainDef,
    devices: &'a Devices,
    emulator: &'a EmulatorCapabilities,
    facts: &'a Facts,
    machine: MachineKind,
    boot: BootOrder,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    descriptors: Vec<Descriptor>,
    fdsets: u32,
}

impl Build<'_> {
    fn everything(&mut self) -> Result<()> {
        self.name()?;
        self.master_key();
        self.pflash()?;
        self.machine()?;
        self.cpu()?;
        self.bios();
        self.memory()?;
        self.smp()?;
        self.io_threads();
        self.throttle_groups();
        self.cells()?;
        self.identity()?;
        self.smbios()?;
        self.firmware_files();
        self.generation_id();
        self.monitor();
        self.clock()?;
        self.power();
        self.no_acpi();
        self.boot_menu();
        self.controller_globals();
        self.controllers()?;
        self.hubs()?;
        self.memory_devices()?;
        self.disks()?;
        self.filesystems()?;
        self.interfaces()?;
        self.character_devices()?;
        self.inputs()?;
        self.audio_outputs();
        self.displays()?;
        self.videos()?;
        self.sounds()?;
        self.watchdogs()?;
        self.redirected_devices()?;
        self.balloons()?;
        self.random()?;
        self.core_information();
        self.arguments.extend(self.def.qemu.args.iter().cloned());
        self.sandbox();
        self.panics()?;
        if self.facts.config.log_timestamp {
            self.option("-msg", "timestamp=on");
        }
        Ok(())
    }

    /// libvirt 11.3.0: `qemuBuildCommandLine` and `virCommandAddEnvPassCommon`, src/util/vircommand.c
    fn environment(&mut self) {
        let given = |name: &str| {
            let found = self.facts.environment.iter().find(|(known, _)| known == name);
            found.map(|(name, value)| (name.clone(), value.clone()))
        };
        let home = self.facts.directories.library.to_string_lossy().into_owned();
        let own = |name: &str, value: String| (String::from(name), value);
        let mut environment = vec![own("LC_ALL", String::from("C"))];
        for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "PATH"] {
            environment.extend(given(name));
        }
        environment.push(own("HOME", home.clone()));
        for name in ["USER", "LOGNAME", "TMPDIR"] {
            environment.extend(given(name));
        }
        environment.push(own("XDG_DATA_HOME", format!("{home}/.local/share")));
        environment.push(own("XDG_CACHE_HOME", format!("{home}/.cache")));
        environment.push(own("XDG_CONFIG_HOME", format!("{home}/.config")));
        environment.extend(self.pipewire().or_else(|| given("PIPEWIRE_RUNTIME_DIR")).filter(
            |_| self.devices.audios.iter().any(|audio| audio.kind == Some(AudioType::PipeWire)),
        ));
        for (name, value) in &self.def.qemu.env {
            environment.push((name.clone(), value.clone().unwrap_or_default()));
        }
        self.environment = environment;
    }

    /// Where the user says that PipeWire's socket is.
    fn pipewire(&self) -> Option<(String, String)> {
        let directory = self.devices.audios.iter().find_map(|audio| audio.runtime_dir.clone())?;
        Some((String::from("PIPEWIRE_RUNTIME_DIR"), directory))
    }

    /// What is known of the guest's machine.
    fn machine_facts(&self) -> Option<&Machine> {
        let kind = self.def.os.as_ref().and_then(|os| os.kind.as_ref());
        let name = kind.and_then(|kind| kind.machine.as_deref())?;
        self.emulator.machine(self.def.virt_type.unwrap_or(VirtType::Qemu), name)
    }

    /// The first characters of the guest's name, as file names have it.
    ///
    /// libvirt 11.3.0: `virDomainDefGetShortName`, src/conf/domain_conf.c
    fn short_name(&self) -> String {
        self.def.name.as_deref().unwrap_or_default().chars().take(20).collect()
    }

    fn option(&mut self, name: &str, value: impl Into<String>) {
        self.arguments.push(name.to_owned());
        self.arguments.push(value.into());
    }

    fn object(&mut self, props: &Props) {
        self.option("-object", props.to_text());
    }

    fn blockdev(&mut self, props: &Props) {
        self.option("-blockdev", props.to_text());
    }

    /// A device, with properties that the user replaced.
    fn device(&mut self, info: &DeviceInfo, mut props: Props) -> Result<()> {
        let alias = info.alias.as_ref().and_then(|alias| alias.name.as_deref());
        let replaced = self.def.qemu.overrides.iter().filter(|it| Some(it.alias.as_str()) == alias);
        for (name, kind, value) in replaced.flat_map(|it| &it.properties) {
            let value = value.as_deref().unwrap_or_default();
            let invalid =
                || PlanError::Xml(format!("invalid value '{value}' of property '{name}'"));
            match kind.as_str() {
                "remove" => props.remove(name),
                "signed" => props.set(name, value.parse::<i64>().map_err(|_| invalid())?.into()),
                "unsigned" => props.set(name, value.parse::<u64>().map_err(|_| invalid())?.into()),
                "bool" => props.set(name, (value == "true").into()),
                _ => props.set(name, value.into()),
            }
        }
        self.push_device(&props);
        Ok(())
    }

    fn push_device(&mut self, props: &Props) {
        let has_json = self.emulator.has("device.json+hotplug");
        self.option("-device", if has_json { props.to_text() } else { props.to_words() });
    }

    /// Hands a descriptor over; the result is its number in the process.
    fn pass(&mut self, descriptor: Descriptor) -> i32 {
        let number = (self.facts.number)(self.descriptors.len(), &descriptor);
        self.descriptors.push(descriptor);
        number
    }

    /// A secret that is encrypted with the master key.
    fn secret(&mut self, id: &str) -> Result<()> {
        Err(PlanError::Unsupported(format!("secret '{id}' is not supported")))
    }
}

#[cfg(test)]
mod tests;
