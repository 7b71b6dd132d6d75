//! Memory backing and devices.

use oxivirt_xml::Writer;

use super::{DomainCapabilities, enumeration, supported};

/// Values and what each needs.
type Choices<'a> = &'a [(&'a str, bool)];

fn chosen<'a>(choices: Choices<'a>) -> Vec<&'a str> {
    choices.iter().filter(|(_, is_there)| *is_there).map(|(value, _)| *value).collect()
}

/// A device with the values of its parts.
fn device(out: &mut Writer, name: &str, parts: &[(&str, Choices<'_>)]) {
    out.begin(name).attr("supported", "yes").open();
    for (part, choices) in parts {
        enumeration(out, part, &chosen(choices));
    }
    out.end(name);
}

impl DomainCapabilities<'_> {
    pub(super) fn format_devices(&self, out: &mut Writer) {
        let has = |flag| self.emulator.has(flag);
        device_like(
            out,
            "memoryBacking",
            "sourceType",
            &[("file", true), ("anonymous", true), ("memfd", has("memory-backend-memfd"))],
        );
        out.begin("devices").open();
        self.format_disk(out);
        self.format_screens(out);
        self.format_hostdev(out);
        self.format_rng(out);
        let drivers = [("path", true), ("handle", true), ("virtiofs", has("vhost-user-fs"))];
        device_like(out, "filesystem", "driverType", &drivers);
        self.format_tpm(out);
        if has("usb-redir") {
            device_like(out, "redirdev", "bus", &[("usb", true)]);
        } else {
            supported(out, "redirdev", false);
        }
        let channels = [("pty", true), ("unix", true), ("spicevmc", has("spice"))];
        device_like(out, "channel", "type", &channels);
        self.format_crypto(out);
        let backends = [("default", true), ("passt", has("netdev.stream"))];
        device_like(out, "interface", "backendType", &backends);
        self.format_panic(out);
        out.end("devices");
    }

    fn format_disk(&self, out: &mut Writer) {
        let has = |flag| self.emulator.has(flag);
        let has_floppy = self.arch != "s390x" && !self.machine.starts_with("pseries");
        let transitional = has("virtio-pci-non-transitional");
        let devices = [("disk", true), ("cdrom", true), ("floppy", has_floppy), ("lun", true)];
        let buses = [
            ("ide", self.is_i440fx()),
            ("fdc", self.is_x86()),
            ("scsi", true),
            ("virtio", true),
            ("usb", has("usb-storage")),
            ("sata", has("ich9-ahci")),
            ("sd", false),
        ];
        let models = [
            ("virtio", true),
            ("virtio-transitional", transitional),
            ("virtio-non-transitional", transitional),
        ];
        device(out, "disk", &[("diskDevice", &devices), ("bus", &buses), ("model", &models)]);
    }

    fn format_screens(&self, out: &mut Writer) {
        let has = |flag| self.emulator.has(flag);
        let types = [
            ("sdl", has("sdl")),
            ("vnc", has("vnc")),
            ("rdp", has("display-dbus")),
            ("spice", has("spice")),
            ("egl-headless", has("egl-headless")),
            ("dbus", has("display-dbus")),
        ];
        device(out, "graphics", &[("type", &types)]);
        let models = [
            ("vga", has("VGA")),
            ("cirrus", has("cirrus-vga")),
            ("vmvga", has("vmware-svga")),
            ("qxl", has("qxl")),
            ("virtio", has("virtio-gpu")),
            ("none", true),
            ("bochs", has("bochs-display")),
            ("ramfb", has("ramfb")),
        ];
        device(out, "video", &[("modelType", &models)]);
    }

    fn format_hostdev(&self, out: &mut Writer) {
        let vfio = self.host.vfio && self.emulator.has("vfio-pci");
        let policies =
            [("default", true), ("mandatory", true), ("requisite", true), ("optional", true)];
        device(
            out,
            "hostdev",
            &[
                ("mode", &[("subsystem", true)]),
                ("startupPolicy", &policies),
                ("subsysType", &[("usb", true), ("pci", true), ("scsi", true)]),
                ("capsType", &[]),
                ("pciBackend", &[("default", vfio), ("vfio", vfio)]),
            ],
        );
    }

    fn format_rng(&self, out: &mut Writer) {
        let has = |flag| self.emulator.has(flag);
        let transitional = has("virtio-pci-non-transitional");
        let models = [
            ("virtio", has("virtio-rng")),
            ("virtio-transitional", transitional),
            ("virtio-non-transitional", transitional),
        ];
        let backends = [
            ("random", has("rng-random")),
            ("egd", has("rng-egd")),
            ("builtin", has("rng-builtin")),
        ];
        device(out, "rng", &[("model", &models), ("backendModel", &backends)]);
    }

    fn format_tpm(&self, out: &mut Writer) {
        let has = |flag| self.emulator.has(flag);
        let versions = self.host.tpm_versions;
        let emulated = has("tpm-emulator") && !versions.is_empty();
        let models = [
            ("tpm-tis", has("tpm-tis")),
            ("tpm-crb", has("tpm-crb")),
            ("tpm-spapr", has("tpm-spapr")),
            ("spapr-tpm-proxy", has("spapr-tpm-proxy")),
        ];
        if chosen(&models).is_empty() {
            return supported(out, "tpm", false);
        }
        let backends = [
            ("passthrough", has("tpm-passthrough")),
            ("emulator", emulated),
            ("external", has("tpm-emulator")),
        ];
        out.begin("tpm").attr("supported", "yes").open();
        enumeration(out, "model", &chosen(&models));
        enumeration(out, "backendModel", &chosen(&backends));
        enumeration(out, "backendVersion", if emulated { versions } else { &[] });
        out.end("tpm");
    }

    fn format_crypto(&self, out: &mut Writer) {
        let has = |flag| self.emulator.has(flag);
        if !has("virtio-crypto") {
            return supported(out, "crypto", false);
        }
        device(
            out,
            "crypto",
            &[
                ("model", &[("virtio", true)]),
                ("type", &[("qemu", true)]),
                ("backendModel", &[("builtin", true), ("lkcf", has("cryptodev-backend-lkcf"))]),
            ],
        );
    }

    fn format_panic(&self, out: &mut Writer) {
        let models = [
            ("isa", self.emulator.has("pvpanic")),
            ("pseries", self.arch.starts_with("ppc64")),
            ("hyperv", self.is_x86()),
            ("s390", self.arch == "s390x"),
            ("pvpanic", self.emulator.has("pvpanic-pci")),
        ];
        if chosen(&models).is_empty() {
            return supported(out, "panic", false);
        }
        device(out, "panic", &[("model", &models)]);
    }
}

fn device_like(out: &mut Writer, name: &str, part: &str, choices: Choices<'_>) {
    device(out, name, &[(part, choices)]);
}
