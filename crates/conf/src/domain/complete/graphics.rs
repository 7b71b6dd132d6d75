//! Displays and graphics cards.

use super::super::device::graphics::{Graphics, GraphicsType, Listen, ListenType};
use super::super::device::video::{Video, VideoModel, VideoModelDef};
use crate::keyword::YesNo;

/// Ports and addresses of a display.
///
/// libvirt 11.3.0: `virDomainGraphicsDefParseXML`, src/conf/domain_conf.c
pub(super) fn complete(graphics: &mut Graphics) {
    match graphics.kind {
        Some(GraphicsType::Vnc | GraphicsType::Rdp) => {
            let names_socket = graphics
                .listens
                .first()
                .is_some_and(|listen| listen.kind == Some(ListenType::Socket));
            if graphics.socket.is_some() && !names_socket {
                graphics.listens = vec![Listen {
                    kind: Some(ListenType::Socket),
                    socket: graphics.socket.clone(),
                    ..Listen::default()
                }];
            }
            complete_listens(graphics);
            if is_local(graphics) {
                graphics.port = None;
                graphics.autoport = None;
                return;
            }
            if graphics.port.is_none() && graphics.autoport == Some(YesNo::No) {
                return;
            }
            let is_open = matches!(graphics.port, None | Some(-1));
            let open = if graphics.kind == Some(GraphicsType::Rdp) { 0 } else { -1 };
            if is_open {
                graphics.port = Some(open);
                graphics.autoport = Some(YesNo::Yes);
            } else if graphics.autoport == Some(YesNo::Yes) {
                graphics.port = Some(open);
            } else {
                graphics.autoport = Some(YesNo::No);
            }
        }
        Some(GraphicsType::Spice) => {
            complete_listens(graphics);
            complete_spice(graphics);
        }
        Some(GraphicsType::Sdl) => {
            graphics.fullscreen = graphics.fullscreen.filter(|&on| on == YesNo::Yes);
        }
        _ => {}
    }
}

/// Whether a display has no port.
fn is_local(graphics: &Graphics) -> bool {
    graphics
        .listens
        .first()
        .is_some_and(|listen| matches!(listen.kind, Some(ListenType::Socket | ListenType::None)))
}

fn complete_spice(graphics: &mut Graphics) {
    if is_local(graphics) {
        graphics.port = None;
        graphics.tls_port = None;
        graphics.autoport = None;
        return;
    }
    let is_auto = graphics.autoport == Some(YesNo::Yes)
        || graphics.port == Some(-1) && graphics.tls_port == Some(-1);
    if is_auto {
        graphics.autoport = Some(YesNo::Yes);
        graphics.port = None;
        graphics.tls_port = None;
    } else {
        graphics.autoport = Some(YesNo::No);
        graphics.port = graphics.port.filter(|&port| port != 0);
        graphics.tls_port = graphics.tls_port.filter(|&port| port != 0);
    }
}

/// Makes the attribute `listen` and the first `<listen>` agree.
fn complete_listens(graphics: &mut Graphics) {
    let attribute = graphics.listen.take();
    if graphics.listens.is_empty() {
        // Spice without any port is not reachable at all.
        let is_closed = graphics.kind == Some(GraphicsType::Spice)
            && graphics.autoport != Some(YesNo::Yes)
            && graphics.port.unwrap_or(0) == 0
            && graphics.tls_port.unwrap_or(0) == 0;
        let kind = if is_closed { ListenType::None } else { ListenType::Address };
        graphics.listens.push(Listen {
            kind: Some(kind),
            address: attribute.clone(),
            ..Listen::default()
        });
    }
    if let Some(first) = graphics.listens.first()
        && first.kind == Some(ListenType::Address)
    {
        // One that differs is left for the check.
        graphics.listen = attribute.or_else(|| first.address.clone());
    }
    if let Some(first) = graphics.listens.first()
        && first.kind == Some(ListenType::Socket)
        && graphics.kind == Some(GraphicsType::Vnc)
    {
        graphics.socket = graphics.socket.take().or_else(|| first.socket.clone());
    }
}

/// Memory and outputs of a graphics card.
///
/// libvirt 11.3.0: `qemuDomainDeviceVideoDefPostParse`, src/qemu/qemu_postparse.c
pub(super) fn complete_videos(videos: &mut [Video]) {
    for video in &mut *videos {
        let model = video.model.get_or_insert_with(VideoModelDef::default);
        if let Some(kind) = model.kind {
            complete_video(model, kind);
        }
    }
    let is_primary =
        |video: &Video| video.model.as_ref().is_some_and(|model| model.primary == Some(YesNo::Yes));
    let first = videos.iter().position(is_primary).unwrap_or(0);
    for (at, model) in videos.iter_mut().map(|video| &mut video.model).enumerate() {
        if let Some(model) = model
            && model.kind != Some(VideoModel::None)
        {
            model.primary = (at == first).then_some(YesNo::Yes);
        }
    }
}

fn complete_video(model: &mut VideoModelDef, kind: VideoModel) {
    model.heads.get_or_insert(1);
    match kind {
        VideoModel::Vga | VideoModel::Cirrus | VideoModel::Vmvga | VideoModel::Bochs => {
            model.vram.get_or_insert(16 * 1024);
        }
        VideoModel::Qxl => {
            model.ram.get_or_insert(64 * 1024);
            model.vram.get_or_insert(64 * 1024);
            model.vgamem.get_or_insert(16 * 1024);
        }
        _ => {}
    }
    if let Some(ram) = &mut model.ram {
        *ram = ram.next_power_of_two();
    }
    if let Some(vram) = &mut model.vram
        && kind == VideoModel::Qxl
    {
        *vram = vram.next_power_of_two();
    }
    if let Some(vgamem) = &mut model.vgamem {
        *vgamem = vgamem.next_power_of_two();
    }
    if kind == VideoModel::None {
        model.heads = None;
        model.primary = None;
    }
}
