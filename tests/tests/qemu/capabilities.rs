//! The prober against a real QEMU.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oxivirt_conf::domain::VirtType;
use oxivirt_conf::emulator::EmulatorCapabilities;
use oxivirt_qemu::capabilities::{Capabilities, Options, ProbeError};
use oxivirt_sys::file::{self, Durability};
use oxivirt_tests::process::find;
use oxivirt_tests::qemu::{NEED, SYSTEM};
use oxivirt_tests::require::need;
use oxivirt_tests::{apply, scenario};

/// Places of their own; the host is the real one.
fn options(dir: &Path) -> Options {
    Options {
        cache_dir: dir.join("cache"),
        state_dir: dir.join("state"),
        ..Options::system(Path::new("/"))
    }
}

fn emulator() -> PathBuf {
    need(&[NEED]);
    find(SYSTEM).unwrap()
}

/// A program that stands for an emulator.
fn program(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("emulator");
    file::replace(&path, script.as_bytes(), 0o755, Durability::Regenerated).unwrap();
    path
}

#[apply(scenario)]
async fn an_emulator_is_probed_once() {
    let emulator = emulator();
    let dir = tempfile::tempdir().unwrap();
    let capabilities = Capabilities::new(options(dir.path()));
    let (found, same) = futures::join!(capabilities.of(&emulator), capabilities.of(&emulator));
    let (found, same) = (found.unwrap(), same.unwrap());
    assert!(Arc::ptr_eq(&found, &same));

    assert_eq!(found.arch, "x86_64");
    assert!(found.version >= 6_002_000, "{}", found.version);
    for flag in ["VGA", "virtio-net", "pcie-root-port", "query-cpu-model-expansion", "x86-max-cpu"]
    {
        assert!(found.has(flag), "{flag}");
    }
    let machine = found.machine(VirtType::Qemu, "q35").unwrap();
    assert!(machine.name.as_deref().is_some_and(|name| name.starts_with("pc-q35-")));
    assert!(found.machines_of(VirtType::Qemu).iter().any(|machine| machine.is_default));
    assert!(found.cpus.iter().any(|cpu| cpu.name == "qemu64" && cpu.usable == Some(true)));
    assert!(found.host_cpu(VirtType::Qemu).is_some_and(|cpu| cpu.properties.len() > 100));

    let text = fs::read_to_string(capabilities.document_path(&emulator)).unwrap();
    assert_eq!(EmulatorCapabilities::parse(&text).unwrap(), *found);
    let left: Vec<_> = fs::read_dir(dir.path().join("state")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[apply(scenario)]
async fn a_document_on_disk_is_used_until_it_is_stale() {
    let emulator = emulator();
    let dir = tempfile::tempdir().unwrap();
    let first = Capabilities::new(options(dir.path()));
    let mut found = (*first.of(&emulator).await.unwrap()).clone();
    let path = first.document_path(&emulator);
    let store = |found: &EmulatorCapabilities| {
        file::replace(&path, found.format().as_bytes(), 0o600, Durability::Regenerated).unwrap();
    };
    found.package = String::from("from the file");
    store(&found);
    let read = Capabilities::new(options(dir.path())).of(&emulator).await.unwrap();
    assert_eq!(read.package, "from the file");

    found.origin.emulator_ctime -= 1;
    store(&found);
    let probed = Capabilities::new(options(dir.path())).of(&emulator).await.unwrap();
    assert_ne!(probed.package, "from the file");

    file::replace(&path, b"<qemuCaps", 0o600, Durability::Regenerated).unwrap();
    let probed = Capabilities::new(options(dir.path())).of(&emulator).await.unwrap();
    assert_eq!(probed.arch, "x86_64");
}

#[apply(scenario)]
async fn programs_that_are_no_emulators_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let capabilities = Capabilities::new(options(dir.path()));
    let missing = capabilities.of(Path::new("/nonexistent/qemu")).await;
    assert!(matches!(missing, Err(ProbeError::Binary { .. })), "{missing:?}");

    let path = program(dir.path(), "#!/bin/sh\necho 'no such machine' >&2; exit 1\n");
    match capabilities.of(&path).await {
        Err(ProbeError::Exited { output }) => assert_eq!(output, "no such machine"),
        other => panic!("{other:?}"),
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let denied = capabilities.of(&path).await;
    assert!(matches!(denied, Err(ProbeError::Binary { .. })), "{denied:?}");
    assert!(!capabilities.document_path(&path).exists());
}
