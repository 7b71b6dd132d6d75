//! The program `oxivirt-campaign`: campaigns, benchmarks, and the helpers that the harness starts
//! inside namespaces, a subcommand each.
//!
//! One program, because each is linked with the driver, the daemon's client and the formats: the
//! link is most of a build. What it starts itself ([`crate::host::campaign`]) is this program again.

mod bench_format;
mod bench_guests;
mod bench_rpc;
mod bench_scale;
mod bench_shell;
mod bench_start;
mod conformance;
mod crash;
mod crash_guests;
mod demonstration;
mod differential;
mod guest_demonstration;
mod guests;
pub(crate) mod inject;
mod interop;
mod leaks;
mod model;
mod packets;
mod probe;
mod queues;
mod rules;
mod session;
mod soak;
mod toy;
mod traffic;

use std::process::ExitCode;

use crate::error::Result;

/// Runs a subcommand with its arguments; `false` if it has reported failures.
type Run = fn(&[String]) -> Result<bool>;

/// Subcommands: name, what it does, function.
const SUBCOMMANDS: [(&str, &str, Run); 24] = [
    ("try", "use a NAT network and a virtual machine, and show every step", demonstration::run),
    ("crash", "kill the driver at every state-changing system call", crash::run),
    ("crash-guests", "the same for guests, and kills at any time", crash_guests::run),
    ("leaks", "print the matrix of what is left after changes and disturbances", leaks::run),
    ("model", "run random histories against a model", model::run),
    ("packets", "send probes through running networks", packets::run),
    ("soak", "run 1,000 networks on one host", soak::run),
    ("interop", "run the same tour of clients against the daemon and libvirtd", interop::run),
    ("conformance", "run the recorded cases", conformance::run),
    ("differential", "compare our reader and writer with libvirt's", differential::run),
    ("bench-format", "time reading and writing of documents", bench_format::run),
    ("bench-guests", "time starts, ends, lists and restarts of guests", bench_guests::run),
    ("bench-rpc", "time calls to the daemon", bench_rpc::run),
    ("bench-scale", "measure packets on a host with many networks", bench_scale::run),
    ("bench-shell", "time the start of the shell", bench_shell::run),
    ("bench-start", "time start and destroy of a network", bench_start::run),
    ("rules", "helper: print or load the rules of sample networks", rules::run),
    ("queues", "helper: change queues over netlink", queues::run),
    ("session", "helper: one connection with the embedded driver", session::run),
    ("guests", "helper: the drivers of networks and guests", guests::run),
    ("probe", "helper: both ends of packet probes, stand-ins for services", probe::run),
    ("traffic", "helper: traffic that counts its losses", traffic::run),
    ("inject", "helper: kill a program at a chosen system call", inject::run),
    ("toy", "helper: a program with known kill points", toy::run),
];

/// Runs the subcommand that the command line names.
pub fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let words: Vec<String> = words.collect();
    let Some((_, _, run)) = SUBCOMMANDS.into_iter().find(|(known, ..)| *known == name) else {
        eprintln!("usage: oxivirt-campaign SUBCOMMAND [ARGUMENT…]");
        for (name, text, _) in SUBCOMMANDS {
            eprintln!("  {name:<14} {text}");
        }
        return ExitCode::FAILURE;
    };
    match run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("oxivirt-campaign {name}: FAILED: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}
