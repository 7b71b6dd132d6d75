//! A message bus of the test's own, in place of the system's.

use std::path::PathBuf;

use oxivirt_tests::process::{Running, find};
use oxivirt_tests::{Host, TempRoot, require};

use super::host_of_ours;
use super::lab::Lab;

const CONFIGURATION: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=@BUS@</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
</policy></busconfig>"#;

/// The bus.
pub struct Bus {
    files: TempRoot,
    address: String,
}

impl Bus {
    /// The bus ends with the host.
    #[expect(clippy::disallowed_methods, reason = "a file of the test, not read yet")]
    fn on(host: &Host) -> Self {
        let files = TempRoot::new().unwrap();
        let socket = files.join("bus");
        let file = files.join("bus.conf");
        let text = CONFIGURATION.replace("@BUS@", &socket.display().to_string());
        std::fs::write(&file, text).unwrap();
        let option = format!("--config-file={}", file.display());
        host.netns().run(["dbus-daemon", "--fork", "--nopidfile", &option]).stdout().unwrap();
        Self { files, address: format!("unix:path={}", socket.display()) }
    }

    /// A file for a stand-in to write to.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.join(name)
    }

    /// A stand-in for a service of the system, by the words for `oxivirt-probe`.
    pub fn stand_in(&self, host: &Host, words: &[&str]) -> Running {
        let probe = oxivirt_tests::host::program("oxivirt-probe").unwrap();
        let run = host.netns().run([probe.as_os_str()]).args(words);
        let mut running = run.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address).start().unwrap();
        assert_eq!(running.line().unwrap(), "ready");
        running
    }
}

/// A host with a bus that its drivers use. libvirtd would look for the system's bus.
pub fn host_with_bus(test: &str) -> Option<(Bus, Host)> {
    let mut host = host_of_ours(test)?;
    if find("dbus-daemon").is_none() {
        require::report(test, "dbus-daemon is not installed").unwrap();
        return None;
    }
    let bus = Bus::on(&host);
    host.set_environment("DBUS_SYSTEM_BUS_ADDRESS", &bus.address);
    Some((bus, host))
}

/// The same with an open connection.
pub fn lab_with_bus(test: &str) -> Option<(Bus, Lab)> {
    host_with_bus(test).map(|(bus, host)| (bus, Lab::on(host, &[])))
}
