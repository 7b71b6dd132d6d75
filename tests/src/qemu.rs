//! QEMU as a test starts it: a machine that does not run, or a guest that does.

mod image;
mod machine;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};

use crate::error::{Error, Result};
use crate::process::Run;
use crate::require::Need;

pub(crate) use image::missing as missing_image;
pub use image::{Image, MARK};
pub use machine::Machine;

/// The program for guests of x86-64.
pub const SYSTEM: &str = "qemu-system-x86_64";

/// What a test that starts QEMU needs.
pub const NEED: Need = Need::Program(SYSTEM);

/// Options of every machine: no configuration of the host, no default devices, no window.
const BARE: [&str; 4] = ["-no-user-config", "-nodefaults", "-display", "none"];

/// A QEMU that runs beside the test. It is killed when dropped, and also if the test is.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
}

impl Qemu {
    /// Starts a machine whose guest does not run until the monitor says so.
    ///
    /// `monitor` becomes standard input and carries QMP: a connected socket, or a listening one if
    /// `options` has `,server=on`.
    ///
    /// # Errors
    /// [`Error::Run`]
    pub fn stopped(monitor: OwnedFd, options: &str, machine: &[&str]) -> Result<Self> {
        let chardev = format!("socket,id=mon,fd=0{options}");
        let run = Run::new([SYSTEM])
            .args(BARE)
            .args(["-S", "-chardev", &chardev, "-mon", "chardev=mon,mode=control"])
            .args(machine);
        Self::start(&run, Stdio::from(monitor), Stdio::null())
    }

    /// Starts a planned command line, whose monitor listens on standard input.
    ///
    /// # Errors
    /// [`Error::Run`]
    pub fn planned(monitor: OwnedFd, program: &Path, arguments: &[String]) -> Result<Self> {
        let run = Run::new([program]).args(arguments);
        Self::start(&run, Stdio::from(monitor), Stdio::null())
    }

    /// Starts a program that is, or executes, QEMU.
    fn start(run: &Run, stdin: Stdio, stdout: Stdio) -> Result<Self> {
        // The signal is kept over `exec`. A test that is killed runs no destructor.
        let run = run.clone().behind(["setpriv", "--pdeathsig", "KILL", "--"]);
        let child = run.start_with(stdin, stdout)?;
        Ok(Self { child })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`Error::Run`]
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().map_err(|source| Error::Run { command: SYSTEM.to_owned(), source })
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Fails if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
