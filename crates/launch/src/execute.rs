//! The steps of a launch, in their order.

use std::convert::Infallible;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use oxivirt_launch::{
    Credentials, DESCRIPTORS_MAX, DeviceNode, Devices, GO, Limit, Plan, Reply, Resource, WireError,
    descriptor_number, receive_plan, send_reply,
};
use rustix::fs::{AtFlags, CWD, FileType, Mode};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::Rlimit;

/// Size and mode of the guest's `/dev`.
const DEV_OPTIONS: &std::ffi::CStr = c"mode=755,size=65536";

/// Why a launch ended without the guest process.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The daemon went away, or sent what it should not.
    Conversation(WireError),
    /// The daemon closed the socket instead of sending [`GO`].
    Cancelled,
    /// A step failed.
    Step {
        /// What was to be done.
        step: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl Failure {
    /// What the daemon learns of it.
    pub(crate) fn reply(&self) -> Option<Reply> {
        match self {
            Self::Cancelled => None,
            Self::Conversation(error) => Some(Reply::Failed { step: error.to_string(), errno: 0 }),
            Self::Step { step, source } => Some(Reply::Failed {
                step: step.clone(),
                errno: source.raw_os_error().unwrap_or_default(),
            }),
        }
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::Conversation(error)
    }
}

/// Names the step that failed.
trait Context<T> {
    fn step(self, step: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn step(self, step: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|source| Failure::Step { step: step.into(), source: source.into() })
    }
}

/// Carries out the plan that arrives on the socket; returns only on failure.
///
/// # Errors
/// [`Failure`].
pub(crate) fn run(socket: &mut UnixStream) -> Result<Infallible, Failure> {
    let (plan, passed) = receive_plan(socket)?;
    let descriptors = place(passed)?;
    rustix::process::setsid().step("create a session")?;
    rustix::process::umask(Mode::from_bits_truncate(plan.umask));
    for limit in &plan.limits {
        set_limit(*limit)?;
    }
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    if let Some(index) = plan.pid_file {
        write_pid(descriptor(&descriptors, index)?, pid)?;
    }
    send_reply(socket, &Reply::Ready { pid })?;
    wait_for_go(socket)?;
    let null = File::open("/dev/null").step("open /dev/null")?;
    if let Some(devices) = &plan.devices {
        private_devices(devices)?;
    }
    if let Some(credentials) = &plan.credentials {
        change_user(credentials)?;
    }
    rustix::stdio::dup2_stdin(&null).step("set standard input")?;
    if let Some(index) = plan.log {
        let log = descriptor(&descriptors, index)?;
        rustix::stdio::dup2_stdout(log).step("set standard output")?;
        rustix::stdio::dup2_stderr(log).step("set standard error")?;
    }
    for descriptor in &descriptors {
        fcntl_setfd(descriptor, FdFlags::empty()).step("pass a descriptor")?;
    }
    exec(&plan)
}

/// Gives every descriptor its number. They move out of the way first, as a number may be taken by one
/// that comes later.
fn place(passed: Vec<OwnedFd>) -> Result<Vec<OwnedFd>, Failure> {
    let above = descriptor_number(DESCRIPTORS_MAX);
    let moved = passed
        .into_iter()
        .map(|descriptor| fcntl_dupfd_cloexec(descriptor, above).step("move a descriptor"))
        .collect::<Result<Vec<_>, _>>()?;
    let mut placed = Vec::with_capacity(moved.len());
    for (index, descriptor) in moved.iter().enumerate() {
        let number = descriptor_number(index);
        let copy = fcntl_dupfd_cloexec(descriptor, number).step("place a descriptor")?;
        if copy.as_raw_fd() != number {
            let source = io::Error::from_raw_os_error(libc::EBUSY);
            return Err(Failure::Step { step: format!("place descriptor {number}"), source });
        }
        placed.push(copy);
    }
    Ok(placed)
}

fn descriptor(descriptors: &[OwnedFd], index: usize) -> Result<BorrowedFd<'_>, Failure> {
    let found = descriptors.get(index).map(OwnedFd::as_fd);
    found.ok_or_else(|| Failure::Step {
        step: format!("find descriptor {index} of the plan"),
        source: io::Error::from_raw_os_error(libc::EBADF),
    })
}

fn set_limit(limit: Limit) -> Result<(), Failure> {
    let resource = match limit.resource {
        Resource::Core => rustix::process::Resource::Core,
        Resource::LockedMemory => rustix::process::Resource::Memlock,
        Resource::OpenFiles => rustix::process::Resource::Nofile,
        Resource::Processes => rustix::process::Resource::Nproc,
    };
    rustix::process::setrlimit(resource, Rlimit { current: limit.value, maximum: limit.value })
        .step(format!("set the limit of {:?}", limit.resource))
}

/// Locks the pid file and writes the pid into it. The lock belongs to the process and outlives `exec`.
#[expect(clippy::cast_possible_truncation, reason = "the constants are 1 and 0")]
fn write_pid(file: BorrowedFd<'_>, pid: i32) -> Result<(), Failure> {
    let lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_SETLK(&lock)).step("lock the pid file")?;
    // No copy of the descriptor: closing one, at `exec` at the latest, would release the lock (fcntl(2)).
    rustix::fs::ftruncate(file, 0).step("write the pid file")?;
    let text = pid.to_string();
    match rustix::io::pwrite(file, text.as_bytes(), 0).step("write the pid file")? {
        written if written == text.len() => Ok(()),
        _ => Err(Failure::Step {
            step: "write the pid file".to_owned(),
            source: io::ErrorKind::WriteZero.into(),
        }),
    }
}

fn wait_for_go(socket: &mut UnixStream) -> Result<(), Failure> {
    let mut byte = [0];
    match socket.read_exact(&mut byte) {
        Ok(()) if byte == [GO] => Ok(()),
        _ => Err(Failure::Cancelled),
    }
}

/// Builds a `/dev` with the plan's nodes in a mount namespace of this process.
fn private_devices(devices: &Devices) -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWNS).step("create a mount namespace")?;
    // Mounts of the host still arrive here, those made here stay here.
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM,
    )
    .step("separate the mounts")?;
    let staging = &devices.staging;
    rustix::mount::mount("devfs", staging, "tmpfs", MountFlags::NOSUID, DEV_OPTIONS)
        .step("mount the guest's /dev")?;
    for node in &devices.nodes {
        make_node(staging, node)?;
    }
    for kept in &devices.keep {
        let target = staging.join(below_dev(kept)?);
        let step = format!("keep the mount '{}'", kept.display());
        match std::fs::metadata(kept).step(step.clone())?.is_dir() {
            true => std::fs::create_dir_all(&target).step(step.clone())?,
            false => {
                let file = OpenOptions::new().create_new(true).write(true).open(&target);
                drop(file.step(step.clone())?);
            }
        }
        rustix::mount::mount_bind_recursive(kept, &target).step(step)?;
    }
    rustix::mount::mount_move(staging, "/dev").step("move the guest's /dev into place")?;
    // The guest may be stopped by a driver that does not know this directory.
    drop(std::fs::remove_dir(staging));
    Ok(())
}

/// The part of a path behind `/dev/`; refuses paths that lead elsewhere.
fn below_dev(path: &Path) -> Result<PathBuf, Failure> {
    let relative = path.strip_prefix("/dev").ok();
    let plain = relative
        .filter(|relative| relative.components().all(|part| matches!(part, Component::Normal(_))));
    plain.filter(|relative| relative.file_name().is_some()).map(Path::to_owned).ok_or_else(|| {
        Failure::Step {
            step: format!("use '{}', which is not below /dev", path.display()),
            source: io::Error::from_raw_os_error(libc::EINVAL),
        }
    })
}

fn make_node(staging: &Path, node: &DeviceNode) -> Result<(), Failure> {
    let path = staging.join(below_dev(&node.path)?);
    let step = format!("create '{}'", node.path.display());
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).step(step.clone())?;
    }
    let kind = if node.is_block { FileType::BlockDevice } else { FileType::CharacterDevice };
    rustix::fs::mknodat(CWD, &path, kind, Mode::empty(), node.number).step(step.clone())?;
    let owner = rustix::fs::Uid::from_raw(node.uid);
    let group = rustix::fs::Gid::from_raw(node.gid);
    rustix::fs::chownat(CWD, &path, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)
        .step(step.clone())?;
    std::fs::set_permissions(&path, Permissions::from_mode(node.mode & 0o777)).step(step)
}

/// Becomes the user. Groups first: afterwards the process may not change them.
fn change_user(credentials: &Credentials) -> Result<(), Failure> {
    let groups: Vec<Gid> = credentials.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups).step("set the groups")?;
    setgid(Gid::from_raw(credentials.gid)).step("set the group")?;
    setuid(Uid::from_raw(credentials.uid)).step("set the user")?;
    rustix::thread::set_no_new_privs(true).step("forbid new privileges")
}

#[expect(
    clippy::disallowed_methods,
    reason = "this process becomes the program, nothing runs beside it"
)]
fn exec(plan: &Plan) -> Result<Infallible, Failure> {
    let source = Command::new(&plan.program)
        .args(&plan.arguments)
        .env_clear()
        .envs(&plan.environment)
        .current_dir("/")
        .exec();
    Err(Failure::Step { step: format!("execute '{}'", plan.program.display()), source })
}
