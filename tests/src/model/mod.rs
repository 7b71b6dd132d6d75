//! Random histories of several networks, held against a model that fits on a page.
//!
//! A history is a list of [`Operation`]s: calls, restarts and crashes of the driver in the middle of
//! a call, losses from outside. The [`World`] says what each call must answer and what must be there
//! afterwards. A [`System`] is what is judged: the driver on a host that only keeps books, or a
//! process with the driver on the real kernel.

pub mod kernel;
pub mod perform;
pub mod recorder;
mod world;

use std::collections::BTreeMap;
use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde::{Deserialize, Serialize};

pub use world::{Content, Net, World};

/// Networks that a history is about.
pub const NETWORKS: u8 = 3;
/// Ports that a network may have.
const PORTS: u8 = 3;
/// Operations of one history.
const LENGTH: usize = 200;

/// One call of the driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// `virNetworkDefineXML`
    Define(Kind),
    /// `virNetworkCreateXML`
    CreateXml(Kind),
    /// `virNetworkCreate`
    Start,
    /// `virNetworkDestroy`
    Destroy,
    /// `virNetworkUndefine`
    Undefine,
    /// `virNetworkUpdate`: a name in DNS.
    AddHost(Impact, u8),
    /// `virNetworkUpdate`: that name.
    DeleteHost(Impact, u8),
    /// `virNetworkSetMetadata`
    SetTitle(Impact, u8),
    /// `virNetworkSetAutostart`
    SetAutostart(bool),
    /// `virNetworkPortCreateXML`, with a guaranteed rate
    CreatePort(u8, u16),
    /// `virNetworkPortSetParameters`, of the guaranteed rate
    LimitPort(u8, u16),
    /// `virNetworkPortDelete`
    DeletePort(u8),
}

/// What a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Translated, with DHCP and a limit that guarantees share.
    Nat,
    /// Two address families, routed, without DHCP.
    Route,
    /// Without addresses.
    Isolated,
    /// On interfaces of the host.
    Direct,
}

/// Which definition a change is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Impact {
    /// The running network's if it runs, else the stored one.
    Current,
    /// The running network's.
    Live,
    /// The stored one.
    Config,
    /// Both.
    Both,
}

/// What another program removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// All firewall rules.
    Rules,
    /// Every dnsmasq.
    Dnsmasq,
    /// The addresses of all bridges.
    Addresses,
    /// The bridge of a network.
    Bridge(u8),
}

/// One step of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A call on a network.
    Call(u8, Call),
    /// The driver ends in the middle of a call and starts again; the number is the kill point.
    Crash(u8, Call, u8),
    /// The driver ends and starts again.
    Restart,
    /// Something is lost while no driver runs.
    Lose(Loss),
}

/// An answer: success, or libvirt's error number.
pub type Answer = Result<(), i32>;

/// What is judged.
pub trait System {
    /// Makes a call.
    ///
    /// # Errors
    /// The system itself does not work.
    fn call(&mut self, network: u8, call: &Call) -> crate::Result<Answer>;

    /// Makes a call and ends the driver in the middle of it; nothing if the call was faster.
    ///
    /// # Errors
    /// The system itself does not work.
    fn crash(&mut self, network: u8, call: &Call, late: u8) -> crate::Result<Option<Answer>>;

    /// Ends the driver and starts it again.
    ///
    /// # Errors
    /// The system itself does not work.
    fn restart(&mut self) -> crate::Result<()>;

    /// Takes something away while no driver runs.
    ///
    /// # Errors
    /// The system itself does not work.
    fn lose(&mut self, loss: Loss) -> crate::Result<()>;

    /// What the driver says there is.
    ///
    /// # Errors
    /// The system itself does not work.
    fn world(&mut self) -> crate::Result<World>;

    /// Whether the host has what the running networks need, and nothing else.
    ///
    /// # Errors
    /// What is there too much or too little, in words.
    fn check(&mut self, world: &World) -> Result<(), String>;
}

/// How often each kind of operation succeeded.
pub type Counts = BTreeMap<&'static str, u64>;

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(Kind::Nat),
        1 => Just(Kind::Route),
        1 => Just(Kind::Isolated),
        1 => Just(Kind::Direct),
    ]
}

fn impact() -> impl Strategy<Value = Impact> {
    prop_oneof![Just(Impact::Current), Just(Impact::Live), Just(Impact::Config), Just(Impact::Both)]
}

fn call() -> impl Strategy<Value = Call> {
    let floor = prop_oneof![2 => Just(0), 3 => 1_u16..500];
    prop_oneof![
        4 => kind().prop_map(Call::Define),
        2 => kind().prop_map(Call::CreateXml),
        4 => Just(Call::Start),
        2 => Just(Call::Destroy),
        2 => Just(Call::Undefine),
        5 => (impact(), 1_u8..3).prop_map(|(impact, host)| Call::AddHost(impact, host)),
        8 => (impact(), 1_u8..3).prop_map(|(impact, host)| Call::DeleteHost(impact, host)),
        2 => (impact(), 0_u8..4).prop_map(|(impact, title)| Call::SetTitle(impact, title)),
        1 => any::<bool>().prop_map(Call::SetAutostart),
        7 => (0..PORTS, floor.clone()).prop_map(|(port, floor)| Call::CreatePort(port, floor)),
        6 => (0..PORTS, floor).prop_map(|(port, floor)| Call::LimitPort(port, floor)),
        5 => (0..PORTS).prop_map(Call::DeletePort),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        30 => (0..NETWORKS, call()).prop_map(|(network, call)| Operation::Call(network, call)),
        4 => (0..NETWORKS, call(), 0_u8..6)
            .prop_map(|(network, call, late)| Operation::Crash(network, call, late)),
        1 => Just(Operation::Restart),
        1 => prop_oneof![
            2 => Just(Loss::Rules),
            2 => Just(Loss::Dnsmasq),
            2 => Just(Loss::Addresses),
            1 => (0..NETWORKS).prop_map(Loss::Bridge),
        ]
        .prop_map(Operation::Lose),
    ]
}

/// Runs histories until there were at least `steps` operations; each on a system of its own, which
/// `begin` makes.
///
/// # Errors
/// The shortest history found that ends otherwise than the model says, and what was different.
pub fn run<S: System>(
    steps: u64,
    seed: u64,
    begin: impl Fn() -> crate::Result<S>,
) -> Result<Counts, String> {
    let counts = std::cell::RefCell::new(Counts::new());
    let done = || counts.borrow().get("steps").copied().unwrap_or(0);
    // How long histories are is random too: what is missing at the end gets a round of its own.
    for round in 0_u8.. {
        let Some(missing) = steps.checked_sub(done()).filter(|missing| *missing > 0) else { break };
        let cases = u32::try_from(missing.div_ceil(LENGTH as u64 / 2)).unwrap_or(u32::MAX);
        run_cases(cases, seed, round, &begin, &counts)?;
    }
    Ok(counts.into_inner())
}

fn run_cases<S: System>(
    cases: u32,
    seed: u64,
    round: u8,
    begin: impl Fn() -> crate::Result<S>,
    counts: &std::cell::RefCell<Counts>,
) -> Result<(), String> {
    let mut bytes = [0; 32];
    let words = seed.to_le_bytes().into_iter().chain([round]);
    bytes.iter_mut().zip(words).for_each(|(byte, from)| *byte = from);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 3000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let history = prop::collection::vec(operation(), 1..=LENGTH);
    let outcome = runner.run(&history, |history| {
        let mut system = begin().map_err(|error| TestCaseError::fail(error.to_string()))?;
        let history_counts = follow(&mut system, &history).map_err(TestCaseError::fail)?;
        let mut counts = counts.borrow_mut();
        for (kind, count) in history_counts {
            *counts.entry(kind).or_default() += count;
        }
        Ok(())
    });
    match outcome {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, history)) => {
            let steps = history.iter().enumerate();
            let steps: String = steps.map(|(at, step)| format!("{at:3} {step:?}\n")).collect();
            Err(format!("{reason}\nin the history\n{steps}"))
        }
        Err(TestError::Abort(reason)) => Err(reason.to_string()),
    }
}

/// One history, from an empty system to an empty system.
fn follow<S: System>(system: &mut S, history: &[Operation]) -> Result<Counts, String> {
    let mut world = World::default();
    let mut counts = Counts::new();
    for (at, operation) in history.iter().enumerate() {
        let fail = |what: String| format!("step {at}, {operation:?}: {what}");
        let kinds = step(system, &mut world, operation).map_err(fail)?;
        *counts.entry("steps").or_default() += 1;
        for kind in kinds {
            *counts.entry(kind).or_default() += 1;
        }
        let found = system.world().map_err(|error| fail(error.to_string()))?;
        compare("the driver", &found, &world).map_err(fail)?;
        system.check(&world).map_err(fail)?;
    }
    for (network, net) in world.clone().nets {
        let call = |system: &mut S, call: Call| {
            let answer = system.call(network, &call).map_err(|error| error.to_string())?;
            answer.map_err(|number| format!("{call:?} at the end of a history: error {number}"))
        };
        if net.live.is_some() {
            call(system, Call::Destroy)?;
        }
        if net.stored.is_some() {
            call(system, Call::Undefine)?;
        }
    }
    system.check(&World::default())?;
    Ok(counts)
}

/// Whether two values are equal; what only one of them has.
fn compare<T: PartialEq + Debug>(whose: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (format!("{found:#?}"), format!("{expected:#?}"));
    let only = |one: &str, other: &str| -> String {
        let lines = one.lines().filter(|line| !other.lines().any(|known| known == *line));
        lines.map(|line| format!("{line}\n")).collect()
    };
    let (more, less) = (only(&found, &expected), only(&expected, &found));
    match more.is_empty() && less.is_empty() {
        true => Err(format!("{whose}\n{found}\nthe model\n{expected}")),
        false => Err(format!("only {whose} has\n{more}only the model has\n{less}")),
    }
}

/// One operation on both; what succeeded.
fn step<S: System>(
    system: &mut S,
    world: &mut World,
    operation: &Operation,
) -> Result<Vec<&'static str>, String> {
    let failed = |error: crate::Error| error.to_string();
    match operation {
        Operation::Call(network, call) => {
            let expected = world.call(*network, call);
            let answer = system.call(*network, call).map_err(failed)?;
            if answer != expected {
                return Err(format!("answer {answer:?}, expected {expected:?}"));
            }
            Ok(answer.is_ok().then(|| call.kind()).into_iter().collect())
        }
        Operation::Crash(network, call, late) => {
            let before = world.clone();
            let expected = world.call(*network, call);
            let Some(answer) = system.crash(*network, call, *late).map_err(failed)? else {
                // Wherever it was cut off, afterwards it has happened or not, and nothing between.
                let found = system.world().map_err(failed)?;
                if found == before {
                    *world = before;
                }
                return Ok(vec!["crash"]);
            };
            if answer != expected {
                return Err(format!("answer {answer:?}, expected {expected:?}"));
            }
            Ok(answer.is_ok().then(|| call.kind()).into_iter().collect())
        }
        Operation::Restart => {
            system.restart().map_err(failed)?;
            Ok(vec!["restart"])
        }
        Operation::Lose(loss) => {
            system.lose(*loss).map_err(failed)?;
            world.lose(*loss);
            Ok(vec!["loss"])
        }
    }
}

impl Call {
    /// Its name in the counts.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Define(_) => "define",
            Self::CreateXml(_) => "create",
            Self::Start => "start",
            Self::Destroy => "destroy",
            Self::Undefine => "undefine",
            Self::AddHost(..) => "update add",
            Self::DeleteHost(..) => "update delete",
            Self::SetTitle(..) => "metadata",
            Self::SetAutostart(_) => "autostart",
            Self::CreatePort(..) => "port create",
            Self::LimitPort(..) => "port parameters",
            Self::DeletePort(_) => "port delete",
        }
    }
}
