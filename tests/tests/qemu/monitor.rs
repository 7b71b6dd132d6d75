//! The client against a real QEMU. Nothing of the guest runs, and it has no network.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use oxivirt_qmp::command::{
    Balloon, BlockdevAdd, BlockdevDel, Cont, DeviceAdd, DeviceDel, ExpirePassword,
    HumanMonitorCommand, MigrateCapability, MigrateSetCapabilities, NetdevAdd, NetdevDel, QomGet,
    QomList, QueryBalloon, QueryBlock, QueryBlockstats, QueryChardev, QueryCommands,
    QueryCpuDefinitions, QueryCpusFast, QueryDumpGuestMemoryCapability, QueryFdsets,
    QueryHotpluggableCpus, QueryIothreads, QueryJobs, QueryKvm, QueryMachines,
    QueryMemorySizeSummary, QueryMigrateCapabilities, QueryNamedBlockNodes, QueryQmpSchema,
    QueryRxFilter, QueryStatus, QueryTarget, QueryVersion, QueryVnc, Quit, RunState, Screendump,
    Secret, SetLink, SetPassword, Stop, SystemReset,
};
use oxivirt_qmp::event::EventKind;
use oxivirt_qmp::{CloseReason, ErrorClass, Events, Incoming, Monitor, Options, QmpError};
use oxivirt_tests::qemu::{self, Qemu};
use oxivirt_tests::require::need;
use oxivirt_tests::{apply, scenario};
use serde_json::{Map, Value, json};

const NONE: &[&str] = &["-machine", "none"];
const Q35: &[&str] = &[
    "-machine",
    "q35,accel=tcg",
    "-m",
    "64",
    "-smp",
    "1,maxcpus=2",
    "-cpu",
    "qemu64",
    "-object",
    "iothread,id=iothread1",
    "-device",
    "pcie-root-port,id=rp1,chassis=1",
    "-device",
    "qemu-xhci",
    "-device",
    "virtio-balloon-pci,id=balloon0",
    "-device",
    "VGA,id=video0",
    "-netdev",
    "hubport,id=hostnet0,hubid=0",
    "-device",
    "virtio-net-pci,netdev=hostnet0,id=net0",
    "-blockdev",
    "null-co,node-name=disk0,size=1048576,read-zeroes=on",
    "-device",
    "virtio-blk-pci,drive=disk0,id=virtio-disk0",
    "-device",
    "ide-cd,id=cd0",
    "-vnc",
    "none,password=on",
];

/// A QEMU at the other end of a socket pair.
async fn start(machine: &[&str]) -> (Monitor, Events, Qemu) {
    need(&[qemu::NEED]);
    let (near, far) = UnixStream::pair().unwrap();
    let process = Qemu::stopped(far.into(), "", machine).unwrap();
    let (monitor, events) = Monitor::from_fd(near.into(), &Options::default()).await.unwrap();
    (monitor, events, process)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other}"),
    }
}

/// Waits for an event of this name; a minute means that it does not come.
async fn event(events: &mut Events, name: &str) -> EventKind {
    let search = async {
        loop {
            match events.next().await.expect("the connection is open") {
                Incoming::Event(event) if event.name == name => return event.kind().unwrap(),
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), search).await.expect("the event")
}

#[apply(scenario)]
async fn a_listening_socket_made_before_qemu_is_connected_to() {
    need(&[qemu::NEED]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("monitor.sock");
    let listener = OwnedFd::from(UnixListener::bind(&path).unwrap());
    let mut process = Qemu::stopped(listener, ",server=on,wait=off", NONE).unwrap();
    let (monitor, mut events) = Monitor::connect(&path, &Options::default()).await.unwrap();
    assert_eq!(monitor.run(&QueryTarget {}).await.unwrap().arch, "x86_64");
    let version = monitor.run(&QueryVersion {}).await.unwrap();
    assert_eq!(version, monitor.greeting().version);
    // A second daemon, or this one after a restart, gets the monitor when the first has left it.
    monitor.close();
    assert!(matches!(monitor.closed().await, CloseReason::Local));
    assert!(events.next().await.is_none());
    let (monitor, mut events) = Monitor::connect(&path, &Options::default()).await.unwrap();
    monitor.run(&Quit {}).await.unwrap();
    event(&mut events, "SHUTDOWN").await;
    assert!(matches!(monitor.closed().await, CloseReason::EndOfStream));
    assert!(process.wait().unwrap().success());
}

#[apply(scenario)]
async fn the_end_of_a_killed_qemu_is_seen() {
    let (monitor, mut events, process) = start(NONE).await;
    drop(process);
    assert!(matches!(monitor.closed().await, CloseReason::EndOfStream));
    assert!(events.next().await.is_none());
    assert!(matches!(monitor.run(&Stop {}).await, Err(QmpError::Closed(CloseReason::EndOfStream))));
}

#[apply(scenario)]
async fn commands_and_their_types_exist() {
    let (monitor, _events, _process) = start(NONE).await;
    let known: BTreeSet<String> =
        monitor.run(&QueryCommands {}).await.unwrap().into_iter().map(|named| named.name).collect();
    // Those that came, or go, with other versions of QEMU.
    let missing: Vec<&str> =
        COMMANDS.iter().copied().filter(|name| !known.contains(*name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
    let schema = monitor.run(&QueryQmpSchema {}).await.unwrap();
    assert!(schema.len() > 500);
    let error = monitor.execute("no-such-command", &json!({})).await.unwrap_err();
    assert_eq!(error.class(), Some(&ErrorClass::CommandNotFound));
    let machines = monitor.run(&QueryMachines {}).await.unwrap();
    assert!(machines.iter().any(|machine| machine.alias.as_deref() == Some("q35")));
    let models = monitor.run(&QueryCpuDefinitions {}).await.unwrap();
    assert!(models.iter().any(|model| model.name == "qemu64"));
}

const COMMANDS: &[&str] = &[
    "add-fd",
    "add_client",
    "balloon",
    "block-commit",
    "block-set-write-threshold",
    "block-stream",
    "block_resize",
    "block_set_io_throttle",
    "blockdev-add",
    "blockdev-close-tray",
    "blockdev-create",
    "blockdev-del",
    "blockdev-insert-medium",
    "blockdev-mirror",
    "blockdev-open-tray",
    "blockdev-remove-medium",
    "blockdev-reopen",
    "blockdev-snapshot",
    "closefd",
    "cont",
    "device-list-properties",
    "device_add",
    "device_del",
    "dump-guest-memory",
    "expire_password",
    "getfd",
    "human-monitor-command",
    "inject-nmi",
    "job-cancel",
    "job-complete",
    "job-dismiss",
    "job-finalize",
    "migrate",
    "migrate-incoming",
    "migrate-set-capabilities",
    "migrate_cancel",
    "netdev_add",
    "netdev_del",
    "object-add",
    "object-del",
    "qmp_capabilities",
    "qom-get",
    "qom-list",
    "qom-list-properties",
    "qom-list-types",
    "qom-set",
    "query-balloon",
    "query-block",
    "query-blockstats",
    "query-chardev",
    "query-command-line-options",
    "query-commands",
    "query-cpu-definitions",
    "query-cpu-model-expansion",
    "query-cpus-fast",
    "query-dump",
    "query-dump-guest-memory-capability",
    "query-fdsets",
    "query-hotpluggable-cpus",
    "query-iothreads",
    "query-jobs",
    "query-kvm",
    "query-machines",
    "query-memory-devices",
    "query-memory-size-summary",
    "query-migrate",
    "query-migrate-capabilities",
    "query-named-block-nodes",
    "query-qmp-schema",
    "query-rx-filter",
    "query-status",
    "query-target",
    "query-version",
    "query-vnc",
    "quit",
    "remove-fd",
    "screendump",
    "send-key",
    "set-action",
    "set_link",
    "set_password",
    "stop",
    "system_powerdown",
    "system_reset",
    "system_wakeup",
    "transaction",
];

#[apply(scenario)]
async fn the_queries_of_a_start_are_read() {
    let (monitor, _events, _process) = start(Q35).await;
    let status = monitor.run(&QueryStatus {}).await.unwrap();
    assert_eq!((status.running, status.status), (false, RunState::Prelaunch));
    assert!(!monitor.run(&QueryKvm {}).await.unwrap().enabled);
    let capabilities = monitor.run(&QueryMigrateCapabilities {}).await.unwrap();
    assert!(capabilities.iter().any(|found| found.capability == "events"));
    let events = MigrateCapability { capability: String::from("events"), state: true };
    monitor.run(&MigrateSetCapabilities { capabilities: vec![events] }).await.unwrap();
    let chardevs = monitor.run(&QueryChardev {}).await.unwrap();
    assert!(chardevs.iter().any(|chardev| chardev.label == "mon" && chardev.frontend_open));
    let cpus = monitor.run(&QueryHotpluggableCpus {}).await.unwrap();
    assert_eq!(cpus.len(), 2);
    let running = monitor.run(&QueryCpusFast {}).await.unwrap();
    assert_eq!(running.len(), 1);
    assert_eq!(running[0].qom_path.as_deref(), Some("/machine/unattached/device[0]"));
    assert_eq!(monitor.run(&QueryIothreads {}).await.unwrap()[0].id, "iothread1");
    assert_eq!(monitor.run(&QueryBalloon {}).await.unwrap().actual, 64 << 20);
    monitor.run(&Balloon { value: 32 << 20 }).await.unwrap();
    assert_eq!(monitor.run(&QueryMemorySizeSummary {}).await.unwrap().base_memory, 64 << 20);
    let devices = QomList { path: String::from("/machine/peripheral") };
    let devices = monitor.run(&devices).await.unwrap();
    assert!(devices.iter().any(|device| device.name == "virtio-disk0"));
    assert_eq!(monitor.run(&QueryRxFilter { name: None }).await.unwrap()[0].name, "net0");
    assert!(monitor.run(&QueryVnc {}).await.is_ok());
    assert!(monitor.run(&QueryJobs {}).await.unwrap().is_empty());
    let formats = monitor.run(&QueryDumpGuestMemoryCapability {}).await.unwrap().formats;
    assert!(formats.contains(&String::from("elf")));
}

#[apply(scenario)]
async fn many_properties_are_read_in_one_go() {
    let (monitor, _events, _process) = start(Q35).await;
    let path = String::from("/machine/unattached/device[0]");
    let properties = monitor.run(&QomList { path: path.clone() }).await.unwrap();
    let reads: Vec<QomGet> = properties
        .iter()
        .filter(|property| property.kind == "bool")
        .map(|property| QomGet { path: path.clone(), property: property.name.clone() })
        .collect();
    assert!(reads.len() > 300, "{}", reads.len());
    let values = monitor.run_all(&reads).await;
    assert!(values.iter().all(|value| matches!(value, Ok(Value::Bool(_)))));
    let realized = reads.iter().position(|read| read.property == "realized").unwrap();
    assert!(matches!(&values[realized], Ok(Value::Bool(true))));
}

#[apply(scenario)]
async fn the_events_of_a_life_arrive_in_order() {
    let (monitor, mut events, _process) = start(Q35).await;
    monitor.run(&Cont {}).await.unwrap();
    assert!(monitor.run(&QueryStatus {}).await.unwrap().running);
    monitor.run(&Stop {}).await.unwrap();
    monitor.run(&SystemReset {}).await.unwrap();
    assert_eq!(event(&mut events, "RESUME").await, EventKind::Resume);
    assert_eq!(event(&mut events, "STOP").await, EventKind::Stop);
    let EventKind::Reset(reset) = event(&mut events, "RESET").await else { panic!() };
    assert!(!reset.guest);
}

#[apply(scenario)]
async fn disks_and_cards_are_plugged_in() {
    let (monitor, mut events, _process) = start(Q35).await;
    let node = object(json!({"driver": "null-co", "node-name": "disk1", "size": 4096,
        "read-zeroes": true}));
    monitor.run(&BlockdevAdd(node)).await.unwrap();
    let nodes = monitor.run(&QueryNamedBlockNodes { flat: Some(true) }).await.unwrap();
    assert!(nodes.iter().any(|node| node.node_name.as_deref() == Some("disk1")));
    let disks = monitor.run(&QueryBlock {}).await.unwrap();
    let disk = disks.iter().find(|disk| disk.inserted.is_some()).unwrap();
    let image = disk.inserted.as_ref().and_then(|node| node.image.as_ref()).unwrap();
    assert_eq!(image.virtual_size, 1 << 20);
    assert!(disks.iter().any(|disk| disk.removable && disk.tray_open.is_some()));
    for query_nodes in [None, Some(true)] {
        assert!(!monitor.run(&QueryBlockstats { query_nodes }).await.unwrap().is_empty());
    }
    monitor.run(&BlockdevDel { node_name: String::from("disk1") }).await.unwrap();

    let netdev = object(json!({"type": "hubport", "id": "hostnet1", "hubid": 1}));
    monitor.run(&NetdevAdd(netdev)).await.unwrap();
    let card = json!({"driver": "virtio-net-pci", "netdev": "hostnet1", "id": "net1",
        "bus": "rp1", "mac": "52:54:00:00:00:01"});
    monitor.run(&DeviceAdd(object(card))).await.unwrap();
    let name = String::from("net1");
    let filters = monitor.run(&QueryRxFilter { name: Some(name.clone()) }).await.unwrap();
    assert_eq!(filters[0].main_mac, "52:54:00:00:00:01");
    monitor.run(&SetLink { name: name.clone(), up: false }).await.unwrap();
    // The card would need the guest's consent; an input device goes at once.
    let tablet = object(json!({"driver": "usb-tablet", "id": "input0"}));
    monitor.run(&DeviceAdd(tablet)).await.unwrap();
    let tablet = DeviceDel { id: String::from("input0") };
    monitor.run(&tablet).await.unwrap();
    let EventKind::DeviceDeleted(deleted) = event(&mut events, "DEVICE_DELETED").await else {
        panic!()
    };
    assert_eq!(deleted.device.as_deref(), Some("input0"), "{deleted:?}");
    let error = monitor.run(&tablet).await.unwrap_err();
    assert_eq!(error.class(), Some(&ErrorClass::DeviceNotFound));
    let backend = NetdevDel { id: String::from("hostnet9") };
    assert!(monitor.run(&backend).await.unwrap_err().class().is_some());
}

#[apply(scenario)]
async fn descriptors_arrive() {
    use std::io::Read as _;

    let (monitor, _events, _process) = start(NONE).await;
    let (mut near, far) = UnixStream::pair().unwrap();
    let files: Vec<std::fs::File> = (0..20).map(|_| tempfile::tempfile().unwrap()).collect();
    // At the same time, with commands in between.
    let many = async {
        for (n, file) in files.into_iter().enumerate() {
            let opaque = format!("file {n}");
            let (added, stopped) =
                tokio::join!(monitor.add_fd(Some(3), Some(&opaque), file.into()), async {
                    monitor.run(&QueryStatus {}).await
                });
            assert_eq!(added.unwrap().fdset_id, 3);
            stopped.unwrap();
        }
    };
    let (first, ()) = tokio::join!(monitor.getfd("one", far.into()), many);
    first.unwrap();
    let sets = monitor.run(&QueryFdsets {}).await.unwrap();
    let texts: BTreeSet<Option<String>> =
        sets[0].fds.iter().map(|entry| entry.opaque.clone()).collect();
    assert_eq!((sets.len(), texts.len()), (1, 20));
    // QEMU has the only copy of the other end.
    let name = String::from("one");
    monitor.run(&oxivirt_qmp::command::Closefd { fdname: name }).await.unwrap();
    assert_eq!(near.read(&mut [0]).unwrap(), 0);
}

#[apply(scenario)]
async fn the_display_is_written_to_a_file() {
    let (monitor, _events, _process) = start(Q35).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("screen.ppm");
    let filename = path.display().to_string();
    let screendump = Screendump { filename, device: None, head: None, format: None };
    monitor.run(&screendump).await.unwrap();
    assert!(std::fs::read(&path).unwrap().starts_with(b"P6"));
    let password = Secret(String::from("s3cret"));
    let protocol = String::from("vnc");
    monitor
        .run(&SetPassword { protocol: protocol.clone(), password, connected: None })
        .await
        .unwrap();
    monitor.run(&ExpirePassword { protocol, time: String::from("never") }).await.unwrap();
    let info = HumanMonitorCommand { command_line: String::from("info status"), cpu_index: None };
    assert!(monitor.run(&info).await.unwrap().contains("paused"));
}

#[apply(scenario)]
async fn qemu_accepts_what_the_encoder_lets_through() {
    let (monitor, _events, _process) = start(NONE).await;
    // All that is rejected is rejected by name: the connection stays.
    for text in ["\u{1}\u{7f}\u{80}", "\\u0000 \"", "\u{d7ff}\u{e000}\u{fffd}", "\u{10fffd}"] {
        let error = monitor.execute("qom-list", &json!({"path": text})).await.unwrap_err();
        assert_eq!(error.class(), Some(&ErrorClass::DeviceNotFound), "{text:?}: {error}");
    }
}

/// Every plane has noncharacters; QEMU rejects them all.
#[apply(scenario)]
async fn qemu_rejects_what_the_encoder_keeps_back() {
    use std::io::{BufRead as _, BufReader, Write as _};

    need(&[qemu::NEED]);
    let (near, far) = UnixStream::pair().unwrap();
    let _process = Qemu::stopped(far.into(), "", NONE).unwrap();
    let mut writer = near.try_clone().unwrap();
    let mut lines = BufReader::new(near).lines();
    lines.next();
    writeln!(writer, "{{\"execute\": \"qmp_capabilities\"}}").unwrap();
    lines.next();
    for text in ["\u{ffff}", "\u{fdd0}", "\u{1fffe}", "\u{10ffff}"] {
        let command = format!("{{\"execute\": \"x\", \"arguments\": {{\"a\": \"{text}\"}}}}");
        writeln!(writer, "{command}").unwrap();
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains("parse error") || line.contains("invalid"), "{text}: {line}");
        // The reader of QEMU starts anew at a line end or complains again: an empty command ends it.
        writeln!(writer, "{{\"execute\": \"query-status\", \"id\": \"end\"}}").unwrap();
        while !lines.next().unwrap().unwrap().contains("\"end\"") {}
    }
}
