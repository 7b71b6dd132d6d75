//! A driver on a host that only keeps books, below a directory of its own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use oxivirt::{DefineFlags, Error, NetworkDriver as _, NetworkEvent, NetworkEventId, NetworkRef};
use oxivirt_network::apply::recorder::Recorder;
use oxivirt_network::layout::Layout;
use oxivirt_network::{Driver, HookOptions, Options, RestoreSettings, StartWithHost};
use oxivirt_sys::file;

pub(crate) const XML: &str =
    "<network><name>default</name><uuid>11111111-2222-3333-4444-555555555555</uuid>
  <forward mode='nat'/><bridge name='virbr0'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp></ip></network>";

pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) host: Arc<Recorder>,
    pub(crate) restore: RestoreSettings,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            host: Arc::new(Recorder::new()),
            restore: RestoreSettings::Never,
        }
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::below(self.dir.path())
    }

    pub(crate) async fn try_open(&self) -> Result<Driver<Recorder>, Error> {
        let options = Options {
            layout: self.layout(),
            lease_helper: "/helper".into(),
            uri: "network:///embed".to_owned(),
            autostart: StartWithHost::Once,
            restore_settings: self.restore,
            hooks: HookOptions {
                environment: std::env::vars_os().collect(),
                ..HookOptions::default()
            },
        };
        Driver::open(Arc::clone(&self.host), options).await
    }

    pub(crate) async fn open(&self) -> Driver<Recorder> {
        self.try_open().await.unwrap()
    }

    /// Files below the root, without those of the driver itself.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, found) } else { found.push(path) }
            }
        }
        let mut found = Vec::new();
        walk(self.dir.path(), &mut found);
        found.retain(|path| !path.ends_with("driver.pid") && !path.ends_with("autostarted"));
        found.sort();
        found
    }
}

pub(crate) async fn define(driver: &Driver<Recorder>) -> NetworkRef {
    driver.network_define_xml(XML, DefineFlags::NONE).await.unwrap()
}

#[track_caller]
pub(crate) fn check_error<T: std::fmt::Debug>(result: Result<T, Error>, code: i32, message: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.code().0, error.message()), (code, message));
}

pub(crate) fn write_file(path: &Path, text: &str, mode: u32) {
    file::replace(path, text.as_bytes(), mode, file::Durability::Regenerated).unwrap();
}

pub(crate) async fn define_xml(driver: &Driver<Recorder>, xml: &str) -> NetworkRef {
    driver.network_define_xml(xml, DefineFlags::NONE).await.unwrap()
}

/// A `<networkport>` of guest `g`, with the last digits of UUID and address from `id`.
pub(crate) fn port_xml(id: u32, rest: &str) -> String {
    format!(
        "<networkport><uuid>00000000-0000-0000-0000-{id:012}</uuid><owner><name>g</name>\
         <uuid>00000000-0000-0000-0000-0000000000ff</uuid></owner>\
         <mac address='52:54:00:00:{:02x}:{:02x}'/>{rest}</networkport>",
        id / 256,
        id % 256
    )
}

/// What events a driver emits, as words.
#[derive(Clone, Default)]
pub(crate) struct Received(Arc<Mutex<Vec<String>>>);

impl Received {
    pub(crate) async fn listen(driver: &Driver<Recorder>) -> Self {
        let received = Self::default();
        let ids = [
            NetworkEventId::Lifecycle,
            NetworkEventId::MetadataChange,
            NetworkEventId::Updated,
            NetworkEventId::Lease,
        ];
        for id in ids {
            let list = Arc::clone(&received.0);
            let callback =
                Box::new(move |event: &NetworkEvent| list.lock().unwrap().push(word(event)));
            driver.network_event_register(None, id, callback).await.unwrap();
        }
        received
    }

    /// What was received since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

fn word(event: &NetworkEvent) -> String {
    let name = &event.network().name;
    match event {
        NetworkEvent::Lifecycle { event, .. } => format!("{name} {event:?}"),
        NetworkEvent::MetadataChange { kind, uri, .. } => format!("{name} {kind:?} {uri:?}"),
        NetworkEvent::Updated { section, .. } => format!("{name} updated {section:?}"),
        NetworkEvent::Lease { change, lease, .. } => format!("{name} {change:?} {}", lease.ipaddr),
        other => format!("{other:?}"),
    }
}

impl Bench {
    /// Installs a hook script that writes its arguments to a log, and fails for `failing`.
    pub(crate) fn hook(&self, failing: &str) {
        let dir = self.dir.path().join("etc/libvirt/hooks");
        std::fs::create_dir_all(&dir).unwrap();
        let mut body = String::from("#!/bin/sh\n");
        let log = self.dir.path().join("hooks.log");
        writeln!(body, "cat >{0}.stdin; echo \"$@\" >>{0}", log.display()).unwrap();
        writeln!(body, "case \"$2\" in {failing}) echo refused >&2; exit 7;; esac").unwrap();
        let path = dir.join("network");
        write_file(&path, &body, 0o755);
    }

    /// The hook calls since the last time.
    pub(crate) fn hook_calls(&self) -> Vec<String> {
        let log = self.dir.path().join("hooks.log");
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        drop(std::fs::remove_file(log));
        text.lines().map(str::to_owned).collect()
    }

    /// What the last hook call read.
    pub(crate) fn hook_input(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("hooks.log.stdin")).unwrap_or_default()
    }
}
