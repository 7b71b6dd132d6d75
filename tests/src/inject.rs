//! Killing a process at a chosen system call.
//!
//! The state-changing calls of a program ([`calls`]) are its *kill points*: [`trace`] lists them,
//! and with a number it sends SIGKILL at that call, before the kernel carries it out. All threads
//! of the program are followed and counted together; programs that it starts are not, they live
//! on as they would after a real crash.
//!
//! This is ptrace(2) through safe wrappers only. The tracer has to be the parent's own thread and
//! the only waiter of its process, so [`trace`] is meant for a program of its own
//! (`oxivirt-campaign inject`), which the crash test starts inside the namespaces. [`strace`] lists the same
//! calls by a second opinion.

pub mod calls;
pub mod strace;

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::process::Run;
use calls::{Call, Moment, Stopped};

/// `op` of PTRACE_GET_SYSCALL_INFO.
const ENTRY: u8 = 1;
const EXIT: u8 = 2;

/// What a traced program did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// Its kill points in the order in which they were reached; the last one is where it was
    /// killed, if it was.
    pub calls: Vec<Call>,
    /// Whether it was killed at the chosen point; `false` if it ended before.
    pub killed: bool,
    /// The raw wait status of the program.
    pub status: i32,
}

impl Traced {
    /// How the program ended.
    pub fn exit(&self) -> ExitStatus {
        ExitStatus::from_raw(self.status)
    }
}

/// From where on the calls of a program are kill points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// From its beginning.
    AtOnce,
    /// From the first time it reads its standard input.
    AtInput,
}

/// Runs a program and counts its kill points; kills it at number `kill_at` (from 1), if given.
///
/// # Errors
/// The program cannot be run, or may not be traced.
pub fn trace(run: &Run, kill_at: Option<usize>, begin: Begin) -> Result<Traced> {
    // The shell stops itself, so that tracing begins before the program does.
    let child = run.clone().through_shell("kill -STOP $$; exec \"$@\"").spawn_inherit()?;
    let leader = Pid::from_raw(child.id().cast_signed());
    match wait(Some(leader), WaitPidFlag::WUNTRACED)? {
        WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
        other => {
            return Err(Error::Wrong(format!("the traced program did not stop: {other:?}")));
        }
    }
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(leader, options).map_err(Error::system("cannot trace the program"))?;
    kill(leader, Signal::SIGCONT).map_err(Error::system("cannot continue the program"))?;
    let counts = begin == Begin::AtOnce;
    Tracer { leader, kill_at, running: false, counts, calls: Vec::new(), killed: false }.run()
}

struct Tracer {
    leader: Pid,
    kill_at: Option<usize>,
    /// Whether the shell has become the program.
    running: bool,
    /// Whether its calls are kill points yet.
    counts: bool,
    calls: Vec<Call>,
    killed: bool,
}

impl Tracer {
    fn run(mut self) -> Result<Traced> {
        let mut status = 0;
        loop {
            let stop = match wait(None, WaitPidFlag::__WALL) {
                // The last thread is gone.
                Err(Error::System { source: Errno::ECHILD, .. }) => break,
                other => other?,
            };
            match stop {
                WaitStatus::Exited(pid, code) if pid == self.leader => status = code << 8,
                WaitStatus::Signaled(pid, signal, _) if pid == self.leader => {
                    status = signal as i32;
                }
                WaitStatus::PtraceSyscall(pid) => {
                    if self.running && !self.killed {
                        self.syscall(pid)?;
                    }
                    resume(pid, None)?;
                }
                WaitStatus::PtraceEvent(pid, _, event) => {
                    self.running |= event == libc::PTRACE_EVENT_EXEC;
                    resume(pid, None)?;
                }
                WaitStatus::Stopped(pid, signal) => resume(pid, Some(signal))?,
                _ => {}
            }
        }
        Ok(Traced { calls: self.calls, killed: self.killed, status })
    }

    /// Counts a call that a thread is about to make, or has made; kills at the chosen one.
    fn syscall(&mut self, thread: Pid) -> Result<()> {
        let moment = match ptrace::syscall_info(thread) {
            Ok(info) if info.op == ENTRY => Moment::Before,
            Ok(info) if info.op == EXIT => Moment::After,
            // Killed by another process meanwhile.
            Ok(_) | Err(Errno::ESRCH) => return Ok(()),
            Err(error) => return Err(Error::system("cannot read a system call")(error)),
        };
        let Some(stop) = Stopped::read(thread.as_raw()) else { return Ok(()) };
        self.counts |= stop.reads_input();
        let Some(call) = stop.call(moment).filter(|_| self.counts) else { return Ok(()) };
        self.calls.push(call);
        if self.kill_at == Some(self.calls.len()) {
            self.killed = true;
            kill(self.leader, Signal::SIGKILL).map_err(Error::system("cannot kill the program"))?;
        }
        Ok(())
    }
}

fn wait(pid: Option<Pid>, flags: WaitPidFlag) -> Result<WaitStatus> {
    loop {
        match waitpid(pid, Some(flags)) {
            Err(Errno::EINTR) => {}
            other => return other.map_err(Error::system("cannot wait for the traced program")),
        }
    }
}

fn resume(pid: Pid, signal: Option<Signal>) -> Result<()> {
    match ptrace::syscall(pid, signal) {
        // Killed while it was stopped: its end will be reported.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(Error::system("cannot resume the traced program")(error)),
    }
}
