//! `<video>`

use super::super::address::DeviceInfo;
use crate::element::elements;
use crate::keyword::{OnOff, YesNo, words};

words! {
    /// Graphics cards.
    pub enum VideoModel {
        Vga = "vga",
        Cirrus = "cirrus",
        Vmvga = "vmvga",
        Xen = "xen",
        Vbox = "vbox",
        Qxl = "qxl",
        Parallels = "parallels",
        Virtio = "virtio",
        Gop = "gop",
        None = "none",
        Bochs = "bochs",
        Ramfb = "ramfb",
    }
}

elements! {
    /// `<video>`
    pub struct Video {
        child driver: Option<VideoDriver> = "driver",
        child model: Option<VideoModelDef> = "model",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// `<driver>` of a graphics card
    pub struct VideoDriver {
        attr iommu: Option<OnOff> = "iommu",
        attr ats: Option<OnOff> = "ats",
        attr packed: Option<OnOff> = "packed",
        attr page_per_vq: Option<OnOff> = "page_per_vq",
        attr name: Option<String> = "name",
        attr vga_conf: Option<String> = "vgaconf",
    }

    /// `<model>` of a graphics card; sizes are KiB.
    pub struct VideoModelDef {
        attr kind: Option<VideoModel> = "type",
        attr ram: Option<u32> = "ram",
        attr vram: Option<u32> = "vram",
        attr vram64: Option<u32> = "vram64",
        attr vgamem: Option<u32> = "vgamem",
        attr heads: Option<u32> = "heads",
        attr primary: Option<YesNo> = "primary",
        attr blob: Option<OnOff> = "blob",
        attr edid: Option<OnOff> = "edid",
        child acceleration: Option<VideoAcceleration> = "acceleration",
        child resolution: Option<VideoResolution> = "resolution",
    }

    /// `<acceleration>`
    pub struct VideoAcceleration {
        attr accel2d: Option<YesNo> = "accel2d",
        attr accel3d: Option<YesNo> = "accel3d",
        attr rendernode: Option<String> = "rendernode",
    }

    /// `<resolution>`
    pub struct VideoResolution {
        attr x: Option<u32> = "x",
        attr y: Option<u32> = "y",
    }
}
