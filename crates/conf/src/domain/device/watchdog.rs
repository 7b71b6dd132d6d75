//! `<watchdog>`

use super::super::address::DeviceInfo;
use crate::element::elements;
use crate::keyword::words;

words! {
    /// Watchdog models.
    pub enum WatchdogModel {
        I6300esb = "i6300esb",
        Ib700 = "ib700",
        Diag288 = "diag288",
        Itco = "itco",
    }

    /// What a watchdog does when it fires.
    pub enum WatchdogAction {
        Reset = "reset",
        Shutdown = "shutdown",
        Poweroff = "poweroff",
        Pause = "pause",
        Dump = "dump",
        None = "none",
        InjectNmi = "inject-nmi",
    }
}

elements! {
    /// `<watchdog>`
    pub struct Watchdog {
        attr model: Option<WatchdogModel> = "model",
        attr action: Option<WatchdogAction> = "action",
        flatten info: DeviceInfo = "(the same element)",
    }
}
