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

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let profile = Profile::of_program(&words.next().unwrap_or_default());
    match args::parse(profile, words) {
        Request::Run(args) => serve(profile, &args),
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

fn serve(profile: &Profile, args: &Args) -> ExitCode {
    match run::run(profile, args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            args::complain(&oxivirt_sys::chain::text(&error));
            ExitCode::from(error.status())
        }
    }
}
