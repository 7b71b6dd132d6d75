//! Directories of the host and USB devices of the client.

use std::path::Path;

use oxivirt_conf::YesNo;
use oxivirt_conf::domain::device::chardev::{CharType, Redirdev};
use oxivirt_conf::domain::device::filesystem::{Filesystem, FilesystemAccess, Multidevs};

use super::Build;
use super::address::{alias, virtio_switches};
use super::chardev::Backend;
use super::error::{PlanError, Result};
use super::props::{Props, Words};

impl Build<'_> {
    /// libvirt 11.3.0: `qemuBuildFilesystemCommandLine`, src/qemu/qemu_command.c
    pub(super) fn filesystems(&mut self) -> Result<()> {
        let devices = self.devices;
        for filesystem in &devices.filesystems {
            let driver = filesystem.driver.as_ref().and_then(|driver| driver.kind.as_deref());
            let props = match driver {
                None | Some("path") => self.plan9(filesystem)?,
                Some("mtp") => media_transfer(filesystem)?,
                Some("virtiofs") => self.virtiofs(filesystem)?,
                Some(kind) => {
                    let text = format!("filesystem driver type '{kind}' is not supported");
                    return Err(PlanError::Unsupported(text));
                }
            };
            let props = props.with_all(self.address(&filesystem.info)?);
            self.device(&filesystem.info, props)?;
        }
        Ok(())
    }

    fn plan9(&mut self, filesystem: &Filesystem) -> Result<Props> {
        let id = alias(&filesystem.info)?;
        let model = match filesystem.access {
            Some(FilesystemAccess::Mapped) => "mapped",
            Some(FilesystemAccess::Squash) => "none",
            Some(FilesystemAccess::Passthrough) | None => "passthrough",
        };
        let driver = filesystem.driver.as_ref();
        let is_immediate = driver.and_then(|it| it.wrpolicy.as_deref()) == Some("immediate");
        let multidevs = filesystem.multidevs.map(Multidevs::as_str);
        let mode = |mode: &Option<String>| mode.as_ref().map(|mode| format!("{mode:0>4}"));
        let words = Words::new("local")
            .pair("security_model", model)
            .pair_opt("multidevs", multidevs)
            .pair_opt("fmode", mode(&filesystem.fmode))
            .pair_opt("dmode", mode(&filesystem.dmode))
            .pair_opt("writeout", is_immediate.then_some("immediate"))
            .pair("id", format_args!("fsdev-{id}"))
            .pair("path", directory(filesystem))
            .raw(if filesystem.readonly { "readonly=on" } else { "" });
        self.option("-fsdev", words.finish());
        let model = filesystem.model.map(|model| model.as_str());
        let name = self.virtio("virtio-9p", model, &filesystem.info);
        Ok(virtio_switches!(Props::driver(name), driver)
            .with("id", id)
            .with("fsdev", format!("fsdev-{id}"))
            .with_opt("mount_tag", tag(filesystem)))
    }

    /// The socket of virtiofsd: the user's, or the one of the program that the driver starts.
    fn virtiofs(&mut self, filesystem: &Filesystem) -> Result<Props> {
        let id = alias(&filesystem.info)?;
        let chardev = format!("chr-vu-{id}");
        let own = filesystem.source.as_ref().and_then(|source| source.socket.as_deref());
        let made = self.facts.directories.library.join(format!("{id}-fs.sock"));
        let path = own.map_or(made.as_path(), Path::new);
        let words = Words::new("socket").pair("id", &chardev).pair("path", path.display());
        self.option("-chardev", words.finish());
        let name = self.virtio("vhost-user-fs", None, &filesystem.info);
        let queue = filesystem.driver.as_ref().and_then(|driver| driver.queue);
        let boot = filesystem.info.boot.as_ref().and_then(|boot| boot.order);
        Ok(Props::driver(name)
            .with("id", id)
            .with("chardev", chardev)
            .with_nonzero("queue-size", queue)
            .with_opt("tag", tag(filesystem))
            .with_opt("bootindex", boot))
    }

    /// libvirt 11.3.0: `qemuBuildRedirdevCommandLine`, src/qemu/qemu_command.c
    pub(super) fn redirected_devices(&mut self) -> Result<()> {
        let devices = self.devices;
        for device in &devices.redirdevs {
            if device.bus.as_deref().is_some_and(|bus| bus != "usb") {
                return Err(PlanError::Unsupported(String::from(
                    "Redirection bus is not supported by QEMU",
                )));
            }
            let id = alias(&device.info)?;
            let chardev = self.chardev(&redirection(device, id))?;
            let boot = device.info.boot.as_ref().and_then(|boot| boot.order);
            let props = Props::driver("usb-redir")
                .with("chardev", chardev)
                .with("id", id)
                .with_opt("filter", self.redirection_filter())
                .with_opt("bootindex", boot)
                .with_all(self.address(&device.info)?);
            self.device(&device.info, props)?;
        }
        Ok(())
    }

    fn redirection_filter(&self) -> Option<String> {
        let filter = self.devices.redirfilter.as_ref()?;
        let rules = filter.devices.iter().map(|rule| {
            let number = |text: &Option<String>| match text.as_deref() {
                None | Some("-1") => String::from("-1"),
                Some(text) => text.to_owned(),
            };
            let version = match rule.version.as_deref() {
                None | Some("-1") => String::from("-1"),
                Some(version) => bcd(version),
            };
            let class = hexadecimal(rule.class.as_deref().unwrap_or("-1"), 2);
            let is_allowed = u32::from(rule.allow == Some(YesNo::Yes));
            let (vendor, product) = (number(&rule.vendor), number(&rule.product));
            format!(
                "{class}:{}:{}:{version}:{is_allowed}",
                hexadecimal(&vendor, 4),
                hexadecimal(&product, 4)
            )
        });
        Some(rules.collect::<Vec<_>>().join("|"))
    }
}

fn redirection<'a>(device: &'a Redirdev, alias: &'a str) -> Backend<'a> {
    Backend {
        kind: device.kind.unwrap_or(CharType::SpiceVmc),
        sources: &device.sources,
        protocol: device.protocol.as_ref().and_then(|protocol| protocol.kind),
        log: None,
        alias,
    }
}

/// A number as `0x08`; −1 as it is.
fn hexadecimal(text: &str, width: usize) -> String {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let number = match digits {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    match number {
        Some(number) => format!("0x{number:0width$X}"),
        None => String::from("-1"),
    }
}

/// A version such as `1.09` in the digits that USB has it in.
fn bcd(version: &str) -> String {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(major) || !digits(minor) {
        return String::from("-1");
    }
    let minor: String = minor.chars().chain("00".chars()).take(2).collect();
    format!("0x{major:0>2}{minor}")
}

fn directory(filesystem: &Filesystem) -> &str {
    filesystem.source.as_ref().and_then(|source| source.dir.as_deref()).unwrap_or_default()
}

fn tag(filesystem: &Filesystem) -> Option<&str> {
    filesystem.target.as_ref().and_then(|target| target.dir.as_deref())
}

fn media_transfer(filesystem: &Filesystem) -> Result<Props> {
    Ok(Props::driver("usb-mtp")
        .with("id", alias(&filesystem.info)?)
        .with("rootdir", directory(filesystem))
        .with_opt("desc", tag(filesystem))
        .with("readonly", filesystem.readonly))
}
