//! Serial and parallel ports, consoles and channels.

use std::path::PathBuf;

use oxivirt_conf::OnOff;
use oxivirt_conf::YesNo;
use oxivirt_conf::domain::address::Address;
use oxivirt_conf::domain::device::chardev::{
    CharDevice, CharLog, CharProtocolType, CharSource, CharType, SocketMode,
};
use oxivirt_conf::domain::device::controller::ControllerType;

use super::address::alias;
use super::error::{PlanError, Result};
use super::props::{Props, Words, on_off};
use super::{Build, Descriptor};

/// What is at the host's end of a character device.
pub(super) struct Backend<'a> {
    /// What kind it is.
    pub(super) kind: CharType,
    /// Where it is; several for UDP.
    pub(super) sources: &'a [CharSource],
    /// What is spoken on TCP.
    pub(super) protocol: Option<CharProtocolType>,
    /// The file that output is copied to.
    pub(super) log: Option<&'a CharLog>,
    /// The alias of its device.
    pub(super) alias: &'a str,
}

impl<'a> Backend<'a> {
    fn of(device: &'a CharDevice) -> Result<Self> {
        Ok(Self {
            kind: device.kind.unwrap_or(CharType::Pty),
            sources: &device.sources,
            protocol: device.protocol.as_ref().and_then(|protocol| protocol.kind),
            log: device.log.as_ref(),
            alias: alias(&device.info)?,
        })
    }
}

impl Build<'_> {
    /// Serial ports, parallel ports, channels and consoles in this order.
    ///
    /// libvirt 11.3.0: `qemuBuildSerialCommandLine` and its neighbours, src/qemu/qemu_command.c
    pub(super) fn character_devices(&mut self) -> Result<()> {
        let devices = self.devices;
        for serial in &devices.serials {
            let chardev = self.chardev(&Backend::of(serial)?)?;
            let name = model(serial).unwrap_or("isa-serial");
            if matches!(name, "16550a" | "pl011") {
                self.option("-serial", format!("chardev:{chardev}"));
                continue;
            }
            let props = self.serial(serial, name, &chardev)?;
            self.device(&serial.info, props)?;
        }
        for parallel in &devices.parallels {
            let chardev = self.chardev(&Backend::of(parallel)?)?;
            let props = Props::driver("isa-parallel")
                .with("chardev", chardev)
                .with("id", alias(&parallel.info)?);
            self.device(&parallel.info, props)?;
        }
        for channel in &devices.channels {
            self.channel(channel)?;
        }
        for console in &devices.consoles {
            self.console(console)?;
        }
        Ok(())
    }

    fn serial(&self, serial: &CharDevice, name: &str, chardev: &str) -> Result<Props> {
        let props = Props::driver(name).with("chardev", chardev).with("id", alias(&serial.info)?);
        let port = serial.target.as_ref().and_then(|target| target.port);
        let props = props.with_opt("index", port.filter(|_| name == "isa-serial"));
        Ok(props.with_all(self.address(&serial.info)?))
    }

    fn channel(&mut self, channel: &CharDevice) -> Result<()> {
        let target = channel.target.as_ref();
        match target.and_then(|target| target.kind.as_deref()) {
            Some("virtio") => {
                let chardev = self.chardev(&Backend::of(channel)?)?;
                let props = self.virtio_port(channel, "virtserialport", &chardev)?;
                let name = target.and_then(|target| target.name.as_deref());
                let is_agent =
                    matches!(channel.kind, Some(CharType::SpiceVmc | CharType::QemuVdagent));
                let name = name.or_else(|| is_agent.then_some("com.redhat.spice.0"));
                self.device(&channel.info, props.with_opt("name", name))
            }
            Some("guestfwd") => {
                let chardev = self.chardev(&Backend::of(channel)?)?;
                let address = target.and_then(|target| target.address.as_deref());
                let port = target.and_then(|target| target.port).unwrap_or(0);
                let forward =
                    format!("tcp:{}:{port}-chardev:{chardev}", address.unwrap_or_default());
                let props = Props::new()
                    .with("type", "user")
                    .with("guestfwd", vec![Props::new().with("str", forward).into_value()])
                    .with("id", alias(&channel.info)?);
                self.option("-netdev", props.to_text());
                Ok(())
            }
            kind => {
                let kind = kind.unwrap_or("none");
                Err(PlanError::Unsupported(format!("unsupported channel target type '{kind}'")))
            }
        }
    }

    fn console(&mut self, console: &CharDevice) -> Result<()> {
        match console.target.as_ref().and_then(|target| target.kind.as_deref()) {
            // It is the first serial port.
            Some("serial") | None => Ok(()),
            Some("virtio") => {
                let chardev = self.chardev(&Backend::of(console)?)?;
                let props = self.virtio_port(console, "virtconsole", &chardev)?;
                self.device(&console.info, props)
            }
            Some(kind @ ("sclp" | "sclplm")) => {
                let chardev = self.chardev(&Backend::of(console)?)?;
                let driver = format!("{kind}console");
                let props = Props::driver(driver)
                    .with("chardev", chardev)
                    .with("id", alias(&console.info)?);
                self.device(&console.info, props)
            }
            Some(kind) => {
                Err(PlanError::Unsupported(format!("unsupported console target type {kind}")))
            }
        }
    }

    /// libvirt 11.3.0: `qemuBuildVirtioSerialPortDevProps`, src/qemu/qemu_command.c
    fn virtio_port(&self, device: &CharDevice, driver: &str, chardev: &str) -> Result<Props> {
        let mut props = Props::driver(driver);
        if let Some(Address::VirtioSerial(port)) = &device.info.address {
            let bus = self.controller(ControllerType::VirtioSerial, port.controller)?;
            props = props.with("bus", format!("{bus}.{}", port.bus)).with("nr", port.port);
        }
        Ok(props.with("chardev", chardev).with("id", alias(&device.info)?))
    }

    /// The backend of a character device; the result is its identifier.
    ///
    /// libvirt 11.3.0: `qemuBuildChardevCommand`, src/qemu/qemu_chardev.c
    pub(super) fn chardev(&mut self, backend: &Backend<'_>) -> Result<String> {
        let id = format!("char{}", backend.alias);
        self.chardev_named(backend, &id)?;
        Ok(id)
    }

    pub(super) fn chardev_named(&mut self, backend: &Backend<'_>, id: &str) -> Result<()> {
        let source = backend.sources.first();
        let path = source.and_then(|source| source.path.as_deref()).unwrap_or_default();
        let words = match backend.kind {
            CharType::Null => Words::new("null").pair("id", id),
            CharType::Vc => Words::new("vc").pair("id", id),
            CharType::Pty => Words::new("pty").pair("id", id),
            CharType::Stdio => Words::new("stdio").pair("id", id),
            CharType::Dev => {
                let name =
                    if backend.alias.starts_with("parallel") { "parallel" } else { "serial" };
                Words::new(name).pair("id", id).pair("path", path)
            }
            CharType::Pipe => Words::new("pipe").pair("id", id).pair("path", path),
            CharType::File => {
                let append = source.and_then(|source| source.append);
                let file = self.output(backend.alias, "source", path, append);
                Words::new("file").pair("id", id).pair("path", file).pair("append", "on")
            }
            CharType::Unix => self.unix_socket(source, id, backend.alias),
            CharType::Tcp => self.tcp_socket(backend, id)?,
            CharType::Udp => udp(backend.sources, id),
            CharType::SpiceVmc => {
                let name = if backend.alias.starts_with("redir") {
                    "usbredir"
                } else if backend.alias.starts_with("smartcard") {
                    "smartcard"
                } else {
                    "vdagent"
                };
                Words::new("spicevmc").pair("id", id).pair("name", name)
            }
            CharType::SpicePort => {
                let name = source.and_then(|source| source.channel.as_deref());
                Words::new("spiceport").pair("id", id).pair_opt("name", name)
            }
            CharType::QemuVdagent => {
                let mouse = source.and_then(|source| source.mouse.as_ref());
                let mouse = mouse.and_then(|mouse| mouse.mode.as_deref());
                let clipboard = source.and_then(|source| source.clipboard.as_ref());
                let clipboard = clipboard.and_then(|clipboard| clipboard.copypaste);
                Words::new("qemu-vdagent")
                    .pair("id", id)
                    .pair_opt("name", Some("vdagent"))
                    .pair_opt("clipboard", clipboard.map(|on| on_off(on == YesNo::Yes)))
                    .pair_opt("mouse", mouse.map(|mode| on_off(mode == "client")))
            }
            CharType::Dbus => {
                let name = source.and_then(|source| source.channel.as_deref());
                Words::new("dbus").pair("id", id).pair_opt("name", name)
            }
            CharType::Nmdm => {
                return Err(PlanError::Unsupported(String::from("Unsupported chardev 'nmdm'")));
            }
        };
        let words = self.log_of(backend, words);
        self.option("-chardev", words.finish());
        Ok(())
    }

    /// Output goes to a file that is opened for the guest; the result is the path that stands for it.
    fn output(&mut self, alias: &str, end: &str, path: &str, append: Option<OnOff>) -> String {
        let descriptor = Descriptor::Output {
            alias: alias.to_owned(),
            path: PathBuf::from(path),
            truncate: append == Some(OnOff::Off),
            is_log: end == "log",
        };
        let number = self.pass(descriptor);
        let set = self.fdsets;
        self.fdsets = set.saturating_add(1);
        let words = Words::default()
            .pair("set", set)
            .pair("fd", number)
            .pair("opaque", format_args!("{alias}-{end}"));
        self.option("-add-fd", words.finish());
        format!("/dev/fdset/{set}")
    }

    fn log_of(&mut self, backend: &Backend<'_>, words: Words) -> Words {
        let Some(log) = backend.log else { return words };
        let Some(path) = log.file.as_deref() else { return words };
        // Without the attribute the file is started anew.
        let append = Some(log.append.unwrap_or(OnOff::Off));
        let file = self.output(backend.alias, "log", path, append);
        words.pair("logfile", file).pair("logappend", "on")
    }

    fn unix_socket(&mut self, source: Option<&CharSource>, id: &str, alias: &str) -> Words {
        let path = source.and_then(|source| source.path.as_deref()).unwrap_or_default();
        let words = Words::new("socket").pair("id", id);
        if source.and_then(|source| source.mode) != Some(SocketMode::Connect) {
            let descriptor =
                Descriptor::Listen { alias: alias.to_owned(), path: PathBuf::from(path) };
            let number = self.pass(descriptor);
            return words.pair("fd", number).raw("server=on,wait=off");
        }
        let words = words.pair("path", path);
        self.reconnect(source, words)
    }

    fn reconnect(&self, source: Option<&CharSource>, words: Words) -> Words {
        let Some(reconnect) = source.and_then(|source| source.reconnect.as_ref()) else {
            return words;
        };
        let seconds = match reconnect.enabled {
            Some(YesNo::Yes) => reconnect.timeout.unwrap_or(0),
            Some(YesNo::No) => 0,
            None => return words,
        };
        if self.emulator.has("chardev-reconnect-miliseconds") {
            return words.pair("reconnect-ms", u64::from(seconds).saturating_mul(1000));
        }
        words.pair("reconnect", seconds)
    }

    fn tcp_socket(&mut self, backend: &Backend<'_>, id: &str) -> Result<Words> {
        let source = backend.sources.first();
        let host = source.and_then(|source| source.host.as_deref()).unwrap_or_default();
        let port = source.and_then(|source| source.service.as_deref()).unwrap_or_default();
        let is_server = source.and_then(|source| source.mode) == Some(SocketMode::Bind);
        let mut words = Words::new("socket").pair("id", id).pair("host", host).pair("port", port);
        let telnet =
            matches!(backend.protocol, Some(CharProtocolType::Telnet | CharProtocolType::Telnets));
        if telnet {
            words = words.pair("telnet", "on");
        }
        if is_server {
            words = words.raw("server=on,wait=off");
        } else {
            words = self.reconnect(source, words);
        }
        let tls = source.and_then(|source| source.tls);
        if tls.map_or(self.facts.config.chardev_tls, |tls| tls == YesNo::Yes) {
            let credentials = self.chardev_credentials(id, is_server);
            words = words.pair("tls-creds", credentials);
        }
        Ok(words)
    }

    fn chardev_credentials(&mut self, id: &str, is_server: bool) -> String {
        let config = &self.facts.config;
        let name = format!("obj{id}_tls0");
        let secret = config.chardev_tls_x509_secret_uuid.as_ref().map(|_| format!("{id}-secret0"));
        let props = Props::object("tls-creds-x509", name.as_str())
            .with("dir", config.chardev_tls_x509_cert_dir.to_string_lossy())
            .with("endpoint", if is_server { "server" } else { "client" })
            .with("verify-peer", !is_server || config.chardev_tls_x509_verify)
            .with_opt("passwordid", secret);
        self.object(&props);
        name
    }
}

/// The model of a serial port.
pub(super) fn model(device: &CharDevice) -> Option<&str> {
    let target = device.target.as_ref()?;
    target.model.as_ref()?.name.as_deref()
}

/// One end is connected to, the other bound.
fn udp(sources: &[CharSource], id: &str) -> Words {
    let by_mode = |mode| sources.iter().find(|source| source.mode == Some(mode));
    let remote = by_mode(SocketMode::Connect);
    let local = by_mode(SocketMode::Bind);
    let text = |source: Option<&CharSource>, field: fn(&CharSource) -> Option<&str>, default| {
        source.and_then(field).unwrap_or(default).to_owned()
    };
    Words::new("udp")
        .pair("id", id)
        .pair("host", text(remote, |source| source.host.as_deref(), ""))
        .pair("port", text(remote, |source| source.service.as_deref(), ""))
        .pair("localaddr", text(local, |source| source.host.as_deref(), ""))
        .pair("localport", text(local, |source| source.service.as_deref(), "0"))
}
