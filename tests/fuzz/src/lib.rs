//! What is fuzzed: everything that reads untrusted text.
//!
//! A target takes bytes and panics if a promise is broken. Beside not crashing, what was read has
//! to be written so that reading it again gives the same.

mod guests;
mod streams;

use std::sync::Arc;

use oxivirt_conf::network::update::{Change, Request, update};
use oxivirt_conf::network::{Counters, Form, NetworkDef};
use oxivirt_conf::node_device::NodeDeviceDef;
use oxivirt_conf::port::NetworkPortDef;
use oxivirt_conf::secret::SecretDef;
use oxivirt_conf::status::NetworkStatus;
use oxivirt_conf::storage::{Capacity, StoragePoolDef, StorageVolumeDef, VolumeType};
use oxivirt_network::leases::{self, Prefixes};
use oxivirt_network::macmap::MacMap;
use oxivirt_qmp::command::{self, Command};
use oxivirt_qmp::frame::Framer;
use oxivirt_qmp::message::Message;
use oxivirt_qmp::{Limits, ProtocolError};
use oxivirt_remote::admin::protocol as admin;
use oxivirt_remote::call;
use oxivirt_remote::protocol::{self, Family};
use oxivirt_remote::serve::{Authentication, Daemon, Networks, Profile, Served};
use oxivirt_rpc::frame::{self, Header, Kind};
use oxivirt_rpc::identity::Peer;
use oxivirt_rpc::limits::{ConnectionLimits, ServerLimits, Workers};
use oxivirt_rpc::server::client::Admission;
use oxivirt_rpc::server::{Server, Serves as _, connection};
use oxivirt_storage::plan;
use oxivirt_sys::keyfile::KeyFile;

pub use guests::{agent, domain_status, domain_xml, emulator_files};
pub use streams::streams;

/// A target: its name and what it does with its input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 18] = [
    ("network_xml", network_xml),
    ("port_xml", port_xml),
    ("status_xml", status_xml),
    ("keyfile", keyfile),
    ("leases", leases),
    ("macmap", macmap),
    ("update", update_payload),
    ("frame", frame),
    ("arguments", arguments),
    ("session", session),
    ("monitor", monitor),
    ("image", image),
    ("domain_xml", domain_xml),
    ("domain_status", domain_status),
    ("emulator_files", emulator_files),
    ("storage_xml", storage_xml),
    ("streams", streams),
    ("agent", agent),
];

/// Reads, writes, reads and writes: from the second writing on nothing changes.
///
/// The first may differ from what was read where XML itself does: tabs and line ends that were
/// spelled as references are written as they are, and read as blanks or other line ends. That may
/// even break a rule, but only if such a character was there.
fn settles<T>(text: &str, parse: impl Fn(&str) -> Option<T>, format: impl Fn(&T) -> String) {
    let Some(first) = parse(text).map(|first| format(&first)) else {
        return;
    };
    let Some(second) = parse(&first).map(|second| format(&second)) else {
        assert!(first.contains(['\r', '\t', '\n']), "what was written is not read:\n{first}");
        let special = text.contains("&#") || text.contains("<!ENTITY") || text.contains('\r');
        assert!(special, "what was written is not read:\n{first}");
        return;
    };
    let third = parse(&second).map(|third| format(&third));
    assert_eq!(third.as_ref(), Some(&second), "writing does not settle");
}

/// `<network>` documents.
pub fn network_xml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let parse = |text: &str| NetworkDef::parse(text).ok();
        settles(text, parse, |def| def.format(Form::Inactive));
        let validated = NetworkDef::parse_validated(text);
        assert!(validated.is_err() || parse(text).is_some(), "the schema lets more through");
    }
}

/// `<networkport>` documents.
pub fn port_xml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        settles(text, |text| NetworkPortDef::parse(text).ok(), NetworkPortDef::format);
        drop(NetworkPortDef::parse_validated(text));
    }
}

/// `<networkstatus>` documents.
pub fn status_xml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let parse = |text: &str| NetworkStatus::parse(text).ok();
        settles(text, parse, |status| status.format(Counters::NONE));
    }
}

/// Documents of pools, their state, volumes, secrets and devices of the host, and the plan that makes a volume.
pub fn storage_xml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    settles(text, |text| StoragePoolDef::parse(text).ok(), StoragePoolDef::format);
    settles(text, |text| StoragePoolDef::parse_state(text).ok(), StoragePoolDef::format_state);
    settles(text, |text| SecretDef::parse(text).ok(), SecretDef::format);
    settles(text, |text| NodeDeviceDef::parse(text).ok(), NodeDeviceDef::format);
    for (kind, format) in [(VolumeType::File, Some("raw")), (VolumeType::Network, None)] {
        let parse =
            |text: &str| StorageVolumeDef::parse(text, kind, format, Capacity::Optional).ok();
        settles(text, parse, StorageVolumeDef::format);
        if let Some(volume) = parse(text) {
            let options = plan::CreateOptions::default();
            drop(plan::create(&volume, "/pool".into(), String::from(".staging"), &options));
        }
    }
}

/// `.conf` files.
pub fn keyfile(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(file) = KeyFile::parse("fuzz", text)
        && let Some(text) = file.format()
    {
        assert_eq!(KeyFile::parse("fuzz", &text), Ok(file));
    }
}

/// Lease files.
pub fn leases(data: &[u8]) {
    drop(leases::parse(data, "virbr0", Prefixes { ipv4: 24, ipv6: 64 }, None, 1_700_000_000));
}

/// MAC maps.
pub fn macmap(data: &[u8]) {
    if let Ok(map) = MacMap::parse(data) {
        let text = map.format();
        let again = MacMap::parse(text.as_bytes()).map(|map| map.format());
        assert_eq!(again.ok(), Some(text));
    }
}

const BASE: &str = "<network><name>n</name><forward mode='bridge'><interface dev='e0'/></forward>\
    <dns><host ip='1.1.1.1'><hostname>a</hostname></host><txt name='t' value='v'/>\
    <srv service='s' protocol='tcp' domain='d' target='x' port='5'/></dns>\
    <ip address='192.168.122.1' netmask='255.255.255.0'><dhcp>\
    <range start='192.168.122.2' end='192.168.122.9'/><host name='h' ip='192.168.122.20'/>\
    </dhcp></ip><ip family='ipv6' address='2001:db8::1'/><portgroup name='g'/></network>";

/// Payloads of partial updates: the first byte chooses section and command.
pub fn update_payload(data: &[u8]) {
    let Some((&choice, payload)) = data.split_first() else {
        return;
    };
    let Ok(payload) = std::str::from_utf8(payload) else {
        return;
    };
    let def = NetworkDef::parse(BASE).expect("the base is valid");
    let request = Request {
        section: u32::from(choice & 15),
        command: u32::from(choice >> 4 & 7),
        parent_index: if choice & 128 == 0 { -1 } else { 1 },
        payload,
    };
    if let Ok(change) = Change::parse(&def, &request)
        && let Ok(changed) = update(&def, &change, Form::Inactive)
    {
        let text = changed.format(Form::Inactive);
        assert!(NetworkDef::parse(&text).is_ok() || text.contains(['\r', '\t']), "{text}");
    }
}

/// Any bytes as packets: every one that is found lies within the bytes, and written again it is the same.
pub fn frame(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some(packet)) = frame::first(rest) {
        let mut out = Vec::new();
        let written = frame::append::<()>(&mut out, packet.header, |out| {
            out.extend_from_slice(packet.payload);
            Ok(())
        });
        assert_eq!(written, Ok(()));
        assert_eq!(Some(&*out), rest.get(..packet.len), "a packet is written differently");
        rest = rest.get(packet.len..).unwrap_or_default();
    }
}

/// Any bytes as the arguments of every procedure: what is read is written, and then read as the same.
pub fn arguments(data: &[u8]) {
    let Some((choice, payload)) = data.split_first() else { return };
    let all: Vec<_> = Family::ALL
        .iter()
        .flat_map(|family| family.procedures().iter().map(|procedure| (*family, procedure.number)))
        .collect();
    let Some((family, number)) = all.get(usize::from(*choice) % all.len()) else { return };
    let Some(found) = protocol::find(family.program(), *number) else { return };
    let header = Header {
        program: family.program(),
        version: 1,
        procedure: *number,
        kind: Kind::Call,
        serial: 1,
        status: 0,
    };
    if let Ok(once) = call::recode(found, header, payload) {
        let packet = frame::first(&once).expect("a packet").expect("a whole packet");
        let again = call::recode(found, header, packet.payload).expect("read again");
        assert_eq!(once, again, "writing does not settle");
    }
    for status in [0, 1] {
        drop(call::recode(found, header.reply(status), payload));
    }
    if let Some((index, _)) = admin::find(1 + i32::from(*choice % 20)) {
        drop(call::read_request::<admin::AdminRequest>(index, payload));
    }
}

/// Any bytes as a whole conversation with a daemon whose networks are in memory.
pub fn session(data: &[u8]) {
    let mut registry = oxivirt::Registry::new();
    oxivirt_test::register(&mut registry);
    let options = oxivirt::OpenOptions::default();
    let connect = RUNTIME.with(|runtime| {
        runtime.block_on(oxivirt::Connect::open("test:///default", &registry, &options))
    });
    let driver = Arc::clone(connect.expect("networks in memory").connection());
    drop(converse(Profile::NETWORK, driver, data));
}

thread_local! {
    static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
}

/// What a daemon with one driver answers to a client that sends `data` and then nothing more.
fn converse(profile: Profile, driver: Arc<dyn oxivirt::Connection>, data: &[u8]) -> Vec<u8> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let daemon = Arc::new(Daemon {
                drivers: vec![Served { profile, driver }],
                path: "/system",
                authority: None,
                access: None,
                observer: None,
            });
            let networks = Networks { daemon, authentication: Authentication::None };
            let server = Server::new(
                "fuzz",
                ServerLimits::default(),
                ConnectionLimits::default(),
                Workers::default(),
            );
            let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
            let client = server.add(peer, Admission { read_only: false, authenticated: true });
            let service = networks.connect(&client);
            let (near, far) = tokio::io::duplex(1 << 16);
            let (mut reader, mut writer) = tokio::io::split(far);
            let serve = connection::serve(near, &client, &*service);
            let write = async {
                drop(writer.write_all(data).await);
                drop(writer.shutdown().await);
            };
            // beside writing: a server does not go on for a client that does not read
            let read = async {
                let mut answers = Vec::new();
                drop(reader.read_to_end(&mut answers).await);
                answers
            };
            let (_, (), answers) = tokio::join!(serve, write, read);
            service.closed();
            server.remove(client.id);
            answers
        })
    })
}

/// Any bytes as the monitor of a QEMU: wherever the stream is split, the messages are the same; replies
/// and events are read or rejected.
pub fn monitor(data: &[u8]) {
    let Some((&split, stream)) = data.split_first() else { return };
    let (first, second) = stream.split_at(stream.len() * usize::from(split) / 256);
    let whole = messages(&[stream]);
    let pieces = messages(&[first, second]);
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"), "the split matters");
    for message in whole.into_iter().flatten() {
        match message {
            Message::Event(event) => drop(event.kind()),
            Message::Reply(reply) => {
                if let Ok(value) = reply.result {
                    let text = value.get();
                    read::<command::QueryStatus>(text);
                    read::<command::QueryBlock>(text);
                    read::<command::QueryBlockstats>(text);
                    read::<command::QueryHotpluggableCpus>(text);
                    read::<command::QueryCpusFast>(text);
                    read::<command::QueryChardev>(text);
                    read::<command::QueryRxFilter>(text);
                    read::<command::QueryVnc>(text);
                    read::<command::QueryQmpSchema>(text);
                }
            }
            _ => {}
        }
    }
}

fn read<C: Command>(text: &str) {
    drop(serde_json::from_str::<C::Reply>(text));
}

/// The messages of a stream that arrives in pieces, up to the first error.
fn messages(pieces: &[&[u8]]) -> Vec<Result<Message, ProtocolError>> {
    let limits = Limits { message: 1 << 20, ..Limits::default() };
    let mut framer = Framer::new(limits.message);
    let mut messages = Vec::new();
    for piece in pieces {
        framer.push(piece);
        loop {
            let message = match framer.next_line() {
                Ok(Some(line)) => Message::parse(line, &limits),
                Ok(None) => break,
                Err(error) => Err(error),
            };
            messages.push(message);
            if messages.last().is_some_and(Result::is_err) {
                return messages;
            }
        }
    }
    messages
}

/// Any bytes as a disk image: the header is read or rejected in every format, and a raw image has no header.
pub fn image(data: &[u8]) {
    type Format = oxivirt_image::Format;
    let format = oxivirt_image::probe(data).expect("bytes can be read");
    let found = oxivirt_image::inspect(data, format);
    if let Ok(image) = found {
        assert_eq!(image.format, format);
    }
    for other in [Format::Qcow, Format::Qcow2, Format::Qed, Format::Vmdk, Format::Vdi, Format::Vpc]
    {
        if let Ok(image) = oxivirt_image::inspect(data, other) {
            assert!(other == format || other == Format::Vpc, "{other} is not {format}");
            assert!(image.backing.is_none_or(|backing| !backing.text.contains('\n')));
        }
    }
    let raw = oxivirt_image::inspect(data, Format::Raw).expect("raw data are always readable");
    assert_eq!((raw.virtual_size, raw.backing), (Some(data.len() as u64), None));
}
