//! Features by libvirt's names, and what of an emulator's answers each follows from.
//!
//! libvirt 11.3.0: `virQEMUCapsFlags` and the tables around `virQEMUCapsObjectTypes`,
//! src/qemu/qemu_capabilities.c

use std::collections::BTreeSet;

use serde_json::Value;

use super::conversation::{device_properties, has_kvm, object_properties, versioned_machine};
use super::schema::Schema;
use super::session::{Session, text};

/// Evidence for a feature.
#[derive(Debug, Clone, Copy)]
enum Sign {
    /// A type of objects.
    Type(&'static str),
    /// A property of a type of devices or objects.
    Property(&'static str, &'static str),
    /// A property of the newest version of a machine.
    MachineProperty(&'static str, &'static str),
    /// A path in the description of commands ([`Schema::has_path`]).
    Path(&'static str),
    /// An option of the command line.
    Option(&'static str),
    /// A parameter of an option of the command line.
    Parameter(&'static str, &'static str),
    /// A model of a TPM.
    TpmModel(&'static str),
    /// A backend of a TPM.
    TpmType(&'static str),
    /// A capability of migration.
    Migration(&'static str),
}

use Sign::{
    MachineProperty, Migration, Option as Opt, Parameter, Path, Property, TpmModel, TpmType, Type,
};

/// Features whose evidence has a name of its own.
const SIGNS: &[(&str, Sign)] = &[
    ("sdl", Path("query-display-options/ret/@sdl")),
    ("spice", Opt("spice")),
    ("usb-redir.filter", Property("usb-redir", "filter")),
    ("scsi-disk.channel", Property("scsi-hd", "channel")),
    ("seccomp-sandbox", Opt("sandbox")),
    ("vnc", Opt("vnc")),
    ("ccid-emulated", Type("ccid-card-emulated")),
    ("ccid-passthru", Type("ccid-card-passthru")),
    ("lsi", Type("lsi53c895a")),
    ("s390-sclp", Type("s390-sclp-event-facility")),
    ("virtio-rng", Type("virtio-rng-device")),
    ("virtio-ccw", Type("virtual-css-bridge")),
    ("tpm-passthrough", TpmType("passthrough")),
    ("tpm-emulator", TpmType("emulator")),
    ("tpm-tis", TpmModel("tpm-tis")),
    ("tpm-crb", TpmModel("tpm-crb")),
    ("tpm-spapr", TpmModel("tpm-spapr")),
    ("nvram", Type("spapr-nvram")),
    ("dmi-to-pci-bridge", Type("i82801b11-bridge")),
    ("kvm-pit-lost-tick-policy", Property("kvm-pit", "lost_tick_policy")),
    ("rtc-reset-reinjection", Path("rtc-reset-reinjection")),
    ("migrate-rdma", Migration("rdma-pin-all")),
    ("VGA.vgamem_mb", Property("VGA", "vgamem_mb")),
    ("vmware-svga.vgamem_mb", Property("vmware-svga", "vgamem_mb")),
    ("qxl.vgamem_mb", Property("qxl", "vgamem_mb")),
    ("qxl.vram64_size_mb", Property("qxl", "vram64_size_mb")),
    ("machine-vmport-opt", Property("generic-pc-machine", "vmport")),
    ("machine-i8042-opt", Property("generic-pc-machine", "i8042")),
    ("machine-hpet", Parameter("machine", "hpet")),
    ("virtio-net", Type("virtio-net-device")),
    ("virtio-gpu", Type("virtio-gpu-device")),
    ("virtio-keyboard", Type("virtio-keyboard-device")),
    ("virtio-mouse", Type("virtio-mouse-device")),
    ("virtio-tablet", Type("virtio-tablet-device")),
    ("virtio-input-host", Type("virtio-input-host-device")),
    ("virtio-crypto", Type("virtio-crypto-device")),
    ("virtio-sound", Type("virtio-sound-device")),
    ("virtio-balloon-pci.deflate-on-oom", Property("virtio-balloon-device", "deflate-on-oom")),
    (
        "virtio-balloon.free-page-reporting",
        Property("virtio-balloon-device", "free-page-reporting"),
    ),
    ("spice-gl", Parameter("spice", "gl")),
    ("spice-rendernode", Parameter("spice", "rendernode")),
    ("query-cpu-model-expansion", Path("query-cpu-model-expansion")),
    ("query-cpu-definitions", Path("query-cpu-definitions")),
    ("query-cpu-model-baseline", Path("query-cpu-model-baseline")),
    ("query-cpu-model-comparison", Path("query-cpu-model-comparison")),
    ("intel-iommu.intremap", Property("intel-iommu", "intremap")),
    ("intel-iommu.caching-mode", Property("intel-iommu", "caching-mode")),
    ("intel-iommu.eim", Property("intel-iommu", "eim")),
    ("intel-iommu.device-iotlb", Property("intel-iommu", "device-iotlb")),
    ("intel-iommu.aw-bits", Property("intel-iommu", "aw-bits")),
    ("intel-iommu.dma-translation", Property("intel-iommu", "dma-translation")),
    ("spapr-pci-host-bridge.numa_node", Property("spapr-pci-host-bridge", "numa_node")),
    ("chardev-reconnect", Parameter("chardev", "reconnect")),
    ("chardev-reconnect-miliseconds", Parameter("chardev", "reconnect-ms")),
    ("nbd-tls", Path("blockdev-add/arg/@nbd/tls-creds")),
    ("screendump_device", Path("screendump/arg/device")),
    ("screenshot-format-png", Path("screendump/arg/format/=png")),
    ("mch.extended-tseg-mbytes", Property("mch", "extended-tseg-mbytes")),
    ("egl-headless", Path("query-display-options/ret/@egl-headless")),
    ("egl-headless.rendernode", Path("query-display-options/ret/@egl-headless/rendernode")),
    ("display-dbus", Path("query-display-options/ret/@dbus")),
    ("memory-backend-memfd.hugetlb", Property("memory-backend-memfd", "hugetlb")),
    ("memory-backend-file.pmem", Property("memory-backend-file", "pmem")),
    ("memory-backend-file.reserve", Property("memory-backend-file", "reserve")),
    ("memory-backend-file.prealloc-threads", Property("memory-backend-file", "prealloc-threads")),
    (
        "memory-backend-file.x-use-canonical-path-for-ramblock-id",
        Property("memory-backend-file", "x-use-canonical-path-for-ramblock-id"),
    ),
    ("nvdimm.unarmed", Property("nvdimm", "unarmed")),
    ("virtio-pci-non-transitional", Type("virtio-scsi-pci-non-transitional")),
    ("x86-max-cpu", Type("max-x86_64-cpu")),
    ("x86-max-cpu", Type("max-i386-cpu")),
    ("arm-max-cpu", Type("max-arm-cpu")),
    ("cpu-unavailable-features", Property("max-x86_64-cpu", "unavailable-features")),
    ("cpu-unavailable-features", Property("max-i386-cpu", "unavailable-features")),
    ("canonical-cpu-features", Property("max-x86_64-cpu", "unavailable-features")),
    ("canonical-cpu-features", Property("max-i386-cpu", "unavailable-features")),
    ("cpu.migratable", Property("max-x86_64-cpu", "migratable")),
    ("cpu.migratable", Property("max-i386-cpu", "migratable")),
    ("cpu.kvm-no-adjvtime", Property("max-arm-cpu", "kvm-no-adjvtime")),
    ("machine.virt.iommu", MachineProperty("virt", "iommu")),
    ("machine.virt.ras", MachineProperty("virt", "ras")),
    ("machine.virt.aia", MachineProperty("virt", "aia")),
    ("migration-file-drop-cache", Path("blockdev-add/arg/@file/drop-cache")),
    ("vhost-user-gpu", Type("vhost-user-gpu")),
    ("drive-nvme", Path("blockdev-add/arg/@nvme")),
    ("smp-dies", Parameter("smp-opts", "dies")),
    ("smp-clusters", Parameter("smp-opts", "clusters")),
    ("vhost-user-fs", Type("vhost-user-fs-device")),
    ("vhost-user-fs.bootindex", Property("vhost-user-fs-device", "bootindex")),
    ("fsdev.multidevs", Parameter("fsdev", "multidevs")),
    ("pcie-root-port.hotplug", Property("pcie-root-port", "hotplug")),
    ("aio.io_uring", Path("blockdev-add/arg/@file/aio/=io_uring")),
    ("tcg", Type("tcg-accel")),
    ("hvf", Type("hvf-accel")),
    ("virtio-blk-pci.scsi", Property("virtio-blk-pci", "scsi")),
    ("numa.hmat", Path("set-numa-node/arg/@hmat-lb")),
    ("usb-host.hostdevice", Property("usb-host", "hostdevice")),
    ("usb-host.guest-resets-all", Property("usb-host", "guest-resets-all")),
    ("netdev.vhost-vdpa", Path("netdev_add/arg/@vhost-vdpa")),
    ("netdev.json", Path("netdev_add/arg/@dgram")),
    ("netdev.stream", Path("netdev_add/arg/@stream")),
    ("netdev.stream.reconnect", Path("netdev_add/arg/@stream/reconnect")),
    ("netdev-stream-reconnect-miliseconds", Path("netdev_add/arg/@stream/reconnect-ms")),
    ("netdev.user", Path("netdev_add/arg/@user")),
    ("vhost-user-blk", Type("vhost-user-blk")),
    ("vhost-scsi", Type("vhost-scsi")),
    ("vhost-vsock", Type("vhost-vsock-device")),
    ("vnc-power-control", Parameter("vnc", "power-control")),
    ("rotation-rate", Property("scsi-hd", "rotation_rate")),
    ("acpi-index", Property("virtio-blk-pci", "acpi-index")),
    ("confidential-guest-support", Property("none-machine", "confidential-guest-support")),
    ("shim", Property("none-machine", "shim")),
    ("set-action", Path("set-action")),
    ("virtio-blk.queue-size", Property("virtio-blk-pci", "queue-size")),
    ("virtio-blk.iothread-mapping", Property("virtio-blk-pci", "iothread-vq-mapping")),
    ("virtio-scsi.iothread-mapping", Property("virtio-scsi-pci", "iothread-vq-mapping")),
    ("virtio-ccw.loadparm", Property("virtio-net-ccw", "loadparm")),
    ("piix4.acpi-root-pci-hotplug", Property("PIIX4_PM", "acpi-root-pci-hotplug")),
    ("query-dirty-rate", Path("query-dirty-rate")),
    ("calc-dirty-rate", Path("calc-dirty-rate")),
    ("dirtyrate-param.mode", Path("query-dirty-rate/ret/mode")),
    ("rbd-encryption", Path("blockdev-add/arg/@rbd/encrypt")),
    ("rbd-encryption-layering", Path("blockdev-add/arg/@rbd/encrypt/parent")),
    ("rbd-encryption-luks-any", Path("blockdev-add/arg/@rbd/encrypt/@luks-any")),
    ("sev-guest-kernel-hashes", Path("object-add/arg/@sev-guest/kernel-hashes")),
    ("sev-inject-launch-secret", Path("sev-inject-launch-secret")),
    ("device.json+hotplug", Path("device_add/!json-cli-hotplug")),
    ("blockdev.nbd.tls-hostname", Path("blockdev-add/arg/@nbd/tls-hostname")),
    ("virtio-mem-pci.prealloc", Property("virtio-mem-pci", "prealloc")),
    ("virtio-mem-pci.dynamic-memslots", Property("virtio-mem-pci", "dynamic-memslots")),
    ("virtio-iommu.boot-bypass", Property("virtio-iommu-pci", "boot-bypass")),
    ("virtio-net.rss", Property("virtio-net-pci", "rss")),
    ("virtio-gpu.blob", Property("virtio-gpu-device", "blob")),
    ("chardev.qemu-vdagent", Path("chardev-add/arg/backend/@qemu-vdagent")),
    ("iothread.thread-pool-max", Path("object-add/arg/@iothread/thread-pool-max")),
    ("migration.blocked-reasons", Path("query-migrate/ret/blocked-reasons")),
    ("query-stats", Path("query-stats")),
    ("query-stats-schemas", Path("query-stats-schemas")),
    ("qcow2-discard-no-unref", Path("blockdev-add/arg/@qcow2/discard-no-unref")),
    ("run-with.async-teardown", Parameter("run-with", "async-teardown")),
    ("virtio-blk-vhost-vdpa", Path("blockdev-add/arg/@virtio-blk-vhost-vdpa/!fdset")),
    ("blockjob.backing-mask-protocol", Path("block-commit/arg/backing-mask-protocol")),
    ("display-reload", Path("display-reload")),
    ("migrate-incoming.exit-on-error", Path("migrate-incoming/arg/exit-on-error")),
    (
        "query-cpu-model-expansion.deprecated-props",
        Path("query-cpu-model-expansion/ret/deprecated-props"),
    ),
    ("blockdev-set-active", Path("blockdev-set-active")),
];

/// Features whose evidence is a type of the same name.
const SAME_TYPE: &[&str] = &[
    "hda-duplex",
    "piix3-usb-uhci",
    "piix4-usb-uhci",
    "usb-ehci",
    "ich9-usb-ehci1",
    "vt82c686b-usb-uhci",
    "pci-ohci",
    "usb-redir",
    "usb-hub",
    "ich9-ahci",
    "scsi-block",
    "hda-micro",
    "nec-usb-xhci",
    "virtio-scsi-pci",
    "qxl",
    "VGA",
    "cirrus-vga",
    "vmware-svga",
    "usb-serial",
    "rng-random",
    "rng-egd",
    "megasas",
    "pci-bridge",
    "vfio-pci",
    "usb-storage",
    "virtio-mmio",
    "ich9-intel-hda",
    "pvpanic",
    "usb-kbd",
    "usb-audio",
    "pc-dimm",
    "pci-serial",
    "ioh3420",
    "x3130-upstream",
    "xio3130-downstream",
    "rtl8139",
    "e1000",
    "mptsas1068",
    "pxb",
    "pxb-pcie",
    "intel-iommu",
    "virtio-vga",
    "ivshmem-plain",
    "ivshmem-doorbell",
    "nvdimm",
    "pcie-root-port",
    "qemu-xhci",
    "spapr-pci-host-bridge",
    "vmcoreinfo",
    "sclplmconsole",
    "spapr-vty",
    "pl011",
    "virtio-gpu-ccw",
    "isa-serial",
    "virtio-keyboard-ccw",
    "pcie-pci-bridge",
    "virtio-mouse-ccw",
    "virtio-tablet-ccw",
    "pr-manager-helper",
    "vfio-ccw",
    "hda-output",
    "vmgenid",
    "mch",
    "vfio-ap",
    "zpci",
    "memory-backend-memfd",
    "bochs-display",
    "dbus-vmstate",
    "vhost-user-vga",
    "ramfb",
    "i8042",
    "rng-builtin",
    "pvscsi",
    "spapr-tpm-proxy",
    "dc390",
    "am53c974",
    "virtio-pmem-pci",
    "input-linux",
    "virtio-gpu-gl-pci",
    "virtio-vga-gl",
    "s390-pv-guest",
    "virtio-mem-pci",
    "virtio-mem-ccw",
    "virtio-iommu-pci",
    "thread-context",
    "cryptodev-backend-lkcf",
    "pvpanic-pci",
    "usb-mtp",
    "acpi-erst",
];

/// The features that follow from a session.
pub(super) fn derive(session: &Session, arch: &str) -> BTreeSet<String> {
    let evidence = Evidence::new(session);
    let mut flags: BTreeSet<&str> = SIGNS
        .iter()
        .filter(|(_, sign)| evidence.shows(*sign))
        .map(|(flag, _)| *flag)
        .chain(SAME_TYPE.iter().filter(|name| evidence.types.contains(*name)).copied())
        .collect();
    if has_kvm(session) {
        flags.insert("kvm");
    }
    if session.list("query-cpu-definitions").any(|cpu| text(cpu, "name") == Some("max")) {
        flags.insert("cpu-max");
    }
    let scsi = device_properties("virtio-blk-pci");
    let default = session.answer(&scsi).and_then(|list| property(list, "scsi"));
    if default.and_then(|scsi| scsi.get("default-value")) == Some(&Value::Bool(false)) {
        flags.insert("virtio-blk-pci.scsi.default.disabled");
    }
    if arch == "sparc" {
        flags.insert("ncr53c90");
    }
    // The hardware decides, not what the emulator was built with.
    if session.reply("query-sev-capabilities").is_some() {
        flags.extend(
            ["sev-guest", "sev-snp-guest"].iter().filter(|name| evidence.types.contains(*name)),
        );
    }
    if session.reply("query-sgx-capabilities").is_some() {
        flags.insert("sgx-epc");
    }
    flags.into_iter().map(str::to_owned).collect()
}

fn property<'v>(list: &'v Value, name: &str) -> Option<&'v Value> {
    list.as_array()?.iter().find(|property| text(property, "name") == Some(name))
}

/// A session, ready for many questions.
struct Evidence<'v> {
    session: &'v Session,
    schema: Schema<'v>,
    types: BTreeSet<&'v str>,
}

impl<'v> Evidence<'v> {
    fn new(session: &'v Session) -> Self {
        Self {
            session,
            schema: Schema::new(session.reply("query-qmp-schema")),
            types: session.list("qom-list-types").filter_map(|entry| text(entry, "name")).collect(),
        }
    }

    fn shows(&self, sign: Sign) -> bool {
        match sign {
            Type(name) => self.types.contains(name),
            Property(name, wanted) => self.has_property(name, wanted),
            MachineProperty(alias, wanted) => versioned_machine(self.session, alias)
                .is_some_and(|name| self.has_property(&name, wanted)),
            Path(path) => self.schema.has_path(path),
            Opt(option) => self.option(option).is_some(),
            Parameter(option, wanted) => self
                .option(option)
                .and_then(|option| property(option.get("parameters")?, wanted))
                .is_some(),
            TpmModel(name) => self.lists("query-tpm-models", name),
            TpmType(name) => self.lists("query-tpm-types", name),
            Migration(name) => self
                .session
                .list("query-migrate-capabilities")
                .any(|entry| text(entry, "capability") == Some(name)),
        }
    }

    fn has_property(&self, name: &str, wanted: &str) -> bool {
        [device_properties(name), object_properties(name)]
            .iter()
            .filter_map(|call| self.session.answer(call))
            .any(|list| property(list, wanted).is_some())
    }

    fn option(&self, name: &str) -> Option<&'v Value> {
        self.session
            .list("query-command-line-options")
            .find(|entry| text(entry, "option") == Some(name))
    }

    fn lists(&self, command: &str, name: &str) -> bool {
        self.session.list(command).any(|entry| entry.as_str() == Some(name))
    }
}
