//! `<seclabel>`, `<keywrap>`, `<launchSecurity>`, `<resource>`.

use crate::element::elements;
use crate::keyword::{OnOff, YesNo, words};

words! {
    /// How a label is chosen.
    pub enum SeclabelType {
        None = "none",
        Dynamic = "dynamic",
        Static = "static",
    }
}

elements! {
    /// `<seclabel>` of a guest
    pub struct Seclabel {
        attr kind: Option<SeclabelType> = "type",
        attr model: Option<String> = "model",
        attr relabel: Option<YesNo> = "relabel",
        text label: Option<String> = "label",
        text image_label: Option<String> = "imagelabel",
        text base_label: Option<String> = "baselabel",
    }

    /// `<seclabel>` of a device
    pub struct DeviceSeclabel {
        attr model: Option<String> = "model",
        attr label_skip: Option<YesNo> = "labelskip",
        attr relabel: Option<YesNo> = "relabel",
        text label: Option<String> = "label",
    }

    /// `<keywrap>`
    pub struct KeyWrap {
        list ciphers: Vec<KeyWrapCipher> = "cipher",
    }

    /// Whether keys of a cipher can be protected.
    pub struct KeyWrapCipher {
        attr name: Option<String> = "name",
        attr state: Option<OnOff> = "state",
    }

    /// `<launchSecurity>`
    pub struct LaunchSecurity {
        attr kind: Option<String> = "type",
        attr kernel_hashes: Option<YesNo> = "kernelHashes",
        attr author_key: Option<YesNo> = "authorKey",
        attr vcek: Option<YesNo> = "vcek",
        text cbitpos: Option<u32> = "cbitpos",
        text reduced_phys_bits: Option<u32> = "reducedPhysBits",
        text policy: Option<String> = "policy",
        text guest_visible_workarounds: Option<String> = "guestVisibleWorkarounds",
        text id_block: Option<String> = "idBlock",
        text id_auth: Option<String> = "idAuth",
        text host_data: Option<String> = "hostData",
        text dh_cert: Option<String> = "dhCert",
        text session: Option<String> = "session",
    }

    /// `<resource>`
    pub struct Resource {
        text partition: Option<String> = "partition",
        child fibre_channel: Option<FibreChannel> = "fibrechannel",
    }

    /// `<fibrechannel>`
    pub struct FibreChannel {
        attr app_id: Option<String> = "appid",
    }
}
