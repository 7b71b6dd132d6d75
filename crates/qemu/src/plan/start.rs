//! A start as a plan.

use std::path::PathBuf;

use oxivirt_launch::{Credentials, DeviceNode, Devices, Limit, Resource};
use oxivirt_types::link_name::LinkName;
use uuid::Uuid;

use super::{Plan, Step};
use crate::command::{CommandLine, Descriptor};
use crate::label::Owner;
use crate::layout::Layout;
use crate::plan::step::{Settings, TapDevice};
use crate::plan::tap::TapPort;

/// What the plan of a start depends on.
#[derive(Debug, Clone)]
pub(crate) struct StartInputs<'a> {
    /// Where files are.
    pub(crate) layout: &'a Layout,
    /// The guest's name.
    pub(crate) name: &'a str,
    /// Its UUID.
    pub(crate) uuid: Uuid,
    /// Its number.
    pub(crate) id: u32,
    /// What is executed.
    pub(crate) command: &'a CommandLine,
    /// Whom the process and its files belong to.
    pub(crate) credentials: Option<&'a Credentials>,
    /// The files that are given to it.
    pub(crate) files: Vec<PathBuf>,
    /// The template of its firmware's variables, and where they are.
    pub(crate) variables: Option<(PathBuf, PathBuf)>,
    /// Its control group, below the roots.
    pub(crate) cgroup: Option<String>,
    /// The nodes of its `/dev`; `None` leaves it the host's.
    pub(crate) devices: Option<DeviceFacts>,
    /// Its tap devices, by the aliases of interfaces.
    pub(crate) taps: Vec<TapPlan>,
    /// What the log says before the emulator writes.
    pub(crate) log_header: String,
    /// What is set once the emulator answers.
    pub(crate) settings: Settings,
    /// Whether its virtual processors run.
    pub(crate) activity: Activity,
}

/// Whether the virtual processors of a guest run once it has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    /// They run.
    Running,
    /// They wait for a client.
    Paused,
}

/// A tap device and the bridge it is a port of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TapPlan {
    /// Alias of the interface.
    pub(crate) alias: String,
    /// The device.
    pub(crate) device: TapDevice,
    /// The bridge.
    pub(crate) bridge: LinkName,
    /// How it is a port of it.
    pub(crate) port: TapPort,
}

/// What a `/dev` is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeviceFacts {
    /// The nodes.
    pub(crate) nodes: Vec<DeviceNode>,
    /// Mounts that stay.
    pub(crate) keep: Vec<PathBuf>,
}

/// The plan.
#[must_use]
pub(crate) fn plan(inputs: &StartInputs<'_>) -> Plan<Step> {
    let StartInputs { layout, name, uuid, id, command, .. } = inputs;
    let owner = inputs.credentials.map(|user| Owner { uid: user.uid, gid: user.gid });
    let library = layout.domain_dir(*id, name);
    let pid_file = layout.pid_file(name);
    let (pid_slot, log_slot) = (command.descriptors.len(), command.descriptors.len() + 1);

    let mut files = vec![Step::CreateDirectory { path: library.clone(), mode: 0o750, owner }];
    let channel = layout.channel_dir(*id, name);
    files.push(Step::CreateDirectory { path: channel, mode: 0o750, owner });
    if inputs.devices.is_some() {
        let path = layout.staging_dir(name);
        files.push(Step::CreateDirectory { path, mode: 0o700, owner: None });
    }
    files.push(Step::WriteMasterKey { path: library.join("master-key.aes"), owner });
    let mut links = Vec::new();
    let mut monitor = library.join("monitor.sock");
    for (slot, descriptor) in command.descriptors.iter().enumerate() {
        match descriptor {
            Descriptor::Monitor { path } => {
                monitor.clone_from(path);
                files.push(Step::Listen { slot, path: path.clone(), owner: None });
            }
            Descriptor::Listen { path, .. } => {
                files.push(Step::Listen { slot, path: path.clone(), owner });
            }
            Descriptor::Output { path, truncate, .. } => {
                let (path, truncate) = (path.clone(), *truncate);
                files.push(Step::OpenOutput { slot, path, truncate });
            }
            Descriptor::VhostNet { path, .. } => {
                links.push(Step::OpenVhost { slot, path: path.clone() });
            }
            // All queues of a device are opened at once.
            Descriptor::Tap { .. } => {}
        }
    }
    for tap in &inputs.taps {
        let slots = command.descriptors.iter().enumerate().filter(|(_, descriptor)| {
            matches!(descriptor, Descriptor::Tap { alias, .. } if *alias == tap.alias)
        });
        let slots = slots.map(|(slot, _)| slot).collect();
        links.push(Step::OpenTap { slots, tap: tap.device.clone() });
    }
    files.push(Step::OpenPidFile { slot: pid_slot, path: pid_file.clone() });
    let (path, header) = (layout.log_file(name), inputs.log_header.clone());
    files.push(Step::OpenLog { slot: log_slot, path, header });
    let variables = inputs.variables.iter().map(|(template, path)| Step::CopyVariables {
        template: template.clone(),
        path: path.clone(),
    });
    let labels = variables.chain(owner.iter().flat_map(|owner| {
        let files = inputs.files.iter().cloned();
        files.map(|path| Step::AssignOwner { path, guest: *uuid, owner: *owner })
    }));
    let group = inputs.cgroup.iter().map(|path| Step::CreateCgroup { path: path.clone() });

    let mut plan = Plan::default();
    plan.then_parallel([files, links, labels.collect(), group.collect()]);
    let launch = Box::new(launch_plan(inputs, pid_slot, log_slot));
    plan.then([Step::Launch { plan: launch, pid_file }]);
    plan.then(inputs.cgroup.iter().map(|path| Step::JoinCgroup { path: path.clone() }));
    // An emulator takes longest to answer; the rest is done meanwhile.
    let emulator = vec![Step::Execute, Step::Connect { socket: monitor }];
    let attach = inputs.taps.iter().map(|tap| Step::AttachTap {
        link: tap.device.name.clone(),
        bridge: tap.bridge.clone(),
        port: tap.port.clone(),
    });
    plan.then_parallel([emulator, attach.collect()]);
    plan.then([Step::Configure(inputs.settings.clone())]);
    plan.then(inputs.cgroup.iter().map(|path| Step::PlaceThreads { path: path.clone() }));
    if inputs.activity == Activity::Running {
        plan.then([Step::Resume]);
    }
    plan
}

fn launch_plan(inputs: &StartInputs<'_>, pid_slot: usize, log_slot: usize) -> oxivirt_launch::Plan {
    let staging = inputs.layout.staging_dir(inputs.name);
    oxivirt_launch::Plan {
        // What a guest's memory would be worth in a core file is its owner's secret.
        limits: vec![Limit { resource: Resource::Core, value: Some(0) }],
        pid_file: Some(pid_slot),
        devices: inputs.devices.clone().map(|facts| Devices {
            staging,
            nodes: facts.nodes,
            keep: facts.keep,
        }),
        credentials: inputs.credentials.cloned(),
        log: Some(log_slot),
        environment: inputs.command.environment_map(),
        ..oxivirt_launch::Plan::new(&inputs.command.program, inputs.command.arguments.clone())
    }
}
