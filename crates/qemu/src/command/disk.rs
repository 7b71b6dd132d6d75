//! Disks.

use std::path::Path;

use oxivirt_conf::OnOff;
use oxivirt_conf::domain::MachineKind;
use oxivirt_conf::domain::address::{Address, Drive};
use oxivirt_conf::domain::device::controller::{ControllerModel, ControllerType};
use oxivirt_conf::domain::device::disk::{Disk, DiskBus, DiskCache, DiskDevice};

use super::Build;
use super::address::{alias, virtio_switches};
use super::controller::thread_map;
use super::error::{PlanError, Result};
use super::props::Props;
use super::storage::{Layer, Media, NodeNames, RawLayer, layers};

impl Build<'_> {
    /// libvirt 11.3.0: `qemuBuildDisksCommandLine`, src/qemu/qemu_command.c
    pub(super) fn disks(&mut self) -> Result<()> {
        let devices = self.devices;
        self.floppy_controller();
        for (at, disk) in devices.disks.iter().enumerate() {
            let layers = self.disk_layers(disk)?;
            for layer in layers.iter().rev() {
                self.blockdev(&layer.storage);
                if let Some(format) = &layer.format {
                    self.blockdev(format);
                }
            }
            let mut drive = layers.first().map(|layer| layer.names.effective().to_owned());
            let copy = disk.driver.as_ref().and_then(|driver| driver.copy_on_read);
            if let Some(node) = drive.as_ref().filter(|_| copy == Some(OnOff::On)) {
                let target = disk.target.as_ref().and_then(|target| target.dev.as_deref());
                let name = format!("libvirt-CoR-{}", target.unwrap_or_default());
                let props = Props::driver("copy-on-read")
                    .with("node-name", name.as_str())
                    .with("file", node.as_str())
                    .with("discard", "unmap");
                self.blockdev(&props);
                drive = Some(name);
            }
            if let Some(top) = drive.take() {
                drive = Some(self.throttle_filters(disk, &layers, top));
            }
            let bootindex = self.boot.disks.get(at).copied().flatten();
            let props = self.disk_device(disk, drive.as_deref(), bootindex)?;
            self.device(&disk.info, props)?;
        }
        Ok(())
    }

    /// Limits above the nodes of a disk; the result is the topmost node.
    fn throttle_filters(&mut self, disk: &Disk, layers: &[Layer], mut top: String) -> String {
        let filters = disk.throttle_filters.iter().flat_map(|it| &it.filters);
        // They are numbered after the layers.
        let index = disk.source.as_ref().and_then(|source| source.index).unwrap_or(0);
        let first = index.saturating_add(u32::try_from(layers.len()).unwrap_or(0));
        for (index, filter) in (first..).zip(filters) {
            let group = filter.group.as_deref().unwrap_or_default();
            let name = format!("libvirt-{index}-filter");
            let props = Props::driver("throttle")
                .with("node-name", name.as_str())
                .with("throttle-group", format!("throttle-{group}"))
                .with("file", top);
            self.blockdev(&props);
            top = name;
        }
        top
    }

    /// The nodes of a disk, from the top.
    ///
    /// # Errors
    /// [`PlanError`]
    pub(super) fn disk_layers(&self, disk: &Disk) -> Result<Vec<Layer>> {
        let optical = |path: &Path| self.facts.host.optical_drives.iter().any(|it| it == path);
        let raw = RawLayer::of(self.emulator);
        let name = |_: usize, index: Option<u32>, format: &str| {
            NodeNames::numbered(index.unwrap_or_default(), format, raw)
        };
        layers(disk, &name, Media { optical: &optical })
    }

    /// The drive of the boot order that a floppy controller has, and the controller where it is no part
    /// of the machine.
    ///
    /// libvirt 11.3.0: `qemuBuildFloppyCommandLineControllerOptions`, src/qemu/qemu_command.c
    fn floppy_controller(&mut self) {
        let mut switches = Vec::new();
        let mut has_floppy = false;
        for (disk, bootindex) in self.devices.disks.iter().zip(&self.boot.disks) {
            if bus_of(disk) != Some(DiskBus::Fdc) {
                continue;
            }
            has_floppy = true;
            let unit = match &disk.info.address {
                Some(Address::Drive(drive)) => drive.unit,
                _ => 0,
            };
            let letter = if unit == 0 { 'A' } else { 'B' };
            if let Some(index) = bootindex {
                switches.push((format!("bootindex{letter}"), *index));
            }
        }
        if !has_floppy {
            return;
        }
        if self.machine == MachineKind::Q35 {
            let mut props = Props::driver("isa-fdc");
            for (name, index) in switches {
                props = props.with(&name, index);
            }
            self.push_device(&props);
            return;
        }
        for (name, index) in switches {
            self.option("-global", format!("isa-fdc.{name}={index}"));
        }
    }

    /// libvirt 11.3.0: `qemuBuildDiskDeviceProps`, src/qemu/qemu_command.c
    fn disk_device(
        &self,
        disk: &Disk,
        drive: Option<&str>,
        bootindex: Option<u32>,
    ) -> Result<Props> {
        let bus = bus_of(disk).ok_or_else(|| PlanError::unprepared("bus of a disk"))?;
        let id = alias(&disk.info)?;
        let place = match &disk.info.address {
            Some(Address::Drive(drive)) => *drive,
            _ => Drive::default(),
        };
        let is_cdrom = disk.device == Some(DiskDevice::Cdrom);
        let props = match bus {
            DiskBus::Ide => {
                let bus = self.controller(ControllerType::Ide, place.controller)?;
                Props::driver(if is_cdrom { "ide-cd" } else { "ide-hd" })
                    .with("bus", format!("{bus}.{}", place.bus))
                    .with("unit", place.unit)
            }
            DiskBus::Sata => {
                let bus = self.controller(ControllerType::Sata, place.controller)?;
                Props::driver(if is_cdrom { "ide-cd" } else { "ide-hd" })
                    .with("bus", format!("{bus}.{}", place.unit))
            }
            DiskBus::Scsi => self.scsi_disk(disk, place, id)?,
            DiskBus::Virtio => {
                let props = self.virtio_disk(disk);
                props.with_all(self.address(&disk.info)?)
            }
            DiskBus::Usb => Props::driver("usb-storage").with_all(self.address(&disk.info)?),
            DiskBus::Fdc => Props::driver("floppy").with("unit", place.unit),
            bus => {
                let text = format!("unsupported disk type '{bus}'");
                return Err(PlanError::Unsupported(text));
            }
        };
        let bootindex = bootindex.filter(|_| bus != DiskBus::Fdc);
        let props = props
            .with_opt("share-rw", disk.shareable.then_some(true))
            .with_opt("drive", drive)
            .with("id", id)
            .with_opt("bootindex", bootindex);
        disk_options(disk, bus, props)
    }

    fn virtio_disk(&self, disk: &Disk) -> Props {
        let driver = disk.driver.as_ref();
        let model = disk.model.map(|model| model.as_str());
        let name = self.virtio("virtio-blk", model, &disk.info);
        let thread = driver.and_then(|driver| driver.iothread);
        virtio_switches!(Props::driver(name), driver)
            .with_opt("iothread", thread.map(|id| format!("iothread{id}")))
            .with_switch("ioeventfd", driver.and_then(|driver| driver.ioeventfd))
            .with_switch("event_idx", driver.and_then(|driver| driver.event_idx))
            .with_nonzero("num-queues", driver.and_then(|driver| driver.queues))
            .with_nonzero("queue-size", driver.and_then(|driver| driver.queue_size))
            .with_opt(
                "iothread-vq-mapping",
                driver.and_then(|driver| driver.iothreads.as_ref()).map(thread_map),
            )
    }

    fn scsi_disk(&self, disk: &Disk, place: Drive, id: &str) -> Result<Props> {
        let bus = self.controller(ControllerType::Scsi, place.controller)?;
        let name = match disk.device {
            Some(DiskDevice::Lun) => "scsi-block",
            Some(DiskDevice::Cdrom) => "scsi-cd",
            _ => "scsi-hd",
        };
        let model = self.devices.controllers.iter().find(|controller| {
            controller.kind == Some(ControllerType::Scsi)
                && controller.index.unwrap_or(0) == place.controller
        });
        let props = Props::driver(name).with("bus", format!("{bus}.{}", place.bus));
        let is_narrow = model.is_some_and(|it| it.model == Some(ControllerModel::Lsilogic));
        let props = if is_narrow {
            props.with("scsi-id", place.unit)
        } else {
            props.with("channel", 0).with("scsi-id", place.target).with("lun", place.unit)
        };
        if disk.device == Some(DiskDevice::Lun) {
            return Ok(props);
        }
        let serial = disk.serial.clone().unwrap_or_else(|| format!("drive-{id}"));
        Ok(props.with("device_id", serial))
    }
}

fn bus_of(disk: &Disk) -> Option<DiskBus> {
    disk.target.as_ref().and_then(|target| target.bus)
}

/// What follows the drive.
fn disk_options(disk: &Disk, bus: DiskBus, props: Props) -> Result<Props> {
    let target = disk.target.as_ref();
    let wwn = match disk.wwn.as_deref() {
        Some(wwn) => {
            let digits = wwn.strip_prefix("0x").unwrap_or(wwn);
            let number = u64::from_str_radix(digits, 16);
            Some(number.map_err(|_| PlanError::Internal(format!("malformed WWN '{wwn}'")))?)
        }
        None => None,
    };
    let boot = disk.info.boot.as_ref();
    let block = disk.blockio.as_ref();
    let removable = target.and_then(|target| target.removable);
    let removable = match bus {
        DiskBus::Usb => Some(removable.unwrap_or(OnOff::Off)),
        _ => removable,
    };
    let geometry = disk.geometry.as_ref();
    let product = if bus == DiskBus::Scsi { "product" } else { "model" };
    let mut props = props
        .with_opt("loadparm", boot.and_then(|boot| boot.loadparm.as_deref()))
        .with_nonzero("logical_block_size", block.and_then(|block| block.logical_block_size))
        .with_nonzero("physical_block_size", block.and_then(|block| block.physical_block_size))
        .with_opt("discard_granularity", block.and_then(|block| block.discard_granularity))
        .with_opt("wwn", wwn)
        .with_nonzero("rotation_rate", target.and_then(|target| target.rotation_rate))
        .with_opt("vendor", disk.vendor.as_deref())
        .with_opt(product, disk.product.as_deref())
        .with_switch("removable", removable);
    if bus != DiskBus::Fdc && disk.device != Some(DiskDevice::Lun) {
        props = props.with_opt("write-cache", write_cache(disk));
    }
    let (write, read) = error_policies(disk);
    Ok(props
        .with_opt("cyls", geometry.and_then(|geometry| geometry.cylinders))
        .with_opt("heads", geometry.and_then(|geometry| geometry.heads))
        .with_opt("secs", geometry.and_then(|geometry| geometry.sectors))
        .with_opt("bios-chs-trans", geometry.and_then(|it| it.translation).map(|it| it.as_str()))
        .with_opt("serial", disk.serial.as_deref())
        .with_switch("dpofua", target.and_then(|target| target.dpofua))
        .with_opt("werror", write)
        .with_opt("rerror", read))
}

/// Whether the guest sees a write cache.
fn write_cache(disk: &Disk) -> Option<&'static str> {
    match disk.driver.as_ref()?.cache? {
        DiskCache::None | DiskCache::Writeback | DiskCache::Unsafe => Some("on"),
        DiskCache::Writethrough | DiskCache::Directsync => Some("off"),
    }
}

/// What happens on errors while writing and reading.
fn error_policies(disk: &Disk) -> (Option<&'static str>, Option<&'static str>) {
    let driver = disk.driver.as_ref();
    let word = |policy: oxivirt_conf::domain::device::disk::DiskErrorPolicy| match policy.as_str() {
        "enospace" => "enospc",
        other => other,
    };
    let write = driver.and_then(|driver| driver.error_policy).map(word);
    let read = driver.and_then(|driver| driver.rerror_policy).map(word);
    (write, read.or_else(|| write.filter(|&write| write != "enospc")))
}
