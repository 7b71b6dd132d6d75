//! `<memballoon>`

use super::super::address::DeviceInfo;
use super::VirtioDriver;
use crate::element::elements;
use crate::keyword::{OnOff, words};

words! {
    /// Balloon models.
    pub enum MemballoonModel {
        Virtio = "virtio",
        VirtioTransitional = "virtio-transitional",
        VirtioNonTransitional = "virtio-non-transitional",
        Xen = "xen",
        None = "none",
    }
}

elements! {
    /// `<memballoon>`
    pub struct Memballoon {
        attr model: Option<MemballoonModel> = "model",
        attr autodeflate: Option<OnOff> = "autodeflate",
        attr free_page_reporting: Option<OnOff> = "freePageReporting",
        child stats: Option<MemballoonStats> = "stats",
        flatten info: DeviceInfo = "(the same element)",
        child driver: Option<VirtioDriver> = "driver",
    }

    /// How often statistics are collected, in seconds.
    pub struct MemballoonStats {
        attr period: Option<u32> = "period",
    }
}
