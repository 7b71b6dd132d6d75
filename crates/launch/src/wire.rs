//! The conversation between the daemon and the program: frames of a length and JSON.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use crate::DESCRIPTORS_MAX;
use crate::plan::{Plan, VERSION};

/// Longest plan in bytes; a guest's command line is a few ten kilobytes.
pub const PLAN_MAX: usize = 8 << 20;
/// Longest reply in bytes.
const REPLY_MAX: usize = 64 << 10;
/// The byte that lets the process continue after [`Reply::Ready`].
pub const GO: u8 = b'g';

/// What the program answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The process exists, has its pid file and waits for [`GO`].
    Ready {
        /// Its pid.
        pid: i32,
    },
    /// A step failed; the process has ended.
    Failed {
        /// What was to be done, `set the user` for example.
        step: String,
        /// The system's error number, 0 if there is none.
        errno: i32,
    },
}

/// Why the conversation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The socket failed or ended.
    #[error("the launch socket failed")]
    Socket(#[from] io::Error),
    /// A frame is not what it should be.
    #[error("malformed message on the launch socket")]
    Malformed(#[from] serde_json::Error),
    /// A frame is longer than its limit.
    #[error("message of {length} bytes on the launch socket exceeds the limit of {limit}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// A plan has more descriptors than one message carries.
    #[error("{count} descriptors exceed the limit of {DESCRIPTORS_MAX}")]
    TooManyDescriptors {
        /// How many.
        count: usize,
    },
    /// The plan has another version.
    #[error("launch plan of version {version}, this program understands {VERSION}")]
    Version {
        /// Its version.
        version: u32,
    },
}

/// Sends a plan with its descriptors.
///
/// The socket must be in blocking mode.
///
/// # Errors
/// [`WireError`] if the plan is too large or the peer has closed the socket.
pub fn send_plan(
    socket: &mut (impl Write + AsFd),
    plan: &Plan,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), WireError> {
    let count = descriptors.len();
    if count > DESCRIPTORS_MAX {
        return Err(WireError::TooManyDescriptors { count });
    }
    let body = serde_json::to_vec(plan)?;
    let header = header(&body, PLAN_MAX)?;
    let mut space = vec![MaybeUninit::uninit(); rights_space()];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(WireError::TooManyDescriptors { count });
    }
    let sent = sendmsg(&*socket, &[IoSlice::new(&header)], &mut ancillary, SendFlags::NOSIGNAL)
        .map_err(io::Error::from)?;
    // The descriptors are attached to the first byte; the kernel may take fewer bytes than offered.
    socket.write_all(header.get(sent..).unwrap_or_default())?;
    socket.write_all(&body)?;
    Ok(())
}

/// Receives a plan with its descriptors.
///
/// # Errors
/// [`WireError`] if the peer sends anything else or closes the socket.
pub fn receive_plan(socket: &mut (impl Read + AsFd)) -> Result<(Plan, Vec<OwnedFd>), WireError> {
    let mut header = [0; 4];
    let mut space = vec![MaybeUninit::uninit(); rights_space()];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        &*socket,
        &mut [IoSliceMut::new(&mut header)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )
    .map_err(io::Error::from)?;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    if received.bytes == 0 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    socket.read_exact(header.get_mut(received.bytes..).unwrap_or_default())?;
    let plan: Plan = serde_json::from_slice(&body(socket, header, PLAN_MAX)?)?;
    if plan.version != VERSION {
        return Err(WireError::Version { version: plan.version });
    }
    Ok((plan, descriptors))
}

/// Sends a reply.
///
/// # Errors
/// [`WireError::Socket`] if the daemon has closed the socket.
pub fn send_reply(socket: &mut impl Write, reply: &Reply) -> Result<(), WireError> {
    let body = serde_json::to_vec(reply)?;
    let mut frame = Vec::from(header(&body, REPLY_MAX)?);
    frame.extend(body);
    socket.write_all(&frame)?;
    Ok(())
}

/// Receives a reply; `None` at the end of the stream, which after [`GO`] means that the program runs.
///
/// # Errors
/// [`WireError`] if the peer sends anything else.
pub fn receive_reply(socket: &mut impl Read) -> Result<Option<Reply>, WireError> {
    let mut header = [0; 4];
    let mut filled = 0;
    while let Some(rest) = header.get_mut(filled..)
        && !rest.is_empty()
    {
        match socket.read(rest) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(serde_json::from_slice(&body(socket, header, REPLY_MAX)?)?))
}

fn header(body: &[u8], limit: usize) -> Result<[u8; 4], WireError> {
    let length = body.len();
    let too_long = WireError::TooLong { length, limit };
    if length > limit {
        return Err(too_long);
    }
    u32::try_from(length).map(u32::to_be_bytes).map_err(|_| too_long)
}

fn body(socket: &mut impl Read, header: [u8; 4], limit: usize) -> Result<Vec<u8>, WireError> {
    let length = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    if length > limit {
        return Err(WireError::TooLong { length, limit });
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body)?;
    Ok(body)
}

/// Room for one message with the most descriptors.
fn rights_space() -> usize {
    rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_plan_arrives_with_its_descriptors() {
        let (mut daemon, mut program) = UnixStream::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        (&file).write_all(b"content").unwrap();
        let plan = Plan { pid_file: Some(0), ..Plan::new("/bin/true", ["a", "b c"]) };
        send_plan(&mut daemon, &plan, &[file.as_fd(), file.as_fd()]).unwrap();
        let (received, descriptors) = receive_plan(&mut program).unwrap();
        assert_eq!(received, plan);
        assert_eq!(descriptors.len(), 2);
        let passed = std::fs::File::from(descriptors.into_iter().next().unwrap());
        assert_eq!(passed.metadata().unwrap().len(), 7);
    }

    #[test]
    fn a_long_plan_needs_no_reader_in_advance() {
        let (mut daemon, mut program) = UnixStream::pair().unwrap();
        let plan = Plan::new("/bin/true", vec!["x".repeat(1 << 20)]);
        let sender = {
            let plan = plan.clone();
            std::thread::spawn(move || send_plan(&mut daemon, &plan, &[]).unwrap())
        };
        assert_eq!(receive_plan(&mut program).unwrap().0, plan);
        sender.join().unwrap();
    }

    #[test]
    fn malformed_frames_are_refused() {
        for bytes in [
            &b"\0\0\0\x02[]"[..],
            &b"\xff\xff\xff\xff"[..],
            &b"\0\0"[..],
            &b"\0\0\0\x09{\"version\""[..],
            &b""[..],
        ] {
            let (mut daemon, mut program) = UnixStream::pair().unwrap();
            daemon.write_all(bytes).unwrap();
            drop(daemon);
            assert!(receive_plan(&mut program).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn the_end_of_the_stream_is_no_reply() {
        let (mut daemon, mut program) = UnixStream::pair().unwrap();
        let reply = Reply::Failed { step: "set the user".to_owned(), errno: 1 };
        send_reply(&mut program, &reply).unwrap();
        drop(program);
        assert_eq!(receive_reply(&mut daemon).unwrap(), Some(reply));
        assert_eq!(receive_reply(&mut daemon).unwrap(), None);
    }
}
