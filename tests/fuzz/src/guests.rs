//! Targets about guests: their documents, the plan of their start, their agent, and the emulator's documents.

use std::path::PathBuf;
use std::sync::OnceLock;

use oxivirt_conf::domain::{DomainDef, DomainStatus, Form, HostAudio, Origin, QemuDefaults};
use oxivirt_conf::emulator::EmulatorCapabilities;
use oxivirt_qemu::command::{
    Config, Directories, Facts, Host, HostProcessor, HugePageMount, command_line, prepare,
};
use oxivirt_qemu::firmware::{self, Firmware};
use oxivirt_qmp::agent::{self, Agent, AgentOptions};
use oxivirt_qmp::command::Command;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::{RUNTIME, settles};

/// `<domain>` documents: as they are, as stored ones, and up to the command line of the emulator.
pub fn domain_xml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    settles(text, |text| DomainDef::parse(text).ok(), |def| def.format(Form::Live));
    settles(
        text,
        |text| DomainDef::parse_as(text, Form::Inactive).ok(),
        |def| def.format(Form::Inactive),
    );
    for origin in [Origin::New, Origin::Stored] {
        if let Ok(def) = DomainDef::parse(text)
            && let Some(mut def) = complete(def, origin)
        {
            let facts = facts();
            if prepare(&mut def, emulator(), facts).is_ok() {
                drop(command_line(&def, emulator(), facts));
            }
        }
    }
}

/// What the driver does with a definition before it stores it; nothing if it refuses it.
fn complete(mut def: DomainDef, origin: Origin) -> Option<DomainDef> {
    let mut random = |bytes: &mut [u8]| bytes.fill(0);
    let mut defaults = QemuDefaults {
        emulator: emulator(),
        origin,
        host_arch: "x86_64",
        host_audio: HostAudio::default(),
        random: &mut random,
    };
    def.forget_runtime();
    def.complete_qemu(&mut defaults).ok()?;
    let facts = facts();
    let filled = firmware::fill(&mut def, &facts.firmwares, &facts.directories.nvram, origin);
    if filled.is_err() && origin == Origin::New {
        return None;
    }
    def.assign_addresses(emulator(), origin).ok()?;
    def.validate_qemu(emulator()).ok()?;
    Some(def)
}

/// An emulator that can do everything.
fn emulator() -> &'static EmulatorCapabilities {
    static EMULATOR: OnceLock<EmulatorCapabilities> = OnceLock::new();
    EMULATOR.get_or_init(|| {
        EmulatorCapabilities::parse(include_str!("emulator.xml")).expect("the emulator is valid")
    })
}

const FIRMWARE: &str = r#"{"interface-types": ["uefi"], "mapping": {"device": "flash",
    "executable": {"filename": "/fw/code.fd", "format": "raw"},
    "nvram-template": {"filename": "/fw/vars.fd", "format": "raw"}},
    "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*", "pc-i440fx-*"]}],
    "features": ["acpi-s3", "requires-smm", "secure-boot", "enrolled-keys"]}"#;

fn facts() -> &'static Facts {
    static FACTS: OnceLock<Facts> = OnceLock::new();
    FACTS.get_or_init(|| Facts {
        id: 7,
        environment: vec![(String::from("PATH"), String::from("/bin"))],
        firmwares: Firmware::parse(FIRMWARE).into_iter().collect(),
        processor: HostProcessor::default(),
        directories: Directories {
            library: PathBuf::from("/lib"),
            channel: PathBuf::from("/channel"),
            memory: PathBuf::from("/ram"),
            nvram: PathBuf::from("/nvram"),
            passt: PathBuf::from("/passt"),
            dbus: PathBuf::from("/dbus"),
        },
        config: Config::default(),
        host: Host {
            has_vhost_net: true,
            huge_pages: vec![HugePageMount {
                size_kib: 2048,
                path: PathBuf::from("/dev/hugepages"),
                is_default: true,
            }],
            optical_drives: vec![PathBuf::from("/dev/cdrom")],
            page_kib: 4,
            numa_nodes: vec![0, 1],
        },
        number: |index, _| i32::try_from(index).unwrap_or_default() + 20,
        automatic_nodes: vec![0],
        now: 1_700_000_000,
        local_offset: 3600,
    })
}

/// `<domstatus>` documents.
pub fn domain_status(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        settles(text, |text| DomainStatus::parse(text).ok(), DomainStatus::format);
    }
}

/// What is known of an emulator, and descriptors of firmware.
pub fn emulator_files(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let parse = |text: &str| EmulatorCapabilities::parse(text).ok();
        settles(text, parse, EmulatorCapabilities::format);
        drop(Firmware::parse(text));
    }
}

/// Any bytes as what a guest writes to the port of its agent: before its answer to the synchronisation, and
/// after it. Every command ends.
pub fn agent(data: &[u8]) {
    let Some((&[choice, split], bytes)) = data.split_first_chunk() else { return };
    let (before, behind) = bytes.split_at(bytes.len() * usize::from(split) / 256);
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (near, far) = UnixStream::pair().expect("sockets");
            let agent = Agent::from_stream(near, AgentOptions::default());
            tokio::join!(ask(agent, choice), answer(far, before, behind));
        });
    });
}

/// Runs one command, and closes the connection.
async fn ask(agent: Agent, choice: u8) {
    async fn run<C: Command>(agent: &Agent, command: C) {
        drop(agent.run(&command).await);
    }
    match choice % 10 {
        0 => run(&agent, agent::Ping {}).await,
        1 => run(&agent, agent::Info {}).await,
        2 => run(&agent, agent::NetworkGetInterfaces {}).await,
        3 => run(&agent, agent::GetOsinfo {}).await,
        4 => run(&agent, agent::GetHostName {}).await,
        5 => run(&agent, agent::GetTimezone {}).await,
        6 => run(&agent, agent::GetUsers {}).await,
        7 => run(&agent, agent::GetFsinfo {}).await,
        8 => run(&agent, agent::GetVcpus {}).await,
        _ => run(&agent, agent::GetTime {}).await,
    }
}

/// Plays the guest, which answers the synchronisation and then closes its side.
async fn answer(mut stream: UnixStream, before: &[u8], behind: &[u8]) {
    let mut request = Vec::new();
    let mut byte = [0];
    while request.last() != Some(&b'\n') && matches!(stream.read(&mut byte).await, Ok(1)) {
        request.extend_from_slice(&byte);
    }
    let request = String::from_utf8_lossy(&request);
    let id: String = request.chars().filter(char::is_ascii_digit).collect();
    let answer = format!("{{\"return\": {id}}}\n");
    let parts: [&[u8]; 4] = [before, &[0xff], answer.as_bytes(), behind];
    for part in parts {
        drop(stream.write_all(part).await);
    }
    drop(stream.shutdown().await);
    // the command that follows
    drop(stream.read_to_end(&mut Vec::new()).await);
}
