//! A guest that runs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use super::image::{Image, MARK};
use super::{BARE, Qemu, SYSTEM};
use crate::error::{Error, Result};
use crate::netns::Netns;
use crate::process::{DEADLINE, PATIENCE, Run};
use crate::root::TempRoot;

/// Its memory is enough for the kernel and an initramfs that is not compressed.
const MACHINE: [&str; 8] =
    ["-machine", "q35", "-accel", "tcg", "-m", "128", "-no-reboot", "-serial"];

/// A guest of [`Image`] under an emulated processor.
#[derive(Debug)]
pub struct Machine {
    qemu: Qemu,
    /// The guest's shell.
    input: ChildStdin,
    /// What the guest says, line by line.
    output: Receiver<String>,
    seen: Vec<String>,
    files: TempRoot,
}

impl Machine {
    /// Starts a guest of this name whose cards are connected to links of `netns`; `devices` are
    /// arguments of QEMU.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub fn boot(netns: &Netns, image: &Image, name: &str, devices: &[&str]) -> Result<Self> {
        let files = TempRoot::new()?;
        let monitor = format!("unix:{},server=on,wait=off", files.join("monitor").display());
        let append = format!("console=ttyS0 quiet panic=-1 name={name}");
        let run = Run::new([SYSTEM])
            .args(BARE)
            .args(MACHINE)
            .args(["stdio", "-qmp", &monitor, "-append", &append])
            .args(["-kernel".as_ref(), image.kernel.as_os_str()])
            .args(["-initrd".as_ref(), image.initramfs.as_os_str()])
            .args(devices)
            .behind(netns.prefix_of_child());
        let mut qemu = Qemu::start(&run, Stdio::piped(), Stdio::piped())?;
        let streams = qemu.child.stdin.take().zip(qemu.child.stdout.take());
        let (input, stdout) = streams.ok_or_else(|| Error::Wrong("QEMU has no pipes".into()))?;
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(|line| line.ok()) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { qemu, input, output, seen: Vec::new(), files })
    }

    /// Waits until the guest itself has said a line with this beginning; the rest of the line.
    ///
    /// # Errors
    /// [`Error::Wrong`] with what it has said instead.
    pub fn says(&mut self, beginning: &str) -> Result<String> {
        let begins = |line: &String| {
            let (_, said) = line.split_once(MARK)?;
            Some(said.strip_prefix(beginning)?.trim().to_owned())
        };
        if let Some(rest) = self.seen.iter().find_map(begins) {
            return Ok(rest);
        }
        let end = Instant::now() + DEADLINE;
        while let Ok(line) = self.output.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            let found = begins(&line);
            self.seen.push(line);
            if let Some(rest) = found {
                return Ok(rest);
            }
        }
        let seen = self.seen.join("\n");
        Err(Error::Wrong(format!("the guest does not say '{beginning}':\n{seen}")))
    }

    /// Runs a command in the guest's shell, once the guest is up; what it prints.
    ///
    /// # Errors
    /// As [`Self::says`].
    pub fn sh(&mut self, command: &str) -> Result<String> {
        self.says("up")?;
        let begin = self.seen.len();
        // Put together by the shell, so that no echo is taken for it.
        let command = format!("{command}\necho '{MARK}'end $?\n");
        let sent = self.input.write_all(command.as_bytes());
        sent.map_err(|source| Error::Run { command: SYSTEM.to_owned(), source })?;
        let status = self.says("end ")?;
        let end = self.seen.len() - 1;
        // The next command ends with the same words.
        let printed: Vec<String> = self.seen.drain(begin..).take(end - begin).collect();
        match status.as_str() {
            "0" => Ok(printed.join("\n")),
            other => {
                Err(Error::Status { command, status: other.to_owned(), output: printed.join("\n") })
            }
        }
    }

    /// Presses the power button.
    ///
    /// # Errors
    /// QEMU's monitor does not answer.
    pub fn press_power_button(&self) -> Result<()> {
        let path = self.files.join("monitor");
        let failed = || Error::file(&path);
        let mut stream = UnixStream::connect(&path).map_err(failed())?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed())?;
        let mut lines = BufReader::new(stream.try_clone().map_err(failed())?).lines();
        for command in ["qmp_capabilities", "system_powerdown"] {
            writeln!(stream, "{{\"execute\": \"{command}\"}}").map_err(failed())?;
            loop {
                let line = lines.next().transpose().map_err(failed())?.unwrap_or_default();
                let answer: Value = serde_json::from_str(&line).unwrap_or_default();
                if answer.get("return").is_some() {
                    break;
                }
                if answer.get("error").is_some() || line.is_empty() {
                    return Err(Error::Format {
                        what: format!("answer to {command}"),
                        found: line,
                    });
                }
            }
        }
        Ok(())
    }

    /// Waits until the guest has powered off.
    ///
    /// # Errors
    /// [`Error::Deadline`]
    pub fn ended(mut self) -> Result<ExitStatus> {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.qemu.wait(),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(Error::Deadline { command: SYSTEM.to_owned(), after: DEADLINE });
                }
            }
        }
    }
}
