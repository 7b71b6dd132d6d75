//! A host with running networks and one open connection.

use oxivirt_tests::error::{Error, Result};
use oxivirt_tests::packets::name_of;
use oxivirt_tests::process::Running;
use oxivirt_tests::session::Session;
use oxivirt_tests::{Guest, Host};

use super::{host, host_of_ours};

/// `VIR_NETWORK_UPDATE_COMMAND_MODIFY` and so on.
pub const MODIFY: u32 = 1;
pub const DELETE: u32 = 2;
pub const ADD: u32 = 3;

/// `VIR_NETWORK_SECTION_…`
pub const DHCP_HOST: u32 = 4;
pub const DHCP_RANGE: u32 = 5;
pub const DNS_HOST: u32 = 10;
pub const DNS_TXT: u32 = 11;

/// A host on which networks run, until dropped.
pub struct Lab {
    // The driver ends before its host.
    pub session: Session,
    pub host: Host,
}

impl Lab {
    /// Starts networks on a fresh host.
    pub fn new(networks: &[&str]) -> Self {
        Self::on(host(), networks)
    }

    /// The same, for what libvirt does wrong or cannot be put into.
    pub fn of_ours(networks: &[&str]) -> Self {
        Self::on(host_of_ours(), networks)
    }

    /// Starts networks on a host that was prepared.
    pub fn on(host: Host, networks: &[&str]) -> Self {
        let session = Session::listen(&host).unwrap();
        let mut lab = Self { session, host };
        for xml in networks {
            lab.start(xml).unwrap();
        }
        lab
    }

    /// Defines and starts a network.
    pub fn start(&mut self, xml: &str) -> Result<()> {
        self.session.call("define", "-", xml)?;
        self.session.call("start", name_of(xml)?, "").map(drop)
    }

    /// A guest with a chosen hardware address on a bridge.
    pub fn guest(&self, bridge: &str, number: u8) -> Guest {
        let port = format!("{bridge}-{number}");
        Guest::with_mac(&self.host, bridge, &port, &mac(number)).unwrap()
    }

    /// Runs a script on the host.
    pub fn sh(&self, script: &str) -> String {
        self.host.netns().sh(script).unwrap()
    }

    /// Changes a running network and its definition.
    pub fn update(&mut self, network: &str, [command, section]: [u32; 2], xml: &str) -> Result<()> {
        let argument = format!("{command} {section} -1 3 {xml}");
        self.session.call("update", network, &argument).map(drop)
    }

    /// Asks for a port of guest `number`; its UUID.
    pub fn port(&mut self, network: &str, number: u8, rest: &str) -> Result<String> {
        let argument = format!("0 {}", port_xml(number, rest));
        self.session.ask("port-create", network, &argument)
    }

    /// The document of a port.
    pub fn port_xml(&mut self, network: &str, uuid: &str) -> String {
        self.session.ask("port-xml", network, uuid).unwrap()
    }

    /// The live document of a network.
    pub fn xml(&mut self, network: &str) -> String {
        self.session.ask("xml", network, "0").unwrap()
    }

    /// Ends the driver and starts it again, over what runs.
    pub fn restart(self) -> Self {
        let Self { session, host } = self;
        drop(session);
        host.restart().unwrap();
        Self { session: Session::listen(&host).unwrap(), host }
    }

    /// The processes of dnsmasq whose configuration is that of `network`: host's numbers.
    pub fn dnsmasq(&self, network: &str) -> Vec<u32> {
        let conf = format!("{network}.conf");
        let processes = self.host.netns().processes().unwrap();
        let its = processes.into_iter().filter(|process| {
            process.command.contains("dnsmasq --conf") && process.command.contains(&conf)
        });
        its.map(|process| process.inside).collect()
    }
}

/// A neighbour of a host at 203.0.113.2 and 2001:db8:113::2, behind the link `uplink`. It knows no
/// way to any network.
pub fn outside(host: &Host) -> Guest {
    let addresses =
        [("203.0.113.1/24", "203.0.113.2/24"), ("2001:db8:113::1/64", "2001:db8:113::2/64")];
    Guest::beside(host, "uplink", &addresses).unwrap()
}

/// The hardware address of guest `number`.
pub fn mac(number: u8) -> String {
    format!("52:54:00:aa:00:{number:02x}")
}

/// What a domain driver sends for guest `number`.
pub fn port_xml(number: u8, rest: &str) -> String {
    format!(
        "<networkport><uuid>00000000-0000-0000-0000-0000000000{number:02x}</uuid>
         <owner><name>g{number}</name><uuid>00000000-0000-0000-0000-0000000001{number:02x}</uuid></owner>
         <mac address='{}'/>{rest}</networkport>",
        mac(number)
    )
}

/// What a probe prints when its input ends, as a number.
pub fn number(running: Running) -> u64 {
    running.finish().unwrap().trim().parse().unwrap()
}

/// Fails unless the driver refused with this number and something like this message.
#[track_caller]
pub fn assert_error<T: std::fmt::Debug>(outcome: Result<T>, code: u32, part: &str) {
    match outcome {
        Err(Error::Refused { number, message, .. }) => {
            assert!(number == code && message.contains(part), "error {number}: {message}");
        }
        other => panic!("not refused: {other:?}"),
    }
}
