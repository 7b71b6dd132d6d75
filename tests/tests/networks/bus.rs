//! Hosts with a message bus of their own.

use oxivirt_tests::Host;
use oxivirt_tests::bus::Bus;

use super::host_of_ours;
use super::lab::Lab;

/// A host with a bus that its drivers use. libvirtd would look for the system's bus.
pub fn host_with_bus(test: &str) -> Option<(Bus, Host)> {
    let mut host = host_of_ours(test)?;
    let bus = Bus::on(host.netns(), test).unwrap()?;
    let (name, address) = bus.environment();
    host.set_environment(name, &address);
    Some((bus, host))
}

/// The same with an open connection.
pub fn lab_with_bus(test: &str) -> Option<(Bus, Lab)> {
    host_with_bus(test).map(|(bus, host)| (bus, Lab::on(host, &[])))
}
