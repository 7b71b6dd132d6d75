//! Other devices.

use super::super::address::Address;
use super::super::device::Devices;
use super::super::device::chardev::{CharDevice, CharSource, CharType, SocketMode};
use super::super::device::graphics::{Graphics, ListenType};
use super::super::device::hostdev::{HostdevMode, HostdevType};
use super::super::device::input::{InputBus, InputModel, InputType};
use super::super::device::other::PanicModel;
use super::super::device::tpm::TpmModel;
use super::super::device::video::VideoModel;
use super::super::machine::MachineKind;
use super::super::{DomainDef, DomainError};
use super::{Check, contradiction, unsupported};
use crate::keyword::OnOff;

pub(super) fn check(devices: &Devices) -> Check {
    let ports = devices.serials.iter().chain(&devices.parallels);
    let ports = ports.chain(&devices.consoles).chain(&devices.channels);
    for port in ports {
        check_sources(port.kind, &port.sources, is_made_up(port))?;
    }
    for card in &devices.smartcards {
        check_sources(card.kind, &card.sources, false)?;
    }
    devices.graphics.iter().try_for_each(check_graphics)?;
    if devices.memballoons.len() > 1 {
        return Err(DomainError::Internal(String::from(
            "only a single memory balloon device is supported",
        )));
    }
    if devices.rngs.iter().any(|rng| rng.backends.len() != 1) {
        return contradiction("only one RNG backend is supported");
    }
    let is_none = |model: Option<VideoModel>| model == Some(VideoModel::None);
    let has_none =
        devices.videos.iter().any(|video| is_none(video.model.as_ref().and_then(|m| m.kind)));
    if has_none && devices.videos.len() > 1 {
        return unsupported(
            "a 'none' video type must be the only video device defined for the domain",
        );
    }
    check_small(devices)
}

fn check_small(devices: &Devices) -> Check {
    for shmem in &devices.shmems {
        if shmem.msi.is_some() && shmem.server.is_none() {
            return contradiction("msi option is only supported with a server");
        }
        if let Some(size) = shmem.size
            && !(size.bytes().is_power_of_two() && size.kib() >= 1024)
        {
            return Err(DomainError::QemuXml(String::from(
                "shmem size must be a power of 2 and at least 1 MiB (1024 KiB)",
            )));
        }
    }
    for hostdev in &devices.hostdevs {
        let is_scsi = hostdev.kind == Some(HostdevType::Scsi);
        if hostdev.sgio.is_some() && !is_scsi {
            return contradiction("sgio is only supported for scsi host device");
        }
        if hostdev.raw_io.is_some() && !is_scsi {
            return contradiction("rawio is only supported for scsi host device");
        }
    }
    check_mediated(devices)?;
    check_memory_places(devices)?;
    check_inputs(devices)?;
    super::emulator::check_iommu_attributes(devices)?;
    for (at, hostdev) in devices.hostdevs.iter().enumerate() {
        let is_same = |other: &super::super::device::hostdev::Hostdev| {
            other.kind == hostdev.kind
                && other.source == hostdev.source
                && hostdev.source.as_ref().is_some_and(|source| *source != <_>::default())
        };
        if devices.hostdevs.iter().take(at).any(is_same) {
            return contradiction("Hostdev already exists in the domain configuration");
        }
    }
    let proxies = devices.tpms.iter().filter(|tpm| tpm.model == Some(TpmModel::SpaprTpmProxy));
    let n_proxies = proxies.count();
    if n_proxies > 1 {
        return Err(DomainError::QemuUnsupported(String::from(
            "only a single TPM Proxy device is supported",
        )));
    }
    if devices.tpms.len() > n_proxies + 1 {
        return Err(DomainError::QemuUnsupported(String::from(
            "only a single TPM non-proxy device is supported",
        )));
    }
    if devices.tpms.iter().any(|tpm| tpm.backend.is_none()) {
        return contradiction("missing TPM device backend");
    }
    Ok(())
}

/// libvirt 11.3.0: `virDomainHostdevDefValidate`, src/conf/domain_validate.c
fn check_mediated(devices: &Devices) -> Check {
    for hostdev in &devices.hostdevs {
        if hostdev.mode == Some(HostdevMode::Subsystem) && hostdev.source.is_none() {
            return contradiction("Missing <source> element in hostdev device");
        }
        if hostdev.kind != Some(HostdevType::Mdev) {
            continue;
        }
        let address = hostdev.source.as_ref().and_then(|source| source.address.as_ref());
        if address.is_none_or(|address| address.uuid.is_none()) {
            return unsupported("Missing 'uuid' attribute for element <address>");
        }
        let model = hostdev.model.as_deref().unwrap_or_default();
        let fits = matches!(
            (&hostdev.info.address, model),
            (None, _) | (Some(Address::Pci(_)), "vfio-pci") | (Some(Address::Ccw(_)), "vfio-ccw")
        );
        if let Some(address) = hostdev.info.address.as_ref().filter(|_| !fits) {
            return contradiction(format!(
                "Unsupported address type '{}' with mediated device model '{model}'",
                address.kind()
            ));
        }
    }
    Ok(())
}

/// Memory devices at places of their own do not meet.
///
/// libvirt 11.3.0: `virDomainDefValidateMemoryHotplugDevice`, src/conf/domain_validate.c
fn check_memory_places(devices: &Devices) -> Check {
    let places: Vec<(u64, u64)> = devices
        .memories
        .iter()
        .filter_map(|memory| {
            let target = memory.target.as_ref()?;
            let start = target.address.as_ref()?.base?.0;
            Some((start, target.size?.kib().checked_mul(1024)?))
        })
        .collect();
    for (at, &(start, bytes)) in places.iter().enumerate() {
        let end = start.saturating_add(bytes);
        let met = |&&(other, _): &&(u64, u64)| (start..end).contains(&other);
        if let Some((other, _)) = places.iter().skip(at + 1).find(met) {
            return unsupported(format!(
                "memory device address [{start:#x}:{end:#x}] overlaps with other memory device ({other:#x})"
            ));
        }
    }
    Ok(())
}

/// libvirt 11.3.0: `virDomainInputDefValidate`, src/conf/domain_validate.c
fn check_inputs(devices: &Devices) -> Check {
    for input in &devices.inputs {
        let Some(kind) = input.kind else { continue };
        match input.bus {
            Some(InputBus::Ps2) if !matches!(kind, InputType::Mouse | InputType::Keyboard) => {
                return internal(&format!("ps2 bus does not support {kind} input device"));
            }
            Some(InputBus::Xen) => return internal("unsupported input bus xen"),
            _ => {}
        }
    }
    Ok(())
}

/// Whether the path of a channel's socket is chosen at start.
fn is_made_up(port: &CharDevice) -> bool {
    let target = port.target.as_ref().and_then(|target| target.kind.as_deref());
    target == Some("virtio") || target == Some("guestfwd") || target == Some("xen")
}

/// libvirt 11.3.0: `virDomainChrSourceDefValidate`, src/conf/domain_validate.c
fn check_sources(kind: Option<CharType>, sources: &[CharSource], is_made_up: bool) -> Check {
    let first = sources.first();
    match kind {
        Some(CharType::Tcp) => {
            if first.is_none_or(|source| source.host.is_none()) {
                return internal("Missing source host attribute for char device");
            }
            if first.is_none_or(|source| source.service.is_none()) {
                return internal("Missing source service attribute for char device");
            }
        }
        Some(CharType::Udp) => {
            let n_of = |mode| sources.iter().filter(|source| source.mode == Some(mode)).count();
            if n_of(SocketMode::Connect) > 1 || n_of(SocketMode::Bind) > 1 {
                return contradiction("Only one 'source' element of each mode is allowed");
            }
            let remote = sources.iter().find(|source| source.mode == Some(SocketMode::Connect));
            if remote.is_none_or(|source| source.service.is_none()) {
                return internal("Missing source service attribute for char device");
            }
        }
        Some(CharType::Unix) if !is_made_up && first.is_none_or(|source| source.path.is_none()) => {
            return internal("Missing source path attribute for char device");
        }
        _ => {}
    }
    if let Some(source) = first
        && let Some(reconnect) = &source.reconnect
    {
        if source.mode == Some(SocketMode::Bind) {
            return contradiction("chardev reconnect is possible only for connect mode");
        }
        if reconnect.timeout == Some(0) {
            return Err(DomainError::QemuArgument(String::from(
                "chardev reconnect source timeout cannot be '0'",
            )));
        }
    }
    Ok(())
}

fn internal(message: &str) -> Check {
    Err(DomainError::Internal(message.to_owned()))
}

/// An attribute and an element that say the same must not differ.
fn check_graphics(graphics: &Graphics) -> Check {
    let Some(first) = graphics.listens.first() else { return Ok(()) };
    let (attribute, value, element) = match first.kind {
        Some(ListenType::Address) => ("listen", &graphics.listen, &first.address),
        Some(ListenType::Socket) => ("socket", &graphics.socket, &first.socket),
        _ => return Ok(()),
    };
    match (value, element) {
        (Some(value), Some(found)) if value != found => contradiction(format!(
            "graphics '{attribute}' attribute '{value}' must match '{attribute}' attribute of first listen \
             element (found '{found}')"
        )),
        _ => Ok(()),
    }
}

/// libvirt 11.3.0: `qemuValidateDomainDeviceDef`, src/qemu/qemu_validate.c
pub(super) fn check_qemu(def: &DomainDef, devices: &Devices, machine: MachineKind) -> Check {
    let ps2 = def.features.as_ref().and_then(|features| features.ps2.as_ref()?.state);
    for input in &devices.inputs {
        let is_old_or_new = matches!(
            input.model,
            Some(InputModel::VirtioTransitional | InputModel::VirtioNonTransitional)
        );
        if let Some(kind) = input.kind
            && is_old_or_new
            && kind != InputType::Passthrough
        {
            return unsupported(format!(
                "virtio (non-)transitional models are not supported for input type={kind}"
            ));
        }
        if input.bus == Some(InputBus::Ps2) && ps2 == Some(OnOff::Off) {
            return Err(DomainError::Unsupported(String::from(
                "ps2 bus inputs require the ps2 feature not to be disabled",
            )));
        }
    }
    for serial in &devices.serials {
        let target = serial.target.as_ref();
        let kind = target.and_then(|target| target.kind.as_deref()).unwrap_or_default();
        let model = target.and_then(|target| target.model.as_ref()?.name.as_deref());
        let fits = match kind {
            "isa-serial" => machine.is_x86(),
            "spapr-vio-serial" => machine == MachineKind::Pseries,
            "sclp-serial" => machine == MachineKind::S390,
            _ => true,
        };
        if !fits {
            return unsupported(format!(
                "Serial device with target type '{kind}' and target model '{}' not compatible with guest \
                 architecture or machine type",
                model.unwrap_or_default()
            ));
        }
    }
    if !devices.parallels.is_empty() && machine == MachineKind::S390 {
        return unsupported("parallel ports are not supported");
    }
    for panic in &devices.panics {
        match panic.model {
            None => {
                return unsupported(
                    "no panic model provided, and no default for the architecture and machine type",
                );
            }
            Some(PanicModel::S390) if panic.info.address.is_some() => {
                return unsupported(
                    "setting the panic device address is not supported for model 's390'",
                );
            }
            Some(_) => {}
        }
    }
    let is_pci = |address: &Option<Address>| matches!(address, None | Some(Address::Pci(_)));
    if devices
        .filesystems
        .iter()
        .any(|filesystem| filesystem.info.boot.is_some() && !is_pci(&filesystem.info.address))
    {
        return unsupported("setting virtiofs boot order is supported only with PCI bus");
    }
    Ok(())
}
