//! `console`: connect to a guest's console.
//!
//! virsh: `virshRunConsole`, tools/virsh-console.c

use std::io::{self, Write as _, stdout};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oxivirt::{ConsoleFlags, Domain, DomainListFlags, DomainState, DomainStream};
use tokio::sync::mpsc;

use super::{domain, domain_option};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::terminal;

pub(crate) const COMMAND: CommandDef = CommandDef::new(
    "console",
    mark!("connect to a guest's console"),
    run,
)
.about(mark!(
    "Connects the terminal to a serial console of a guest until the escape character is typed."
))
.options(&[
    domain_option(DomainListFlags::ACTIVE),
    OptionDef::text("devname", mark!("alias of the console or serial port")),
    OptionDef::flag("force", mark!("end the connection of another client")),
    OptionDef::flag("resume", mark!("resume a paused guest once connected")),
    OptionDef::flag("safe", mark!("connect only if other clients are kept out")),
]);

/// Bytes of one read.
const CHUNK: usize = 4096;

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    let mut flags = ConsoleFlags::empty();
    if args.flag("force") {
        flags |= ConsoleFlags::FORCE;
    }
    if args.flag("safe") {
        flags |= ConsoleFlags::SAFE;
    }
    let device = args.text("devname")?;
    let resumes = args.flag("resume");
    connect_and(shell, &domain, device.as_deref(), flags, resumes)
}

/// Connects the terminal to a console until the escape character is typed or the guest ends.
///
/// # Errors
/// Without a terminal, if the domain does not run, or if the console cannot be opened.
pub(super) fn connect(
    shell: &mut Shell,
    domain: &Domain,
    device: Option<&str>,
    flags: ConsoleFlags,
) -> Result<(), Failure> {
    connect_and(shell, domain, device, flags, false)
}

fn connect_and(
    shell: &mut Shell,
    domain: &Domain,
    device: Option<&str>,
    flags: ConsoleFlags,
    resumes: bool,
) -> Result<(), Failure> {
    let state = shell.wait(domain.state())?;
    if state.state == DomainState::Shutoff {
        return Err(Failure::Message(tr!("The domain is not running")));
    }
    if !terminal::is_interactive() {
        let line = tr!("Cannot run interactive console without a controlling TTY");
        return Err(Failure::Message(line));
    }
    let escape = shell.escape.clone();
    let hint = match escape.strip_prefix('^') {
        Some(key) => format!("{escape} (Ctrl + {key})"),
        None => escape.clone(),
    };
    shell.ui.extra(tr!("Connected to domain '{name}'\n", name = domain.name()))?;
    shell.ui.extra(tr!("Escape character is {escape}\n", escape = hint))?;
    shell.ui.flush()?;
    let console = shell.wait(domain.open_console(device, flags))?;
    if resumes && state.state == DomainState::Paused {
        shell.wait(domain.resume())?;
    }
    let ended = {
        let _modes = terminal::raw();
        shell.wait(copy(console, escape_byte(&escape)))
    };
    shell.ui.print("\n")?;
    ended.map_err(|error| Failure::Message(error.to_string()))
}

/// The byte that a terminal sends for the key.
fn escape_byte(escape: &str) -> u8 {
    const CONTROL: u8 = 0x1f;
    match *escape.as_bytes() {
        [b'^', key] => key.to_ascii_uppercase() & CONTROL,
        [key] => key,
        _ => b']' & CONTROL,
    }
}

/// Copies between the terminal and the console until one of them ends.
async fn copy(console: Box<dyn DomainStream>, escape: u8) -> io::Result<()> {
    let (mut reader, mut writer) = console.split();
    let from_guest = async {
        let mut buffer = vec![0; CHUNK];
        loop {
            let n = reader.read(&mut buffer).await?;
            if n == 0 {
                return Ok(());
            }
            let mut out = stdout().lock();
            out.write_all(buffer.get(..n).unwrap_or_default())?;
            out.flush()?;
        }
    };
    let to_guest = async {
        let mut keys = Keys::read();
        loop {
            // without a terminal nothing can be typed any more
            let typed = keys.typed.recv().await.unwrap_or_default();
            let (typed, is_over) = match typed.iter().position(|byte| *byte == escape) {
                Some(at) => (typed.get(..at).unwrap_or_default(), true),
                None => (typed.as_slice(), typed.is_empty()),
            };
            writer.write_all(typed).await?;
            writer.flush().await?;
            if is_over {
                return Ok(());
            }
        }
    };
    let ended: io::Result<()> = tokio::select! {
        ended = from_guest => ended,
        ended = to_guest => ended,
    };
    ended?;
    writer.close().await
}

/// What is typed, read by a thread until this is dropped: no key is taken from the next prompt.
struct Keys {
    typed: mpsc::UnboundedReceiver<Vec<u8>>,
    is_over: Arc<AtomicBool>,
}

/// How long the thread waits for a key before it looks whether it is over, in milliseconds.
const LOOK: u8 = 50;

impl Keys {
    fn read() -> Self {
        let (sender, typed) = mpsc::unbounded_channel();
        let is_over = Arc::<AtomicBool>::default();
        let over = Arc::clone(&is_over);
        drop(std::thread::spawn(move || {
            let stdin = io::stdin();
            let mut buffer = [0; CHUNK];
            while !over.load(Ordering::Acquire) {
                let mut ready = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
                match poll(&mut ready, PollTimeout::from(LOOK)) {
                    Ok(0) | Err(Errno::EINTR) => continue,
                    Ok(_) => {}
                    Err(_) => return,
                }
                let Ok(n) = nix::unistd::read(stdin.as_fd(), &mut buffer) else { return };
                let typed = buffer.get(..n).unwrap_or_default().to_vec();
                if n == 0 || sender.send(typed).is_err() {
                    return;
                }
            }
        }));
        Self { typed, is_over }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_control_keys_or_characters() {
        for (text, byte) in [("^]", 0x1d), ("^a", 1), ("^A", 1), ("~", b'~')] {
            assert_eq!(escape_byte(text), byte, "{text}");
        }
    }
}
