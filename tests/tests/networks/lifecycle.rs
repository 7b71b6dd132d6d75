//! A network's life: it starts, it survives its driver, it goes without a trace.

use oxivirt_tests::host::is_documented_leftover;
use oxivirt_tests::snapshot::Section;
use oxivirt_tests::{Subject, apply, scenario};

use super::host;

const NAT: &str = include_str!("../../data/networks/nat.xml");
const NAT_DUAL: &str = include_str!("../../data/networks/nat-dual.xml");
const ROUTE: &str = include_str!("../../data/networks/route.xml");
const OPEN: &str = include_str!("../../data/networks/open.xml");
const ISOLATED: &str = include_str!("../../data/networks/isolated.xml");

/// Starts and destroys a network, with a restart of the driver in between: the first time nothing
/// but what is documented stays, the second time nothing at all.
#[track_caller]
fn check_traceless(xml: &str, name: &str, bridge: &str) {
    let host = host();
    host.define(xml).unwrap();
    let mut before = host.snapshot().unwrap();
    for round in 1..=2 {
        host.start(name).unwrap();
        assert!(host.is_active(name).unwrap());
        let during = host.snapshot().unwrap();
        assert!(during.mentions(Section::Link, bridge), "no bridge");
        host.restart().unwrap();
        assert!(host.is_active(name).unwrap(), "not active after a restart of the driver");
        let restarted = host.snapshot().unwrap();
        let changed = during.diff(&restarted).except(|change| {
            // libvirt adds its rules again, with other handles.
            let rules_again = change.key == format!("run/libvirt/network/{name}.xml");
            host.subject() == Subject::Libvirt && rules_again
        });
        assert!(changed.is_empty(), "a restart of the driver changed:\n{changed}");
        host.destroy(name).unwrap();
        assert!(!host.is_active(name).unwrap());
        let after = host.snapshot().unwrap();
        let left = before
            .diff(&after)
            .except(|change| round == 1 && is_documented_leftover(name, bridge, change));
        assert!(left.is_empty(), "round {round} left behind:\n{left}");
        before = after;
    }
}

#[apply(scenario)]
fn a_nat_network_leaves_nothing() {
    check_traceless(NAT, "nat", "virbr0");
}

#[apply(scenario)]
fn a_dual_stack_nat_network_leaves_nothing() {
    check_traceless(NAT_DUAL, "nat-dual", "virbr1");
}

#[apply(scenario)]
fn a_routed_network_leaves_nothing() {
    check_traceless(ROUTE, "route", "virbr2");
}

#[apply(scenario)]
fn an_open_network_leaves_nothing() {
    check_traceless(OPEN, "open", "virbr3");
}

#[apply(scenario)]
fn an_isolated_network_leaves_nothing() {
    check_traceless(ISOLATED, "isolated", "virbr4");
}
