//! Rate limits, measured: what gets through is within 15 % of what was asked for.

use oxivirt_tests::guest::probe;
use oxivirt_tests::process::Running;
use oxivirt_tests::require::skip;
use oxivirt_tests::{Guest, Host, Subject, apply, scenario};

use super::lab::{Lab, assert_error, mac};
use super::{host, host_of_ours};

/// What a measured rate may differ by.
const TOLERANCE: f64 = 0.15;
/// Measurements before a rate counts as wrong.
const MEASUREMENTS: usize = 20;
/// Milliseconds of a measurement.
const TIME: &str = "1500";

fn network(bandwidth: &str) -> String {
    format!(
        "<network><name>slow</name><bridge name='virbr0' stp='off'/><dns enable='no'/>
         <mac address='52:54:00:6b:00:01'/><bandwidth>{bandwidth}</bandwidth>
         <ip address='192.168.95.1' prefix='24'/></network>"
    )
}

fn guest(lab: &Lab, number: u8) -> Guest {
    let guest = lab.guest("virbr0", number);
    guest.configure(&format!("192.168.95.{number}/24"), "192.168.95.1").unwrap();
    assert!(guest.pings("192.168.95.1").unwrap());
    guest
}

/// Fails unless one of a few measurements is about `expect`, in kilobytes a second.
///
/// A wrong limit fits none of them; a right one may miss some while the machine is busy.
#[track_caller]
fn check_rate(meter: Running, expect: f64) {
    check_rates([meter], [expect]);
}

/// The same for rates that have to hold at the same time.
#[track_caller]
fn check_rates<const N: usize>(mut meters: [Running; N], expect: [f64; N]) {
    let mut found = [0.0; N];
    for _ in 0..MEASUREMENTS {
        for (meter, found) in meters.iter_mut().zip(&mut found) {
            let bytes: f64 = meter.line().unwrap().parse().unwrap();
            *found = bytes / 1000.0;
        }
        let fits = |(found, expect): (&f64, &f64)| (found - expect).abs() / expect < TOLERANCE;
        if found.iter().zip(&expect).all(fits) {
            return;
        }
    }
    panic!("{found:.0?} kB/s instead of {expect:.0?}");
}

const POLICE: &str = "tc filter add dev try parent ffff: protocol all u32 match u32 0 0 \
                      police rate 8mbit burst 10k mtu 64kb drop flowid :1";

/// Whether the kernel takes a queue or filter, tried on a link of its own.
fn has(host: &Host, command: &str) -> bool {
    let script = format!(
        "ip link add try type bridge
         tc qdisc add dev try root handle 1: htb
         tc class add dev try parent 1: classid 1:1 htb rate 1mbit
         tc qdisc add dev try ingress
         {command}"
    );
    let has = host.netns().sh(&script).is_ok();
    host.netns().sh("ip link delete try").unwrap();
    has
}

/// Prints what the kernel lacks for limits.
///
/// libvirt starts nothing without `sfq` and `fw`; this driver warns.
fn need_shaping(host: &Host) {
    let parts = [
        ("sfq", "tc qdisc add dev try parent 1:1 handle 2: sfq perturb 10"),
        ("fw", "tc filter add dev try parent 1:0 protocol all prio 1 handle 1 fw flowid 1"),
    ];
    let missing: Vec<_> =
        parts.iter().filter(|part| !has(host, part.1)).map(|part| part.0).collect();
    if missing.is_empty() {
        return;
    }
    let missing = format!("the kernel has no {}", missing.join(", no "));
    match host.subject() {
        Subject::Oxivirt => println!("{missing}; tested without"),
        Subject::Libvirt => skip(&format!("{missing}, which libvirt needs")),
    }
}

#[apply(scenario)]
fn what_guests_receive() {
    let host = host();
    need_shaping(&host);
    let lab = Lab::on(host, &[&network("<inbound average='1000'/>")]);
    let guest = guest(&lab, 2);
    let meter = probe(guest.netns(), &["meter", "192.168.95.2", TIME]).unwrap();
    let _flood = probe(lab.host.netns(), &["flood", "192.168.95.2", "4000"]).unwrap();
    check_rate(meter, 1000.0);
}

#[apply(scenario)]
fn guaranteed_rates() {
    let host = host();
    need_shaping(&host);
    let mut lab = Lab::on(host, &[&network("<inbound average='1000'/>")]);
    let guests = [2, 3].map(|number| guest(&lab, number));
    let floor = "<bandwidth><inbound average='100' floor='700'/></bandwidth>";
    let uuid = lab.port("slow", 2, floor).unwrap();
    lab.port("slow", 3, "").unwrap();
    let measure = |lab: &Lab, expect: [f64; 2]| {
        let mut meters = ["192.168.95.2", "192.168.95.3"].into_iter().zip(&guests);
        let mut meter = || {
            let (address, guest) = meters.next().unwrap();
            probe(guest.netns(), &["meter", address, TIME]).unwrap()
        };
        let meters = [meter(), meter()];
        let _floods = ["192.168.95.2", "192.168.95.3"]
            .map(|to| probe(lab.host.netns(), &["flood", to, "3000"]).unwrap());
        check_rates(meters, expect);
    };
    measure(&lab, [700.0, 300.0]);
    // Change and end of the guarantee, under way.
    let limit = format!("{uuid} inbound.average=100 inbound.floor=400");
    lab.session.call("port-limit", "slow", &limit).unwrap();
    measure(&lab, [400.0, 600.0]);
    lab.session.call("port-delete", "slow", &uuid).unwrap();
    let classes = lab.sh("tc class show dev virbr0");
    assert!(!classes.contains("1:3"), "{classes}");
}

#[apply(scenario)]
fn what_guests_send() {
    let host = host();
    let has_police = has(&host, POLICE);
    let mut lab = Lab::on(host, &[]);
    // With dnsmasq: see the next test.
    let xml = network("<outbound average='1000' burst='50'/>").replace("<dns enable='no'/>", "");
    if !has_police {
        // Nothing is limited that was to be: the start fails, as libvirt's does.
        println!("the kernel has no police; the refusal is tested instead");
        assert_error(lab.start(&xml), 1, "tc");
        assert_eq!(lab.sh("ip -o link show type bridge"), "");
        assert!(lab.dnsmasq("slow").is_empty());
        return;
    }
    lab.start(&xml).unwrap();
    let guest = guest(&lab, 2);
    let meter = probe(lab.host.netns(), &["meter", "192.168.95.1", TIME]).unwrap();
    let _flood = probe(guest.netns(), &["flood", "192.168.95.1", "4000"]).unwrap();
    check_rate(meter, 1000.0);
}

#[apply(scenario)]
fn a_failing_limit_ends_no_other_start() {
    // libvirt signals process -1, which is everybody, where the network has no dnsmasq.
    let host = host_of_ours();
    if has(&host, POLICE) {
        skip("the kernel has all that limits need, so none fails");
    }
    let mut lab = Lab::on(host, &[]);
    let bystander = lab.host.netns().run(["cat"]).start().unwrap();
    assert_error(lab.start(&network("<outbound average='1000'/>")), 1, "tc");
    let processes = lab.host.netns().processes().unwrap();
    assert!(processes.iter().any(|process| process.command.trim() == "cat"), "{processes:?}");
    assert_eq!(lab.sh("ip -o link show type bridge"), "");
    drop(bystander);
}

#[apply(scenario)]
fn a_bridge_of_the_host_is_limited() {
    let host = host();
    need_shaping(&host);
    host.netns()
        .sh("ip link add virbr0 type bridge
             ip address add 192.168.95.1/24 dev virbr0
             ip link set virbr0 up")
        .unwrap();
    let xml = "<network><name>slow</name><forward mode='bridge'/><bridge name='virbr0'/>
      <bandwidth><inbound average='500' peak='500' burst='10'/></bandwidth></network>";
    let mut lab = Lab::on(host, &[xml]);
    let guest = guest(&lab, 2);
    let meter = probe(guest.netns(), &["meter", "192.168.95.2", TIME]).unwrap();
    let flood = probe(lab.host.netns(), &["flood", "192.168.95.2", "2000"]).unwrap();
    check_rate(meter, 500.0);
    drop(flood);
    let floor = "<bandwidth><inbound average='1' floor='1'/></bandwidth>";
    assert_error(lab.port("slow", 2, floor), 84, &mac(2));
    // The bridge stays, its limits go.
    lab.session.call("destroy", "slow", "").unwrap();
    let queues = lab.sh("tc qdisc show dev virbr0");
    assert!(!queues.contains("htb"), "{queues}");
    let meter = probe(guest.netns(), &["meter", "192.168.95.2", TIME]).unwrap();
    let _flood = probe(lab.host.netns(), &["flood", "192.168.95.2", "2000"]).unwrap();
    check_rate(meter, 2000.0);
}
