//! Hosts with a message bus of their own.

use oxivirt_tests::Host;
use oxivirt_tests::bus::Bus;
use oxivirt_tests::require::need;

use super::host_of_ours;
use super::lab::Lab;

/// A host with a bus that its drivers use. libvirtd would look for the system's bus.
pub fn host_with_bus() -> (Bus, Host) {
    let mut host = host_of_ours();
    need(&[Bus::NEED]);
    let bus = Bus::on(host.netns()).unwrap();
    let (name, address) = bus.environment();
    host.set_environment(name, &address);
    (bus, host)
}

/// The same with an open connection.
pub fn lab_with_bus() -> (Bus, Lab) {
    let (bus, host) = host_with_bus();
    (bus, Lab::on(host, &[]))
}
