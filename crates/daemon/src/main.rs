//! `oxivirtd`: the network daemon that libvirt's clients talk to.
//!
//! The command line ([`args`]) and the configuration ([`config`]) are read and checked before anything is
//! opened; [`run`] opens driver and sockets, and ends them.

mod activation;
mod args;
mod config;
mod control;
mod doors;
mod log;
mod metrics;
mod notify;
mod paths;
mod polkit;
mod ports;
mod run;
mod sockets;

use std::process::ExitCode;

use args::{Args, Request};

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1)) {
        Request::Run(args) => serve(&args),
        Request::Say(text) => {
            args::say(&text);
            ExitCode::SUCCESS
        }
        Request::Refuse(text) => {
            args::complain(&text);
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> ExitCode {
    match run::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            args::complain(&oxivirt_sys::chain::text(&error));
            ExitCode::from(error.status())
        }
    }
}
