//! The address and name service of all virtual networks of a host.
//!
//! The daemon starts it with a listening socket as standard input and gives it each network with its sockets; so it
//! opens none that needs a privilege, and gives all of them up before it reads a packet. It goes on when the
//! daemon ends, and ends on SIGTERM with all leases in libvirt's files.
//!
//! `oxivirt-netservd JOURNALS LEASE_FILES`: the directories of its journals and of libvirt's lease files.

mod sandbox;

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, io};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use oxivirt_netserv::io::{Directories, Service};

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(
        "usage: oxivirt-netservd JOURNALS LEASE_FILES, with a listening socket as standard input"
    )]
    Usage,
    #[error("cannot prepare the process")]
    Process(#[source] io::Error),
    #[error("cannot give up privileges")]
    Sandbox(#[source] io::Error),
    #[error("cannot serve")]
    Serve(#[source] io::Error),
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).without_time().init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = oxivirt_sys::chain::text(&error), "the service ends");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), StartError> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (Some(journals), Some(lease_files), None) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err(StartError::Usage);
    };
    let listener = io::stdin().as_fd().try_clone_to_owned().map_err(StartError::Process)?;
    let stop = signals().map_err(|error| StartError::Process(error.into()))?;
    let directories = Directories { journals, lease_files };
    sandbox::enter(&directories).map_err(StartError::Sandbox)?;
    let service = Service::new(listener, stop, directories, rand::random());
    let service = service.map_err(StartError::Serve)?;
    tracing::info!("serving");
    service.run().map_err(StartError::Serve)
}

/// A descriptor that is readable once the process shall end. Threads that start later block the signals as well.
fn signals() -> nix::Result<OwnedFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    let fd = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)?;
    fd.as_fd().try_clone_to_owned().map_err(|_| nix::errno::Errno::EMFILE)
}
