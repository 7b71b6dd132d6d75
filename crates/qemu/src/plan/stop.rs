//! What a guest has on its host, as the list that removes it: the same for a stop, a start that failed and
//! the recovery of either.

use std::path::{Path, PathBuf};

use oxivirt_conf::domain::DomainDef;
use oxivirt_conf::domain::device::chardev::{CharDevice, CharType};
use oxivirt_conf::domain::device::disk::{BackingStore, Disk};
use oxivirt_conf::domain::device::source::Source;
use uuid::Uuid;

use super::{Plan, Undo};
use crate::label::Owner;
use crate::layout::Layout;

/// What a guest that runs has, beside its definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// Its name.
    pub(crate) name: String,
    /// Its UUID.
    pub(crate) uuid: Uuid,
    /// Its own directories.
    pub(crate) directories: Vec<PathBuf>,
    /// Its control group, below the roots.
    pub(crate) cgroup: Option<String>,
    /// Whose its files are as long as it runs.
    pub(crate) owner: Option<Owner>,
    /// Its places on networks: network, its UUID, port.
    pub(crate) ports: Vec<(String, Uuid, Uuid)>,
}

/// The list.
#[must_use]
pub(crate) fn plan(def: &DomainDef, holdings: &Holdings, layout: &Layout) -> Plan<Undo> {
    let Holdings { name, uuid, directories, cgroup, owner, ports } = holdings;
    let mut plan = Plan::default();
    let owners = owner.iter().flat_map(|owner| {
        files(def).into_iter().map(|path| Undo::RestoreOwner {
            path,
            guest: *uuid,
            uid: owner.uid,
            gid: owner.gid,
        })
    });
    let ports = ports.iter().map(|(network, network_uuid, port)| Undo::DeletePort {
        network: network.clone(),
        network_uuid: *network_uuid,
        port: *port,
    });
    let groups = cgroup.iter().map(|path| Undo::RemoveCgroup { path: path.clone() });
    let trees = directories.iter().map(|path| Undo::RemoveTree { path: path.clone() });
    // An emulator takes a moment to end; meanwhile it has no use for its places on networks.
    let process = vec![Undo::EndProcess { pid_file: layout.pid_file(name) }];
    plan.then_parallel([process, ports.collect()]);
    plan.then_parallel([owners.collect(), groups.collect(), trees.collect()]);
    plan.then(
        [layout.status_file(name), layout.pid_file(name)].map(|path| Undo::RemoveFile { path }),
    );
    plan
}

/// The files that a guest uses and that belong to its user as long as it runs.
///
/// libvirt 11.3.0: `virSecurityDACSetAllLabel`, src/security/security_dac.c
#[must_use]
pub(crate) fn files(def: &DomainDef) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Some(devices) = &def.devices {
        devices.disks.iter().for_each(|disk| add_chain(disk, &mut found));
        let ports = devices.serials.iter().chain(&devices.parallels).chain(&devices.channels);
        found.extend(ports.filter_map(output));
    }
    if let Some(os) = &def.os {
        for path in [&os.kernel, &os.initrd, &os.dtb].into_iter().flatten() {
            found.push(PathBuf::from(path));
        }
        found.extend(nvram(def));
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|path| seen.insert(path.clone()));
    found
}

/// The file of the firmware's variables.
#[must_use]
pub(crate) fn nvram(def: &DomainDef) -> Option<PathBuf> {
    let nvram = def.os.as_ref()?.nvram.as_ref()?;
    let source = nvram.source.as_ref().and_then(|source| source.file.as_deref());
    nvram.path.as_deref().or(source).map(PathBuf::from)
}

/// The template of the firmware's variables, and where they are.
#[must_use]
pub(crate) fn variables(def: &DomainDef) -> Option<(PathBuf, PathBuf)> {
    let template = def.os.as_ref()?.nvram.as_ref()?.template.as_deref().map(PathBuf::from)?;
    Some((template, nvram(def)?))
}

fn add_chain(disk: &Disk, found: &mut Vec<PathBuf>) {
    found.extend(disk.source.as_ref().and_then(local));
    let mut store: Option<&BackingStore> = disk.backing_store.as_ref();
    while let Some(image) = store {
        found.extend(image.source.as_ref().and_then(local));
        store = image.backing_store.as_deref();
    }
}

/// The file or block device of a source.
#[must_use]
pub(crate) fn local(source: &Source) -> Option<PathBuf> {
    source.file.as_deref().or(source.dev.as_deref()).map(Path::new).map(Path::to_owned)
}

/// The file or device of a character device; a file is made by the emulator or opened for it.
fn output(port: &CharDevice) -> Option<PathBuf> {
    let path = port.sources.first()?.path.as_deref().map(PathBuf::from)?;
    matches!(port.kind, Some(CharType::Dev | CharType::Pipe)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_on_networks_are_given_back_before_the_process_has_ended() {
        use oxivirt_engine::Undo as _;
        let def = DomainDef::parse(
            "<domain type='qemu'><name>a</name><memory>1</memory><os><type>hvm</type>\
             <kernel>/k</kernel></os></domain>",
        );
        let holdings = Holdings {
            name: "a".to_owned(),
            uuid: Uuid::nil(),
            directories: vec!["/d".into()],
            cgroup: Some("/g".to_owned()),
            owner: Some(Owner { uid: 1, gid: 2 }),
            ports: vec![("n".to_owned(), Uuid::nil(), Uuid::nil())],
        };
        let plan = plan(&def.unwrap(), &holdings, &Layout::below("/"));
        let first: Vec<_> = plan.stages[0].sequences.concat();
        assert!(
            matches!(&first[..], [Undo::EndProcess { .. }, Undo::DeletePort { .. }]),
            "{first:?}"
        );
        assert!(first[0].is_required());
        // files, group, directory, status file and pid file
        assert_eq!(plan.steps().count(), 2 + 5);
    }

    #[test]
    fn a_chain_of_images_and_the_kernel_are_files_of_a_guest() {
        let xml = "<domain type='qemu'><name>a</name><memory>1</memory>\
            <os><type>hvm</type><kernel>/k</kernel><initrd>/i</initrd></os><devices>\
            <disk type='file'><source file='/top'/><backingStore type='file'><format type='raw'/>\
            <source file='/base'/><backingStore/></backingStore><target dev='vda'/></disk>\
            <disk type='block'><source dev='/dev/x'/><target dev='vdb'/></disk>\
            <disk type='file'><source file='/top'/><target dev='vdc'/></disk>\
            <serial type='dev'><source path='/dev/ttyS9'/></serial>\
            <serial type='file'><source path='/out'/></serial></devices></domain>";
        let def = DomainDef::parse(xml).unwrap();
        let expect = ["/top", "/base", "/dev/x", "/dev/ttyS9", "/k", "/i"].map(PathBuf::from);
        assert_eq!(files(&def), expect);
    }
}
