//! Tap devices: links whose other end is a descriptor (Linux: Documentation/networking/tuntap.rst).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::libc;
use oxivirt_types::link_name::LinkName;

/// The device behind which the kernel makes taps.
const DEVICE: &str = "/dev/net/tun";

/// How a tap is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tap {
    /// Its name.
    pub name: LinkName,
    /// Whether packets have a virtio header in front, for offloads of a virtio card.
    pub has_vnet_header: bool,
    /// Queues, each with a descriptor of its own; at least 1.
    pub queues: u16,
}

/// Why a tap cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TapError {
    /// The device that makes taps cannot be opened.
    #[error("cannot open '{DEVICE}'")]
    Open(#[source] io::Error),
    /// The kernel refused; EBUSY if the name is in use.
    #[error("cannot create tap '{name}'")]
    Create {
        /// The name.
        name: LinkName,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
}

mod request {
    use nix::libc;

    // TUNSETIFF, _IOW('T', 202, int), takes a pointer to an ifreq and writes the name back.
    nix::ioctl_readwrite_bad!(set_interface, nix::request_code_write!(b'T', 202, 4), libc::ifreq);
}

impl Tap {
    /// Creates it in the network namespace of the calling thread; it exists as long as one of the returned
    /// descriptors, one for each queue, is open.
    ///
    /// # Errors
    /// [`TapError`]; then there is no tap.
    pub fn create(&self) -> Result<Vec<OwnedFd>, TapError> {
        let queues = self.queues.max(1);
        let mut flags = libc::IFF_TAP | libc::IFF_NO_PI;
        if self.has_vnet_header {
            flags |= libc::IFF_VNET_HDR;
        }
        if queues > 1 {
            flags |= libc::IFF_MULTI_QUEUE;
        }
        (0..queues).map(|_| self.open_queue(flags)).collect()
    }

    fn open_queue(&self, flags: i32) -> Result<OwnedFd, TapError> {
        let device = open()?;
        let mut request = libc::ifreq {
            ifr_name: [0; libc::IFNAMSIZ],
            ifr_ifru: libc::__c_anonymous_ifr_ifru {
                // All flags are in the lower half.
                ifru_flags: i16::try_from(flags).unwrap_or_default(),
            },
        };
        for (to, from) in request.ifr_name.iter_mut().zip(self.name.padded()) {
            *to = from.cast_signed();
        }
        #[expect(unsafe_code, reason = "there is no safe interface to this ioctl")]
        // SAFETY: the descriptor is open, and the request is a complete ifreq that outlives the call.
        let done = unsafe { request::set_interface(device.as_raw_fd(), &raw mut request) };
        match done {
            Ok(_) => Ok(device.into()),
            Err(source) => Err(TapError::Create { name: self.name.clone(), source: source.into() }),
        }
    }
}

fn open() -> Result<File, TapError> {
    OpenOptions::new().read(true).write(true).open(DEVICE).map_err(TapError::Open)
}

#[cfg(test)]
mod tests {
    use nix::sched::{CloneFlags, unshare};

    use super::*;
    use crate::has_link;

    fn tap(name: &str, queues: u16) -> Tap {
        Tap { name: LinkName::new(name).unwrap(), has_vnet_header: true, queues }
    }

    #[test]
    fn a_tap_exists_as_long_as_its_descriptors() {
        // The namespace is the thread's, and with it the taps.
        if unshare(CloneFlags::CLONE_NEWNET).is_err() || open().is_err() {
            return;
        }
        let single = tap("vnet0", 1).create().unwrap();
        assert_eq!(single.len(), 1);
        assert!(has_link("vnet0"));
        let error = tap("vnet0", 1).create().unwrap_err();
        let TapError::Create { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.raw_os_error(), Some(libc::EBUSY));
        let multiple = tap("vnet1", 4).create().unwrap();
        assert_eq!(multiple.len(), 4);
        drop((single, multiple));
        assert!(!has_link("vnet0") && !has_link("vnet1"));
    }
}
