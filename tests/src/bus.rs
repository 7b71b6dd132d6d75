//! A message bus of the test's own, in place of the system's, and stand-ins for services on it.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::host::campaign;
use crate::netns::Netns;
use crate::process::Running;
use crate::require::Need;
use crate::root::TempRoot;

const CONFIGURATION: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=@BUS@</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
</policy></busconfig>"#;

/// The bus.
#[derive(Debug)]
pub struct Bus {
    files: TempRoot,
    address: String,
}

impl Bus {
    /// What a bus needs.
    pub const NEED: Need = Need::Program("dbus-daemon");

    /// A bus on a host, with which it ends; [`NEED`](Self::NEED) is the program for it.
    ///
    /// # Errors
    /// It does not start.
    #[expect(clippy::disallowed_methods, reason = "a file of the test, not read yet")]
    pub fn on(netns: &Netns) -> Result<Self> {
        let files = TempRoot::new()?;
        let socket = files.join("bus");
        let file = files.join("bus.conf");
        let text = CONFIGURATION.replace("@BUS@", &socket.display().to_string());
        std::fs::write(&file, text).map_err(Error::file(&file))?;
        let option = format!("--config-file={}", file.display());
        netns.run(["dbus-daemon", "--fork", "--nopidfile", &option]).stdout()?;
        Ok(Self { files, address: format!("unix:path={}", socket.display()) })
    }

    /// How programs find it.
    pub fn environment(&self) -> (&'static str, String) {
        ("DBUS_SYSTEM_BUS_ADDRESS", self.address.clone())
    }

    /// A file for a stand-in to write to.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.join(name)
    }

    /// A stand-in for a service of the system, by the words for `oxivirt-campaign probe`.
    ///
    /// # Errors
    /// It does not come up.
    pub fn stand_in(&self, netns: &Netns, words: &[&str]) -> Result<Running> {
        let (name, address) = self.environment();
        let probe = campaign("probe")?.args(words).env(name, address);
        // A child, so that a test can stop it: nsenter would stop with it, and stay so.
        let mut running = probe.behind(netns.prefix_of_child()).start()?;
        match running.line()?.as_str() {
            "ready" => Ok(running),
            other => Err(Error::Wrong(format!("the stand-in says '{other}'"))),
        }
    }
}
