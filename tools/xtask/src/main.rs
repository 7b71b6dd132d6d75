//! `cargo xtask`: what a developer runs on this workspace.
//!
//! This program owns the order of the checks, the search for system packages and the choice
//! between root and a user namespace. It knows nothing about networks: the demonstration, the
//! crash test, the packet probes and the benchmark are programs of the `oxivirt-tests` member,
//! which it builds and starts. It has few dependencies, so that it compiles in seconds on a machine
//! where nothing else has been built.
//!
//! Start reading at [`check::run`].

mod check;
mod docs;
mod metadata;
mod own_root;
mod packages;
mod po;
mod privilege;
mod process;
mod tally;
mod tasks;
mod ui;

use std::process::ExitCode;

pub(crate) const HELP: &str = "\
cargo xtask TASK

  try                        start a NAT network in throw-away namespaces, use it, take it
                             down, and show what every step did
  check [OPTION…]            everything that is checked before a change goes in; ends with
                             `N passed, M failed, K skipped`; --quick: under four minutes after a
                             build; -p CRATE: one crate; --only STEP: one step; --list: the steps
  crash [ARGUMENT…]          kill the driver at every state-changing system call of starts, destroys,
                             updates, switches of the backend, repairs and take-overs; without
                             arguments for every kind of network, and while it recovers;
                             `crash guests`: of starts and ends of a guest, and at any time
  leaks [--step N]           every section of net-update, disturbances in between, a destroy: a matrix of
                             what is left
  packets [ARGUMENT…]        packet probes through a running set of networks
  model [ARGUMENT…]          random histories against a model, on the recorder and on the kernel
  soak [ARGUMENT…]           1,000 networks on one host; --peer PATH adds libvirt with 100
  bench NAME [ARGUMENT…]     benchmark NAME (format, guests, rpc, scale, shell, start), next to libvirt
  differential [ARGUMENT…]   documents through our reader and writer and through libvirt's
  interop                    libvirt's own clients on a tour, against the daemon and libvirtd
  conformance [ARGUMENT…]    the conformance suites
  fuzz SECONDS [TARGET…]     libFuzzer on every fuzz target for SECONDS; installs cargo-fuzz
  po                         take texts for translation from the shell's sources into po/
  setup                      only look for missing system packages, and install them
  help                       this text

CI=true never asks. OXIVIRT_REQUIRE=netns,peer turns tests that cannot run into failures.
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_else(|| "help".to_owned());
    let rest: Vec<String> = arguments.collect();
    let done = match task.as_str() {
        "check" => check::run(&rest),
        "try" => tasks::demonstration(&rest),
        "crash" => tasks::crash(&rest),
        "leaks" => tasks::leaks(&rest),
        "packets" => tasks::packets(&rest),
        "model" => tasks::model(&rest),
        "soak" => tasks::soak(&rest),
        "bench" => tasks::bench(&rest),
        "differential" => tasks::differential(&rest),
        "interop" => tasks::interop(&rest),
        "conformance" => tasks::conformance(&rest),
        "po" => po::run(),
        "fuzz" => tasks::fuzz(&rest),
        own_root::TASK => own_root::run(&rest),
        "setup" => packages::ensure(packages::Use::Check),
        "help" | "--help" | "-h" => {
            ui::print(HELP);
            Ok(())
        }
        other => {
            Err(ui::Failure::new(format!("unknown task '{other}'; `cargo xtask help` lists them")))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            ui::error(&failure);
            ExitCode::FAILURE
        }
    }
}
