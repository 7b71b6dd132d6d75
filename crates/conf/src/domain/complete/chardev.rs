//! Character devices.

use super::super::device::Devices;
use super::super::device::chardev::{
    CharProtocol, CharProtocolType, CharSource, CharType, SocketMode,
};

/// Fills in who connects to whom and what is spoken.
///
/// libvirt 11.3.0: `virDomainChrSourceDefParseXML`, src/conf/domain_conf.c
pub(super) fn complete(devices: &mut Devices) {
    let ports = devices.serials.iter_mut().chain(&mut devices.parallels);
    let ports = ports.chain(&mut devices.consoles).chain(&mut devices.channels);
    for port in ports {
        complete_source(port.kind, &mut port.sources, &mut port.protocol);
    }
    for redirdev in &mut devices.redirdevs {
        complete_source(redirdev.kind, &mut redirdev.sources, &mut redirdev.protocol);
    }
    for card in &mut devices.smartcards {
        complete_source(card.kind, &mut card.sources, &mut card.protocol);
    }
    for backend in devices.rngs.iter_mut().flat_map(|rng| &mut rng.backends) {
        let kind = match backend.kind.as_deref() {
            Some("tcp") => Some(CharType::Tcp),
            Some("udp") => Some(CharType::Udp),
            Some("unix") => Some(CharType::Unix),
            _ => None,
        };
        complete_source(kind, &mut backend.sources, &mut backend.protocol);
    }
}

fn complete_source(
    kind: Option<CharType>,
    sources: &mut Vec<CharSource>,
    protocol: &mut Option<CharProtocol>,
) {
    match kind {
        Some(CharType::Tcp) => {
            sources.iter_mut().for_each(default_mode);
            let protocol = protocol.get_or_insert_with(CharProtocol::default);
            protocol.kind.get_or_insert(CharProtocolType::Raw);
        }
        Some(CharType::Udp) => {
            sources.iter_mut().for_each(default_mode);
            // The local end comes first.
            sources.sort_by_key(|source| source.mode != Some(SocketMode::Bind));
            *protocol = None;
        }
        Some(CharType::Unix) => {
            *protocol = None;
            for source in sources.iter_mut().filter(|source| source.path.is_some()) {
                default_mode(source);
            }
        }
        Some(CharType::Null | CharType::Vc | CharType::Stdio | CharType::SpiceVmc) => {
            sources.clear();
            *protocol = None;
        }
        _ => {}
    }
}

fn default_mode(source: &mut CharSource) {
    source.mode.get_or_insert(SocketMode::Connect);
}
