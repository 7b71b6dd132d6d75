//! The program with real processes. What needs root reports itself as not run without it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends at the first surprise"
)]

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use oxivirt_launch::{
    Credentials, DeviceNode, Devices, GO, Limit, Plan, Reply, Resource, descriptor_number,
    receive_reply, send_plan,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A launched process before its `go`.
struct Launched {
    socket: UnixStream,
    pid: i32,
    pidfd: OwnedFd,
}

impl Launched {
    fn start(plan: &Plan, descriptors: &[BorrowedFd<'_>]) -> Self {
        let (mut socket, theirs) = UnixStream::pair().unwrap();
        let mut first = Command::new(env!("CARGO_BIN_EXE_oxivirt_launch"))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .unwrap();
        send_plan(&mut socket, plan, descriptors).unwrap();
        assert!(first.wait().unwrap().success());
        let Some(Reply::Ready { pid }) = receive_reply(&mut socket).unwrap() else {
            panic!("the program is not ready");
        };
        let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        Self { socket, pid, pidfd }
    }

    /// Lets it go on; returns its failure, if there is one.
    fn go(&mut self) -> Option<Reply> {
        self.socket.write_all(&[GO]).unwrap();
        receive_reply(&mut self.socket).unwrap()
    }

    fn wait(&self) {
        let mut ends = [PollFd::new(&self.pidfd, PollFlags::IN)];
        poll(&mut ends, None).unwrap();
    }
}

fn shell(script: &str) -> Plan {
    let mut plan = Plan::new("/bin/sh", ["-c", script]);
    plan.environment.insert("PATH".to_owned(), "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    plan
}

fn has_lock(file: &File) -> bool {
    let mut lock = libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).unwrap(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_GETLK(&mut lock)).unwrap();
    i32::from(lock.l_type) != libc::F_UNLCK
}

fn open(path: &std::path::Path) -> File {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).unwrap()
}

#[test]
fn the_process_has_descriptors_log_limits_and_environment() {
    let dir = tempfile::tempdir().unwrap();
    let (log, pid_file, extra) =
        (open(&dir.path().join("log")), open(&dir.path().join("pid")), open(&dir.path().join("x")));
    (&extra).write_all(b"passed\n").unwrap();
    let script = format!(
        "cat /proc/self/fd/{}; ulimit -n; echo $NAME; umask; pwd; readlink /proc/self/fd/0",
        descriptor_number(2)
    );
    let mut plan = shell(&script);
    plan.environment.insert("NAME".to_owned(), "value".to_owned());
    plan.limits.push(Limit { resource: Resource::OpenFiles, value: Some(200) });
    plan.log = Some(0);
    plan.pid_file = Some(1);
    let mut launched = Launched::start(&plan, &[log.as_fd(), pid_file.as_fd(), extra.as_fd()]);
    assert_eq!(std::fs::read_to_string(dir.path().join("pid")).unwrap(), launched.pid.to_string());
    assert_eq!(launched.go(), None);
    launched.wait();
    let text = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(text, "passed\n200\nvalue\n0002\n/\n/dev/null\n");
}

#[test]
fn the_pid_file_is_locked_as_long_as_the_process_lives() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = open(&dir.path().join("pid"));
    let (reader, writer) = std::io::pipe().unwrap();
    let mut plan = shell(&format!(
        "echo up >/proc/self/fd/{}; read line </proc/self/fd/{}",
        descriptor_number(1),
        descriptor_number(2)
    ));
    plan.pid_file = Some(0);
    let (their_input, our_output) = std::io::pipe().unwrap();
    let mut launched =
        Launched::start(&plan, &[pid_file.as_fd(), writer.as_fd(), their_input.as_fd()]);
    drop(writer);
    assert!(has_lock(&pid_file));
    assert_eq!(launched.go(), None);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    assert!(has_lock(&pid_file), "exec released the lock");
    drop(our_output);
    drop(their_input);
    launched.wait();
    assert!(!has_lock(&pid_file));
}

#[test]
fn a_daemon_that_goes_away_leaves_no_process() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("mark");
    let plan = shell(&format!("touch {}", mark.display()));
    let Launched { socket, pidfd, .. } = Launched::start(&plan, &[]);
    drop(socket);
    let mut ends = [PollFd::new(&pidfd, PollFlags::IN)];
    poll(&mut ends, None).unwrap();
    assert!(!mark.exists());
}

#[test]
fn a_program_that_cannot_be_executed_is_reported() {
    let plan = Plan::new("/nonexistent/qemu", ["-S"]);
    let mut launched = Launched::start(&plan, &[]);
    let step = "execute '/nonexistent/qemu'".to_owned();
    assert_eq!(launched.go(), Some(Reply::Failed { step, errno: libc::ENOENT }));
    launched.wait();
}

#[test]
fn a_descriptor_that_was_not_passed_is_reported() {
    let plan = Plan { log: Some(3), ..shell("true") };
    let mut launched = Launched::start(&plan, &[]);
    let step = "find descriptor 3 of the plan".to_owned();
    assert_eq!(launched.go(), Some(Reply::Failed { step, errno: libc::EBADF }));
}

#[test]
fn init_is_the_parent() {
    let (reader, writer) = std::io::pipe().unwrap();
    let plan = shell(&format!("echo $PPID >/proc/self/fd/{}", descriptor_number(0)));
    let mut launched = Launched::start(&plan, &[writer.as_fd()]);
    drop(writer);
    assert_eq!(launched.go(), None);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert_ne!(line.trim(), std::process::id().to_string());
}

/// Whether this process may make namespaces and nodes.
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
        && std::fs::read_to_string("/proc/self/uid_map")
            .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

#[test]
fn devices_and_user_are_the_plans() {
    if !is_root() {
        eprintln!("devices_and_user_are_the_plans: not run, needs root of the host");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let staging = dir.path().join("dev");
    std::fs::create_dir(&staging).unwrap();
    let log = open(&dir.path().join("log"));
    let node = |path: &str| DeviceNode {
        path: path.into(),
        is_block: false,
        number: std::fs::metadata("/dev/null").unwrap().rdev(),
        mode: 0o666,
        uid: 0,
        gid: 0,
    };
    let mut plan = shell(
        "cd /dev; find . -maxdepth 2 -type c | grep -v pts | sort; id -u; id -G; echo x > null; grep -E '^(NoNewPrivs|CapEff)' /proc/self/status",
    );
    plan.log = Some(0);
    plan.devices = Some(Devices {
        staging,
        nodes: vec![node("/dev/null"), node("/dev/sub/zero")],
        keep: vec!["/dev/pts".into()],
    });
    plan.credentials = Some(Credentials { uid: 64055, gid: 64056, groups: vec![64056, 64057] });
    let before = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let mut launched = Launched::start(&plan, &[log.as_fd()]);
    assert_eq!(launched.go(), None);
    launched.wait();
    let text = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let wanted =
        "./null\n./sub/zero\n64055\n64056 64057\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n";
    assert_eq!(text, wanted);
    assert_eq!(std::fs::read_to_string("/proc/self/mounts").unwrap(), before);
}

#[test]
fn nodes_outside_dev_are_refused() {
    if !is_root() {
        eprintln!("nodes_outside_dev_are_refused: not run, needs root of the host");
        return;
    }
    for path in ["/dev/../etc/x", "/etc/x", "/dev", "dev/x"] {
        let dir = tempfile::tempdir().unwrap();
        let node = DeviceNode {
            path: path.into(),
            is_block: false,
            number: 259,
            mode: 0o666,
            uid: 0,
            gid: 0,
        };
        let mut plan = shell("true");
        plan.devices =
            Some(Devices { staging: dir.path().to_owned(), nodes: vec![node], keep: Vec::new() });
        let mut launched = Launched::start(&plan, &[]);
        let step = format!("use '{path}', which is not below /dev");
        assert_eq!(launched.go(), Some(Reply::Failed { step, errno: libc::EINVAL }));
    }
}
