//! Consoles: the terminals behind a guest's serial ports, a client at a time.
//!
//! libvirt 11.3.0: `qemuDomainOpenConsole`, src/qemu/qemu_driver.c; `virChrdevOpen`, src/conf/virchrdev.c

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use futures::task::AtomicWaker;
use futures::{AsyncRead, AsyncWrite};
use nix::libc;
use oxivirt::{DomainRef, DomainStream, Error, ErrorCode, ErrorDomain, Result};
use oxivirt_conf::domain::DomainDef;
use oxivirt_conf::domain::device::chardev::{CharDevice, CharType};
use oxivirt_types::domain::ConsoleFlags;
use rustix::fs::{Mode, OFlags};
use tokio::io::unix::AsyncFd;

use crate::error;
use crate::shared::Shared;

/// The open consoles by their terminals.
#[derive(Debug, Default)]
pub(crate) struct Consoles {
    open: Mutex<BTreeMap<String, Weak<Ending>>>,
}

/// Whether a console has been taken from its client.
#[derive(Debug, Default)]
struct Ending {
    is_over: AtomicBool,
    waker: AtomicWaker,
}

/// An open console; it is free again when this is dropped.
#[derive(Debug)]
struct Console {
    terminal: AsyncFd<OwnedFd>,
    ending: Arc<Ending>,
}

impl Shared {
    pub(crate) fn open_console(
        &self,
        domain: &DomainRef,
        device: Option<&str>,
        flags: ConsoleFlags,
    ) -> Result<Box<dyn DomainStream>> {
        let view = self.entry(domain)?.view();
        if !view.is_active() {
            return Err(error::not_running());
        }
        let internal =
            |detail: String| Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::QEMU, detail);
        let name = device.unwrap_or("<null>");
        let found = find(view.def.def(), device)
            .ok_or_else(|| internal(format!("cannot find character device {name}")))?;
        let path = found.sources.first().and_then(|source| source.path.as_deref());
        let path = path.filter(|_| found.kind == Some(CharType::Pty)).ok_or_else(|| {
            let alias = found.info.alias.as_ref().and_then(|alias| alias.name.as_deref());
            let name = device.or(alias).unwrap_or("<null>");
            internal(format!("character device {name} is not using a PTY"))
        })?;
        self.consoles.open(path, flags.contains(ConsoleFlags::FORCE))
    }
}

impl Consoles {
    fn open(&self, path: &str, is_forced: bool) -> Result<Box<dyn DomainStream>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, other| other.strong_count() > 0);
        if let Some(other) = open.get(path).and_then(Weak::upgrade) {
            if !is_forced {
                let detail = "Active console session exists for this domain";
                return Err(Error::new(ErrorCode::OPERATION_FAILED, ErrorDomain::QEMU, detail));
            }
            other.end();
        }
        let terminal = terminal(Path::new(path)).map_err(|error| {
            Error::io(ErrorDomain::STREAMS, &error, format!("Unable to open stream for '{path}'"))
        })?;
        let ending = Arc::new(Ending::default());
        open.insert(path.to_owned(), Arc::downgrade(&ending));
        Ok(Box::new(Console { terminal, ending }))
    }
}

impl Ending {
    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// The device of this alias, or the first console or serial port.
fn find<'d>(def: &'d DomainDef, alias: Option<&str>) -> Option<&'d CharDevice> {
    let devices = def.devices.as_ref()?;
    let mut all = devices.consoles.iter().chain(&devices.serials).chain(&devices.parallels);
    match alias {
        Some(alias) => all.find(|device| {
            device.info.alias.as_ref().is_some_and(|own| own.name.as_deref() == Some(alias))
        }),
        None => devices.consoles.first().or_else(|| devices.serials.first()),
    }
}

fn terminal(path: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(path, flags, Mode::empty())?;
    #[expect(deprecated, reason = "an OwnedFd stays open; the replacement is an unsafe function")]
    AsyncFd::new(terminal)
}

impl Console {
    /// Whether it was taken from its client.
    fn is_over(&self, context: &Context<'_>) -> bool {
        self.ending.waker.register(context.waker());
        self.ending.is_over.load(Ordering::Acquire)
    }
}

impl AsyncRead for Console {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.is_over(context) {
                return Poll::Ready(Ok(0));
            }
            let mut guard = ready!(self.terminal.poll_read_ready(context))?;
            let read = guard.try_io(|fd| Ok(rustix::io::read(fd, &mut *buffer)?));
            match read {
                // The emulator has closed its end.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => {
                    return Poll::Ready(Ok(0));
                }
                Ok(result) => return Poll::Ready(result),
                Err(_) => {}
            }
        }
    }
}

impl AsyncWrite for Console {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.ending.is_over.load(Ordering::Acquire) {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let mut guard = ready!(self.terminal.poll_write_ready(context))?;
            if let Ok(result) = guard.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ending.end();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A terminal and the emulator's end of it.
    fn pair() -> (std::fs::File, String) {
        let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
        let master = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let path = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        (master.into(), path.into_string().unwrap())
    }

    #[tokio::test]
    async fn a_console_has_one_client_and_passes_bytes_both_ways() {
        use std::io::{Read as _, Write as _};
        let (mut master, path) = pair();
        let consoles = Consoles::default();
        let mut first = consoles.open(&path, false).unwrap();
        master.write_all(b"login\n").unwrap();
        let mut buffer = [0; 16];
        let count = first.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..count], b"login\n");
        first.write_all(b"root\n").await.unwrap();
        let count = master.read(&mut buffer).unwrap();
        assert!(count > 0);
        let error = consoles.open(&path, false).unwrap_err();
        assert_eq!((error.code().0, error.domain().0), (9, 10));
        let mut second = consoles.open(&path, true).unwrap();
        assert_eq!(first.read(&mut buffer).await.unwrap(), 0);
        drop(first);
        drop(master);
        // What was echoed may come first.
        while second.read(&mut buffer).await.unwrap() > 0 {}
        drop(second);
        assert!(consoles.open(&path, false).is_err());
    }
}
