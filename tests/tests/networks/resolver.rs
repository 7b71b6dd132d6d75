//! `<domain register='yes'>`: the host's resolver hears of the network's names.

use oxivirt_tests::process::{Running, find};
use oxivirt_tests::{Host, TempRoot, require};

use super::host_of_ours;
use super::lab::{Lab, assert_error};

const REGISTERED: &str = "<network><name>known</name><bridge name='virbr0' stp='off'/>
  <mac address='52:54:00:6b:00:01'/><domain name='lab.test' localOnly='yes' register='yes'/>
  <ip address='192.168.99.1' prefix='24'/><ip address='10.99.0.1' prefix='24'/>
  <ip family='ipv6' address='fd00:99::1' prefix='64'/></network>";

const CONFIGURATION: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=@BUS@</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
</policy></busconfig>"#;

/// A message bus of the test's own, in place of the system's.
struct Bus {
    _files: TempRoot,
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
        Self { _files: files, address: format!("unix:path={}", socket.display()) }
    }

    /// A resolver that says yes and tells what it was asked, or refuses.
    fn resolver(&self, host: &Host, verb: &str) -> Running {
        let probe = oxivirt_tests::host::program("oxivirt-probe").unwrap();
        let run = host.netns().run([probe.as_os_str(), "resolver".as_ref(), verb.as_ref()]);
        let mut running = run.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address).start().unwrap();
        assert_eq!(running.line().unwrap(), "ready");
        running
    }
}

/// A host with a bus, and a connection that uses it. libvirtd would look for the system's bus.
fn prepare(test: &str) -> Option<(Bus, Lab)> {
    let mut host = host_of_ours(test)?;
    if find("dbus-daemon").is_none() {
        require::report(test, "dbus-daemon is not installed").unwrap();
        return None;
    }
    let bus = Bus::on(&host);
    host.set_environment("DBUS_SYSTEM_BUS_ADDRESS", &bus.address);
    Some((bus, Lab::on(host, &[])))
}

#[test]
fn the_resolver_hears_of_domain_and_servers() {
    let test = "the_resolver_hears_of_domain_and_servers";
    let Some((bus, mut lab)) = prepare(test) else { return };
    let resolver = bus.resolver(&lab.host, "accept");
    lab.start(REGISTERED).unwrap();
    let index = lab.sh("cat /sys/class/net/virbr0/ifindex").trim().to_owned();
    let told = resolver.finish().unwrap();
    // AF_INET and AF_INET6 with the first address of each family
    let expect = format!(
        "SetLinkDomains {index} lab.test true\nSetLinkDNS {index} 2 192.168.99.1 10 fd00:99::1\n"
    );
    assert_eq!(told, expect);
}

#[test]
fn without_a_resolver_the_start_fails() {
    let Some((_bus, mut lab)) = prepare("without_a_resolver_the_start_fails") else { return };
    assert_error(lab.start(REGISTERED), 55, "systemd-resolved is not available");
    assert_eq!(lab.sh("ip -o link show type bridge"), "");
    assert!(lab.dnsmasq("known").is_empty());
}

#[test]
fn without_a_bus_the_start_fails() {
    let Some(mut host) = host_of_ours("without_a_bus_the_start_fails") else { return };
    host.set_environment("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    let mut lab = Lab::on(host, &[]);
    assert_error(lab.start(REGISTERED), 55, "systemd-resolved is not available");
}

#[test]
fn a_resolver_that_refuses_ends_the_start() {
    let Some((bus, mut lab)) = prepare("a_resolver_that_refuses_ends_the_start") else { return };
    let _resolver = bus.resolver(&lab.host, "refuse");
    assert_error(lab.start(REGISTERED), 1, "not today");
    assert_eq!(lab.sh("ip -o link show type bridge"), "");
}
