//! `oxivirtd`: the daemon that libvirt's clients connect to.
//!
//! [`profile`] says which of libvirt's daemons it stands for. The command line ([`args`]) and the
//! configuration ([`config`]) are checked before anything is opened; [`run`] opens sockets ([`listeners`]) and
//! [`drivers`], and closes them.

mod args;
mod config;
mod control;
mod drivers;
mod listeners;
mod log;
mod metrics;
mod notify;
mod paths;
mod polkit;
mod profile;
mod run;

use std::process::ExitCode;

use args::{Args, Request};
use profile::Profile;

/// The daemon of libvirt that this program stands for.
const PROFILE: Profile = Profile::NETWORK;

fn main() -> ExitCode {
    match args::parse(PROFILE.name, std::env::args_os().skip(1)) {
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
    match run::run(&PROFILE, args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            args::complain(&oxivirt_sys::chain::text(&error));
            ExitCode::from(error.status())
        }
    }
}
