//! `<rng>`

use super::super::address::DeviceInfo;
use super::VirtioDriver;
use super::chardev::{CharProtocol, CharSource};
use crate::element::elements;
use crate::keyword::words;

words! {
    /// Models of random number generators.
    pub enum RngModel {
        Virtio = "virtio",
        VirtioTransitional = "virtio-transitional",
        VirtioNonTransitional = "virtio-non-transitional",
    }

    /// Where random numbers come from.
    pub enum RngBackendModel {
        Random = "random",
        Egd = "egd",
        Builtin = "builtin",
    }
}

elements! {
    /// `<rng>`
    pub struct Rng {
        attr model: Option<RngModel> = "model",
        child rate: Option<RngRate> = "rate",
        list backends: Vec<RngBackend> = "backend",
        child driver: Option<VirtioDriver> = "driver",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// A limit of the rate.
    pub struct RngRate {
        attr bytes: Option<u32> = "bytes",
        attr period: Option<u32> = "period",
    }

    /// `<backend>` of a random number generator
    pub struct RngBackend {
        attr model: Option<RngBackendModel> = "model",
        attr kind: Option<String> = "type",
        list sources: Vec<CharSource> = "source",
        child protocol: Option<CharProtocol> = "protocol",
        body path: Option<String> = "backend",
    }
}
