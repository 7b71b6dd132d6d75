//! `<sound>` and `<audio>`

use super::super::address::DeviceInfo;
use super::VirtioDriver;
use super::graphics::AudioId;
use crate::element::elements;
use crate::keyword::{YesNo, words};

words! {
    /// Sound cards.
    pub enum SoundModel {
        Sb16 = "sb16",
        Es1370 = "es1370",
        Pcspk = "pcspk",
        Ac97 = "ac97",
        Ich6 = "ich6",
        Ich9 = "ich9",
        Usb = "usb",
        Ich7 = "ich7",
        Virtio = "virtio",
    }

    /// Where sound goes.
    pub enum AudioType {
        None = "none",
        Alsa = "alsa",
        CoreAudio = "coreaudio",
        Jack = "jack",
        Oss = "oss",
        PulseAudio = "pulseaudio",
        Sdl = "sdl",
        Spice = "spice",
        File = "file",
        Dbus = "dbus",
        PipeWire = "pipewire",
    }
}

elements! {
    /// `<sound>`
    pub struct Sound {
        attr model: Option<SoundModel> = "model",
        attr multichannel: Option<YesNo> = "multichannel",
        attr streams: Option<u32> = "streams",
        list codecs: Vec<SoundCodec> = "codec",
        child audio: Option<AudioId> = "audio",
        flatten info: DeviceInfo = "(the same element)",
        child driver: Option<VirtioDriver> = "driver",
    }

    /// `<codec>`
    pub struct SoundCodec {
        attr kind: Option<String> = "type",
    }

    /// `<audio>`
    pub struct Audio {
        attr id: Option<u32> = "id",
        attr kind: Option<AudioType> = "type",
        attr timer_period: Option<u32> = "timerPeriod",
        attr server_name: Option<String> = "serverName",
        attr try_mmap: Option<YesNo> = "tryMMap",
        attr exclusive: Option<YesNo> = "exclusive",
        attr dsp_policy: Option<i32> = "dspPolicy",
        attr driver: Option<String> = "driver",
        attr runtime_dir: Option<String> = "runtimeDir",
        attr path: Option<String> = "path",
        child input: Option<AudioChannel> = "input",
        child output: Option<AudioChannel> = "output",
    }

    /// One direction of sound.
    pub struct AudioChannel {
        attr mixing_engine: Option<YesNo> = "mixingEngine",
        attr fixed_settings: Option<YesNo> = "fixedSettings",
        attr voices: Option<u32> = "voices",
        attr buffer_length: Option<u32> = "bufferLength",
        attr dev: Option<String> = "dev",
        attr buffer_count: Option<u32> = "bufferCount",
        attr server_name: Option<String> = "serverName",
        attr client_name: Option<String> = "clientName",
        attr connect_ports: Option<String> = "connectPorts",
        attr exact_name: Option<YesNo> = "exactName",
        attr name: Option<String> = "name",
        attr stream_name: Option<String> = "streamName",
        attr latency: Option<u32> = "latency",
        attr try_poll: Option<YesNo> = "tryPoll",
        child settings: Option<AudioSettings> = "settings",
    }

    /// Fixed settings.
    pub struct AudioSettings {
        attr frequency: Option<u32> = "frequency",
        attr channels: Option<u32> = "channels",
        attr format: Option<String> = "format",
    }
}
