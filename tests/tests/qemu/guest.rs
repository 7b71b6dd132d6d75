//! A guest with a kernel of its own on a network.

use oxivirt_tests::qemu::{Image, Machine};
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{Host, Subject, apply, scenario};

const NAT: &str = include_str!("../../data/networks/nat.xml");
const MAC: &str = "52:54:00:6b:00:77";

#[apply(scenario)]
fn a_real_guest_takes_a_lease_and_powers_off() {
    need(&[Need::Netns, Need::Guest]);
    let host = Host::new(Subject::Oxivirt).unwrap();
    host.define(NAT).unwrap();
    host.start("nat").unwrap();
    host.netns().sh("ip tuntap add tap0 mode tap; ip link set tap0 master virbr0 up").unwrap();
    let card = format!("virtio-net-pci,netdev=net0,mac={MAC}");
    let devices = ["-netdev", "tap,id=net0,ifname=tap0,script=no,downscript=no", "-device", &card];
    let image = Image::get().unwrap();
    let mut guest = Machine::boot(host.netns(), &image, "guest1", &devices).unwrap();

    let address = guest.says("lease eth0 ").unwrap();
    let leases = host.done(&["net-dhcp-leases", "nat"]).unwrap();
    let lease = leases.lines().find(|line| line.contains(MAC)).unwrap_or_default();
    assert!(lease.contains(&format!(" {address}/24 ")) && lease.contains("guest1"), "{leases}");
    assert_eq!(guest.sh("hostname").unwrap(), "guest1");
    guest.sh("ping -c 1 192.168.122.1 > /dev/null").unwrap();
    guest.sh("false").unwrap_err();

    guest.press_power_button().unwrap();
    guest.says("power button").unwrap();
    assert!(guest.ended().unwrap().success());
}
