//! What only the host can say about a guest that is to start: images behind images, networks, ports of
//! displays, devices.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use oxivirt::{Error, ErrorCode, ErrorDomain, NetworkRef, Result};
use oxivirt_conf::YesNo;
use oxivirt_conf::domain::DomainDef;
use oxivirt_conf::domain::device::disk::{BackingStore, Disk, DiskType};
use oxivirt_conf::domain::device::graphics::{Graphics, GraphicsType};
use oxivirt_conf::domain::device::interface::{
    ActualInterface, Interface, InterfaceSource, InterfaceTarget, InterfaceType, LinkState,
};
use oxivirt_conf::domain::device::source::{ImageFormat, Source};
use oxivirt_conf::port::{NetworkPortDef, Plug};
use oxivirt_conf::virtualport::{VirtualPort, VirtualPortType};
use oxivirt_image::Format;
use oxivirt_launch::DeviceNode;
use oxivirt_qmp::command::Secret;
use oxivirt_sys::chain;
use oxivirt_types::link_name::LinkName;
use oxivirt_types::mac::MacAddr;
use uuid::Uuid;

use crate::guest::Guest;
use crate::plan::start::{DeviceFacts, TapPlan};
use crate::plan::step::{DisplayPassword, Settings, TapDevice};
use crate::plan::{Step, stop, tap};
use crate::shared::Shared;

/// Images below one another, at most; libvirt's limit.
const CHAIN_MAX: usize = 200;
/// Ports of VNC displays.
const VNC_PORTS: std::ops::RangeInclusive<u16> = 5900..=65535;
/// Device nodes that every guest has, as libvirt's default.
const NODES: [&str; 8] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/ptmx",
    "/dev/kvm",
    "/dev/userfaultfd",
];
/// First byte of a tap's address: greater than that of any other port, so that a bridge does not take it.
const TAP_ADDRESS: u8 = 0xfe;
/// Names of taps are this and a number.
pub(crate) const TAP_PREFIX: &str = "vnet";

/// A place on a network that a guest is to have.
#[derive(Debug, Clone)]
pub(crate) struct PortRequest {
    /// Which interface it is for.
    pub(crate) interface: usize,
    /// The network.
    pub(crate) network: NetworkRef,
    /// The place.
    pub(crate) port: Uuid,
    /// What the network driver is asked for.
    pub(crate) xml: String,
}

impl PortRequest {
    /// The step that gets it.
    pub(crate) fn step(&self) -> Step {
        let (network, xml) = (self.network.clone(), self.xml.clone());
        Step::CreatePort { network, port: self.port, xml }
    }
}

impl Shared {
    /// The places that a guest's interfaces need.
    ///
    /// # Errors
    /// A network does not exist or does not run.
    pub(crate) async fn port_requests(&self, guest: &Guest) -> Result<Vec<PortRequest>> {
        let mut requests = Vec::new();
        let interfaces = guest.devices.iter().flat_map(|devices| &devices.interfaces);
        for (at, interface) in interfaces.enumerate() {
            refuse_unsupported(interface)?;
            if interface.kind != Some(InterfaceType::Network) {
                continue;
            }
            let networks = self.host.networks.as_deref().ok_or_else(no_networks)?;
            let source = interface.source.as_ref();
            let name = source.and_then(|source| source.network.as_deref()).unwrap_or_default();
            let network = networks.network_lookup_by_name(name).await?;
            if !networks.network_is_active(&network).await? {
                return Err(Error::operation_invalid(format!("network '{name}' is not active")));
            }
            let port = Uuid::new_v4();
            let def = port_def(guest, interface, port);
            requests.push(PortRequest { interface: at, network, port, xml: def.format() });
        }
        Ok(requests)
    }

    /// Notes in a definition what the network driver has decided.
    ///
    /// # Errors
    /// The port is of a kind that is not supported.
    pub(crate) async fn connect_ports(
        &self,
        def: &mut DomainDef,
        requests: &[PortRequest],
    ) -> Result<()> {
        let Some(devices) = &mut def.devices else { return Ok(()) };
        for request in requests {
            let networks = self.host.networks.as_deref().ok_or_else(no_networks)?;
            let (network, uuid) = (request.network.clone(), request.port);
            let port = oxivirt::PortRef { network, uuid };
            let xml = networks.network_port_xml_desc(&port, 0).await?;
            let port = NetworkPortDef::parse(&xml).map_err(|error| crate::error::parse(&error))?;
            let Some(interface) = devices.interfaces.get_mut(request.interface) else { continue };
            connect_port(interface, port)?;
        }
        Ok(())
    }

    /// The tap devices of a guest's interfaces; their names are noted in its definition.
    ///
    /// # Errors
    /// A bridge does not exist.
    pub(crate) async fn taps(&self, def: &mut DomainDef) -> Result<Vec<TapPlan>> {
        let mut taps = Vec::new();
        let interfaces = def.devices.iter_mut().flat_map(|devices| &mut devices.interfaces);
        for interface in interfaces {
            let Some(port) = tap::port(interface, mac(interface)) else { continue };
            let bridge = link_name(&port.bridge)?;
            let link = self.host.links.link(&bridge).await.ok().flatten().ok_or_else(|| {
                let what = format!("Cannot get interface MTU on '{bridge}'");
                Error::system(ErrorDomain::NONE, nix::libc::ENODEV, what)
            })?;
            let name = self.tap_name(interface)?;
            let mtu = interface.mtu.as_ref().and_then(|mtu| mtu.size).unwrap_or(link.mtu);
            let MacAddr([_, rest @ ..]) = mac(interface);
            let [a, b, c, d, e] = rest;
            let address = [TAP_ADDRESS, a, b, c, d, e];
            let model = interface.model.as_ref().and_then(|model| model.kind.as_deref());
            let has_vnet_header = model.is_some_and(|model| model.starts_with("virtio"));
            let target = interface.target.get_or_insert_with(InterfaceTarget::default);
            target.dev = Some(name.to_string());
            let alias = interface.info.alias.as_ref().and_then(|alias| alias.name.clone());
            let queues = tap::queues(interface);
            let device = TapDevice { name, address, mtu, has_vnet_header, queues };
            taps.push(TapPlan { alias: alias.unwrap_or_default(), device, bridge, port });
        }
        Ok(taps)
    }

    /// The name that the definition has, or the next free one.
    fn tap_name(&self, interface: &Interface) -> Result<LinkName> {
        let named = interface.target.as_ref().and_then(|target| target.dev.as_deref());
        if let Some(name) = named.filter(|name| !name.starts_with(TAP_PREFIX)) {
            return link_name(name);
        }
        loop {
            let name = format!("{TAP_PREFIX}{}", self.next_tap());
            if !oxivirt_netlink::has_link(&name) {
                return link_name(&name);
            }
        }
    }

    /// Gives displays their ports and keeps them for the guest.
    ///
    /// # Errors
    /// No port is free.
    pub(crate) fn reserve_ports(&self, uuid: Uuid, def: &mut DomainDef) -> Result<()> {
        let displays = def.devices.iter_mut().flat_map(|devices| &mut devices.graphics);
        let mut reserved = self.reserved_ports();
        for display in displays.filter(|display| display.kind == Some(GraphicsType::Vnc)) {
            if display.socket.is_some() {
                continue;
            }
            let fixed =
                display.port.filter(|port| *port > 0 && display.autoport != Some(YesNo::Yes));
            let port = match fixed {
                Some(port) => port,
                None => {
                    let taken: BTreeSet<u16> = reserved.values().flatten().copied().collect();
                    let free =
                        VNC_PORTS.into_iter().find(|port| !taken.contains(port) && is_free(*port));
                    let detail = "Unable to find an unused port in range 'VNC' (5900-65535)";
                    i32::from(free.ok_or_else(|| {
                        Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NONE, detail)
                    })?)
                }
            };
            if let Ok(number) = u16::try_from(port) {
                reserved.entry(uuid).or_default().push(number);
            }
            display.port = Some(port);
        }
        Ok(())
    }

    /// The nodes of a guest's `/dev`.
    pub(crate) fn device_facts(&self, def: &DomainDef) -> DeviceFacts {
        let own = stop::files(def);
        let random = def.devices.iter().flat_map(|devices| &devices.rngs);
        let random =
            random.flat_map(|rng| &rng.backends).filter_map(|backend| backend.path.as_deref());
        let mut paths: Vec<PathBuf> = NODES.iter().map(PathBuf::from).collect();
        paths.extend(random.map(PathBuf::from));
        paths.extend(own.iter().cloned());
        let mut seen = BTreeSet::new();
        paths.retain(|path| path.starts_with("/dev/") && seen.insert(path.clone()));
        let credentials =
            self.config.credentials.as_ref().filter(|_| self.config.dynamic_ownership);
        let nodes = paths.iter().filter_map(|path| {
            let mut node = node(path)?;
            if let Some(user) = credentials.filter(|_| own.contains(path)) {
                (node.uid, node.gid) = (user.uid, user.gid);
            }
            Some(node)
        });
        DeviceFacts { nodes: nodes.collect(), keep: mounts_below_dev() }
    }
}

pub(crate) fn link_name(name: &str) -> Result<LinkName> {
    LinkName::new(name).map_err(|error| {
        Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NONE, chain::text(&error))
    })
}

fn no_networks() -> Error {
    Error::unsupported(ErrorDomain::NETWORK, "virNetworkLookupByName")
}

/// The address of an interface; completed definitions have one.
pub(crate) fn mac(interface: &Interface) -> MacAddr {
    interface.mac.as_ref().and_then(|mac| mac.address).unwrap_or(MacAddr([0; 6]))
}

/// What the network driver is asked for an interface.
pub(crate) fn port_def(guest: &Guest, interface: &Interface, uuid: Uuid) -> NetworkPortDef {
    NetworkPortDef {
        uuid,
        owner_name: guest.name().to_owned(),
        owner_uuid: guest.uuid(),
        group: interface.source.as_ref().and_then(|source| source.portgroup.clone()),
        mac: mac(interface),
        virtual_port: interface.virtual_port.clone(),
        bandwidth: interface.bandwidth.clone(),
        class_id: 0,
        vlan: interface.vlan.clone(),
        isolated: interface.port.as_ref().and_then(|port| port.isolated),
        trust_guest_rx_filters: interface.trust_guest_rx_filters,
        plug: Plug::None,
    }
}

/// What an interface may say and nothing does.
///
/// No filter is defined, so one that an interface refers to is not found.
fn refuse_unsupported(interface: &Interface) -> Result<()> {
    if let Some(filter) = &interface.filter {
        let name = filter.filter.as_deref().unwrap_or_default();
        let detail = format!("no nwfilter with matching name '{name}'");
        return Err(Error::new(ErrorCode::NO_NWFILTER, ErrorDomain::NWFILTER, detail));
    }
    refuse_association(interface.virtual_port.as_ref())?;
    let is_on_bridge =
        matches!(interface.kind, Some(InterfaceType::Network | InterfaceType::Bridge));
    if is_on_bridge {
        return Ok(());
    }
    let address = mac(interface);
    if interface.vlan.is_some() {
        let detail =
            format!("interface {address} - vlan tag not supported for this connection type");
        return Err(unsupported(detail));
    }
    if interface.bandwidth.is_some() {
        tracing::warn!(%address, "bandwidth of an interface without tap is not limited");
    }
    Ok(())
}

/// Associations with switches other than the kernel's bridge.
fn refuse_association(association: Option<&VirtualPort>) -> Result<()> {
    let Some(association) = association else { return Ok(()) };
    let kind = association.kind.map_or("", VirtualPortType::as_str);
    Err(unsupported(format!("virtualport of type '{kind}' is not supported")))
}

fn unsupported(detail: String) -> Error {
    Error::new(ErrorCode::CONFIG_UNSUPPORTED, ErrorDomain::QEMU, detail)
}

pub(crate) fn connect_port(interface: &mut Interface, port: NetworkPortDef) -> Result<()> {
    refuse_association(port.virtual_port.as_ref())?;
    let (kind, plug) = match port.plug {
        Plug::Network(plug) => (InterfaceType::Network, plug),
        Plug::Bridge(plug) => (InterfaceType::Bridge, plug),
        _ => return Err(unsupported("network port of this kind is not supported".to_owned())),
    };
    if let Some(source) = &mut interface.source {
        source.portid = Some(port.uuid.to_string());
    }
    let source = InterfaceSource {
        bridge: Some(plug.bridge),
        mac_table_manager: plug.mac_table_manager,
        ..InterfaceSource::default()
    };
    interface.actual = Some(ActualInterface {
        kind: Some(kind),
        source: Some(source),
        vlan: port.vlan,
        bandwidth: port.bandwidth,
        trust_guest_rx_filters: port.trust_guest_rx_filters,
        port: port.isolated.map(|isolated| oxivirt_conf::domain::device::interface::PortOptions {
            isolated: Some(isolated),
            ..Default::default()
        }),
        ..ActualInterface::default()
    });
    Ok(())
}

/// What is set once the emulator of a guest answers, without its memory.
pub(crate) fn settings(def: &DomainDef) -> Settings {
    let balloon = crate::statistics::balloon(def);
    let period = balloon.and_then(|balloon| balloon.stats.as_ref()?.period);
    let path = balloon.and_then(crate::statistics::balloon_path);
    Settings {
        balloon_bytes: None,
        links_down: links_down(def),
        passwords: passwords(def),
        reports: path.zip(period.filter(|seconds| *seconds > 0)),
    }
}

fn passwords(def: &DomainDef) -> Vec<DisplayPassword> {
    let graphics = def.devices.iter().flat_map(|devices| &devices.graphics);
    graphics.filter_map(password).collect()
}

/// The password of a display, if it has one and the emulator takes it.
///
/// libvirt 11.3.0: `qemuDomainChangeGraphicsPasswords`, src/qemu/qemu_hotplug.c
pub(crate) fn password(graphics: &Graphics) -> Option<DisplayPassword> {
    let protocol = graphics.kind.map(|kind| kind.as_str())?;
    if !matches!(protocol, "vnc" | "spice") {
        return None;
    }
    let password = graphics.password.clone()?;
    let expires = match &graphics.password_valid_to {
        None => "never".to_owned(),
        Some(text) => match text.parse::<jiff::civil::DateTime>() {
            Ok(time) => {
                let time = time.to_zoned(jiff::tz::TimeZone::UTC);
                let time = time.map(|time| time.timestamp().as_second().to_string());
                time.unwrap_or_else(|_| "now".to_owned())
            }
            // A time that cannot be read has passed.
            Err(_) => "now".to_owned(),
        },
    };
    Some(DisplayPassword {
        protocol: protocol.to_owned(),
        // An empty password lets nothing in.
        expires: if password.is_empty() { "now".to_owned() } else { expires },
        password: Secret(password),
        connected: graphics.connected.clone(),
    })
}

/// Aliases of interfaces whose cable is unplugged.
fn links_down(def: &DomainDef) -> Vec<String> {
    let interfaces = def.devices.iter().flat_map(|devices| &devices.interfaces);
    let is_down = |interface: &&Interface| {
        interface.link.as_ref().is_some_and(|link| link.state == Some(LinkState::Down))
    };
    let down = interfaces.filter(is_down);
    down.filter_map(|interface| interface.info.alias.as_ref()?.name.clone()).collect()
}

/// Whether nothing listens on a port, of either family.
fn is_free(port: u16) -> bool {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
    if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_err() {
        return false;
    }
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) {
        Ok(_) => true,
        Err(error) => error.raw_os_error() != Some(nix::libc::EADDRINUSE),
    }
}

/// Finds the images below those of a definition; blocks.
///
/// # Errors
/// An image is missing or cannot be read.
pub(crate) fn find_chains(def: &mut DomainDef, uid: u32, gid: u32) -> Result<()> {
    let disks = def.devices.iter_mut().flat_map(|devices| &mut devices.disks);
    for disk in disks {
        find_chain(disk, uid, gid)?;
    }
    Ok(())
}

fn find_chain(disk: &mut Disk, uid: u32, gid: u32) -> Result<()> {
    let Some(top) = disk.source.as_ref().and_then(stop::local) else { return Ok(()) };
    access(&top).map_err(|error| access_error(&error, &top, None, uid, gid))?;
    if disk.backing_store.is_some() {
        return Ok(());
    }
    let format = disk.driver.as_ref().and_then(|driver| driver.format.as_deref());
    let mut chain = Vec::new();
    let (mut path, mut format) = (top.clone(), word_format(format.unwrap_or("raw")));
    while let Some((next, next_format)) = backing(&path, format) {
        if chain.len() >= CHAIN_MAX || next == top {
            let detail = format!("backing chain of '{}' has too many images", top.display());
            return Err(Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::STORAGE, detail));
        }
        access(&next).map_err(|error| access_error(&error, &next, Some(&path), uid, gid))?;
        chain.push((next.clone(), next_format));
        (path, format) = (next, Some(next_format));
    }
    let mut store = BackingStore::default();
    for (path, format) in chain.into_iter().rev() {
        store = backing_store(&path, format, store);
    }
    disk.backing_store = Some(store);
    Ok(())
}

fn backing_store(path: &Path, format: Format, below: BackingStore) -> BackingStore {
    let is_block = path.metadata().is_ok_and(|meta| meta.file_type().is_block_device());
    let text = Some(path.to_string_lossy().into_owned());
    let (kind, source) = match is_block {
        true => (DiskType::Block, Source { dev: text, ..Source::default() }),
        false => (DiskType::File, Source { file: text, ..Source::default() }),
    };
    let format = Some(format.as_str().to_owned());
    BackingStore {
        kind: Some(kind.as_str().to_owned()),
        format: Some(ImageFormat { kind: format, ..ImageFormat::default() }),
        source: Some(source),
        backing_store: Some(Box::new(below)),
        ..BackingStore::default()
    }
}

pub(crate) fn word_format(word: &str) -> Option<Format> {
    [Format::Raw, Format::Qcow, Format::Qcow2, Format::Qed, Format::Vmdk]
        .into_iter()
        .find(|format| format.as_str() == word)
}

/// The image below another, by the header of that: never by what its own content looks like.
fn backing(path: &Path, format: Option<Format>) -> Option<(PathBuf, Format)> {
    let format = format.filter(|format| *format != Format::Raw)?;
    let file = File::open(path).ok()?;
    let image = oxivirt_image::inspect(&file, format).ok()?;
    let backing = image.backing?;
    let text = backing.text.strip_prefix("file:").unwrap_or(&backing.text);
    if text.is_empty() || text.starts_with("json:") || text.contains("://") {
        return None;
    }
    let format = backing.format.as_deref().and_then(word_format).unwrap_or(Format::Raw);
    let below = path.parent().map_or_else(|| PathBuf::from(text), |dir| dir.join(text));
    Some((below, format))
}

/// Whether an image is there.
fn access(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path)?.is_dir() {
        true => Err(io::Error::from_raw_os_error(nix::libc::EISDIR)),
        false => Ok(()),
    }
}

fn access_error(error: &io::Error, path: &Path, above: Option<&Path>, uid: u32, gid: u32) -> Error {
    let path = path.display();
    let what = match above {
        _ if error.raw_os_error() == Some(nix::libc::EISDIR) => {
            format!("cannot read header '{path}'")
        }
        Some(above) => {
            let above = above.display();
            format!(
                "Cannot access backing file '{path}' of storage file '{above}' (as uid:{uid}, \
                 gid:{gid})"
            )
        }
        None => format!("Cannot access storage file '{path}' (as uid:{uid}, gid:{gid})"),
    };
    Error::io(ErrorDomain::STORAGE, error, what)
}

/// A device node of the host.
fn node(path: &Path) -> Option<DeviceNode> {
    let meta = path.metadata().ok()?;
    let is_block = meta.file_type().is_block_device();
    if !is_block && !meta.file_type().is_char_device() {
        return None;
    }
    Some(DeviceNode {
        path: path.to_owned(),
        is_block,
        number: meta.rdev(),
        mode: meta.mode() & 0o777,
        uid: meta.uid(),
        gid: meta.gid(),
    })
}

/// Mounts below `/dev`, but for those below another of them.
fn mounts_below_dev() -> Vec<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = text.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    let mut found: Vec<PathBuf> =
        places.filter(|path| path.starts_with("/dev") && path != Path::new("/dev")).collect();
    found.sort();
    found.dedup();
    let all = found.clone();
    found.retain(|path| !all.iter().any(|other| other != path && path.starts_with(other)));
    // A bound console of a container is none of the guest's.
    found.retain(|path| path.is_dir());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(xml: &str) -> Disk {
        let xml = format!(
            "<domain type='qemu'><name>a</name><memory>1</memory><os><type>hvm</type></os>\
             <devices>{xml}</devices></domain>"
        );
        DomainDef::parse(&xml).unwrap().devices.unwrap().disks.remove(0)
    }

    #[test]
    fn missing_images_are_reported_with_the_user() {
        let mut missing =
            disk("<disk type='file'><source file='/no/x'/><target dev='vda'/></disk>");
        let error = find_chain(&mut missing, 1, 2).unwrap_err();
        let text =
            "Cannot access storage file '/no/x' (as uid:1, gid:2): No such file or directory";
        assert_eq!((error.code().0, error.domain().0, error.message()), (38, 18, text));
        let mut directory = disk("<disk type='file'><source file='/'/><target dev='vda'/></disk>");
        let error = find_chain(&mut directory, 1, 2).unwrap_err();
        assert_eq!(error.message(), "cannot read header '/': Is a directory");
    }

    #[test]
    fn a_raw_image_is_not_looked_into() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        let mut header = [0; 512];
        header[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        let durability = oxivirt_sys::file::Durability::Regenerated;
        oxivirt_sys::file::replace(&path, &header, 0o600, durability).unwrap();
        let xml = format!(
            "<disk type='file'><driver name='qemu' type='raw'/><source file='{}'/>\
             <target dev='vda'/></disk>",
            path.display()
        );
        let mut raw = disk(&xml);
        find_chain(&mut raw, 0, 0).unwrap();
        assert_eq!(raw.backing_store, Some(BackingStore::default()));
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
    }
}
