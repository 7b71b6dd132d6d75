//! `<input>`

use super::super::address::DeviceInfo;
use super::VirtioDriver;
use crate::element::elements;
use crate::keyword::{OnOff, words};

words! {
    /// Kinds of input devices.
    pub enum InputType {
        Mouse = "mouse",
        Tablet = "tablet",
        Keyboard = "keyboard",
        Passthrough = "passthrough",
        Evdev = "evdev",
    }

    /// Buses of input devices.
    pub enum InputBus {
        Ps2 = "ps2",
        Usb = "usb",
        Xen = "xen",
        Parallels = "parallels",
        Virtio = "virtio",
        None = "none",
    }

    /// Models of virtio input devices.
    pub enum InputModel {
        Virtio = "virtio",
        VirtioTransitional = "virtio-transitional",
        VirtioNonTransitional = "virtio-non-transitional",
    }

    /// What an event device grabs.
    pub enum InputGrab {
        All = "all",
    }
}

elements! {
    /// `<input>`
    pub struct Input {
        attr kind: Option<InputType> = "type",
        attr bus: Option<InputBus> = "bus",
        attr model: Option<InputModel> = "model",
        child driver: Option<VirtioDriver> = "driver",
        child source: Option<InputSource> = "source",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// The host's device.
    pub struct InputSource {
        attr dev: Option<String> = "dev",
        attr evdev: Option<String> = "evdev",
        attr grab: Option<InputGrab> = "grab",
        attr grab_toggle: Option<String> = "grabToggle",
        attr repeat: Option<OnOff> = "repeat",
    }
}
