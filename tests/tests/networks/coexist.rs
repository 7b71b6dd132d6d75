//! Filters of other programs on the same host: Docker's and ufw's.

use oxivirt_tests::process::wait_until;
use oxivirt_tests::session::Session;
use oxivirt_tests::{Guest, Host, apply, scenario};

use super::host_with_nftables;
use super::lab::outside;

const NAT: &str = include_str!("../../data/networks/nat.xml");
const NAME: &str = "nat";
const OUTSIDE: &str = "203.0.113.2";
/// What Docker has in the filter table, as far as it matters here.
const DOCKER: &str = "iptables -N DOCKER-USER; iptables -A DOCKER-USER -j RETURN; \
                      iptables -P FORWARD DROP; iptables -I FORWARD -j DOCKER-USER";
/// All of it gone at once: between two commands the driver would already mend what is half there.
const NO_DOCKER: &str = "printf '*filter\n:FORWARD ACCEPT\n-D FORWARD -j DOCKER-USER\n\
                         -F DOCKER-USER\n-X DOCKER-USER\nCOMMIT\n' | iptables-restore --noflush";

/// A running network with a guest and something outside.
struct Coexisting {
    session: Session,
    guest: Guest,
    host: Host,
    _outside: Guest,
}

impl Coexisting {
    /// A host on which the script `others` ran before the network started.
    fn new(settings: &str, others: &str) -> Self {
        let host = host_with_nftables();
        host.warm_up().unwrap();
        host.configure(settings).unwrap();
        host.netns().sh(others).unwrap();
        let outside = outside(&host);
        let mut session = Session::listen(&host).unwrap();
        session.call("define", NAME, &NAT.replace('\n', " ")).unwrap();
        session.call("start", NAME, "").unwrap();
        let guest = Guest::on(&host, "virbr0", "port0").unwrap();
        guest.configure("192.168.122.9/24", "192.168.122.1").unwrap();
        Self { session, guest, host, _outside: outside }
    }

    fn warnings(&mut self) -> String {
        let events = self.session.ask("events", "", "").unwrap();
        events.lines().filter(|line| line.contains(" warning: ")).collect()
    }

    fn reaches_outside(&self) -> bool {
        self.guest.pings(OUTSIDE).unwrap()
    }

    fn rules(&self) -> String {
        self.host.netns().sh("iptables -S; ip6tables -S").unwrap()
    }

    /// Ends the network; what iptables has must be `before`.
    #[track_caller]
    fn end(mut self, before: &str) {
        self.session.call("destroy", NAME, "").unwrap();
        assert_eq!(self.rules(), before);
    }
}

#[apply(scenario)]
fn a_foreign_drop_policy_is_reported() {
    let mut lab = Coexisting::new("", DOCKER);
    let before = lab.rules();
    let warnings = lab.warnings();
    assert!(warnings.contains("chain FORWARD of table ip filter (hook forward)"), "{warnings}");
    assert!(!lab.reaches_outside());
    lab.end(&before);
}

#[apply(scenario)]
fn an_accepting_chain_is_not_reported() {
    let mut lab = Coexisting::new("", "iptables -P INPUT DROP");
    assert_eq!(lab.warnings(), "");
    assert!(lab.reaches_outside());
}

#[apply(scenario)]
fn packets_are_accepted_in_dockers_chain() {
    let settings = "firewall_coexist = \"insert\"\n";
    let mut lab = Coexisting::new(settings, DOCKER);
    assert_eq!(lab.warnings(), "");
    assert!(lab.reaches_outside());
    // In the form that iptables understands.
    let rules = lab.rules();
    for rule in [
        "-A DOCKER-USER -j OXIVIRT_virbr0",
        "-A OXIVIRT_virbr0 -i virbr0 -j ACCEPT",
        "-A OXIVIRT_virbr0 -o virbr0 -j ACCEPT",
    ] {
        assert!(rules.contains(rule), "{rule} is not in\n{rules}");
    }
    // Docker itself writes its chain anew.
    lab.host.netns().sh("iptables -F DOCKER-USER; iptables -A DOCKER-USER -j RETURN").unwrap();
    let is_back = || Ok(lab.rules() == rules);
    wait_until("the jump is back", is_back).unwrap();
    assert!(lab.reaches_outside());
    let status = std::fs::read_to_string(lab.host.status_file(NAME)).unwrap();
    assert!(status.contains("OXIVIRT_virbr0"), "{status}");
    let before = rules
        .lines()
        .filter(|line| !line.contains("OXIVIRT"))
        .fold(String::new(), |all, line| all + line + "\n");
    lab.end(&before);
}

#[apply(scenario)]
fn a_chain_of_docker_may_come_and_go() {
    let settings = "firewall_coexist = \"insert\"\n";
    let lab = Coexisting::new(settings, "true");
    let before = lab.rules();
    lab.host.netns().sh(DOCKER).unwrap();
    let is_used = || Ok(lab.rules().contains("-A DOCKER-USER -j OXIVIRT_virbr0"));
    wait_until("a jump in the new chain", is_used).unwrap();
    assert!(lab.reaches_outside());
    lab.host.netns().sh(NO_DOCKER).unwrap();
    let is_gone = || Ok(lab.rules() == before);
    wait_until("nothing of ours is left", is_gone).unwrap();
    assert!(lab.reaches_outside());
    lab.end(&before);
}

#[apply(scenario)]
fn packets_are_accepted_in_ufws_chain() {
    const UFW: &str = "iptables -N ufw-user-forward; iptables -P FORWARD DROP; \
                       iptables -A FORWARD -j ufw-user-forward";
    let settings = "firewall_coexist = \"insert\"\n";
    let lab = Coexisting::new(settings, UFW);
    assert!(lab.reaches_outside());
    assert!(lab.rules().contains("-A ufw-user-forward -j OXIVIRT_virbr0"));
    // The setting is taken back while the network runs.
    let Coexisting { session, guest, host, _outside } = lab;
    drop(session);
    host.configure("").unwrap();
    host.restart().unwrap();
    let rules = host.netns().sh("iptables -S").unwrap();
    assert!(!rules.contains("OXIVIRT"), "{rules}");
    assert!(!guest.pings(OUTSIDE).unwrap());
    host.destroy(NAME).unwrap();
}
