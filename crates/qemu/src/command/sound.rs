//! Sound cards and where sound goes.

use oxivirt_conf::YesNo;
use oxivirt_conf::domain::device::sound::{Audio, AudioChannel, AudioType, Sound, SoundModel};

use super::Build;
use super::address::{alias, virtio_switches};
use super::error::{PlanError, Result};
use super::props::Props;

impl Build<'_> {
    /// libvirt 11.3.0: `qemuBuildAudioCommandLine`, src/qemu/qemu_command.c
    pub(super) fn audio_outputs(&mut self) {
        let devices = self.devices;
        for audio in &devices.audios {
            if let (Some(AudioType::Sdl), Some(driver)) = (audio.kind, &audio.driver) {
                self.environment.push((String::from("SDL_AUDIODRIVER"), driver.clone()));
            }
            self.option("-audiodev", audiodev(audio).to_text());
        }
    }

    /// libvirt 11.3.0: `qemuBuildSoundCommandLine`, src/qemu/qemu_command.c
    pub(super) fn sounds(&mut self) -> Result<()> {
        let devices = self.devices;
        for sound in &devices.sounds {
            let output = self.audio_of(sound);
            let Some(model) = sound.model else {
                return Err(PlanError::unprepared("model of a sound card"));
            };
            if model == SoundModel::Pcspk {
                continue;
            }
            let id = alias(&sound.info)?;
            let is_controller =
                matches!(model, SoundModel::Ich6 | SoundModel::Ich7 | SoundModel::Ich9);
            let props = self.sound(sound, model, id)?;
            let props = if is_controller { props } else { props.with("audiodev", output.as_str()) };
            let props = props
                .with_opt(
                    "streams",
                    (model == SoundModel::Virtio).then(|| sound.streams.unwrap_or(2)),
                )
                .with_opt(
                    "multi",
                    (model == SoundModel::Usb)
                        .then_some(sound.multichannel)
                        .flatten()
                        .map(|it| it == YesNo::Yes),
                )
                .with_all(self.address(&sound.info)?);
            self.device(&sound.info, props)?;
            if is_controller {
                self.codecs(sound, id, &output);
            }
        }
        Ok(())
    }

    fn sound(&self, sound: &Sound, model: SoundModel, id: &str) -> Result<Props> {
        let driver = match model {
            SoundModel::Es1370 => "ES1370",
            SoundModel::Ac97 => "AC97",
            SoundModel::Ich6 => "intel-hda",
            SoundModel::Ich9 => "ich9-intel-hda",
            SoundModel::Usb => "usb-audio",
            SoundModel::Sb16 => "sb16",
            SoundModel::Virtio => {
                let name = self.virtio("virtio-sound", None, &sound.info);
                let options = sound.driver.as_ref();
                return Ok(virtio_switches!(Props::driver(name), options).with("id", id));
            }
            SoundModel::Pcspk | SoundModel::Ich7 => {
                let text = format!("sound card model '{model}' is not supported by qemu");
                return Err(PlanError::Unsupported(text));
            }
        };
        Ok(Props::driver(driver).with("id", id))
    }

    fn codecs(&mut self, sound: &Sound, id: &str, output: &str) {
        let kinds: Vec<Option<&str>> = if sound.codecs.is_empty() {
            vec![None]
        } else {
            sound.codecs.iter().map(|codec| codec.kind.as_deref()).collect()
        };
        for (at, kind) in kinds.into_iter().enumerate() {
            let driver = match kind {
                Some("micro") => "hda-micro",
                Some("output") => "hda-output",
                _ => "hda-duplex",
            };
            let props = Props::driver(driver)
                .with("id", format!("{id}-codec{at}"))
                .with("bus", format!("{id}.0"))
                .with("cad", at)
                .with("audiodev", output);
            self.push_device(&props);
        }
    }

    fn audio_of(&self, sound: &Sound) -> String {
        let own = sound.audio.as_ref().and_then(|audio| audio.id);
        let first = self.devices.audios.first().and_then(|audio| audio.id);
        format!("audio{}", own.or(first).unwrap_or(1))
    }

    /// The output of the machine's own loudspeaker.
    pub(super) fn loudspeaker(&self) -> Option<String> {
        let card = self.devices.sounds.iter().find(|it| it.model == Some(SoundModel::Pcspk))?;
        Some(self.audio_of(card))
    }
}

fn audiodev(audio: &Audio) -> Props {
    let kind = audio.kind.unwrap_or(AudioType::None);
    let driver = match kind {
        AudioType::PulseAudio => "pa",
        AudioType::File => "wav",
        kind => kind.as_str(),
    };
    let yes = |value: Option<YesNo>| value.map(|value| value == YesNo::Yes);
    Props::new()
        .with("id", format!("audio{}", audio.id.unwrap_or(1)))
        .with("driver", driver)
        .with_nonzero("timer-period", audio.timer_period)
        .with_opt("server", audio.server_name.as_deref())
        .with_opt("path", audio.path.as_deref())
        .with_opt("try-mmap", yes(audio.try_mmap))
        .with_opt("exclusive", yes(audio.exclusive))
        .with_opt("dsp-policy", audio.dsp_policy)
        .with_opt("in", audio.input.as_ref().and_then(channel))
        .with_opt("out", audio.output.as_ref().and_then(channel))
}

/// One direction; nothing if nothing is said of it.
fn channel(channel: &AudioChannel) -> Option<Props> {
    let yes = |value: Option<YesNo>| value.map(|value| value == YesNo::Yes);
    let settings = channel.settings.as_ref();
    let props = Props::new()
        .with_opt("mixing-engine", yes(channel.mixing_engine))
        .with_opt("fixed-settings", yes(channel.fixed_settings))
        .with_nonzero("voices", channel.voices)
        .with_nonzero("buffer-length", channel.buffer_length)
        .with_nonzero("frequency", settings.and_then(|it| it.frequency))
        .with_nonzero("channels", settings.and_then(|it| it.channels))
        .with_opt("format", settings.and_then(|it| it.format.as_deref()))
        .with_opt("dev", channel.dev.as_deref())
        .with_nonzero("buffer-count", channel.buffer_count)
        .with_opt("server-name", channel.server_name.as_deref())
        .with_opt("client-name", channel.client_name.as_deref())
        .with_opt("connect-ports", channel.connect_ports.as_deref())
        .with_opt("exact-name", yes(channel.exact_name))
        .with_opt("name", channel.name.as_deref())
        .with_opt("stream-name", channel.stream_name.as_deref())
        .with_nonzero("latency", channel.latency)
        .with_opt("try-poll", yes(channel.try_poll));

    (!props.is_empty()).then_some(props)
}
