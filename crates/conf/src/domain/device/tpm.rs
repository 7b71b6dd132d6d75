//! `<tpm>`

use super::super::address::DeviceInfo;
use super::chardev::CharSource;
use crate::element::elements;
use crate::keyword::{YesNo, words};

words! {
    /// TPM models.
    pub enum TpmModel {
        TpmTis = "tpm-tis",
        TpmCrb = "tpm-crb",
        TpmSpapr = "tpm-spapr",
        SpaprTpmProxy = "spapr-tpm-proxy",
    }

    /// Where a TPM comes from.
    pub enum TpmBackendType {
        Passthrough = "passthrough",
        Emulator = "emulator",
        External = "external",
    }

    /// TPM versions.
    pub enum TpmVersion {
        V1_2 = "1.2",
        V2_0 = "2.0",
    }
}

elements! {
    /// `<tpm>`
    pub struct Tpm {
        attr model: Option<TpmModel> = "model",
        child backend: Option<TpmBackend> = "backend",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// `<backend>` of a TPM
    pub struct TpmBackend {
        attr kind: Option<TpmBackendType> = "type",
        attr version: Option<TpmVersion> = "version",
        attr persistent_state: Option<YesNo> = "persistent_state",
        attr debug: Option<u32> = "debug",
        child device: Option<TpmDevice> = "device",
        child encryption: Option<TpmEncryption> = "encryption",
        child active_pcr_banks: Option<PcrBanks> = "active_pcr_banks",
        child source: Option<CharSource> = "source",
        child profile: Option<TpmProfile> = "profile",
    }

    /// `<device>` of a TPM
    pub struct TpmDevice {
        attr path: Option<String> = "path",
    }

    /// Secret that protects a TPM's state.
    pub struct TpmEncryption {
        attr secret: Option<String> = "secret",
    }

    /// `<profile>`
    pub struct TpmProfile {
        attr source: Option<String> = "source",
        attr remove_disabled: Option<String> = "removeDisabled",
        attr name: Option<String> = "name",
    }

    /// Banks of registers that are used.
    pub struct PcrBanks {
        flag sha1: bool = "sha1",
        flag sha256: bool = "sha256",
        flag sha384: bool = "sha384",
        flag sha512: bool = "sha512",
    }
}
