//! Displays and graphics cards.

use oxivirt_conf::YesNo;
use oxivirt_conf::domain::device::graphics::{Graphics, GraphicsType, Listen, ListenType};
use oxivirt_conf::domain::device::video::{Video, VideoModel, VideoModelDef};

use super::Build;
use super::address::{alias, virtio_switches};
use super::error::{PlanError, Result};
use super::props::{Props, Words, on_off};

/// First port of VNC, which is display 0.
const VNC_PORT: i32 = 5900;

impl Build<'_> {
    /// libvirt 11.3.0: `qemuBuildGraphicsCommandLine`, src/qemu/qemu_command.c
    pub(super) fn displays(&mut self) -> Result<()> {
        let devices = self.devices;
        for graphics in &devices.graphics {
            match graphics.kind {
                Some(GraphicsType::Vnc) => self.vnc(graphics)?,
                Some(GraphicsType::Spice) if !self.emulator.has("spice") => {
                    let text = "spice graphics are not supported with this QEMU";
                    return Err(PlanError::Unsupported(text.to_owned()));
                }
                Some(GraphicsType::Spice) => self.spice(graphics),
                Some(GraphicsType::EglHeadless) => {
                    let node = graphics.gl.as_ref().and_then(|gl| gl.rendernode.as_deref());
                    let words = Words::new("egl-headless").pair_opt("rendernode", node);
                    self.option("-display", words.finish());
                }
                Some(GraphicsType::Sdl) => self.sdl(graphics),
                kind => {
                    let kind = kind.map_or("", GraphicsType::as_str);
                    let text = format!("unsupported graphics type '{kind}'");
                    return Err(PlanError::Unsupported(text));
                }
            }
        }
        Ok(())
    }

    fn sdl(&mut self, graphics: &Graphics) {
        for (name, value) in [("XAUTHORITY", &graphics.xauth), ("DISPLAY", &graphics.display)] {
            if let Some(value) = value {
                self.environment.push((String::from(name), value.clone()));
            }
        }
        let gl = graphics.gl.as_ref().and_then(|gl| gl.enable);
        let words = Words::new("sdl").pair_opt("gl", gl.map(|on| on_off(on == YesNo::Yes)));
        if graphics.fullscreen == Some(YesNo::Yes) {
            self.arguments.push(String::from("-full-screen"));
        }
        self.option("-display", words.finish());
    }

    /// libvirt 11.3.0: `qemuBuildGraphicsVNCCommandLine`, src/qemu/qemu_command.c
    fn vnc(&mut self, graphics: &Graphics) -> Result<()> {
        let config = &self.facts.config;
        let listen = graphics.listens.first();
        let mut words = match listen.and_then(|listen| listen.kind) {
            Some(ListenType::Socket) => {
                let path = listen.and_then(|listen| listen.socket.as_deref()).unwrap_or_default();
                Words::default().pair("vnc", format_args!("unix:{path}"))
            }
            Some(ListenType::None) => Words::new("none"),
            _ => {
                let port = graphics.port.filter(|&port| port >= VNC_PORT);
                let port = port.ok_or_else(|| PlanError::unprepared("port of a display"))?;
                Words::new(&format!("{}:{}", host_of(listen), port.saturating_sub(VNC_PORT)))
            }
        };
        words = words.pair_opt("websocket", graphics.websocket.filter(|&port| port > 0));
        words = words.pair_opt("share", graphics.share_policy);
        if graphics.password.is_some() || config.vnc_password.is_some() {
            words = words.pair("password", "on");
        }
        if config.vnc_tls {
            let secret = config.vnc_tls_x509_secret_uuid.as_ref();
            let secret = secret.map(|_| String::from("vnc-tls-creds0-secret0"));
            if let Some(secret) = &secret {
                self.secret(secret)?;
            }
            let props = Props::object("tls-creds-x509", "vnc-tls-creds0")
                .with("dir", config.vnc_tls_x509_cert_dir.to_string_lossy())
                .with("endpoint", "server")
                .with("verify-peer", config.vnc_tls_x509_verify)
                .with_opt("passwordid", secret);
            self.object(&props);
            words = words.pair("tls-creds", "vnc-tls-creds0");
        }
        if config.vnc_sasl {
            words = words.pair("sasl", "on");
            self.sasl(config.vnc_sasl_dir.as_deref());
        }
        let power = graphics.power_control;
        words = words.pair_opt("power-control", power.map(|on| on_off(on == YesNo::Yes)));
        let audio = graphics.audio.as_ref().and_then(|audio| audio.id);
        let audio = audio.or_else(|| self.only_audio());
        words = words.pair_opt("audiodev", audio.map(|id| format!("audio{id}")));
        self.option("-vnc", words.finish());
        if let Some(keymap) = &graphics.keymap {
            self.option("-k", keymap.clone());
        }
        Ok(())
    }

    /// The sound output, if there is one only.
    fn only_audio(&self) -> Option<u32> {
        match self.devices.audios.as_slice() {
            [audio] => audio.id,
            _ => None,
        }
    }

    fn sasl(&mut self, directory: Option<&std::path::Path>) {
        let Some(directory) = directory else { return };
        let name = String::from("SASL_CONF_PATH");
        if !self.environment.iter().any(|(known, _)| *known == name) {
            self.environment.push((name, directory.to_string_lossy().into_owned()));
        }
    }

    /// libvirt 11.3.0: `qemuBuildGraphicsSPICECommandLine`, src/qemu/qemu_command.c
    fn spice(&mut self, graphics: &Graphics) {
        let config = &self.facts.config;
        let listen = graphics.listens.first();
        let mut words = Words::default();
        let kind = listen.and_then(|listen| listen.kind);
        match kind {
            Some(ListenType::Socket) => {
                let path = listen.and_then(|listen| listen.socket.as_deref()).unwrap_or_default();
                words = words.pair("unix", "on").pair("addr", path);
            }
            Some(ListenType::None) => words = words.pair("port", 0),
            _ => {
                let port = graphics.port.filter(|&port| port > 0);
                let tls = graphics.tls_port.filter(|&port| port > 0);
                words = words.pair_opt("port", port).pair_opt("tls-port", tls);
                if port.is_none() && tls.is_none() {
                    words = words.pair("port", 0);
                }
                let address = listen.and_then(|listen| listen.address.as_deref());
                words = words.pair_opt("addr", address.filter(|_| port.is_some() || tls.is_some()));
            }
        }
        if config.spice_sasl {
            words = words.pair("sasl", "on");
            self.sasl(config.spice_sasl_dir.as_deref());
        }
        let has_tls = graphics.tls_port.is_some_and(|port| port > 0);
        let is_local = matches!(kind, Some(ListenType::Socket | ListenType::None));
        if config.spice_tls && has_tls && !is_local {
            words = words.pair("x509-dir", config.spice_tls_x509_cert_dir.to_string_lossy());
        }
        words = spice_channels(graphics, words);
        let has_ticketing = graphics.password.is_none() && config.spice_password.is_none();
        if has_ticketing && !config.spice_sasl {
            words = spice_open(words);
        }
        words = spice_options(graphics, words);
        self.option("-spice", words.pair("seamless-migration", "on").finish());
        if let Some(keymap) = &graphics.keymap {
            self.option("-k", keymap.clone());
        }
    }

    /// libvirt 11.3.0: `qemuBuildVideoCommandLine`, src/qemu/qemu_command.c
    pub(super) fn videos(&mut self) -> Result<()> {
        let devices = self.devices;
        for video in &devices.videos {
            let Some(model) = &video.model else { continue };
            if matches!(model.kind, Some(VideoModel::None) | None) {
                continue;
            }
            let props = self.video(video, model)?;
            self.device(&video.info, props)?;
        }
        Ok(())
    }

    fn video(&self, video: &Video, model: &VideoModelDef) -> Result<Props> {
        let is_primary = model.primary == Some(YesNo::Yes);
        let is_accelerated =
            model.acceleration.as_ref().and_then(|it| it.accel3d) == Some(YesNo::Yes);
        let kind = model.kind.unwrap_or(VideoModel::Vga);
        let driver = match (kind, is_primary) {
            (VideoModel::Vga, _) => String::from("VGA"),
            (VideoModel::Cirrus, _) => String::from("cirrus-vga"),
            (VideoModel::Vmvga, _) => String::from("vmware-svga"),
            (VideoModel::Qxl, true) => String::from("qxl-vga"),
            (VideoModel::Qxl, false) => String::from("qxl"),
            (VideoModel::Bochs, _) => String::from("bochs-display"),
            (VideoModel::Ramfb, _) => String::from("ramfb"),
            (VideoModel::Virtio, true) if self.has_vga() => {
                String::from(if is_accelerated && self.emulator.has("virtio-vga-gl") {
                    "virtio-vga-gl"
                } else {
                    "virtio-vga"
                })
            }
            (VideoModel::Virtio, _) => {
                let name = if is_accelerated && self.emulator.has("virtio-gpu-gl-pci") {
                    "virtio-gpu-gl"
                } else {
                    "virtio-gpu"
                };
                self.virtio(name, None, &video.info)
            }
            (kind, _) => {
                let text = format!("video type '{kind}' is not supported with this QEMU");
                return Err(PlanError::Unsupported(text));
            }
        };
        let driver_options = video.driver.as_ref();
        let props = virtio_switches!(Props::driver(driver), driver_options);
        let props = props.with("id", alias(&video.info)?);
        let resolution = model.resolution.as_ref();
        Ok(self
            .video_memory(kind, model, props)
            .with_switch("blob", model.blob)
            .with_switch("edid", model.edid)
            .with_nonzero("xres", resolution.and_then(|resolution| resolution.x))
            .with_nonzero("yres", resolution.and_then(|resolution| resolution.y))
            .with_all(self.address(&video.info)?))
    }

    /// Whether the machine has a place for a VGA card.
    fn has_vga(&self) -> bool {
        self.emulator.has("virtio-vga") || self.machine.is_x86()
    }

    fn video_memory(&self, kind: VideoModel, model: &VideoModelDef, props: Props) -> Props {
        let bytes = |kib: Option<u32>| kib.map(|kib| u64::from(kib).saturating_mul(1024));
        let mib = |kib: Option<u32>| kib.map(|kib| kib / 1024);
        let heads = model.heads.unwrap_or(1);
        match kind {
            VideoModel::Qxl => props
                .with_opt("max_outputs", (heads > 0).then_some(heads))
                .with_nonzero("ram_size", bytes(model.ram))
                .with_nonzero("vram_size", bytes(model.vram))
                .with_opt("vram64_size_mb", mib(Some(model.vram64.unwrap_or(0))))
                .with_opt("vgamem_mb", mib(model.vgamem)),
            VideoModel::Virtio => props.with("max_outputs", heads),
            VideoModel::Vga | VideoModel::Vmvga => props.with_opt("vgamem_mb", mib(model.vram)),
            VideoModel::Bochs => props.with_nonzero("vgamem", bytes(model.vram)),
            _ => props,
        }
    }
}

/// Address of the host in a VNC display; IPv6 in brackets.
fn host_of(listen: Option<&Listen>) -> String {
    let address = listen.and_then(|listen| listen.address.as_deref()).unwrap_or_default();
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

fn spice_channels(graphics: &Graphics, mut words: Words) -> Words {
    let has_tls = graphics.tls_port.is_some_and(|port| port > 0);
    match graphics.default_mode.as_deref() {
        Some("secure") if has_tls => words = words.pair("tls-channel", "default"),
        Some("insecure") => words = words.pair("plaintext-channel", "default"),
        _ => {}
    }
    // The fixed order of the protocol.
    for name in
        ["main", "display", "inputs", "cursor", "playback", "record", "smartcard", "usbredir"]
    {
        let channel = graphics.channels.iter().find(|it| it.name.as_deref() == Some(name));
        match channel.and_then(|channel| channel.mode.as_deref()) {
            Some("secure") => words = words.pair("tls-channel", name),
            Some("insecure") => words = words.pair("plaintext-channel", name),
            _ => {}
        }
    }
    words
}

fn spice_open(words: Words) -> Words {
    words.pair("disable-ticketing", "on")
}

fn spice_options(graphics: &Graphics, words: Words) -> Words {
    let compression = |it: &Option<oxivirt_conf::domain::device::graphics::SpiceCompression>| {
        it.as_ref().and_then(|it| it.compression.clone())
    };
    let mut words = words
        .pair_opt("image-compression", compression(&graphics.image))
        .pair_opt("jpeg-wan-compression", compression(&graphics.jpeg))
        .pair_opt("zlib-glz-wan-compression", compression(&graphics.zlib))
        .pair_opt("playback-compression", compression(&graphics.playback))
        .pair_opt("streaming-video", graphics.streaming.as_ref().and_then(|it| it.mode.clone()));
    if graphics.clipboard.as_ref().is_some_and(|it| it.copypaste == Some(YesNo::No)) {
        words = words.pair("disable-copy-paste", "on");
    }
    if graphics.file_transfer.as_ref().is_some_and(|it| it.enable == Some(YesNo::No)) {
        words = words.pair("disable-agent-file-xfer", "on");
    }
    if let Some(gl) = &graphics.gl {
        let enable = gl.enable.map(|enable| on_off(enable == YesNo::Yes));
        words = words.pair_opt("gl", enable).pair_opt("rendernode", gl.rendernode.as_deref());
    }
    words
}
